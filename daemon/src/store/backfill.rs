//! Requests for older mail: made by `triaged backfill` beside the daemon, worked off by the daemon.
//!
//! What was decided about a message stands in its own row, as for new mail; here stands only what was
//! asked for, and from where on it is done. A request that is cut off goes on from there.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::mailbox::{AccountId, Uid, UidValidity};

use super::database::{DbPool, DbRow};
use super::rows::{Backfill, BackfillProgress, BackfillState, StoredMailbox};
use super::{Location, Store, StoreError, moment, open, uid, uid_validity};

const COLUMNS: &str = "backfill.id, mailbox, since, per_minute, uid_validity, below, found, \
                       looked_at, state, reason";

impl Store {
    /// The accounts with an open request that has not begun, with something to be taken back, or with
    /// mail in quarantine that somebody wants to be tried again.
    pub async fn accounts_with_requests(&self) -> Result<BTreeSet<AccountId>, StoreError> {
        let rows: Vec<i64> = sqlx::query_scalar(
            "SELECT account FROM backfill WHERE state = 'open' AND below IS NULL \
             UNION SELECT account FROM attempt JOIN mailbox ON mailbox.id = attempt.mailbox \
             WHERE asked = 1 UNION SELECT account FROM undo_item WHERE state IN ('open', 'begun') \
             UNION SELECT account FROM removal WHERE state = 'open'",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(AccountId).collect())
    }

    /// The oldest open request of an account.
    pub async fn next_backfill(&self, account: AccountId) -> Result<Option<Backfill>, StoreError> {
        let query = format!(
            "SELECT {COLUMNS} FROM backfill WHERE account = $1 AND state = 'open' ORDER BY id LIMIT 1"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(account.0)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(from_row).transpose()
    }

    /// The work on a request begins, with so many messages below this UID; not on one that reaches
    /// further back by now.
    pub async fn begin_backfill(
        &self,
        request: &Backfill,
        uid_validity: UidValidity,
        below: Uid,
        found: u64,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE backfill SET uid_validity = $1, below = $2, found = $3 \
             WHERE id = $4 AND since = $5",
        )
        .bind(i64::from(uid_validity.get()))
        .bind(i64::from(below.get()))
        .bind(i64::try_from(found).unwrap_or(i64::MAX))
        .bind(request.id)
        .bind(request.since.as_millisecond());
        self.run(query).await
    }

    /// So many more messages were looked at, down to `below`.
    pub async fn advance_backfill(
        &self,
        id: i64,
        below: Uid,
        looked_at: u64,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE backfill SET below = $1, looked_at = looked_at + $2, attempts = 0 WHERE id = $3",
        )
        .bind(i64::from(below.get()))
        .bind(i64::try_from(looked_at).unwrap_or(i64::MAX))
        .bind(id);
        self.run(query).await
    }

    /// A step of a request met an error that may pass; how many in a row did.
    pub async fn count_attempt(&self, id: i64) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let attempts: i64 = sqlx::query_scalar(
            "UPDATE backfill SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts",
        )
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(u64::try_from(attempts).unwrap_or(u64::MAX))
    }

    /// A request is at its end; one that was cancelled meanwhile stays so, and one that reaches further
    /// back by now stays open.
    pub async fn end_backfill(
        &self,
        request: &Backfill,
        state: BackfillState,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE backfill SET state = $1, reason = $2 \
             WHERE id = $3 AND state = 'open' AND since = $4",
        )
        .bind(state.as_str())
        .bind(reason)
        .bind(request.id)
        .bind(request.since.as_millisecond());
        self.run(query).await
    }

    /// Which UIDs of a range, both ends included, are decided already, here or where they were
    /// before we moved them.
    pub async fn decided_between(
        &self,
        mailbox: &StoredMailbox,
        first: Uid,
        last: Uid,
    ) -> Result<BTreeSet<Uid>, StoreError> {
        let rows = sqlx::query(
            "SELECT uid FROM message WHERE mailbox = $1 AND uid_validity = $2 \
             AND uid BETWEEN $3 AND $4 \
             UNION SELECT moved_uid FROM message WHERE account = $5 \
             AND moved_to = (SELECT name FROM mailbox WHERE id = $1) \
             AND moved_validity = $2 AND moved_uid BETWEEN $3 AND $4",
        )
        .bind(mailbox.id.0)
        .bind(i64::from(mailbox.cursor.uid_validity.get()))
        .bind(i64::from(first.get()))
        .bind(i64::from(last.get()))
        .bind(mailbox.account.0)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| uid(row.try_get(0)?)).collect()
    }
}

/// The requests, beside a daemon that works them off.
#[derive(Debug)]
pub struct Backfills {
    pool: DbPool,
}

impl Backfills {
    /// Opens the database for requests; it must be there.
    pub async fn open(at: impl Into<Location>) -> Result<Self, StoreError> {
        Ok(Self { pool: open::open_beside(&at.into()).await? })
    }

    /// Asks for older mail of a mailbox. A request that is open for it already is taken up instead,
    /// from its beginning where it now reaches further back.
    ///
    /// # Errors
    /// The daemon has never run with this account.
    pub async fn ask(
        &self,
        account: &str,
        mailbox: &str,
        since: Timestamp,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO backfill (account, mailbox, since, per_minute, asked_at, state) \
             SELECT id, $1, $2, $3, $4, 'open' FROM account WHERE name = $5 \
             ON CONFLICT (account, mailbox) WHERE state = 'open' DO UPDATE SET \
             per_minute = excluded.per_minute, \
             since = CASE WHEN excluded.since < backfill.since \
             THEN excluded.since ELSE backfill.since END, \
             uid_validity = CASE WHEN excluded.since < backfill.since \
             THEN NULL ELSE backfill.uid_validity END, \
             below = CASE WHEN excluded.since < backfill.since THEN NULL ELSE backfill.below END, \
             found = CASE WHEN excluded.since < backfill.since THEN NULL ELSE backfill.found END, \
             looked_at = CASE WHEN excluded.since < backfill.since THEN 0 \
             ELSE backfill.looked_at END RETURNING id",
        )
        .bind(mailbox)
        .bind(since.as_millisecond())
        .bind(i64::from(per_minute))
        .bind(now.as_millisecond())
        .bind(account)
        .fetch_optional(&self.pool)
        .await?;
        id.ok_or_else(|| StoreError::Row(format!("no account {account:?}")))
    }

    /// How a request stands; `None` where there is none of this number.
    pub async fn find(&self, id: i64) -> Result<Option<Backfill>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM backfill WHERE id = $1");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(from_row).transpose()
    }

    /// Ends the open requests of an account; how many there were.
    pub async fn cancel(&self, account: &str) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE backfill SET state = 'cancelled' WHERE state = 'open' \
             AND account = (SELECT id FROM account WHERE name = $1)",
        )
        .bind(account)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

fn from_row(row: &DbRow) -> Result<Backfill, StoreError> {
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    let progress = match (row.try_get(4)?, row.try_get(5)?, row.try_get::<Option<i64>, _>(6)?) {
        (Some(validity), Some(below), Some(found)) => Some(BackfillProgress {
            uid_validity: uid_validity(validity)?,
            below: uid(below)?,
            found: number(found),
        }),
        _ => None,
    };
    Ok(Backfill {
        id: row.try_get(0)?,
        mailbox: row.try_get(1)?,
        since: moment(row.try_get(2)?)?,
        per_minute: u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or(u32::MAX).max(1),
        progress,
        looked_at: number(row.try_get(7)?),
        state: BackfillState::parse(row.try_get(8)?)?,
        reason: row.try_get(9)?,
    })
}
