//! The systemd unit: that systemd understands it, and how little it lets the daemon do.
//! `systemd-analyze` reads files, so no systemd has to run here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
