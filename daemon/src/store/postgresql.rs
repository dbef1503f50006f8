//! Opening a database on a PostgreSQL server: what a session is told, and what an error of the first
//! connection means.
//!
//! How safe the server keeps what it has confirmed (fsync, its disks, its copies) is its
//! administrator's affair; that it confirms nothing earlier is asked of it here.

use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _};

use super::StoreError;
use super::database::{DbPool, install_drivers};
use super::location::Server;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// How long a server may take to let us in.
const LOGIN: Duration = Duration::from_secs(10);

/// What all accounts share. A transaction takes milliseconds; servers allow about a hundred to all.
const CONNECTIONS: u32 = 8;

/// How long an account waits for a connection, or for a server that is away, before it goes away
/// itself and comes back.
const QUEUE: Duration = Duration::from_secs(10);

/// What each session is told. `idle_in_transaction`: a daemon that is frozen in the middle of a
/// transaction keeps its rows locked, and others have to go on before its leases end, and before they
/// have waited for a connection for too long. `client_connection_check_interval` (PostgreSQL 14): the same
/// for one that was killed in the middle of a long statement. The other two are far beyond what waits and
/// what works here; the longest work is a mailbox of a million messages that is begun anew.
const SETTINGS: &str = "SET synchronous_commit = on; \
                        SET idle_in_transaction_session_timeout = '5s'; \
                        SELECT set_config(name, '5s', false) FROM pg_settings \
                        WHERE name = 'client_connection_check_interval'; \
                        SET lock_timeout = '20s'; \
                        SET statement_timeout = '10min'";

/// Opens the database, and brings it up to date: one process at a time, by an advisory lock that sqlx
/// takes for as long as the connection lives.
pub(super) async fn open(server: &Server) -> Result<DbPool, StoreError> {
    let mut first = look(server).await?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut first).await?;
    if encoding != "UTF8" {
        let found =
            format!("its encoding is {encoding}, and mailboxes have names in all of Unicode");
        return Err(StoreError::Unfit { database: server.to_string(), found });
    }
    let migrated = MIGRATIONS.run(&mut first).await;
    // A migration that failed leaves the lock with its session.
    let closed = first.close().await;
    migrated.map_err(|error| migration(server, error))?;
    closed?;
    connect(server, CONNECTIONS).await
}

/// Opens for a row or two, beside the daemons; the tables must be there.
pub(super) async fn open_beside(server: &Server) -> Result<DbPool, StoreError> {
    look_at_tables(server).await?;
    connect(server, 1).await
}

/// Whether the server lets us in, and has our tables.
pub(super) async fn look_at_tables(server: &Server) -> Result<(), StoreError> {
    let mut first = look(server).await?;
    let tables: Option<String> =
        sqlx::query_scalar("SELECT CAST(to_regclass('_sqlx_migrations') AS TEXT)")
            .fetch_one(&mut first)
            .await?;
    first.close().await?;
    match tables {
        Some(_) => Ok(()),
        None => Err(StoreError::Empty { database: server.to_string() }),
    }
}

/// A session of its own, which is told these settings.
pub(super) async fn session(
    server: &Server,
    settings: &'static str,
) -> Result<AnyConnection, StoreError> {
    let mut connection = look(server).await?;
    sqlx::raw_sql(settings).execute(&mut connection).await?;
    Ok(connection)
}

/// A connection of its own: the pool would try again whatever was wrong, and not say what.
async fn look(server: &Server) -> Result<AnyConnection, StoreError> {
    install_drivers();
    let connection = tokio::time::timeout(LOGIN, server.options().connect()).await;
    let connection = connection.unwrap_or_else(|_| {
        let what = format!("no answer for {} s", LOGIN.as_secs());
        Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what)))
    });
    connection.map_err(|error| refused(server, error))
}

async fn connect(server: &Server, connections: u32) -> Result<DbPool, StoreError> {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(QUEUE)
        .acquire_slow_threshold(QUEUE)
        .after_connect(|connection, _| {
            Box::pin(async move { sqlx::raw_sql(SETTINGS).execute(connection).await.map(drop) })
        })
        .connect_with(server.options())
        .await
        .map_err(|error| refused(server, error))
}

/// What keeps us out: something that passes, or something that somebody has to change. The classes are
/// those of "PostgreSQL Error Codes": 28 the login, 3D and 42 a database or a right that is missing.
fn refused(server: &Server, error: sqlx::Error) -> StoreError {
    let database = server.to_string();
    let code = error.as_database_error().and_then(|error| error.code().map(String::from));
    match code.as_deref().and_then(|code| code.get(..2)) {
        Some("28" | "3D" | "42") => StoreError::Shut { database, source: error },
        _ => StoreError::Away { database, source: error },
    }
}

fn migration(server: &Server, error: MigrateError) -> StoreError {
    let database = server.to_string();
    match error {
        MigrateError::VersionMissing(version) => StoreError::newer(&database, version),
        MigrateError::VersionMismatch(version) => StoreError::Unfit {
            database,
            found: format!("migration {version} was applied in another form"),
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            refused(server, error)
        }
        other => StoreError::Unfit { database, found: other.to_string() },
    }
}
