//! Mails of ours that are to be sent. They are written with the decision that raised them, and each is
//! claimed before it is sent and ended afterwards: what a daemon was sending when it died is sent
//! again, under the same Message-ID.
//!
//! One row is one mail to one address, so that an address that is refused holds up no other.

mod write;

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use triaged_core::alert::Facts;

use super::database::{DbRow, DbTransaction};
use super::rows::{Content, Letter, LetterEnd, Outbox};
use super::{Kind, Store, StoreError, moment};

/// Nothing is made to wait for longer: what seems to be due later was written by a clock that was wrong.
const FARTHEST: SignedDuration = SignedDuration::from_hours(2);
/// For how long a mail that could not be delivered is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Store {
    /// The mail that is due first, which is this daemon's from now on. `owner` is its life among those
    /// that share the store.
    pub async fn claim_letter(
        &self,
        owner: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Letter>, StoreError> {
        // Who can not be read would be the first again each time, and hold up all others.
        loop {
            let mut transaction = self.begin().await?;
            // Another daemon may take it between the two readings: then no row is changed. The condition
            // that says less is the index's: SQLite does not conclude it.
            let row = sqlx::query(
                "UPDATE outbox SET state = 'sending', owner = $1, attempts = attempts + 1 \
                 WHERE state = 'waiting' AND id = (SELECT id FROM outbox \
                 WHERE state IN ('waiting', 'sending') AND state = 'waiting' AND (due_at <= $2 OR due_at > $3) \
                 ORDER BY due_at, id LIMIT 1) RETURNING id, kind, rule, recipient, per_hour, \
                 message_id, facts, created_at, attempts",
            )
            .bind(owner)
            .bind(now.as_millisecond())
            .bind(after(now, FARTHEST).as_millisecond())
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let id: i64 = row.try_get(0)?;
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE digest = $1")
                .bind(id)
                .fetch_one(&mut *transaction)
                .await?;
            let letter = letter(&row, count);
            if let Err(error) = &letter {
                fail(&mut transaction, id, &error.to_string(), now).await?;
            }
            transaction.commit().await?;
            if let Ok(letter) = letter {
                return Ok(Some(letter));
            }
        }
    }

    /// What became of a mail, for good; `false` where another daemon has it by now. No word of
    /// another's mail is kept.
    pub async fn end_letter(
        &self,
        letter: &Letter,
        end: LetterEnd,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        // Each claim counts up: so many attempts are this one's. What was taken from it and nobody has
        // claimed since has ended all the same.
        let done = sqlx::query(
            "UPDATE outbox SET state = $1, reason = $2, facts = NULL, owner = NULL, ended_at = $3 \
             WHERE id = $4 AND state IN ('sending', 'waiting') AND attempts = $5",
        )
        .bind(end.as_str())
        .bind(reason)
        .bind(now.as_millisecond())
        .bind(letter.id)
        .bind(i64::from(letter.attempts))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// A mail could not be sent now, and is tried again from `due` on; `false` where another daemon has
    /// it by now.
    pub async fn postpone_letter(
        &self,
        letter: &Letter,
        due: Timestamp,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE outbox SET state = 'waiting', owner = NULL, due_at = $1, reason = $2 \
             WHERE id = $3 AND state = 'sending' AND attempts = $4",
        )
        .bind(due.as_millisecond())
        .bind(reason)
        .bind(letter.id)
        .bind(i64::from(letter.attempts))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Mails that nobody is sending any more wait again: those of this daemon, while it sends none, and
    /// those of daemons whose lease is over, from `due` on. Without a name it is the only one.
    pub async fn retake_letters(
        &self,
        owner: Option<&str>,
        due: Timestamp,
    ) -> Result<u64, StoreError> {
        let over = match self.kind {
            Kind::Postgresql => {
                "OR NOT EXISTS (SELECT 1 FROM instance WHERE CAST(id AS TEXT) = outbox.owner)"
            }
            Kind::Sqlite => "",
        };
        let ours = "owner IS NULL OR owner = CAST($1 AS TEXT)";
        let query = format!(
            "UPDATE outbox SET state = 'waiting', owner = NULL, \
             due_at = CASE WHEN {ours} OR due_at > $2 THEN due_at ELSE $2 END \
             WHERE state = 'sending' AND ({ours} {over})"
        );
        let retaken = sqlx::query(sqlx::AssertSqlSafe(query)).bind(owner);
        let retaken = retaken.bind(due.as_millisecond()).execute(&self.pool).await?;
        Ok(retaken.rows_affected())
    }

    /// How the outbox stands.
    pub async fn outbox(&self, now: Timestamp) -> Result<Outbox, StoreError> {
        let row = sqlx::query(
            "SELECT count(*), min(CASE WHEN state = 'sending' THEN NULL WHEN due_at > $1 THEN 0 \
             ELSE due_at END) FROM outbox WHERE state IN ('waiting', 'sending')",
        )
        .bind(after(now, FARTHEST).as_millisecond())
        .fetch_one(&self.pool)
        .await?;
        // A digest is made to wait for its hour, which is no delay.
        let oldest: Option<i64> = sqlx::query_scalar(
            "SELECT min(CASE kind WHEN 'digest' THEN due_at ELSE created_at END) FROM outbox \
             WHERE state IN ('waiting', 'sending') AND (kind <> 'digest' OR due_at <= $1)",
        )
        .bind(now.as_millisecond())
        .fetch_one(&self.pool)
        .await?;
        let failed = sqlx::query(
            "SELECT count(*), max(ended_at) FROM outbox WHERE state = 'failed' AND ended_at > $1",
        )
        .bind(before(now, SHOWN).as_millisecond())
        .fetch_one(&self.pool)
        .await?;
        let last = sqlx::query(
            "SELECT rule, reason FROM outbox WHERE state = 'failed' AND ended_at > $1 \
             ORDER BY ended_at DESC, id DESC LIMIT 1",
        )
        .bind(before(now, SHOWN).as_millisecond())
        .fetch_optional(&self.pool)
        .await?;
        let last_failure = match last {
            Some(row) => {
                let reason: Option<String> = row.try_get(1)?;
                Some((row.try_get(0)?, reason.unwrap_or_default()))
            }
            None => None,
        };
        Ok(Outbox {
            waiting: count(&row, 0)?,
            next_due: row.try_get::<Option<i64>, _>(1)?.map(moment).transpose()?,
            oldest: oldest.map(moment).transpose()?,
            failed: count(&failed, 0)?,
            last_failure,
        })
    }
}

/// Takes back the mails of an alert that must not be sent any more, as far as they were not.
pub(super) async fn withdraw(
    transaction: &mut DbTransaction<'_>,
    effect: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE outbox SET state = 'suppressed', facts = NULL, ended_at = $1 \
         WHERE effect = $2 AND state = 'waiting'",
    )
    .bind(now.as_millisecond())
    .bind(effect)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Ends a mail that can not even be read.
async fn fail(
    transaction: &mut DbTransaction<'_>,
    id: i64,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE outbox SET state = 'failed', reason = $1, facts = NULL, owner = NULL, ended_at = $2 \
         WHERE id = $3",
    )
    .bind(reason)
    .bind(now.as_millisecond())
    .bind(id)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn letter(row: &DbRow, digested: i64) -> Result<Letter, StoreError> {
    let (rule, created): (String, i64) = (row.try_get(2)?, row.try_get(7)?);
    let created = moment(created)?;
    let content = match row.try_get::<String, _>(1)?.as_str() {
        "digest" => Content::Digest {
            count: digested.unsigned_abs(),
            per_hour: u32::try_from(row.try_get::<i64, _>(4)?).unwrap_or(u32::MAX),
        },
        _ => Content::Mail(Box::new(facts(row.try_get(6)?)?)),
    };
    Ok(Letter {
        id: row.try_get(0)?,
        rule,
        recipient: row.try_get(3)?,
        message_id: row.try_get(5)?,
        created,
        attempts: u32::try_from(row.try_get::<i64, _>(8)?).unwrap_or(u32::MAX),
        content,
    })
}

fn facts(text: Option<String>) -> Result<Facts, StoreError> {
    // Its words may be another's mail, and are not repeated.
    let wrong = || StoreError::Row("the facts of an alert in the outbox".to_owned());
    serde_json::from_str(&text.ok_or_else(wrong)?).map_err(|_| wrong())
}

fn count(row: &DbRow, column: usize) -> Result<u64, StoreError> {
    Ok(row.try_get::<i64, _>(column)?.unsigned_abs())
}

fn before(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_sub(span).unwrap_or(Timestamp::MIN)
}

fn after(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}
