//! A real PostgreSQL of the test's own.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::faketime;
use super::ports::free_port;
use super::process::Process;
use super::wait::until;

/// The password of its user: distinct, so that a test can look for it where it must not be, and with
/// characters that a URL has to escape.
pub(crate) const DATABASE_PASSWORD: &str = "it-postgres+Kd3m/8Rw5=";

/// The same as it stands in a URL.
const IN_URL: &str = "it-postgres%2BKd3m%2F8Rw5%3D";

/// The database that is there from the start.
const FIRST: &str = "triaged";

/// Freezes the postmaster first, so that it starts nothing more, then what it has started, and lets
/// all of them go on when standard input ends, as it does with whoever holds it.
const FREEZER: &str = r#"
trap '' PIPE
kill -STOP "$1"
all="$1 $(cat "/proc/$1/task/$1/children")"
kill -STOP $all
echo frozen
cat >/dev/null
kill -CONT $all
"#;

/// A PostgreSQL that runs in a temporary folder on a port of its own until it is dropped; also when
/// the test process is killed.
pub(crate) struct Postgres {
    process: Process,
    frozen: Option<Child>,
    folder: TempDir,
    port: u16,
    environment: Vec<(&'static str, OsString)>,
}

impl Postgres {
    /// Starts one, and waits until it answers; there is a database `triaged` in it. `None` where
    /// PostgreSQL is missing, which is said aloud, and is a failure where `CI` is set.
    pub(crate) fn start() -> Option<Postgres> {
        Self::start_by(|_| Vec::new())
    }

    /// The same with a calendar that is off by what a file says, in seconds like `+3600`
    /// (libfaketime); and the file, in which there is nothing off yet.
    pub(crate) fn start_with_calendar() -> Option<(Postgres, PathBuf)> {
        let server = Self::start_by(|folder| {
            let calendar = calendar(folder);
            fs::write(&calendar, "+0\n").unwrap();
            // A checkout may not be for its user's eyes.
            let library = folder.join("libfaketime.so");
            fs::copy(faketime::library(), &library).unwrap();
            // Only the server itself may have it: its semaphore belongs to the user who comes first.
            let mut environment = faketime::faketime(&library, &calendar);
            environment.retain(|(name, _)| *name != "LD_PRELOAD");
            environment.push(("PRELOAD", library.into()));
            environment
        })?;
        let calendar = calendar(server.folder.path());
        Some((server, calendar))
    }

    /// Starts one in a folder with what this says about its environment.
    fn start_by(
        environment: impl FnOnce(&Path) -> Vec<(&'static str, OsString)>,
    ) -> Option<Postgres> {
        if let Err(why) = programs() {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("SKIPPED, and nothing was tested: {why}");
            return None;
        }
        let folder = TempDir::with_prefix("triaged-it-").unwrap();
        // Root's servers run as `nobody`, who must get in.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_port();
        let environment = environment(folder.path());
        let process = launch(folder.path(), port, &environment);
        let mut server = Postgres { process, frozen: None, folder, port, environment };
        server.wait();
        server.create(FIRST);
        Some(server)
    }

    /// Where its first database is, with user and password.
    pub(crate) fn url(&self) -> String {
        Self::url_at(self.port, FIRST)
    }

    /// The same by any port (a proxy's), and for any database.
    pub(crate) fn url_at(port: u16, database: &str) -> String {
        format!("postgres://triaged:{IN_URL}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes another database, which is empty.
    pub(crate) fn create(&self, database: &str) {
        self.ask("postgres", &format!("CREATE DATABASE {database}")).unwrap();
    }

    /// What psql(1), an independent client, answers in the first database: a line a row, and `|`
    /// between columns.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        self.query_in(FIRST, sql)
    }

    /// The same in another database.
    pub(crate) fn query_in(&self, database: &str, sql: &str) -> Vec<String> {
        self.ask(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Stops all of its processes where they are, until [`Self::thaw`]. Who is connected hears
    /// nothing.
    pub(crate) fn freeze(&mut self) {
        let mut freezer = Command::new("sh")
            .args(["-c", FREEZER, "freezer", &self.process.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(freezer.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "frozen\n");
        self.frozen = Some(freezer);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&mut self) {
        let Some(mut freezer) = self.frozen.take() else { return };
        drop(freezer.stdin.take());
        freezer.wait().unwrap();
    }

    /// Ends it as its administrator does in a hurry: who is connected hears it.
    pub(crate) fn stop(&mut self) {
        self.process.signal(Signal::INT);
        self.process.wait();
    }

    /// Ends it without a word to its disk, like a loss of power.
    pub(crate) fn kill(&mut self) {
        self.process.signal(Signal::QUIT);
        self.process.wait();
    }

    /// Starts it again after its end, with all that it had.
    pub(crate) fn start_again(&mut self) {
        self.process = launch(self.folder.path(), self.port, &self.environment);
        self.wait();
    }

    /// The process id of its postmaster.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    fn wait(&mut self) {
        until("PostgreSQL answers", || {
            let ended = self.process.ended();
            assert!(ended.is_none(), "it ended:\n{}", self.process.output());
            self.ask("postgres", "SELECT 1").ok()
        });
    }

    fn ask(&self, database: &str, sql: &str) -> Result<Vec<String>, String> {
        let (bin, url) = (programs()?, Self::url_at(self.port, database));
        let mut psql = Command::new(bin.join("psql"));
        let libraries = bin.ancestors().nth(5).unwrap().join("lib-of-system");
        if libraries.exists() {
            psql.env("LD_LIBRARY_PATH", libraries);
        }
        let output = psql
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--dbname", &url, "--command", sql])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What is frozen would not hear that it is to end.
        self.thaw();
        self.kill();
    }
}

/// The folder of its programs, or the line that fetches them.
fn programs() -> Result<PathBuf, String> {
    let found = Command::new(script("fetch.sh")).arg("--print").output().unwrap();
    if !found.status.success() {
        let why = String::from_utf8_lossy(&found.stderr);
        return Err(format!("PostgreSQL is missing. Run `make deps`.\n{why}"));
    }
    Ok(PathBuf::from(String::from_utf8(found.stdout).unwrap().trim_end()))
}

fn calendar(folder: &Path) -> PathBuf {
    folder.join("calendar")
}

fn launch(folder: &Path, port: u16, environment: &[(&str, OsString)]) -> Process {
    let mut command = Command::new(script("start.sh"));
    command.arg(folder).arg(port.to_string()).arg(DATABASE_PASSWORD);
    command.envs(environment.iter().cloned());
    Process::start(&mut command, &folder.join("postgresql.log"))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/postgresql").join(name)
}
