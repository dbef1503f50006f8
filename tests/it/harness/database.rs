//! A store of the test's own, on each kind of database.

use std::path::Path;

use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;
use triaged::store::{Kind, Location, Store};

use super::postgres::Postgres;

/// A database that nobody has used yet, and the state folder of a daemon for it.
pub(crate) struct Database {
    state: TempDir,
    server: Option<Postgres>,
}

impl Database {
    /// A file.
    pub(crate) fn sqlite() -> Database {
        Database { state: TempDir::with_prefix("triaged-it-store-").unwrap(), server: None }
    }

    /// A server's; `None` where PostgreSQL is missing.
    pub(crate) fn postgresql() -> Option<Database> {
        Some(Database { server: Some(Postgres::start()?), ..Database::sqlite() })
    }

    /// Where it is.
    pub(crate) fn location(&self) -> Location {
        self.location_for(self.state())
    }

    /// Where it is for the daemon of another folder.
    pub(crate) fn location_for(&self, state: &Path) -> Location {
        match &self.server {
            Some(server) => Location::server(state, &server.url().into()).unwrap(),
            None => Location::folder(state),
        }
    }

    /// The state folder.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    /// Which kind it is.
    pub(crate) fn kind(&self) -> Kind {
        self.location().kind()
    }

    /// Leaves nothing of what was in it; nobody has it open.
    pub(crate) async fn begin_anew(&self) {
        if self.server.is_some() {
            self.change("DROP SCHEMA public CASCADE").await;
            self.change("CREATE SCHEMA public").await;
            return;
        }
        for file in ["triaged.sqlite", "triaged.sqlite-wal", "triaged.sqlite-shm"] {
            // Not each is there.
            let _ = std::fs::remove_file(self.state().join(file));
        }
    }

    /// Opens it as a daemon does.
    pub(crate) async fn open(&self) -> Store {
        Store::open(self.location()).await.unwrap()
    }

    /// Changes it by hand, beside whoever has it open.
    pub(crate) async fn change(&self, sql: &str) {
        let mut client = self.connect().await;
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut client).await.unwrap();
        client.close().await.unwrap();
    }

    /// A connection that is not the store's.
    pub(crate) async fn connect(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.url()).await.unwrap()
    }

    /// Its address for a client that is not ours.
    fn url(&self) -> String {
        match &self.server {
            Some(server) => server.url(),
            None => format!("sqlite:{}?mode=rwc", self.state().join("triaged.sqlite").display()),
        }
    }
}

/// Each of these async functions is a test on SQLite and one on PostgreSQL; they take a [`Database`].
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::harness::Database::sqlite()).await;
            })+
        }
        mod postgresql {
            $(#[tokio::test]
            async fn $name() {
                let Some(database) = $crate::harness::Database::postgresql() else { return };
                super::$name(database).await;
            })+
        }
    };
}
pub(crate) use on_each_database;
