//! One installation of triaged: its configuration, its secrets, its state, and its commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use jsonschema::Validator;
use serde::Deserialize;
use tempfile::TempDir;
use triaged::http::{AccountStatus, Status};

use super::daemon::Daemon;
use super::faketime;
use super::mail::Mail;
use super::mailserver::User;
use super::ports::free_port;
use super::process::Process;
use super::settings::Settings;
use super::strace;
use super::wait::until;

/// A folder with all that a daemon needs; it outlives the daemons that run on it.
pub(crate) struct Installation {
    folder: TempDir,
    http: u16,
}

/// One line of `triaged history --json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Record {
    pub(crate) time: String,
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) uid: u32,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) confidences: BTreeMap<String, f64>,
    pub(crate) keywords: BTreeSet<String>,
    pub(crate) action: String,
    pub(crate) outcome: String,
    pub(crate) model: Option<String>,
    #[serde(default)]
    pub(crate) defects: Vec<String>,
    #[serde(default)]
    pub(crate) alerts: Vec<Alerted>,
    /// By what `triaged undo` knows the message.
    pub(crate) number: i64,
    pub(crate) effects: Vec<Done>,
}

/// A mail of an alert about a message, and how it stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Alerted {
    pub(crate) rule: String,
    pub(crate) state: String,
}

/// Something that was decided to be done to a message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Done {
    pub(crate) kind: String,
    pub(crate) argument: String,
    pub(crate) state: String,
    pub(crate) rule: Option<String>,
}

impl Installation {
    /// Writes the configuration and the secrets that it names.
    pub(crate) fn new(settings: &Settings) -> Installation {
        let folder = TempDir::with_prefix("triaged-it-home-").unwrap();
        for name in ["state", "secrets"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let installation = Installation { folder, http: free_port() };
        installation.configure(settings);
        installation
    }

    /// Replaces the configuration; a daemon sees it when it starts.
    pub(crate) fn configure(&self, settings: &Settings) {
        let secrets = self.folder.path().join("secrets");
        for (file, secret) in settings.secrets(&secrets) {
            fs::write(&file, format!("{secret}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        self.write_config(settings.toml(&self.state(), &secrets, self.http).as_bytes());
    }

    /// Puts any bytes where the configuration is.
    pub(crate) fn write_config(&self, bytes: &[u8]) {
        fs::write(self.config(), bytes).unwrap();
    }

    /// The folder of the daemon's state.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("triaged.toml")
    }

    /// The installation's own folder, for what a test wants to put beside.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the daemon, and does not wait for anything.
    pub(crate) fn start(&self) -> Daemon {
        Daemon::start(self.run_command(), &self.folder.path().join("triaged.log"), self.http)
    }

    /// Starts the daemon as systemd does: it is told of a socket that hears, and of a watchdog.
    pub(crate) fn start_supervised(&self, socket: &Path, watchdog: Duration) -> Daemon {
        let mut command = self.run_command();
        command.env("NOTIFY_SOCKET", socket);
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        Daemon::start(command, &self.folder.path().join("triaged.log"), self.http)
    }

    /// Starts the daemon with a calendar that is off by what the file says, in seconds like `+3600`;
    /// its monotonic clock goes on as it should (libfaketime).
    pub(crate) fn start_with_calendar(&self, off_by: &Path) -> Daemon {
        let mut command = self.run_command();
        command.envs(faketime::faketime(&faketime::library(), off_by));
        Daemon::start(command, &self.folder.path().join("triaged.log"), self.http)
    }

    /// Starts the daemon under strace(1). It is killed where it begins to synchronise for the n-th time
    /// what it has written, if at all.
    pub(crate) fn start_traced(&self, kill_at: Option<usize>) -> Daemon {
        let command = strace::under_strace(&self.run_command(), &self.report(), kill_at);
        Daemon::start(command, &self.folder.path().join("triaged.log"), self.http)
    }

    /// How often each thread of the traced daemon began to synchronise.
    pub(crate) fn syncs(&self) -> Vec<(u32, usize)> {
        strace::syncs(&self.report())
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join("syncs")
    }

    /// Starts the daemon and waits until it is ready: logged in everywhere, cursors set.
    pub(crate) fn start_ready(&self) -> Daemon {
        let mut daemon = self.start();
        daemon.wait_ready();
        daemon
    }

    /// Runs the daemon where it can not run: its exit code, and what it printed.
    pub(crate) fn run_in_vain(&self) -> (i32, String) {
        let log = self.folder.path().join("in-vain.log");
        let _ = fs::remove_file(&log);
        let mut process = Process::start(&mut self.run_command(), &log);
        let status = process.wait();
        let code = status.code().unwrap_or_else(|| panic!("{status}:\n{}", process.output()));
        (code, process.output())
    }

    fn run_command(&self) -> Command {
        // Without a parent there is no daemon: setpriv(1) asks the kernel to see to that.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_triaged"), "--config"]);
        command.arg(self.config()).arg("run").env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs one of the other sub-commands to its end, with nothing on standard input.
    pub(crate) fn triaged(&self, arguments: &[&str]) -> Output {
        Command::new("timeout")
            .args(["60", env!("CARGO_BIN_EXE_triaged"), "--config"])
            .arg(self.config())
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// All that such a sub-command says, which must end with this exit code.
    pub(crate) fn says(&self, arguments: &[&str], code: i32) -> String {
        let output = self.triaged(arguments);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    /// All that `triaged history` knows, in its order.
    pub(crate) fn history(&self) -> Vec<Record> {
        let output = self.triaged(&["history", "--json"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "history: {}\n{stderr}", output.status);
        let lines = String::from_utf8(output.stdout).unwrap();
        let read = |line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("history: {error}: {line}"))
        };
        lines.lines().map(read).collect()
    }

    /// What `triaged status --json` says, which must be valid by its own schema.
    pub(crate) fn status(&self) -> Status {
        let output = self.triaged(&["status", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let json = serde_json::from_slice(&output.stdout).unwrap();
        let errors: Vec<String> =
            status_schema().iter_errors(&json).map(|error| format!("{error}")).collect();
        assert!(errors.is_empty(), "{errors:#?} in {json:#}");
        serde_json::from_value(json).unwrap()
    }

    /// Waits until something is true of how an account stands.
    pub(crate) fn wait_status(
        &self,
        account: &str,
        what: &str,
        holds: impl Fn(&AccountStatus) -> bool,
    ) -> AccountStatus {
        until(what, || self.status().accounts.remove(account).filter(&holds))
    }

    /// Waits until the mail is decided, and what was decided is settled.
    pub(crate) fn wait_decided(&self, user: &User, mail: &Mail) -> Record {
        let uid = until("the mail is there", || user.find(mail)).uid;
        self.wait_recorded(user, "INBOX", uid)
    }

    /// Waits until so many messages are decided, and what was decided is settled.
    pub(crate) fn wait_settled(&self, messages: usize) {
        until("all is settled", || {
            let history = self.history();
            let settled = history.iter().filter(|record| record.outcome != "pending").count();
            (settled == messages).then_some(())
        });
    }

    /// Waits until so many mails of alerts are recorded as sent.
    pub(crate) fn wait_alerted(&self, mails: usize) {
        until("all alerts are sent", || {
            let history = self.history();
            let sent = history.iter().flat_map(|record| &record.alerts);
            (sent.filter(|alert| alert.state == "sent").count() == mails).then_some(())
        });
    }

    /// Waits for a mail that is known by mailbox and UID.
    pub(crate) fn wait_recorded(&self, user: &User, mailbox: &str, uid: u32) -> Record {
        until("the mail is in the history", || {
            self.history().into_iter().find(|record| {
                let place = (record.account.as_str(), record.mailbox.as_str(), record.uid);
                place == (user.name(), mailbox, uid) && record.outcome != "pending"
            })
        })
    }
}

/// What `triaged status --schema` prints.
pub(crate) fn status_schema() -> Validator {
    let schema = include_str!("../../../daemon/status.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}
