//! Opens the files of a bundle: plain files only, never followed elsewhere, never without end.
//!
//! A bundle may come from a folder that others can write to. A symbolic link could point at
//! anything the daemon may read, a named pipe would block it, a sparse file would fill memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use sha2::{Digest, Sha256};

use super::error::ModelError;

/// The bytes of a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ModelError> {
    let (file, size) = open(path, limit)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    // One byte more than the limit, so that a file that grows meanwhile is noticed.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(too_large(path, bytes.len() as u64, limit));
    }
    Ok(bytes)
}

/// SHA-256 in hexadecimal of a file of at most `limit` bytes, without holding it in memory.
pub(super) fn hash(path: &Path, limit: u64) -> Result<String, ModelError> {
    let (file, _) = open(path, limit)?;
    let mut file = file.take(limit);
    let mut digest = Sha256::new();
    let mut part = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut part).map_err(|error| unreadable(path, error))?;
        match part.get(..length) {
            Some([]) | None => return Ok(hex(&digest.finalize())),
            Some(read) => digest.update(read),
        }
    }
}

/// SHA-256 of `bytes` in hexadecimal.
pub(super) fn hash_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String can not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Opens a plain file and gives its size; `O_NONBLOCK` keeps a named pipe from blocking the open.
fn open(path: &Path, limit: u64) -> Result<(File, u64), ModelError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::LOOP) => return Err(not_a_file(path, "a symbolic link")),
        Err(error) => return Err(unreadable(path, error.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| unreadable(path, error.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Fifo => return Err(not_a_file(path, "a named pipe")),
        FileType::Directory => return Err(not_a_file(path, "a folder")),
        _ => return Err(not_a_file(path, "a device or a socket")),
    }
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    if size > limit { Err(too_large(path, size, limit)) } else { Ok((file, size)) }
}

fn unreadable(path: &Path, source: io::Error) -> ModelError {
    ModelError::Unreadable { path: path.to_owned(), source }
}

fn not_a_file(path: &Path, kind: &'static str) -> ModelError {
    ModelError::NotAFile { path: path.to_owned(), kind }
}

fn too_large(path: &Path, size: u64, limit: u64) -> ModelError {
    ModelError::TooLarge { path: path.to_owned(), size, limit }
}
