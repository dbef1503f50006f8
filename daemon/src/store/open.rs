//! Opening the database: the lock, the settings that durability rests on, and the checks that
//! keep a damaged file from being used or replaced.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Row;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::StoreError;
use super::database::DbPool;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// A reader or the checkpoint may hold the file for a moment.
const BUSY: Duration = Duration::from_secs(10);

/// All accounts share the one connection; on a slow disk the last in the queue waits this long
/// before it takes the database for lost.
const QUEUE: Duration = Duration::from_mins(10);

/// Earlier releases can corrupt a write-ahead log (sqlite.org, release notes of 3.51.3).
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

pub(super) fn database_file(state: &Path) -> PathBuf {
    state.join("triaged.sqlite")
}

fn lock_file(state: &Path) -> PathBuf {
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

/// Opens for writing; makes the database if there is none, never instead of a damaged one.
pub(super) async fn open(path: &Path) -> Result<DbPool, StoreError> {
    make_private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    // One connection, so one writer on one thread: no two transactions ever wait for each other.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(QUEUE)
        .acquire_slow_threshold(QUEUE)
        .connect_with(options)
        .await
        .map_err(|error| damaged(path, error))?;
    verify(path, &pool).await?;
    MIGRATIONS.run(&pool).await.map_err(|error| migration(path, error))?;
    read_back(path, &pool).await?;
    Ok(pool)
}

/// Opens for reading only, beside a daemon that writes.
pub(super) async fn open_read_only(path: &Path) -> Result<DbPool, StoreError> {
    connect(path, SqliteConnectOptions::new().read_only(true)).await
}

/// Opens for a row or two, beside a daemon that writes.
pub(super) async fn open_beside(path: &Path) -> Result<DbPool, StoreError> {
    connect(path, SqliteConnectOptions::new().synchronous(SqliteSynchronous::Full)).await
}

async fn connect(path: &Path, options: SqliteConnectOptions) -> Result<DbPool, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    let options = options.filename(path).busy_timeout(BUSY);
    SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .map_err(|error| damaged(path, error))
}

/// SQLite's own check of every page and index; `found` of the error is its first finding.
pub(super) async fn verify(path: &Path, pool: &DbPool) -> Result<(), StoreError> {
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(pool)
        .await
        .map_err(|error| damaged(path, error))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged { path: path.to_owned(), found }) }
}

/// The migrations that this version has.
pub(super) fn migrations() -> impl Iterator<Item = i64> {
    MIGRATIONS.iter().map(|migration| migration.version)
}

/// The migrations that a database has had, in their order; one that this version does not know
/// comes from a newer triaged.
pub(super) async fn applied(path: &Path, pool: &DbPool) -> Result<Vec<i64>, StoreError> {
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
            .fetch_all(pool)
            .await
            .map_err(|error| damaged(path, error))?;
    match applied.iter().find(|version| migrations().all(|known| known != **version)) {
        Some(version) => Err(migration(path, MigrateError::VersionMissing(*version))),
        None => Ok(applied),
    }
}

/// Creates the file readable by its owner alone, before SQLite creates it by the umask.
fn make_private(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(StoreError::Folder { path: path.to_owned(), source }),
    }
}

async fn read_back(path: &Path, pool: &DbPool) -> Result<(), StoreError> {
    let not_durable =
        |setting, found| Err(StoreError::NotDurable { path: path.to_owned(), setting, found });
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await?;
    if journal != "wal" {
        return not_durable("journal_mode = wal", journal);
    }
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await?;
    if synchronous != 2 {
        return not_durable("synchronous = full", synchronous.to_string());
    }
    let version: String =
        sqlx::query("SELECT sqlite_version()").fetch_one(pool).await?.try_get(0)?;
    let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    if parts.as_slice() < OLDEST_SQLITE.as_slice() {
        return not_durable("SQLite 3.51.3 or newer", version);
    }
    Ok(())
}

fn migration(path: &Path, error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::Newer {
            path: path.to_owned(),
            found: format!("migration {version} is not known here"),
        },
        MigrateError::VersionMismatch(version) => StoreError::Damaged {
            path: path.to_owned(),
            found: format!("migration {version} was applied in another form"),
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            damaged(path, error)
        }
        other => StoreError::Damaged { path: path.to_owned(), found: other.to_string() },
    }
}

/// `SQLITE_CORRUPT` and `SQLITE_NOTADB` (sqlite.org, result codes) mean the file, not the moment.
fn damaged(path: &Path, error: sqlx::Error) -> StoreError {
    let code = match &error {
        sqlx::Error::Database(database) => database.code().and_then(|code| code.parse().ok()),
        _ => None,
    };
    match code.map(|code: u32| code & 0xff) {
        Some(11 | 26) => StoreError::Damaged { path: path.to_owned(), found: error.to_string() },
        _ => StoreError::Database(error),
    }
}
