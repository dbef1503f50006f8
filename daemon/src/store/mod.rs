//! What triaged remembers: accounts, how far each mailbox is settled, what was decided about each
//! message, and which effects are still to be confirmed. The only user of sqlx.
//!
//! No mail text is stored, and nothing here knows IMAP or the model.

mod attempts;
mod backfill;
mod check;
mod database;
mod error;
mod history;
mod import;
mod lease;
mod location;
mod moves;
mod open;
mod outbox;
mod places;
mod plan;
mod postgresql;
mod rows;
mod settle;
mod sqlite;
mod traffic;
mod undo;
mod workers;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use database::DbPool;
use jiff::Timestamp;
use location::Server;
use sqlx::Row;
use triaged_core::mailbox::{AccountId, MailboxId, Uid, UidValidity};
use triaged_core::sync::Cursor;

pub use attempts::Quarantine;
pub use backfill::Backfills;
pub use check::Checked;
pub use database::Kind;
pub use error::StoreError;
pub use history::{Facts, History};
pub use import::Imported;
pub use lease::{Instance, Leases, Table, Tenure, shard_of};
pub use location::Location;
pub use rows::{
    Account, Action, Backfill, BackfillProgress, BackfillState, Begun, Content, Deed, Earlier,
    EffectState, HistoryAnswer, HistoryEffect, HistoryRow, Identity, Landed, Letter, LetterEnd,
    Marks, Move, Outbox, PendingEffect, PlannedMessage, Remarks, StoredMailbox,
};
pub use undo::{
    Expected, MessageName, Removal, RemovalMailbox, RemovalState, Removed, Selection, TakenBack,
    UndoBatch, UndoItem, UndoPlace, UndoProgress, UndoState, Undos, Written,
};
pub use workers::Workers;

/// The store of one daemon. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: DbPool,
    kind: Kind,
    identity_key: [u8; 32],
    /// Where daemons share it.
    server: Option<Arc<Server>>,
    /// Under which what is written is written.
    tenure: Option<Tenure>,
    _lock: Arc<File>,
}

impl Store {
    /// Opens the store, made if it is missing, and holds the lock of the daemon's state folder until
    /// the last clone is gone.
    pub async fn open(at: impl Into<Location>) -> Result<Self, StoreError> {
        let at = at.into();
        let lock = open::lock(at.state()).await?;
        let pool = open::open(&at).await?;
        let identity_key = identity_key(&pool).await?;
        let server = at.on_server().cloned().map(Arc::new);
        let kind = at.kind();
        Ok(Self { pool, kind, identity_key, server, tenure: None, _lock: Arc::new(lock) })
    }

    /// Whether a daemon works in the folder `state` now.
    pub fn is_in_use(state: &Path) -> bool {
        open::is_locked(state)
    }

    /// Which kind of database is below.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How to recognise a message by its Message-ID, or what stands for one, and its size in bytes,
    /// wherever it is.
    pub fn identity(&self, message_id: &[u8], size: u64) -> Identity {
        hashed(&self.identity_key, message_id, size)
    }

    /// How to recognise a message by what its server calls it (EMAILID, X-GUID).
    pub fn email(&self, name: &str) -> Identity {
        // No message has this size: one kind of identity is never taken for the other.
        self.identity(name.as_bytes(), u64::MAX)
    }

    /// A Message-ID, by which people name a message.
    pub fn message_id(&self, id: &str) -> Identity {
        hashed_message_id(&self.identity_key, id)
    }

    /// The account of that name; at its first start it gets a row and `now` as first start.
    pub async fn account(&self, name: &str, now: Timestamp) -> Result<Account, StoreError> {
        let found = self.accounts(&[name], now).await?;
        found.first().copied().ok_or_else(|| StoreError::Row(format!("account {name:?}")))
    }

    /// The accounts of these names, in one transaction: there may be thousands.
    pub async fn accounts(
        &self,
        names: &[&str],
        now: Timestamp,
    ) -> Result<Vec<Account>, StoreError> {
        let mut transaction = self.begin().await?;
        let mut accounts = Vec::with_capacity(names.len());
        for name in names {
            sqlx::query(
                "INSERT INTO account (name, first_start) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(*name)
            .bind(now.as_millisecond())
            .execute(&mut *transaction)
            .await?;
            let row = sqlx::query("SELECT id, first_start FROM account WHERE name = $1")
                .bind(*name)
                .fetch_one(&mut *transaction)
                .await?;
            let id = AccountId(row.try_get(0)?);
            accounts.push(Account { id, first_start: moment(row.try_get(1)?)? });
        }
        let key: Vec<u8> =
            sqlx::query_scalar("SELECT key FROM identity_key").fetch_one(&mut *transaction).await?;
        if key != self.identity_key {
            return Err(StoreError::Exchanged);
        }
        transaction.commit().await?;
        Ok(accounts)
    }

    /// The mailbox of that name, if it was begun.
    pub async fn mailbox(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<Option<StoredMailbox>, StoreError> {
        let row = sqlx::query(
            "SELECT id, uid_validity, next_uid, not_before FROM mailbox \
             WHERE account = $1 AND name = $2",
        )
        .bind(account.0)
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let cursor = Cursor {
            uid_validity: uid_validity(row.try_get(1)?)?,
            next: uid(row.try_get(2)?)?,
            not_before: row.try_get::<Option<i64>, _>(3)?.map(moment).transpose()?,
        };
        Ok(Some(StoredMailbox { id: MailboxId(row.try_get(0)?), account, cursor }))
    }

    /// Begins a mailbox, or begins it anew under other UIDs. Effects that were planned under an
    /// earlier generation can never be applied: they and their messages are marked as gone. What
    /// was decided under UIDs of this generation that the server gives out again is forgotten.
    pub async fn begin_mailbox(
        &self,
        account: AccountId,
        name: &str,
        cursor: Cursor,
    ) -> Result<StoredMailbox, StoreError> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "INSERT INTO mailbox (account, name, uid_validity, next_uid, not_before) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, name) DO UPDATE SET \
             uid_validity = excluded.uid_validity, next_uid = excluded.next_uid, \
             not_before = excluded.not_before RETURNING id",
        )
        .bind(account.0)
        .bind(name)
        .bind(i64::from(cursor.uid_validity.get()))
        .bind(i64::from(cursor.next.get()))
        .bind(cursor.not_before.map(Timestamp::as_millisecond))
        .fetch_one(&mut *transaction)
        .await?;
        let id = MailboxId(row.try_get(0)?);
        plan::give_up_other_generations(&mut transaction, id, cursor.uid_validity).await?;
        plan::forget_from(&mut transaction, id, cursor).await?;
        transaction.commit().await?;
        Ok(StoredMailbox { id, account, cursor })
    }

    /// Which UIDs from the cursor on are decided already: those of a chunk whose end was cut off,
    /// and those that we moved here.
    pub async fn decided_uids(&self, mailbox: &StoredMailbox) -> Result<BTreeSet<Uid>, StoreError> {
        self.decided_between(mailbox, mailbox.cursor.next, Uid::LAST).await
    }

    /// Whether the database answers.
    pub async fn answers(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT only_row FROM identity_key").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Whether the database takes what is written, down to the disk.
    pub async fn writes(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE identity_key SET key = key").execute(&self.pool).await?;
        Ok(())
    }

    /// Writes what is still in memory to disk and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The key of this store's identities, made at its first start.
async fn identity_key(pool: &DbPool) -> Result<[u8; 32], StoreError> {
    let mut fresh = [0u8; 32];
    getrandom::fill(&mut fresh)
        .map_err(|error| StoreError::Database(sqlx::Error::Io(std::io::Error::other(error))))?;
    sqlx::query("INSERT INTO identity_key (only_row, key) VALUES (1, $1) ON CONFLICT DO NOTHING")
        .bind(fresh.as_slice())
        .execute(pool)
        .await?;
    let key: Vec<u8> = sqlx::query_scalar("SELECT key FROM identity_key").fetch_one(pool).await?;
    known_key(key)
}

fn known_key(key: Vec<u8>) -> Result<[u8; 32], StoreError> {
    key.try_into().map_err(|_| StoreError::Row("an identity key that has not 32 bytes".into()))
}

fn hashed(key: &[u8; 32], text: &[u8], size: u64) -> Identity {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&size.to_be_bytes());
    hasher.update(text.trim_ascii());
    let mut identity = [0; 16];
    hasher.finalize_xof().fill(&mut identity);
    Identity(identity)
}

/// As little as any message has the size that stands for a server's word has one this size.
fn hashed_message_id(key: &[u8; 32], id: &str) -> Identity {
    hashed(key, id.as_bytes(), u64::MAX - 1)
}

fn uid(value: i64) -> Result<Uid, StoreError> {
    u32::try_from(value)
        .ok()
        .and_then(Uid::new)
        .ok_or_else(|| StoreError::Row(format!("the UID {value}")))
}

fn uid_validity(value: i64) -> Result<UidValidity, StoreError> {
    u32::try_from(value)
        .ok()
        .and_then(UidValidity::new)
        .ok_or_else(|| StoreError::Row(format!("the UIDVALIDITY {value}")))
}

fn moment(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|_| StoreError::Row(format!("the moment {milliseconds}")))
}

#[cfg(test)]
mod tests;
