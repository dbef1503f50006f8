//! Keeping to oneself: one retraining at a time, and no memory of it on the disk.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

/// Why a retraining can not have the state folder to itself.
#[derive(Debug, thiserror::Error)]
pub enum SeclusionError {
    /// Another one runs.
    #[error("another retraining is at work ({} is locked); wait for its end", .0.display())]
    Busy(PathBuf),
    /// The daemon could not read what somebody else made there.
    #[error(
        "{} belongs to another user; run this as the one who runs the daemon, for example: \
         sudo -u triaged triaged retrain …", .0.display()
    )]
    Foreign(PathBuf),
    /// A file or folder.
    #[error("can not use {}: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes the lock of retraining, for as long as the returned file lives.
pub fn alone(state: &Path) -> Result<File, SeclusionError> {
    let io = |path: &Path, source| SeclusionError::Io { path: path.to_owned(), source };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state);
    made.map_err(|source| io(state, source))?;
    let owner = state.metadata().map_err(|source| io(state, source))?.uid();
    if owner != geteuid().as_raw() {
        return Err(SeclusionError::Foreign(state.to_owned()));
    }
    let path = state.join("retrain.lock");
    let opened =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(|source| io(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SeclusionError::Busy(path)),
        Err(TryLockError::Error(source)) => Err(io(&path, source)),
    }
}

/// Forbids this process, and those that it starts, to leave their memory behind when they crash.
pub fn forbid_core_dumps() -> io::Result<()> {
    let maximum = getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum })?;
    forbid_piped_dumps()
}

/// A dump that goes to a program, as on most desktops, is made whatever the limit is: core(5). This
/// ends with the next program: the training says it for itself.
#[cfg(target_os = "linux")]
fn forbid_piped_dumps() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Other systems have no such dumps.
#[cfg(not(target_os = "linux"))]
fn forbid_piped_dumps() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_retraining_is_told_to_wait() {
        let state = tempfile::tempdir().expect("a folder");
        let first = alone(state.path()).expect("free");
        let second = alone(state.path()).expect_err("taken").to_string();
        assert!(second.starts_with("another retraining is at work"), "{second}");
        drop(first);
        assert!(alone(state.path()).is_ok());
    }
}
