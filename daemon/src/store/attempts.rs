//! How often messages were about to be read: raised and committed before, forgotten when they are
//! decided. What a connection or the process died of is found here afterwards.

use std::collections::BTreeMap;

use sqlx::Row;
use triaged_core::mailbox::{AccountId, Uid, UidSet};

use super::database::{self, DbPool, DbTransaction};
use super::rows::StoredMailbox;
use super::{Location, Store, StoreError, open, uid};

impl Store {
    /// Raises the attempts at these messages, before they are read.
    pub async fn begin_reading(
        &self,
        mailbox: &StoredMailbox,
        uids: &UidSet,
    ) -> Result<(), StoreError> {
        if uids.is_empty() {
            return Ok(());
        }
        let rows: Vec<String> = uids.iter().map(|uid| format!("($1, $2, {uid}, 1)")).collect();
        let query = format!(
            "INSERT INTO attempt (mailbox, uid_validity, uid, attempts) VALUES {} \
             ON CONFLICT (mailbox, uid_validity, uid) DO UPDATE SET \
             attempts = attempt.attempts + 1, asked = 0",
            rows.join(", ")
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query))
            .persistent(false)
            .bind(mailbox.id.0)
            .bind(i64::from(mailbox.cursor.uid_validity.get()));
        self.run(query).await
    }

    /// Takes back an attempt that came to nothing for reasons that are not the messages'.
    pub async fn take_back(
        &self,
        mailbox: &StoredMailbox,
        uids: &UidSet,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let those = "mailbox = $1 AND uid_validity = $2 AND uid";
        let update = format!("UPDATE attempt SET attempts = attempts - 1 WHERE {those}");
        of_these(&mut transaction, &update, "", mailbox, uids.iter()).await?;
        let delete = format!("DELETE FROM attempt WHERE {those}");
        of_these(&mut transaction, &delete, "AND attempts < 1", mailbox, uids.iter()).await?;
        Ok(transaction.commit().await?)
    }

    /// The messages of a mailbox that were about to be read and are not decided, with how often.
    pub async fn attempts(
        &self,
        mailbox: &StoredMailbox,
    ) -> Result<BTreeMap<Uid, u32>, StoreError> {
        let rows = sqlx::query(
            "SELECT uid, attempts FROM attempt WHERE mailbox = $1 AND uid_validity = $2",
        )
        .bind(mailbox.id.0)
        .bind(i64::from(mailbox.cursor.uid_validity.get()))
        .fetch_all(&self.pool)
        .await?;
        let attempts = |count: i64| u32::try_from(count).unwrap_or_default();
        rows.into_iter().map(|row| Ok((uid(row.try_get(0)?)?, attempts(row.try_get(1)?)))).collect()
    }

    /// The mailboxes of an account with messages that were in quarantine and are asked for again.
    pub async fn mailboxes_to_retry(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar(
            "SELECT DISTINCT mailbox.name FROM attempt JOIN mailbox ON mailbox.id = attempt.mailbox \
             WHERE account = $1 AND asked = 1",
        );
        Ok(names.bind(account.0).fetch_all(&self.pool).await?)
    }

    /// A mailbox can not be looked into: what is asked for in it waits until it can.
    pub async fn not_now(&self, account: AccountId, mailbox: &str) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE attempt SET asked = 0 \
             WHERE mailbox = (SELECT id FROM mailbox WHERE account = $1 AND name = $2)",
        )
        .bind(account.0)
        .bind(mailbox);
        self.run(query).await
    }

    /// How many messages of a mailbox are in quarantine.
    pub async fn quarantined(&self, mailbox: &StoredMailbox) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM message \
             WHERE mailbox = $1 AND uid_validity = $2 AND outcome = 'quarantined'",
        )
        .bind(mailbox.id.0)
        .bind(i64::from(mailbox.cursor.uid_validity.get()))
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Forgets attempts at messages that are gone.
    pub async fn forget_attempts(
        &self,
        mailbox: &StoredMailbox,
        uids: &UidSet,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        forget(&mut transaction, mailbox, uids.iter()).await?;
        Ok(transaction.commit().await?)
    }
}

/// Forgets the attempts at messages, which are decided now or gone.
pub(super) async fn forget(
    transaction: &mut DbTransaction<'_>,
    mailbox: &StoredMailbox,
    uids: impl Iterator<Item = Uid>,
) -> Result<(), StoreError> {
    let delete = "DELETE FROM attempt WHERE mailbox = $1 AND uid_validity = $2 AND uid";
    of_these(transaction, delete, "", mailbox, uids).await
}

/// Runs a statement that ends in `uid`, `IN` these, and what else is to hold.
async fn of_these(
    transaction: &mut DbTransaction<'_>,
    statement: &str,
    also: &str,
    mailbox: &StoredMailbox,
    uids: impl Iterator<Item = Uid>,
) -> Result<(), StoreError> {
    let uids = database::list(uids.map(|uid| i64::from(uid.get())));
    if uids.is_empty() {
        return Ok(());
    }
    sqlx::query(sqlx::AssertSqlSafe(format!("{statement} IN ({uids}) {also}")))
        .persistent(false)
        .bind(mailbox.id.0)
        .bind(i64::from(mailbox.cursor.uid_validity.get()))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// As often as a message has failed that is read alone.
const ALONE: i64 = 2;

/// The messages in quarantine, beside a daemon that left them there.
#[derive(Debug)]
pub struct Quarantine {
    pool: DbPool,
}

impl Quarantine {
    /// Opens the database; it must be there.
    pub async fn open(at: impl Into<Location>) -> Result<Self, StoreError> {
        Ok(Self { pool: open::open_beside(&at.into()).await? })
    }

    /// Lets all messages of an account, or of all accounts, that are in quarantine be tried again;
    /// how many they are. What was decided about them is forgotten. Those of an earlier generation
    /// of UIDs are gone and stay as they are.
    pub async fn release(&self, account: Option<&str>) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let those = "outcome = 'quarantined' AND uid_validity = (SELECT uid_validity FROM mailbox \
                     WHERE id = message.mailbox) AND (CAST($1 AS TEXT) IS NULL OR account = (SELECT id \
                     FROM account WHERE name = $1))";
        let insert = format!(
            "INSERT INTO attempt (mailbox, uid_validity, uid, attempts, asked) \
             SELECT mailbox, uid_validity, uid, CAST($2 AS BIGINT), 1 FROM message WHERE {those} \
             ON CONFLICT (mailbox, uid_validity, uid) DO UPDATE \
             SET attempts = excluded.attempts, asked = 1"
        );
        sqlx::query(sqlx::AssertSqlSafe(insert))
            .bind(account)
            .bind(ALONE)
            .execute(&mut *transaction)
            .await?;
        // What came into quarantine between the two statements is not in the first.
        let delete = format!(
            "DELETE FROM message WHERE {those} AND EXISTS (SELECT 1 FROM attempt \
             WHERE attempt.mailbox = message.mailbox AND attempt.uid_validity = message.uid_validity \
             AND attempt.uid = message.uid AND asked = 1)"
        );
        let released = sqlx::query(sqlx::AssertSqlSafe(delete))
            .bind(account)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(released.rows_affected())
    }
}
