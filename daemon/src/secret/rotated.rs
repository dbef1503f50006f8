//! The refresh token that counts: the one that the administrator gave, or the one that the
//! provider exchanged it for, which is kept here.
//!
//! A provider that rotates takes each refresh token once. So a new one is on the disk before
//! anything is done with what came beside it, and two processes (the daemon, and `triaged check
//! --online`) never ask at the same time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep};
use triaged_core::config::SecretSource;

use super::{Kept, SecretError, look_up};

/// The folder below the state folder.
const FOLDER: &str = "tokens";
/// Longer than one request to a token endpoint takes.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// The place of one account's refresh token.
#[derive(Debug, Clone)]
pub(super) struct Rotated {
    folder: PathBuf,
    account: String,
    /// The administrator's file.
    given: PathBuf,
}

/// Held while a refresh token is used and exchanged.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "its lock goes with it")] File);

impl Rotated {
    pub(super) fn new(state: &Path, account: &str, given: &Path) -> Self {
        let folder = state.join(FOLDER);
        Self { folder, account: account.to_owned(), given: given.to_owned() }
    }

    /// Where an exchanged one is kept.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.refresh-token", self.account))
    }

    /// The one that counts: the kept one, unless the administrator's file is newer.
    pub(super) fn current(&self) -> Result<Kept, SecretError> {
        let changed = |path: &Path| -> Option<SystemTime> { path.metadata().ok()?.modified().ok() };
        let (kept, given) = (changed(&self.path()), changed(&self.given));
        let path = if kept.is_some() && kept >= given { self.path() } else { self.given.clone() };
        look_up(&SecretSource::File(path))
    }

    /// Waits for our turn.
    pub(super) async fn turn(&self) -> io::Result<Turn> {
        self.make_folder()?;
        let path = self.folder.join(format!("{}.lock", self.account));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        self.same_owner(&path)?;
        let until = Instant::now() + LONGEST_WAIT;
        while file.try_lock().is_err() {
            if Instant::now() > until {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "another triaged holds it"));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(Turn(file))
    }

    /// Puts a new one in place of the kept one, on disk when this returns.
    pub(super) fn keep(&self, token: &SecretString) -> io::Result<()> {
        self.make_folder()?;
        let new = self.folder.join(format!(".{}.new", self.account));
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(token.expose_secret().as_bytes())?;
        file.sync_all()?;
        self.same_owner(&new)?;
        fs::rename(&new, self.path())?;
        File::open(&self.folder)?.sync_all()
    }

    fn make_folder(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        if let Some(state) = self.folder.parent() {
            give(&self.folder, state)?;
            File::open(state)?.sync_all()?;
        }
        Ok(())
    }

    /// What root makes here is for the daemon's user, too.
    fn same_owner(&self, path: &Path) -> io::Result<()> {
        give(path, &self.folder)
    }
}

/// Gives `path` the owner of `like`.
fn give(path: &Path, like: &Path) -> io::Result<()> {
    let (ours, theirs) = (path.metadata()?, like.metadata()?);
    if (ours.uid(), ours.gid()) == (theirs.uid(), theirs.gid())
        || !rustix::process::geteuid().is_root()
    {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(theirs.uid()), Some(theirs.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state folder and the administrator's file with "first" in it, of an hour ago.
    fn place() -> (tempfile::TempDir, Rotated) {
        let folder = tempfile::tempdir().expect("a folder");
        let given = folder.path().join("given");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&given).expect("made");
        file.write_all(b"first\n").expect("written");
        let hour_ago =
            file.metadata().and_then(|m| m.modified()).expect("a time") - Duration::from_hours(1);
        file.set_modified(hour_ago).expect("its own file");
        let rotated = Rotated::new(&folder.path().join("state"), "work", &given);
        (folder, rotated)
    }

    fn current(rotated: &Rotated) -> String {
        rotated.current().expect("a token").secret.expose_secret().to_owned()
    }

    #[test]
    fn a_kept_token_counts_until_the_administrator_writes_another_one() {
        let (folder, rotated) = place();
        assert_eq!(current(&rotated), "first");
        rotated.keep(&"second".into()).expect("kept");
        rotated.keep(&"third".into()).expect("kept");
        assert_eq!(current(&rotated), "third");
        let mode = rotated.path().metadata().expect("there").mode() & 0o777;
        assert_eq!(mode, 0o600);
        let given = File::options().write(true).open(folder.path().join("given")).expect("there");
        let later = rotated.path().metadata().and_then(|m| m.modified()).expect("a time")
            + Duration::from_secs(1);
        given.set_modified(later).expect("its own file");
        assert_eq!(current(&rotated), "first");
    }

    #[tokio::test]
    async fn one_asks_at_a_time() {
        let (_folder, rotated) = place();
        let turn = rotated.turn().await.expect("free");
        let waiting = tokio::time::timeout(Duration::from_millis(200), rotated.turn());
        assert!(waiting.await.is_err(), "it waits");
        drop(turn);
        rotated.turn().await.expect("free again");
    }
}
