//! Lists of users, as a file or a program gives them. What stands in them is the core's affair.
//!
//! Deliberately absent: when to read one again.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::task::spawn_blocking;
use triaged_core::config::UserSource;
use triaged_core::roster::Listing;

use crate::program::{self, Bounds};

/// Longest list in bytes: some hundred thousand users. What is longer is another file.
const LONGEST: usize = 16 * 1024 * 1024;
/// Longest time that a program may take: a directory may be far away, and large.
const LIMIT: Duration = Duration::from_mins(2);

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The file can not be opened or read.
    #[error("the list of users {path} can not be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program did not print one.
    #[error("the program {program} that lists users {what}; try it as the user that runs triaged")]
    Program {
        /// Its path.
        program: PathBuf,
        /// What went wrong.
        what: String,
    },
    /// There is a list with nobody in it: more likely a mishap than meant.
    #[error("{place} names nobody")]
    Nobody {
        /// Whose list.
        place: String,
    },
}

/// The users that a source has now.
///
/// # Errors
/// Each end at which there is no list with at least one user.
pub async fn read(source: &UserSource) -> Result<Listing, RosterError> {
    let listing = match source {
        UserSource::List(users) => Listing { users: users.clone(), ..Listing::default() },
        UserSource::File(path) => Listing::read(&file(path).await?),
        UserSource::Command(call) => {
            let failed = |what| RosterError::Program { program: call.program.clone(), what };
            let bounds = Bounds { time: LIMIT, bytes: LONGEST, tells: true };
            let printed = program::output(call, bounds).await.map_err(failed)?;
            if printed.len() > LONGEST {
                return Err(failed(format!("prints more than {} MiB", LONGEST >> 20)));
            }
            Listing::read(&printed)
        }
    };
    if listing.users.is_empty() {
        return Err(RosterError::Nobody { place: place(source) });
    }
    Ok(listing)
}

/// Where a source is, in words.
pub fn place(source: &UserSource) -> String {
    match source {
        UserSource::List(_) => "the list `users`".to_owned(),
        UserSource::File(path) => path.display().to_string(),
        UserSource::Command(call) => call.program.display().to_string(),
    }
}

async fn file(path: &Path) -> Result<Vec<u8>, RosterError> {
    let failed = |source| RosterError::Unreadable { path: path.to_owned(), source };
    let name = path.to_owned();
    let read = spawn_blocking(move || contents(&name)).await;
    read.unwrap_or_else(|panicked| Err(io::Error::other(panicked))).map_err(failed)
}

/// The bytes of a plain file, so that no pipe makes the daemon wait.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_wait).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LONGEST {
        let what = format!("it has more than {} MiB", LONGEST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use triaged_core::config::ProgramCall;

    use super::*;

    fn printing(script: &str) -> UserSource {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        UserSource::Command(ProgramCall { program: "/bin/sh".into(), arguments })
    }

    #[tokio::test]
    async fn a_file_a_program_and_the_configuration_give_users() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        fs::write(&path, "anna\n# and\nbert\n").expect("written");
        for source in [
            UserSource::File(path),
            printing("echo anna; echo bert"),
            UserSource::List(vec!["anna".into(), "bert".into()]),
        ] {
            assert_eq!(read(&source).await.expect("a list").users, ["anna", "bert"]);
        }
    }

    #[tokio::test]
    async fn what_is_no_list_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("users");
        fs::write(&empty, "# nobody\n").expect("written");
        let cases = [
            (UserSource::File("/nowhere/users".into()), "can not be read"),
            (UserSource::File(folder.path().to_owned()), "no plain file"),
            (UserSource::File("/dev/null".into()), "no plain file"),
            (UserSource::File(empty), "names nobody"),
            (printing("true"), "names nobody"),
            (printing("echo anna; echo no socket >&2; exit 1"), "no socket"),
            (printing("yes anna | head -c 20000000"), "more than 16 MiB"),
        ];
        for (source, words) in cases {
            let error = read(&source).await.expect_err("no list").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
