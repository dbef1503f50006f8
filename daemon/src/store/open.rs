//! Opening the database, whatever kind it is, and the lock that keeps a second daemon out of a state
//! folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::DbPool;
use super::location::Location;
use super::{StoreError, postgresql, sqlite};

pub(super) fn lock_file(state: &Path) -> PathBuf {
    state.join("triaged.lock")
}

/// Whether somebody holds the lock of the state folder.
pub(super) fn is_locked(state: &Path) -> bool {
    let Ok(file) = File::open(lock_file(state)) else { return false };
    // Shared, so that two who ask do not take each other for a daemon.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// A daemon that was killed a moment ago holds its lock until the kernel has taken it down.
const PREDECESSOR: Duration = Duration::from_secs(2);

/// Takes the lock of the state folder, for as long as the returned file lives.
pub(super) async fn lock(state: &Path) -> Result<File, StoreError> {
    let folder = |source| StoreError::Folder { path: state.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(folder)?;
    let path = lock_file(state);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(folder)?;
    let patience = tokio::time::Instant::now() + PREDECESSOR;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { path }),
            Err(TryLockError::Error(source)) => return Err(folder(source)),
        }
    }
}

/// Opens for the daemon: made where there is nothing, brought up to date, and checked.
pub(super) async fn open(at: &Location) -> Result<DbPool, StoreError> {
    match at.on_server() {
        Some(server) => postgresql::open(server).await,
        None => sqlite::open(&at.file()).await,
    }
}

/// Opens for reading only, beside a daemon that writes.
pub(super) async fn open_read_only(at: &Location) -> Result<DbPool, StoreError> {
    match at.on_server() {
        Some(server) => postgresql::open_beside(server).await,
        None => sqlite::open_read_only(&at.file()).await,
    }
}

/// Opens for a row or two, beside a daemon that writes.
pub(super) async fn open_beside(at: &Location) -> Result<DbPool, StoreError> {
    match at.on_server() {
        Some(server) => postgresql::open_beside(server).await,
        None => sqlite::open_beside(&at.file()).await,
    }
}

/// Whether the database is sound: of a file every page and index; of a server, that it lets us in and
/// has our tables.
pub(super) async fn check(at: &Location) -> Result<(), StoreError> {
    match at.on_server() {
        Some(server) => postgresql::look_at_tables(server).await,
        None => sqlite::check(&at.file()).await,
    }
}

/// The migrations that this version has for a database of this kind.
pub(super) fn migrations(at: &Location) -> impl Iterator<Item = i64> {
    let migrations =
        if at.on_server().is_some() { &postgresql::MIGRATIONS } else { &sqlite::MIGRATIONS };
    migrations.iter().map(|migration| migration.version)
}

/// The migrations that a database has had, in their order; one that this version does not know
/// comes from a newer triaged.
pub(super) async fn applied(at: &Location, pool: &DbPool) -> Result<Vec<i64>, StoreError> {
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
            .fetch_all(pool)
            .await
            .map_err(|error| read_error(at, error))?;
    match applied.iter().find(|version| migrations(at).all(|known| known != **version)) {
        Some(version) => Err(StoreError::newer(&at.to_string(), *version)),
        None => Ok(applied),
    }
}

fn read_error(at: &Location, error: sqlx::Error) -> StoreError {
    match at.on_server() {
        Some(_) => error.into(),
        None => sqlite::damaged(&at.file(), error),
    }
}
