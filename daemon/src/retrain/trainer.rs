//! The training process: the Python package, started, fed, heard and ended.
//!
//! It gets the mails through a pipe and nothing else: no file, no argument, no variable holds a
//! word of them. It runs in a group of its own, behind everything else that the machine does, and
//! ends with its parent: its input ends then, and it leaves. Deliberately absent: what it does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use triaged_core::retrain::{LabelNames, LabelledMail};

use super::environment::Environment;
use super::protocol::{Incoming, LONGEST_LINE, Outgoing, harmless};

/// A step of the training on a slow machine takes seconds; a process that is silent for so long
/// hangs.
const SILENCE: Duration = Duration::from_mins(30);
/// After its last word the process has nothing to do.
const LAST: Duration = Duration::from_secs(20);
/// What is nice(1)'s default: everything else comes first.
const NICE: i32 = 10;
/// So many complaints are passed on; a process that prints more repeats itself.
const MOST_COMPLAINTS: usize = 40;

/// What the training process gets.
#[derive(Debug)]
pub struct Lesson<'a> {
    /// The bundle to begin with.
    pub base: &'a Path,
    /// Where the candidate is made.
    pub candidate: &'a Path,
    /// The number that the candidate must have.
    pub version: u64,
    /// The labels, new ones among them.
    pub names: &'a LabelNames,
    /// The mails to learn from, each with the number of its group.
    pub mails: Vec<(usize, &'a LabelledMail)>,
    /// SHA-256 of each of the person's texts.
    pub own_texts: &'a [String],
}

/// What is heard while it trains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// How far it is.
    Progress {
        /// prepare, train, calibrate, export or pack.
        stage: String,
        /// So much of it is done.
        done: u64,
        /// Of so much.
        of: u64,
    },
    /// Something that people should know.
    Note(String),
    /// Where in the package something went wrong.
    Complaint(String),
}

/// Why there is no candidate.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// It can not be started.
    #[error(
        "{python} can not be started: {source}; make the environment anew: triaged retrain --setup"
    )]
    Start {
        /// The Python.
        python: String,
        /// What the system said.
        source: io::Error,
    },
    /// It said why.
    #[error("the training gave up: {0}")]
    Failed(String),
    /// It ended without a word.
    #[error("the training ended without a candidate ({0}){hint}", hint = hint(*.0))]
    Ended(ExitStatus),
    /// It said something that makes no sense.
    #[error(
        "the training said something that this version of triaged does not understand; package and program must be of one release"
    )]
    Gibberish,
    /// It hangs.
    #[error("the training was silent for {} minutes and was ended", SILENCE.as_secs() / 60)]
    Silent,
    /// The pipe broke.
    #[error("the training can not be heard: {0}")]
    Pipe(#[from] io::Error),
    /// Somebody asked for the end.
    #[error("stopped; the model is as it was")]
    Stopped,
}

/// The kernel's way to say that memory has run out.
fn hint(status: ExitStatus) -> &'static str {
    match status.signal() {
        Some(9) => ": something killed it; when memory runs out, the kernel does so",
        _ => "",
    }
}

/// Trains a candidate, and returns when it is packed. Until `stop` ends: then the process and all
/// that it started are dead when this returns.
pub async fn train(
    environment: &Environment,
    lesson: &Lesson<'_>,
    told: impl Fn(Told),
    stop: impl Future<Output = ()>,
) -> Result<(), TrainingError> {
    let mut process = Process::start(environment, lesson)?;
    let Process { child, .. } = &mut process;
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(TrainingError::Pipe(io::ErrorKind::BrokenPipe.into()));
    };
    let mut hear = pin!(hear(output, errors, &told));
    let said = tokio::select! {
        said = &mut hear => said,
        never = teach(input, lesson) => match never {},
        () = stop => Err(TrainingError::Stopped),
        _ = child.wait() => {
            // What it started may still hold the pipes.
            process.kill();
            hear.await
        }
    };
    let status = process.end(said.is_ok()).await?;
    match said? {
        Said::Done if status.success() => Ok(()),
        Said::Failed(why) => Err(TrainingError::Failed(why)),
        Said::Done | Said::Nothing => Err(TrainingError::Ended(status)),
    }
}

/// Hears both outputs to their end, or up to something that makes no sense.
async fn hear(
    output: ChildStdout,
    errors: ChildStderr,
    told: &impl Fn(Told),
) -> Result<Said, TrainingError> {
    let mut listening = pin!(listen(BufReader::new(output), told));
    let mut complaints = pin!(complain(BufReader::new(errors), told));
    let said = tokio::select! {
        said = &mut listening => said,
        () = &mut complaints => return listening.await,
    };
    if said.is_ok() {
        // What has said its last word and goes on complaining hangs.
        let _ = timeout(LAST, complaints).await;
    }
    said
}

/// The process, which does not outlive this value.
struct Process {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    fn start(environment: &Environment, lesson: &Lesson<'_>) -> Result<Self, TrainingError> {
        let Environment { python, training } = environment;
        let start = |source| TrainingError::Start { python: python.display().to_string(), source };
        let program = std::env::current_exe().map_err(start)?;
        let mut command = Command::new(python);
        command
            .args(["-B", "-s", "-X", "utf8", "-u", "-m", "training.retrain"])
            .arg("--base")
            .arg(lesson.base)
            .arg("--out")
            .arg(lesson.candidate)
            .arg("--triaged")
            .arg(program)
            .current_dir(training.parent().unwrap_or(training))
            .env_clear()
            .envs(surroundings(lesson.candidate))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(start)?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(process) = group {
            // Where it is not allowed, the training is merely less polite.
            let _ = setpriority_process(Some(process), NICE);
        }
        Ok(Self { child, group })
    }

    /// Waits for the end; at once by force, unless the process may take its leave.
    async fn end(&mut self, may_leave: bool) -> io::Result<ExitStatus> {
        if may_leave && let Ok(status) = timeout(LAST, self.child.wait()).await {
            return status;
        }
        self.kill();
        self.child.wait().await
    }

    /// The group, so that what it started ends with it. It fails when all of them have ended.
    fn kill(&self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that was waited for has given its number back: nobody is killed by it.
        if self.child.id().is_some() {
            self.kill();
        }
    }
}

/// The whole environment of the process: nothing that this one was given but what a graphics card
/// needs, and one folder for whatever its libraries write.
fn surroundings(candidate: &Path) -> BTreeMap<&'static str, OsString> {
    let scratch = candidate.as_os_str();
    let mut all: BTreeMap<&'static str, OsString> =
        ["HOME", "TMPDIR", "XDG_CACHE_HOME", "HF_HOME", "MPLCONFIGDIR"]
            .map(|name| (name, scratch.to_owned()))
            .into();
    let settings = [
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("HF_HUB_OFFLINE", "1"),
        ("ORT_DISABLE_TELEMETRY", "1"),
        ("ORT_TELEMETRY_DISABLED", "1"),
    ];
    all.extend(settings.map(|(name, value)| (name, OsString::from(value))));
    let passed = ["LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "ORT_DYLIB_PATH"];
    all.extend(passed.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    all
}

/// Sends everything, and keeps the pipe open: its end would be the end of the process.
async fn teach(input: ChildStdin, lesson: &Lesson<'_>) -> std::convert::Infallible {
    let mut input = BufWriter::new(input);
    // A process that does not listen any more has said why, or ended: that is heard elsewhere.
    let _ = send_all(&mut input, lesson).await;
    std::future::pending().await
}

async fn send_all(input: &mut (impl AsyncWrite + Unpin), lesson: &Lesson<'_>) -> io::Result<()> {
    let settings = Outgoing::settings(lesson.version, lesson.names, lesson.own_texts);
    let mails = lesson.mails.iter().enumerate();
    let mails = mails.map(|(at, (group, mail))| Outgoing::mail(at, *group, mail));
    for line in [settings].into_iter().chain(mails).chain([Outgoing::End]) {
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        input.write_all(&bytes).await?;
    }
    input.flush().await
}

/// How a process that ended had spoken.
enum Said {
    Done,
    Failed(String),
    Nothing,
}

/// Hears the process to its end.
async fn listen(
    mut output: impl AsyncBufRead + Unpin,
    told: &impl Fn(Told),
) -> Result<Said, TrainingError> {
    let mut said = Said::Nothing;
    let mut line = Vec::new();
    loop {
        let read = timeout(SILENCE, read_line(&mut output, &mut line));
        match read.await.map_err(|_| TrainingError::Silent)?? {
            Line::End => return Ok(said),
            Line::TooLong => return Err(TrainingError::Gibberish),
            Line::Whole => {}
        }
        match Incoming::read(&line).ok_or(TrainingError::Gibberish)? {
            Incoming::Progress { stage, done, of } => told(Told::Progress { stage, done, of }),
            Incoming::Note { text } => told(Told::Note(text)),
            Incoming::Failed { why } => said = Said::Failed(why),
            // Where it lies was said by the parent; the manifest will be asked, not this line.
            Incoming::Done { .. } => said = Said::Done,
        }
    }
}

/// Passes on what may be said of standard error, to its end.
async fn complain(mut errors: impl AsyncBufRead + Unpin, told: &impl Fn(Told)) {
    let mut line = Vec::new();
    let mut complaints = 0;
    while let Ok(Line::Whole | Line::TooLong) = read_line(&mut errors, &mut line).await {
        if let Some(text) = harmless(&String::from_utf8_lossy(&line))
            && complaints < MOST_COMPLAINTS
        {
            complaints += 1;
            told(Told::Complaint(text));
        }
    }
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads a line without its end, and of a long one only the beginning.
async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> io::Result<Line> {
    line.clear();
    let mut long = false;
    loop {
        let piece = reader.fill_buf().await?;
        if piece.is_empty() {
            return Ok(if line.is_empty() { Line::End } else { Line::Whole });
        }
        let end = piece.iter().position(|&byte| byte == b'\n');
        let text = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        let room = LONGEST_LINE.saturating_sub(line.len()).min(text.len());
        long |= room < text.len();
        line.extend_from_slice(text.get(..room).unwrap_or_default());
        let used = end.map_or(piece.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(if long { Line::TooLong } else { Line::Whole });
        }
    }
}

#[cfg(test)]
mod tests;
