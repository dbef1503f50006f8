//! Who shares a database on a server: the lives of daemons, and the shards that each of them has.
//!
//! It has a connection of its own, so that no transaction about mail holds a renewal up; a question
//! that is not answered in time ends that connection. Deliberately absent: who shall have what (the
//! core's), when anything is asked (the flow's), and any moment of the database's.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};
use triaged_core::lease::{Holding, InstanceId, Shard, Shards};

use super::database::{self, DbQuery, DbTransaction};
use super::location::Server;
use super::{Kind, Store, StoreError, open, postgresql};

/// How long a question may take: two that fail leave time for a third before a lease is over.
const ANSWER: Duration = Duration::from_secs(4);

/// What each session for leases is told: the server gives up before we do, so that nothing is done
/// that nobody waits for.
const SETTINGS: &str = "SET lock_timeout = '3s'; SET statement_timeout = '3500ms'";

/// The leave to work on the accounts of a shard: its number, whose it is, and how often it was taken
/// until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// The shard.
    pub shard: Shard,
    /// The daemon.
    pub instance: InstanceId,
    /// Another one is another tenure, also of the same daemon.
    pub epoch: i64,
}

/// A daemon as it stands in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Which life.
    pub id: InstanceId,
    /// What its configuration calls it.
    pub name: String,
    /// How often it has renewed its lease.
    pub renewals: i64,
    /// In which shards it has accounts.
    pub shards: Shards,
}

/// Daemons and shards at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// All that are registered.
    pub instances: Vec<Instance>,
    /// The shards that were asked for.
    pub holdings: Vec<Holding>,
}

/// The leases of the daemons that share a database.
#[derive(Debug)]
pub struct Leases {
    server: Arc<Server>,
    state: PathBuf,
    connection: Option<AnyConnection>,
    /// Whether this process has begun a life; until then the one before it was another process's.
    began: bool,
}

impl Store {
    /// The leases, where the database is one that daemons can share, for the daemon of a state folder.
    pub fn leases(&self, state: &Path) -> Option<Leases> {
        let server = Arc::clone(self.server.as_ref()?);
        Some(Leases { server, state: state.to_owned(), connection: None, began: false })
    }

    /// The same store for the accounts of a shard: what it writes is written under this tenure, or
    /// not at all.
    #[must_use]
    pub fn under(&self, tenure: Tenure) -> Self {
        Self { tenure: Some(tenure), ..self.clone() }
    }

    /// Begins to write. The tenure stays what it is until the transaction has ended. A file is locked from
    /// the start: who reads first and writes then is refused when a command has written in between.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] where it is over.
    pub(super) async fn begin(&self) -> Result<DbTransaction<'_>, StoreError> {
        let mut transaction = match self.kind {
            Kind::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Kind::Postgresql => self.pool.begin().await?,
        };
        if let Some(Tenure { shard, instance, epoch }) = self.tenure {
            let row = sqlx::query(
                "SELECT id FROM shard WHERE id = $1 AND owner = $2 AND epoch = $3 FOR SHARE",
            )
            .bind(shard.get())
            .bind(instance.0)
            .bind(epoch)
            .fetch_optional(&mut *transaction)
            .await?;
            row.ok_or(StoreError::Fenced)?;
        }
        Ok(transaction)
    }

    /// Runs one statement that writes.
    pub(super) async fn run(&self, query: DbQuery<'_>) -> Result<(), StoreError> {
        if self.tenure.is_none() {
            query.execute(&self.pool).await?;
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        query.execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// The epoch under which this store writes.
    pub(super) fn epoch(&self) -> Option<i64> {
        self.tenure.map(|tenure| tenure.epoch)
    }
}

/// The shard of the accounts of this name. It must stay what it is: daemons of two versions share a
/// database while they are brought up to date.
pub fn shard_of(account: &str) -> Shard {
    let hash = blake3::hash(account.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    Shard::of_hash(u64::from_be_bytes(*first))
}

impl Leases {
    /// Registers a new life of this daemon. What an earlier one of the same state folder has left is
    /// let go: that it is over is sure, because the folder's lock is ours, and the folder no copy.
    pub async fn register(
        &mut self,
        name: &str,
        shards: &Shards,
        now: Timestamp,
    ) -> Result<InstanceId, StoreError> {
        let id = getrandom::u64().map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
        // Positive, for those who look at the table.
        let id = InstanceId((id >> 1).cast_signed());
        if let Some(before) = former(&self.state) {
            if !self.began {
                self.release_letters(before).await?;
            }
            self.leave(before).await?;
        }
        self.began = true;
        // Before there is a row: one that nobody remembers would be waited for by all others.
        remember(&self.state, id)?;
        let (name, shards) = (database::text(name), shards.to_bytes());
        self.ask(async |connection| {
            let insert = "INSERT INTO instance (id, name, registered_at, shards) \
                          VALUES ($1, $2, $3, $4)";
            let insert = sqlx::query(insert).bind(id.0).bind(name);
            insert.bind(now.as_millisecond()).bind(shards).execute(connection).await.map(drop)
        })
        .await?;
        Ok(id)
    }

    /// Mails that an earlier process had in hand: nobody has to wait for it to come back.
    async fn release_letters(&mut self, of: InstanceId) -> Result<(), StoreError> {
        self.ask(async |connection| {
            let update = "UPDATE outbox SET owner = NULL WHERE state = 'sending' AND owner = $1";
            sqlx::query(update).bind(of.0.to_string()).execute(connection).await.map(drop)
        })
        .await
    }

    /// Renews the lease of a life; `false` where it is over.
    pub async fn renew(&mut self, id: InstanceId) -> Result<bool, StoreError> {
        self.ask(async |connection| {
            let update = "UPDATE instance SET renewals = renewals + 1 WHERE id = $1";
            let done = sqlx::query(update).bind(id.0).execute(connection).await?;
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    /// Tells the others in which shards this daemon has accounts.
    pub async fn want(&mut self, id: InstanceId, shards: &Shards) -> Result<(), StoreError> {
        let shards = shards.to_bytes();
        self.ask(async |connection| {
            let update = "UPDATE instance SET shards = $1 WHERE id = $2";
            sqlx::query(update).bind(shards).bind(id.0).execute(connection).await.map(drop)
        })
        .await
    }

    /// Who is there, and how these shards stand. The shards are older than the daemons: whoever has
    /// one was registered before.
    pub async fn look(&mut self, shards: &Shards) -> Result<Table, StoreError> {
        let those = database::list(shards.iter().map(Shard::get));
        self.ask(async |connection| {
            let mut table = Table::default();
            if !those.is_empty() {
                let select = format!("SELECT id, owner, epoch FROM shard WHERE id IN ({those})");
                let rows = sqlx::query(sqlx::AssertSqlSafe(select)).persistent(false);
                for row in rows.fetch_all(&mut *connection).await? {
                    let owner: Option<i64> = row.try_get(1)?;
                    let Some(shard) = Shard::new(row.try_get(0)?) else { continue };
                    let owner = owner.map(InstanceId);
                    table.holdings.push(Holding { shard, owner, epoch: row.try_get(2)? });
                }
            }
            let select = "SELECT id, name, renewals, shards FROM instance ORDER BY name, id";
            for row in sqlx::query(select).fetch_all(connection).await? {
                let shards: Vec<u8> = row.try_get(3)?;
                table.instances.push(Instance {
                    id: InstanceId(row.try_get(0)?),
                    name: row.try_get(1)?,
                    renewals: row.try_get(2)?,
                    shards: Shards::from_bytes(&shards),
                });
            }
            Ok(table)
        })
        .await
    }

    /// Removes a life that was seen to stand at so many renewals, if it still does; with it all its
    /// shards are free. Whether it was.
    pub async fn remove(&mut self, id: InstanceId, renewals: i64) -> Result<bool, StoreError> {
        self.ask(async |connection| {
            let delete = "DELETE FROM instance WHERE id = $1 AND renewals = $2";
            let done = sqlx::query(delete).bind(id.0).bind(renewals).execute(connection).await?;
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    /// Takes those of these shards that are still free.
    pub async fn take(
        &mut self,
        id: InstanceId,
        shards: &[Shard],
    ) -> Result<Vec<Tenure>, StoreError> {
        let those = database::list(shards.iter().map(|shard| shard.get()));
        self.ask(async |connection| {
            let update = format!(
                "UPDATE shard SET owner = $1, epoch = epoch + 1 \
                 WHERE owner IS NULL AND id IN ({those}) RETURNING id, epoch"
            );
            let query = sqlx::query(sqlx::AssertSqlSafe(update)).persistent(false).bind(id.0);
            let mut taken = Vec::new();
            for row in query.fetch_all(connection).await? {
                let Some(shard) = Shard::new(row.try_get(0)?) else { continue };
                taken.push(Tenure { shard, instance: id, epoch: row.try_get(1)? });
            }
            Ok(taken)
        })
        .await
    }

    /// Lets shards go on which nothing is worked any more.
    pub async fn release(&mut self, id: InstanceId, shards: &[Shard]) -> Result<(), StoreError> {
        let those = database::list(shards.iter().map(|shard| shard.get()));
        self.ask(async |connection| {
            let update =
                format!("UPDATE shard SET owner = NULL WHERE owner = $1 AND id IN ({those})");
            let query = sqlx::query(sqlx::AssertSqlSafe(update)).persistent(false).bind(id.0);
            query.execute(connection).await.map(drop)
        })
        .await
    }

    /// Whether this life has mails in hand: when it has ended, others send them again.
    pub async fn is_sending(&mut self, id: InstanceId) -> Result<bool, StoreError> {
        self.ask(async |connection| {
            let select = "SELECT count(*) FROM outbox WHERE state = 'sending' AND owner = $1";
            let count = sqlx::query_scalar(select).bind(id.0.to_string());
            let count: i64 = count.fetch_one(connection).await?;
            Ok(count > 0)
        })
        .await
    }

    /// Ends a life, with all that it has.
    pub async fn leave(&mut self, id: InstanceId) -> Result<(), StoreError> {
        self.ask(async |connection| {
            let delete = "DELETE FROM instance WHERE id = $1";
            sqlx::query(delete).bind(id.0).execute(connection).await.map(drop)
        })
        .await
    }

    /// Asks one question. After one that failed, or was not answered in time, nobody knows what the
    /// connection will say next: it is dropped.
    async fn ask<T, Q>(&mut self, question: Q) -> Result<T, StoreError>
    where
        Q: AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    {
        let connection = self.connection.take();
        let asked = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => postgresql::session(&self.server, SETTINGS).await?,
            };
            let answer = question(&mut connection).await?;
            Ok::<_, StoreError>((answer, connection))
        };
        let Ok(asked) = tokio::time::timeout(ANSWER, asked).await else {
            return Err(StoreError::TimedOut);
        };
        let (answer, connection) = asked?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// Where a daemon keeps which life it is.
fn file(state: &Path) -> PathBuf {
    state.join("instance")
}

/// The life that was begun last in this folder; `None` where the folder is a copy of the one in which
/// it was begun, perhaps on another machine: then it may go on.
fn former(state: &Path) -> Option<InstanceId> {
    let text = std::fs::read_to_string(file(state)).ok()?;
    let (id, here) = text.trim().split_once(' ')?;
    (here == whereabouts(state)).then(|| id.parse().ok().map(InstanceId))?
}

/// Without this file the next start would have to wait until this life's lease is over.
fn remember(state: &Path, id: InstanceId) -> Result<(), StoreError> {
    let folder = |source| StoreError::Folder { path: state.to_owned(), source };
    let (new, text) = (state.join("instance.new"), format!("{} {}\n", id.0, whereabouts(state)));
    std::fs::write(&new, text).map_err(folder)?;
    std::fs::rename(&new, file(state)).map_err(folder)
}

/// What a copy of the folder has not: the machine, and the file of the lock.
fn whereabouts(state: &Path) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let lock = std::fs::metadata(open::lock_file(state));
    let lock = lock.map(|lock| format!("{}:{}", lock.dev(), lock.ino())).unwrap_or_default();
    format!("{}/{lock}", machine.trim())
}
