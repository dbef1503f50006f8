//! The lock of the folder with the versions: whoever changes something there holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::VersionError;
use super::error::io;

/// Waits until nobody else changes anything in `folder`, and keeps them waiting while the file
/// lives. The longest that is done under the lock is to try a version: some seconds.
pub(super) fn wait(folder: &Path) -> Result<File, VersionError> {
    let (path, file) = open(folder)?;
    file.lock().map_err(io("lock", &path))?;
    Ok(file)
}

/// The same for whoever does not want to wait: `None` while somebody changes something.
pub(super) fn attempt(folder: &Path) -> Result<Option<File>, VersionError> {
    let (path, file) = open(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io("lock", &path)(error)),
    }
}

fn open(folder: &Path) -> Result<(PathBuf, File), VersionError> {
    let path = folder.join(".lock");
    // To read is enough for a lock, so one that root made serves the daemon's user, too.
    let made = || OpenOptions::new().create(true).append(true).mode(0o644).open(&path);
    let file = File::open(&path).or_else(|_| made()).map_err(io("open", &path))?;
    Ok((path, file))
}
