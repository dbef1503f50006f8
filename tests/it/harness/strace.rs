//! A daemon under strace(1), which counts what it asks the disk to keep, and kills it where it asks for
//! the n-th time. So the product needs no code for that.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Both, though the bundled SQLite only calls the first.
const SYNCS: &str = "fsync,fdatasync";

/// Why nothing can be traced here; `None` where it can. A container may forbid it.
pub(crate) fn refusal() -> Option<String> {
    let tried = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output();
    let tried = tried.unwrap_or_else(|error| panic!("strace: {error}. Run `make deps`."));
    let said = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    (!tried.status.success()).then_some(said)
}

/// Runs `command` under strace. What it synchronises is written to `report`, a line each; a thread
/// dies of SIGKILL where it begins its `kill_at`-th, and the process with it. (`--seccomp-bpf` would be
/// quicker; with it strace 6.1 delivers no signal.)
pub(super) fn under_strace(command: &Command, report: &Path, kill_at: Option<usize>) -> Command {
    let mut strace = Command::new("setpriv");
    strace.args(["--pdeathsig", "KILL", "strace", "--follow-forks", "--quiet=all"]);
    strace.arg("--output").arg(report).arg(format!("--trace={SYNCS}")).arg("--signal=none");
    if let Some(number) = kill_at {
        strace.arg(format!("--inject={SYNCS}:signal=SIGKILL:when={number}"));
    }
    strace.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace
}

/// The threads that have synchronised, each with how often, by what was reported.
pub(super) fn syncs(report: &Path) -> Vec<(u32, usize)> {
    let report = fs::read_to_string(report).unwrap_or_default();
    let mut threads: Vec<(u32, usize)> = Vec::new();
    for line in report.lines().filter(|line| !line.contains(" resumed>")) {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        if !call.trim_start().starts_with('f') {
            continue;
        }
        let thread = thread.parse().unwrap();
        match threads.iter_mut().find(|(known, _)| *known == thread) {
            Some((_, count)) => *count += 1,
            None => threads.push((thread, 1)),
        }
    }
    threads
}
