//! The daemon as a service: that systemd understands the unit, how little the unit lets the daemon
//! do, and what the daemon says to systemd. `systemd-analyze` reads files, and a socket stands in
//! for systemd, which does not have to run here.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::{Daemon, Format, Installation, Mailserver, Settings, free_port, until};

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/triaged.service")
}

fn systemd_analyze(arguments: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output()
        .expect("systemd-analyze runs; where it is missing: make deps")
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn systemd_understands_the_unit_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("triaged.service");
    let text = fs::read_to_string(unit()).unwrap();
    let built = text.replace(
        "ExecStart=/usr/bin/triaged",
        concat!("ExecStart=", env!("CARGO_BIN_EXE_triaged")),
    );
    assert_ne!(text, built, "the unit starts /usr/bin/triaged");
    fs::write(&copy, built).unwrap();
    let output = systemd_analyze(&["verify"], &copy);
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
}

#[test]
fn the_unit_is_sandboxed() {
    let output = systemd_analyze(&["security", "--offline=true", "--threshold=15"], &unit());
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_failure_that_a_restart_does_not_mend_is_not_restarted() {
    let text = fs::read_to_string(unit()).unwrap();
    for line in ["Type=notify", "Restart=on-failure", "RestartPreventExitStatus=78"] {
        assert!(text.lines().any(|one| one == line), "{line}");
    }
}

/// Short, so that the test hears it beat.
const WATCHDOG: Duration = Duration::from_millis(600);

/// Starts a daemon that says to the socket what it would say to systemd.
fn supervised(settings: &Settings) -> (Installation, UnixDatagram, Daemon) {
    let installation = Installation::new(settings);
    let path = installation.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let daemon = installation.start_supervised(&path, WATCHDOG);
    (installation, socket, daemon)
}

/// Waits for a message with this line, and gives back all of that message.
fn hears(socket: &UnixDatagram, line: &str) -> String {
    until(line, || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).ok()?;
        let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
        message.lines().any(|one| one.starts_with(line)).then_some(message)
    })
}

#[test]
fn systemd_hears_ready_with_the_first_login_then_beats_then_the_stop() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let (_installation, socket, daemon) = supervised(&Settings::shadow().with(anna.account()));
    hears(&socket, "READY=1");
    assert!(daemon.log().contains("logged in"), "{}", daemon.log());
    hears(&socket, "STATUS=watching 1 of 1 accounts");
    assert!(daemon.ready());
    hears(&socket, "WATCHDOG=1");
    hears(&socket, "WATCHDOG=1");
    daemon.stop();
    hears(&socket, "STOPPING=1");
}

#[test]
fn a_server_that_is_down_is_a_known_state_and_no_reason_to_hold_up_the_start() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let (_installation, socket, daemon) =
        supervised(&Settings::shadow().with(anna.account().port(free_port())));
    hears(&socket, "READY=1");
    let status = hears(&socket, "STATUS=");
    assert!(status.starts_with("STATUS=watching 0 of 1 accounts; anna: "), "{status}");
    assert!(!daemon.ready());
    hears(&socket, "WATCHDOG=1");
    daemon.stop();
}
