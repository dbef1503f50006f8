//! The parts of the configuration that are not about one account: mode, model, HTTP, log.
//!
//! Nothing here is opened or looked up: a path may not exist and a port may be taken.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::problem::{Fault, Problems, one_of};
use super::raw::Section;

/// Whether decisions are written to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything but the write.
    #[default]
    Shadow,
    /// Keywords are written.
    Label,
}

impl Mode {
    /// As it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Label => "label",
        }
    }
}

/// What of a mail's text may be kept in the database, for `triaged history`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HistoryText {
    /// Nothing.
    #[default]
    None,
    /// The subject.
    Subject,
}

/// Which bundle runs, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// Folder of the model bundle; `None`: searched for.
    pub bundle: Option<PathBuf>,
    /// The ONNX Runtime library; `None`: searched for.
    pub library: Option<PathBuf>,
    /// What the model runs on.
    pub provider: Provider,
    /// How many mails are classified at the same time; 0: as many as there are cores, up to four.
    pub threads: usize,
}

/// What the model runs on (ONNX Runtime's execution providers).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provider {
    /// The fastest that library and machine have.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// Apple's GPU and neural engine.
    CoreMl,
}

impl Provider {
    /// As it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::CoreMl => "coreml",
        }
    }
}

/// Where metrics and health are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpConfig {
    /// A loopback address; port 0 lets the system choose one, which the log then names.
    pub listen: SocketAddr,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// For people or for programs.
    pub format: LogFormat,
    /// The least important line that is written.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Plain,
    /// One JSON object a line.
    Json,
}

/// How important a log line must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// How it happened.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// As it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// More sessions than this are a mistake: each holds its own copy of the model's work space.
const MOST_THREADS: i64 = 256;

pub(super) fn mode(section: &mut Section<'_>, problems: &mut Problems) -> Option<Mode> {
    section
        .take::<String>("mode", problems)?
        .check(problems, |word| one_of(&word, &[("shadow", Mode::Shadow), ("label", Mode::Label)]))
}

pub(super) fn history_text(section: &mut Section<'_>, problems: &mut Problems) -> HistoryText {
    let word = section.take::<String>("history_text", problems);
    let known = [("none", HistoryText::None), ("subject", HistoryText::Subject)];
    word.and_then(|word| word.check(problems, |word| one_of(&word, &known))).unwrap_or_default()
}

/// A path that is there and has no control character; `None` when absent or reported.
pub(super) fn path(
    section: &mut Section<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<PathBuf> {
    section.take::<String>(key, problems)?.check(problems, |text| {
        if text.is_empty() || text.chars().any(char::is_control) {
            let what = format!("{text:?} is no path");
            return Err(Fault::new(what, "name a file or folder, or leave the line out"));
        }
        Ok(PathBuf::from(text))
    })
}

/// A whole number of a range.
pub(super) fn number(
    section: &mut Section<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<i64>,
    problems: &mut Problems,
) -> Option<u32> {
    section.take::<i64>(key, problems)?.check(problems, |number| {
        let within = range.contains(&number);
        within.then_some(number).and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
            let mend = format!("choose a number from {} to {}", range.start(), range.end());
            Fault::new(format!("{number} is out of range"), mend)
        })
    })
}

pub(super) fn model(mut section: Section<'_>, problems: &mut Problems) -> ModelConfig {
    let providers =
        [Provider::Auto, Provider::Cpu, Provider::Cuda, Provider::CoreMl].map(|p| (p.as_str(), p));
    let provider = section.take::<String>("provider", problems);
    let model = ModelConfig {
        bundle: path(&mut section, "bundle", problems),
        library: path(&mut section, "library", problems),
        provider: provider
            .and_then(|word| word.check(problems, |word| one_of(&word, &providers)))
            .unwrap_or_default(),
        threads: number(&mut section, "threads", 0..=MOST_THREADS, problems)
            .map_or(0, |threads| threads as usize),
    };
    section.finish(problems);
    model
}

pub(super) fn http(mut section: Section<'_>, problems: &mut Problems) -> HttpConfig {
    let listen = section.take::<String>("listen", problems);
    section.finish(problems);
    let listen = listen.and_then(|text| text.check(problems, |text| listen_address(&text)));
    HttpConfig { listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9753))) }
}

fn listen_address(text: &str) -> Result<SocketAddr, Fault> {
    let address: SocketAddr = text.parse().map_err(|_| {
        let what = format!("{text:?} is no address with a port");
        Fault::new(what, "write one like \"127.0.0.1:9753\" or \"[::1]:9753\"")
    })?;
    if !address.ip().is_loopback() {
        let what = format!("{address} can be reached from other machines");
        let mend = "metrics have no password: listen on 127.0.0.1 or [::1], and put a proxy in \
                    front if others must read them";
        return Err(Fault::new(what, mend));
    }
    Ok(address)
}

pub(super) fn log(mut section: Section<'_>, problems: &mut Problems) -> LogConfig {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let format = section.take::<String>("format", problems);
    let level = section.take::<String>("level", problems);
    section.finish(problems);
    let formats = [("plain", LogFormat::Plain), ("json", LogFormat::Json)];
    let levels = [Error, Warn, Info, Debug, Trace].map(|level| (level.as_str(), level));
    LogConfig {
        format: format
            .and_then(|word| word.check(problems, |word| one_of(&word, &formats)))
            .unwrap_or_default(),
        level: level
            .and_then(|word| word.check(problems, |word| one_of(&word, &levels)))
            .unwrap_or_default(),
    }
}
