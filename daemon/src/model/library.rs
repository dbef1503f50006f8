//! Finds and loads the ONNX Runtime library. A process holds one library, from the first success
//! to its end.
//!
//! Every candidate is loaded and asked for its version here, because `ort` panics at the first
//! use of a library that it can not work with. Deliberately absent: downloading one.

use std::env::consts::DLL_SUFFIX;
use std::error::Error;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use ort::LoadDynamicError;
use ort::environment::{Environment, EnvironmentBuilder};
use ort::logging::LogLevel;

/// The variable that `ort` and other users of ONNX Runtime share.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The loaded library.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    build: &'static str,
    environment: Environment,
}

/// No candidate could be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryError {
    /// Each place that was tried, with the reason why it did not serve.
    pub tried: Vec<(PathBuf, String)>,
    /// Who named the only candidate, if somebody did.
    pub named_by: Option<Namer>,
}

/// Who names a library, so that it is the only one tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namer {
    /// `library` under `[model]`.
    Configuration,
    /// `ORT_DYLIB_PATH`.
    Variable,
}

impl Library {
    /// Where it was found; a bare file name is the system's library path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the library says about its build.
    pub fn build(&self) -> &'static str {
        self.build
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// The ONNX Runtime library: `configured` or else `ORT_DYLIB_PATH`, where one is given and then
/// no other; else beside the program, in `../lib/triaged`, in the `.onnxruntime` that `make setup`
/// fills where the program lies in a build tree, and on the system's library path.
///
/// A library that this process holds already is returned whatever the arguments say.
pub fn open_library(configured: Option<&Path>) -> Result<&'static Library, LibraryError> {
    static LOADED: OnceLock<Library> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let _alone = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = LOADED.get() {
        return Ok(library);
    }
    let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let program = std::env::current_exe().ok();
    let (named, named_by) = match (configured, variable) {
        (Some(path), _) => (Some(path.to_owned()), Some(Namer::Configuration)),
        (None, Some(path)) => (Some(path), Some(Namer::Variable)),
        (None, None) => (None, None),
    };
    let library = first_of(candidates(named, program.as_deref()))
        .map_err(|tried| LibraryError { tried, named_by })?;
    Ok(LOADED.get_or_init(|| library))
}

/// The places to try, in this order.
fn candidates(named: Option<PathBuf>, program: Option<&Path>) -> Vec<PathBuf> {
    // Whoever names a library means that one: quietly taking another would hide a mistake.
    if let Some(named) = named {
        return vec![named];
    }
    let file = format!("libonnxruntime{DLL_SUFFIX}");
    let beside = program.and_then(Path::parent);
    let installed = beside.and_then(Path::parent).map(|prefix| prefix.join("lib/triaged"));
    let built = program.and_then(build_tree).map(|top| top.join(".onnxruntime/lib"));
    let folders = beside.map(Path::to_owned).into_iter().chain(installed).chain(built);
    let mut candidates: Vec<_> = folders.map(|folder| folder.join(&file)).collect();
    candidates.push(PathBuf::from(&file));
    if cfg!(target_os = "linux") {
        // Distributions keep the name without a number for their development package.
        candidates.push(PathBuf::from(format!("{file}.1")));
    }
    candidates
}

/// The repository that a program lies in as cargo builds it (`TOP/target/PROFILE/[deps/]PROGRAM`).
pub(super) fn build_tree(program: &Path) -> Option<&Path> {
    program.ancestors().skip(2).take(3).find(|folder| folder.ends_with("target"))?.parent()
}

fn first_of(candidates: Vec<PathBuf>) -> Result<Library, Vec<(PathBuf, String)>> {
    let mut tried = Vec::new();
    for path in candidates {
        if path.components().count() > 1 && !path.exists() {
            tried.push((path, "is not there".to_owned()));
            continue;
        }
        match load(&path) {
            Ok(library) => return Ok(library),
            Err(problem) => tried.push((path, problem)),
        }
    }
    Err(tried)
}

/// Loads one library and sets it up; the error says what is wrong with the file.
fn load(path: &Path) -> Result<Library, String> {
    let loaded = quietly(|| ort::init_from(path));
    let builder = match loaded {
        Ok(Ok(builder)) => builder,
        Ok(Err(error)) => return Err(explain(&error)),
        Err(_) => return Err("gives no interface of ONNX Runtime".to_owned()),
    };
    let (environment, build) = quietly(|| set_up(builder))
        .map_err(|_| format!("has no interface of version 1.{}", ort::MINOR_VERSION))?
        .map_err(|error| format!("can not be set up: {error}"))?;
    Ok(Library { path: path.to_owned(), build, environment })
}

/// Runs what may panic, and keeps the panic from being printed: it is reported as an error.
fn quietly<T>(run: impl FnOnce() -> T) -> thread::Result<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    panic::set_hook(hook);
    ended
}

fn set_up(builder: EnvironmentBuilder) -> ort::Result<(Environment, &'static str)> {
    let environment =
        builder.with_name("triaged").with_telemetry(false).with_logger(Arc::new(log)).build()?;
    environment.set_log_level(LogLevel::Warning);
    Ok((environment, ort::info()))
}

/// What ONNX Runtime has to say goes to the log. Its warnings tell developers where nodes of a
/// graph were placed, which no administrator can act on.
fn log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!(location, "ONNX Runtime: {message}"),
        _ => tracing::debug!(location, "ONNX Runtime: {message}"),
    }
}

fn explain(error: &LoadDynamicError) -> String {
    match error {
        LoadDynamicError::Dlopen { error, .. } => {
            // The loader's own words are the cause; the error itself only says that it failed.
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            format!("can not be loaded: {cause}")
        }
        LoadDynamicError::MissingApi { .. } => "is not an ONNX Runtime library".to_owned(),
        LoadDynamicError::InvalidVersionString => "does not say its version".to_owned(),
        LoadDynamicError::BadVersion { version_str, .. } => {
            format!("is ONNX Runtime {version_str}, 1.{} or later is needed", ort::MINOR_VERSION)
        }
    }
}

impl fmt::Display for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no usable ONNX Runtime library (1.{} or later):", ort::MINOR_VERSION)?;
        for (path, problem) in &self.tried {
            writeln!(f, "  {} {problem}", path.display())?;
        }
        f.write_str(match self.named_by {
            None => {
                "run `make setup` in the source folder to fetch it, or name one with `library` \
                 under [model] in the configuration"
            }
            Some(Namer::Configuration) => {
                "no other is tried because `library` under [model] names this one: correct or \
                 delete that line; without it the one that `make setup` fetches is found"
            }
            Some(Namer::Variable) => {
                "no other is tried because ORT_DYLIB_PATH names this one: `unset ORT_DYLIB_PATH`; \
                 without it the one that `make setup` fetches is found"
            }
        })
    }
}

impl Error for LibraryError {}

#[cfg(test)]
mod tests;
