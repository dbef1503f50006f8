//! What a training needs beside this program: the training package and a Python with its
//! libraries, and how the latter is made once.
//!
//! The daemon needs none of it. Nothing is ever installed but by `triaged retrain --setup`, and
//! only into its own folder.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use triaged_core::config::Config;

/// The environment's folder in the state folder.
const FOLDER: &str = "training-env";
/// Of a build tree: what `make train-env` makes, and what it writes there when it is whole.
const BUILT: (&str, &str) = (".venv-train", "ready");
/// Written into the environment when it is whole: the requirements that it was made from.
const WHOLE: &str = "requirements.txt";
/// The oldest Python that the package runs with.
const OLDEST: &str = "import sys; sys.exit(sys.version_info < (3, 11))";

/// Where a training finds what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The Python, by an absolute path.
    pub python: PathBuf,
    /// The folder of the package, whose name is `training`.
    pub training: PathBuf,
}

/// Why no training can begin.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The package is nowhere.
    #[error(
        "there is no training package; looked for {}; name its folder with `training` under \
         [retrain] in the configuration", list(.tried)
    )]
    NoPackage {
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// The environment was never made, or is of another release.
    #[error("{} {why}; make it with: triaged retrain --setup", folder.display())]
    NotReady {
        /// Its folder.
        folder: PathBuf,
        /// What is the matter with it.
        why: &'static str,
    },
    /// The configured Python is not there.
    #[error("the Python of [retrain] in the configuration, {}, is not there", .0.display())]
    NoPython(PathBuf),
    /// `--setup` where the configuration names a Python.
    #[error(
        "the configuration names a Python under [retrain], {}; take that line out to have an \
         environment made", .0.display()
    )]
    Foreign(PathBuf),
    /// There is no Python to begin with.
    #[error(
        "python3 can not be started: {0}; install Python 3.11 or newer (python3, python3-venv)"
    )]
    NoBeginning(io::Error),
    /// It is too old.
    #[error("python3 is older than 3.11; install a newer one")]
    TooOld,
    /// A step of the setup failed.
    #[error("{step} ended with {status}{}; {hint}", said(.last))]
    Step {
        /// What was tried.
        step: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it printed.
        last: String,
        /// What may help.
        hint: &'static str,
    },
    /// A file or folder.
    #[error("can not write {}: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The folder of the environment that `--setup` makes.
pub fn folder(config: &Config) -> PathBuf {
    config.state.join(FOLDER)
}

/// The training package: the configured one, or in the usual places.
pub fn package(config: &Config) -> Result<PathBuf, EnvironmentError> {
    let tried = match &config.retrain.training {
        Some(folder) => vec![folder.clone()],
        None => places(std::env::current_exe().ok().as_deref()),
    };
    let is_package =
        |folder: &&PathBuf| folder.ends_with("training") && folder.join("retrain.py").is_file();
    let found = tried.iter().find(is_package).and_then(|folder| folder.canonicalize().ok());
    found.ok_or(EnvironmentError::NoPackage { tried })
}

/// What a training needs, or why it is not there.
pub fn find(config: &Config) -> Result<Environment, EnvironmentError> {
    let training = package(config)?;
    if let Some(python) = &config.retrain.python {
        if !python.is_file() {
            return Err(EnvironmentError::NoPython(python.clone()));
        }
        return Ok(Environment { python: python.clone(), training });
    }
    let folder = folder(config);
    let python = folder.join("bin/python");
    let not_ready = |why| EnvironmentError::NotReady { folder: folder.clone(), why };
    if let Some(python) = built(&training).filter(|_| !folder.exists()) {
        return Ok(Environment { python, training });
    }
    if !python.is_file() || !folder.join(WHOLE).is_file() {
        return Err(not_ready("has no environment for training yet"));
    }
    if !is_current(&folder, &training) {
        return Err(not_ready("was made for another release"));
    }
    Ok(Environment { python, training })
}

/// Makes the environment, and says what it does; nothing is done where it is whole already.
pub fn setup(config: &Config, say: impl Fn(&str)) -> Result<(), EnvironmentError> {
    if let Some(python) = &config.retrain.python {
        return Err(EnvironmentError::Foreign(python.clone()));
    }
    let (training, folder) = (package(config)?, folder(config));
    if is_current(&folder, &training) {
        say(&format!("{} is whole already", folder.display()));
        return Ok(());
    }
    let old = Command::new("python3").args(["-c", OLDEST]).stdin(Stdio::null()).status();
    if !old.map_err(EnvironmentError::NoBeginning)?.success() {
        return Err(EnvironmentError::TooOld);
    }
    say(&format!("making {}", folder.display()));
    let venv = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).spawn_told();
    step("python3 -m venv", venv, "install python3-venv, and see that the disk has room", &say)?;
    let requirements = training.join(WHOLE);
    say("installing what the training needs; this takes some minutes");
    let pip = Command::new(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--require-hashes"])
        .args(["--no-input", "--progress-bar", "off", "--requirement"])
        .arg(&requirements)
        .spawn_told();
    let hint = "it needs the network, or an index of packages that pip is configured for, and some \
                gigabytes on the disk; pip keeps what it has fetched, so it can be run again";
    step("pip install", pip, hint, &say)?;
    let whole = folder.join(WHOLE);
    fs::copy(&requirements, &whole)
        .and_then(|_| fs::File::open(&whole)?.sync_all())
        .map_err(|source| EnvironmentError::Io { path: whole, source })
}

/// The Python of `make train-env`, where the package is that of a build tree.
fn built(training: &Path) -> Option<PathBuf> {
    let (folder, ready) = BUILT;
    let folder = training.parent()?.join(folder);
    folder.join(ready).is_file().then(|| folder.join("bin/python"))
}

/// Whether the environment is whole, and made from the package's requirements.
fn is_current(folder: &Path, training: &Path) -> bool {
    let read = |folder: &Path| fs::read(folder.join(WHOLE)).ok();
    read(folder).is_some_and(|made_from| Some(made_from) == read(training))
}

/// Starts a command whose lines are wanted.
trait SpawnTold {
    fn spawn_told(&mut self) -> io::Result<std::process::Child>;
}

impl SpawnTold for Command {
    fn spawn_told(&mut self) -> io::Result<std::process::Child> {
        self.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    }
}

/// Waits for a step's end, and passes on what it complains about.
fn step(
    step: &'static str,
    child: io::Result<std::process::Child>,
    hint: &'static str,
    say: &impl Fn(&str),
) -> Result<(), EnvironmentError> {
    let mut child = child.map_err(EnvironmentError::NoBeginning)?;
    let mut last = String::new();
    for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let Ok(line) = line else { break };
        say(&line);
        if !line.trim().is_empty() {
            last = line;
        }
    }
    let status = child.wait().map_err(EnvironmentError::NoBeginning)?;
    if status.success() {
        return Ok(());
    }
    Err(EnvironmentError::Step { step, status, last, hint })
}

/// Where the package may be that nobody named: beside the program as a package installs it, the
/// system's, the repository of a build tree.
fn places(program: Option<&Path>) -> Vec<PathBuf> {
    let prefix = program.and_then(Path::parent).and_then(Path::parent);
    let installed = prefix.map(|prefix| prefix.join("share/triaged/training"));
    let system = PathBuf::from("/usr/share/triaged/training");
    let target = program.and_then(|program| {
        program.ancestors().skip(2).take(3).find(|folder| folder.ends_with("target"))
    });
    let built = target.and_then(Path::parent).map(|top| top.join("training"));
    installed.into_iter().chain([system]).chain(built).collect()
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn said(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(": {}", last.trim()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn config(lines: &str) -> Config {
        let account =
            "[[account]]\nname = \"a\"\nhost = \"h\"\nuser = \"u\"\npassword_file = \"p\"";
        triaged_core::config::parse(&format!("{lines}\n{account}")).expect("valid")
    }

    /// A state folder, and a package beside it.
    fn installed() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().expect("a folder");
        let training = folder.path().join("training");
        fs::create_dir(&training).expect("made");
        fs::write(training.join("retrain.py"), "").expect("written");
        fs::write(training.join(WHOLE), "a==1").expect("written");
        let config = config("state = \"state\"\n[retrain]\ntraining = \"training\"");
        let config = config.relative_to(folder.path());
        (folder, config)
    }

    #[test]
    fn what_is_missing_is_said_with_the_command_that_makes_it() {
        let (_folder, config) = installed();
        let missing = find(&config).expect_err("no environment").to_string();
        assert!(missing.ends_with("make it with: triaged retrain --setup"), "{missing}");
        let bin = self::folder(&config).join("bin");
        fs::create_dir_all(&bin).expect("made");
        symlink("/bin/sh", bin.join("python")).expect("made");
        assert!(find(&config).is_err(), "it was never whole");
        fs::write(self::folder(&config).join(WHOLE), "a==0").expect("written");
        let old = find(&config).expect_err("of another release").to_string();
        assert!(old.contains("another release"), "{old}");
        fs::write(self::folder(&config).join(WHOLE), "a==1").expect("written");
        assert_eq!(find(&config).expect("whole").python, bin.join("python"));
    }

    #[test]
    fn a_build_tree_has_an_environment_of_its_own() {
        let (folder, config) = installed();
        let venv = folder.path().join(".venv-train");
        fs::create_dir(&venv).expect("made");
        assert!(find(&config).is_err());
        fs::write(venv.join("ready"), "").expect("written");
        assert_eq!(find(&config).expect("whole").python, venv.join("bin/python"));
    }

    #[test]
    fn a_package_that_is_nowhere_is_said_with_the_places() {
        let elsewhere = config("[retrain]\ntraining = \"/nowhere/training\"");
        let missing = find(&elsewhere).expect_err("not there").to_string();
        assert!(
            missing.contains("/nowhere/training") && missing.contains("[retrain]"),
            "{missing}"
        );
        let named = places(Some(Path::new("/opt/triaged/target/debug/triaged")));
        assert_eq!(named.last(), Some(&PathBuf::from("/opt/triaged/training")));
    }

    #[test]
    fn a_configured_python_is_taken_as_it_is_and_never_set_up() {
        let (folder, mut config) = installed();
        config.retrain.python = Some(folder.path().join("python"));
        assert!(matches!(find(&config), Err(EnvironmentError::NoPython(_))));
        fs::write(folder.path().join("python"), "").expect("written");
        assert_eq!(find(&config).expect("there").python, folder.path().join("python"));
        assert!(matches!(setup(&config, |_| ()), Err(EnvironmentError::Foreign(_))));
    }

    #[test]
    fn a_step_that_fails_is_told_with_its_last_line() {
        let child =
            Command::new("sh").args(["-c", "echo one >&2; echo two >&2; exit 3"]).spawn_told();
        let error = step("a step", child, "do it again", &|_: &str| ()).expect_err("it fails");
        assert_eq!(error.to_string(), "a step ended with exit status: 3: two; do it again");
    }
}
