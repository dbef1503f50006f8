//! Opening a file of SQLite: the settings that durability rests on, and the checks that keep a damaged
//! file from being used or replaced.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Any, AnyConnection, ConnectOptions as _, Connection as _, Database, SqliteConnection};
use sqlx_core::transaction::TransactionManager as _;

use super::StoreError;
use super::database::{DbPool, install_drivers};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// A reader or the checkpoint may hold the file for a moment.
const BUSY: Duration = Duration::from_secs(10);

/// All accounts share the one connection; on a slow disk the last in the queue waits this long
/// before it takes the database for lost.
const QUEUE: Duration = Duration::from_mins(10);

/// Earlier releases can corrupt a write-ahead log (sqlite.org, release notes of 3.51.3).
const OLDEST: [u32; 3] = [3, 51, 3];

/// What a connection keeps for itself; the journal's mode is kept by the file, and foreign keys are on
/// from the start. What is erased is overwritten: the outbox may know words of a mail until it is sent.
const SETTINGS: &str =
    "PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; PRAGMA secure_delete = ON";

/// Opens for writing; makes the database if there is none, never instead of a damaged one.
pub(super) async fn open(path: &Path) -> Result<DbPool, StoreError> {
    make_private(path)?;
    let options = options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // The pool would take an error of its settings for one that passes: a first connection says what
    // is wrong with the file.
    let mut first = options.connect().await.map_err(|error| damaged(path, error))?;
    verify(path, &mut first).await?;
    MIGRATIONS.run(&mut first).await.map_err(|error| migration(path, error))?;
    first.close().await?;
    // One connection, so one writer on one thread: no two transactions ever wait for each other.
    let pool = connect(path, "rw", QUEUE).await?;
    read_back(path, &pool).await?;
    Ok(pool)
}

/// Opens for reading only, beside a daemon that writes.
pub(super) async fn open_read_only(path: &Path) -> Result<DbPool, StoreError> {
    look(path, &options(path).read_only(true)).await?.close().await?;
    connect(path, "ro", BUSY).await
}

/// Opens for a row or two, beside a daemon that writes.
pub(super) async fn open_beside(path: &Path) -> Result<DbPool, StoreError> {
    look(path, &options(path)).await?.close().await?;
    connect(path, "rw", BUSY).await
}

/// SQLite's own check of every page and index of a file that a daemon may be at work on.
pub(super) async fn check(path: &Path) -> Result<(), StoreError> {
    let mut connection = look(path, &options(path).read_only(true)).await?;
    verify(path, &mut connection).await?;
    Ok(connection.close().await?)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).foreign_keys(true)
}

/// One connection to a file that must be there.
async fn look(path: &Path, options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    options.connect().await.map_err(|error| damaged(path, error))
}

/// A pool of one connection, through the driver that knows both databases.
async fn connect(path: &Path, mode: &str, patience: Duration) -> Result<DbPool, StoreError> {
    install_drivers();
    let options: AnyConnectOptions = url(path, mode)?.parse()?;
    AnyPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(patience)
        .acquire_slow_threshold(patience)
        .after_connect(|connection, _| {
            Box::pin(async move { sqlx::raw_sql(SETTINGS).execute(connection).await.map(drop) })
        })
        .after_release(|connection, _| Box::pin(is_between_transactions(connection)))
        .connect_with(options)
        .await
        .map_err(|error| damaged(path, error))
}

/// Makes a connection fit to be used again; whether it is. A transaction that could not be committed (no
/// room, an error of the disk) has been rolled back by SQLite itself, and the driver goes on counting it:
/// its next ones would be savepoints inside of nothing, and sooner or later confirm what no commit ever
/// writes.
async fn is_between_transactions(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    // The rollback of a transaction that was dropped is in the queue before this.
    connection.ping().await?;
    if connection.is_in_transaction() {
        tracing::debug!("the driver is told that a transaction has ended");
        // It lets go only of one that is there. (Where one still is, this is refused, and nothing is needed.)
        let _ = sqlx::raw_sql("BEGIN").execute(&mut *connection).await;
        <Any as Database>::TransactionManager::rollback(connection).await?;
    }
    Ok(!connection.is_in_transaction())
}

/// The driver takes a URL, from which it would drop a `..`, and in which anything else may mean
/// something: the path is made plain, and all but letters and digits encoded.
fn url(path: &Path, mode: &str) -> Result<String, StoreError> {
    let folder = |source| StoreError::Folder { path: path.to_owned(), source };
    let plain = path.canonicalize().map_err(folder)?;
    let encoded = |&byte: &u8| match byte {
        b'/' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    let path: String = plain.as_os_str().as_encoded_bytes().iter().map(encoded).collect();
    Ok(format!("sqlite:{path}?mode={mode}"))
}

/// `found` of the error is the first finding.
async fn verify(path: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|error| damaged(path, error))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged { path: path.to_owned(), found }) }
}

/// Creates the file readable by its owner alone, before SQLite creates it by the umask.
fn make_private(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
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
    let foreign_keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(pool).await?;
    if foreign_keys != 1 {
        return not_durable("foreign_keys = on", foreign_keys.to_string());
    }
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
    let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    if parts.as_slice() < OLDEST.as_slice() {
        return not_durable("SQLite 3.51.3 or newer", version);
    }
    Ok(())
}

pub(super) fn migration(path: &Path, error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => {
            StoreError::newer(&path.display().to_string(), version)
        }
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
pub(super) fn damaged(path: &Path, error: sqlx::Error) -> StoreError {
    let code = match &error {
        sqlx::Error::Database(database) => database.code().and_then(|code| code.parse().ok()),
        _ => None,
    };
    match code.map(|code: u32| code & 0xff) {
        Some(11 | 26) => StoreError::Damaged { path: path.to_owned(), found: error.to_string() },
        _ => StoreError::Database(error),
    }
}
