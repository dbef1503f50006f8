//! What accounts log in with: a secret from a file or a systemd credential, or a token (`tokens`,
//! `command`). [`Credentials`] has all of it.
//!
//! Never from the environment or an argument, which other users of the machine can see. A file
//! that everybody can read is refused, as ssh refuses such a key; one that its group can read is
//! used, because a service is often given a root's file that way, and `triaged check` warns. A
//! credential's mode is systemd's own affair. No error here repeats what stands in a file.

mod command;
mod credentials;
mod endpoint;
mod error;
mod rotated;
mod tokens;

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use triaged_core::config::SecretSource;

pub use self::credentials::{Credentials, Mark};
pub use self::error::CredentialError;

/// Longest secret in bytes. OAuth tokens reach 4 kB; what is longer is another file.
const LONGEST: usize = 16 * 1024;
/// Permission bits of the group and of everybody else, for reading.
const GROUP_READS: u32 = 0o040;
const OTHERS_READ: u32 = 0o004;

/// Why a secret can not be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file can not be opened or read.
    #[error(
        "the file {path} can not be read: {source}; make it, readable by the user that runs triaged"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// systemd passed no credentials to this process.
    #[error(
        "the credential {name:?} was not passed: add LoadCredential={name}:/path/of/the/file to the unit, or use password_file"
    )]
    NoCredentials {
        /// Its name in the configuration.
        name: String,
    },
    /// Every user of the machine can read it.
    #[error(
        "the file {path} can be read by every user of this machine: chmod 600 it, and change the secret in it if others log in here"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It does not hold one line of text.
    #[error("the file {path} {what}: it must hold the secret alone, on one line")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, without a word of it.
        what: &'static str,
    },
}

/// A secret, and how it is kept.
#[derive(Debug)]
pub struct Kept {
    /// The secret.
    pub secret: SecretString,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The file's group can read it, which may be one too many.
    pub group_can_read: bool,
}

/// The secret with what `triaged check` says of its keeping.
pub fn look_up(source: &SecretSource) -> Result<Kept, SecretError> {
    look_up_in(source, credentials_folder().as_deref())
}

/// Where systemd has put the credentials of this service.
fn credentials_folder() -> Option<PathBuf> {
    env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn look_up_in(source: &SecretSource, credentials: Option<&Path>) -> Result<Kept, SecretError> {
    let (path, is_ours) = match source {
        SecretSource::File(path) => (path.clone(), true),
        SecretSource::Credential(name) => match credentials {
            Some(folder) => (folder.join(name), false),
            None => return Err(SecretError::NoCredentials { name: name.clone() }),
        },
    };
    let unreadable = |source| SecretError::Unreadable { path: path.clone(), source };
    let (file, mode) = open(&path).map_err(unreadable)?;
    if is_ours && mode & OTHERS_READ != 0 {
        return Err(SecretError::Exposed { path });
    }
    let bytes = contents(file).map_err(unreadable)?;
    match password(&bytes) {
        Ok(secret) => Ok(Kept { secret, path, group_can_read: is_ours && mode & GROUP_READS != 0 }),
        Err(what) => Err(SecretError::Content { path, what }),
    }
}

/// The open file and its permissions; only a plain file, so that no pipe makes the daemon wait.
fn open(path: &Path) -> io::Result<(File, u32)> {
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_wait).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    Ok((file, metadata.mode()))
}

/// At most one byte more than a secret can have. The buffer never grows: no copy stays behind.
fn contents(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text before the newline that editors put at a file's end.
fn password(bytes: &[u8]) -> Result<SecretString, &'static str> {
    if bytes.len() > LONGEST {
        return Err("is too long for a secret");
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = str::from_utf8(line).map_err(|_| "is not UTF-8 text")?;
    if text.is_empty() {
        return Err("is empty");
    }
    if text.chars().any(char::is_control) {
        return Err("has more than one line, or a control character");
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn kept(content: &[u8], mode: u32) -> Result<Kept, SecretError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("work");
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its own file");
        look_up_in(&SecretSource::File(path), None)
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_the_password() {
        for (content, password) in
            [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" ü ", " ü "), ("a\n", "a")]
        {
            let kept = kept(content.as_bytes(), 0o600).expect("a password");
            assert_eq!(kept.secret.expose_secret(), password);
        }
    }

    #[test]
    fn a_file_that_everybody_can_read_is_refused_and_one_of_the_group_is_noted() {
        assert!(!kept(b"x", 0o600).expect("private").group_can_read);
        assert!(kept(b"x", 0o640).expect("shared with a group").group_can_read);
        assert!(matches!(kept(b"x", 0o644), Err(SecretError::Exposed { .. })));
    }

    #[test]
    fn what_is_no_password_is_refused_without_being_repeated() {
        for content in [&b""[..], b"\n", b"hunter2\nhunter3\n", b"hunter2\0", b"\xffhunter2"] {
            let error = kept(content, 0o600).expect_err("no password");
            assert!(matches!(error, SecretError::Content { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter"));
        }
        let long = vec![b'x'; LONGEST + 1];
        assert!(matches!(kept(&long, 0o600), Err(SecretError::Content { .. })));
    }

    #[test]
    fn a_credential_is_read_from_the_folder_that_systemd_names() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("work"), "s3cret").expect("written");
        let source = SecretSource::Credential("work".to_owned());
        let kept = look_up_in(&source, Some(folder.path())).expect("a password");
        assert_eq!(kept.secret.expose_secret(), "s3cret");
        assert!(!kept.group_can_read, "its mode is systemd's affair");
        let error = look_up_in(&source, None).expect_err("not passed");
        assert!(error.to_string().contains("LoadCredential=work"));
    }

    #[test]
    fn what_is_no_plain_file_is_an_error_and_no_wait() {
        let source = SecretSource::File("/dev/null".into());
        assert!(matches!(look_up_in(&source, None), Err(SecretError::Unreadable { .. })));
        let source = SecretSource::File("/nowhere/at/all".into());
        assert!(matches!(look_up_in(&source, None), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn debug_output_has_no_secret() {
        let kept = kept(b"hunter2", 0o600).expect("a password");
        assert!(!format!("{kept:?}").contains("hunter2"));
    }
}
