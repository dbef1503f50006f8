//! Mails of ours that are to be sent. They are written with the decision that raised them, and each is
//! claimed before it is sent and ended afterwards: what a daemon was sending when it died is sent
//! again, under the same Message-ID.
//!
//! One row is one mail to one address, so that an address that is refused holds up no other.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use triaged_core::alert::{Facts, Raised};

use super::database::{DbRow, DbTransaction};
use super::rows::{Content, Identity, Letter, LetterEnd, Outbox, PlannedMessage, StoredMailbox};
use super::{Kind, Store, StoreError, moment};

/// The window in which alerts of a rule are counted.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
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
        let mut transaction = self.pool.begin().await?;
        // Another daemon may take it between the two readings: then no row is changed.
        let row = sqlx::query(
            "UPDATE outbox SET state = 'sending', owner = $1, attempts = attempts + 1 \
             WHERE state = 'waiting' AND id = (SELECT id FROM outbox \
             WHERE state = 'waiting' AND due_at <= $2 ORDER BY due_at, id LIMIT 1) \
             RETURNING id, kind, rule, recipient, per_hour, message_id, facts, created_at, attempts",
        )
        .bind(owner)
        .bind(now.as_millisecond())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let id: i64 = row.try_get(0)?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE digest = $1")
            .bind(id)
            .fetch_one(&mut *transaction)
            .await?;
        let letter = letter(&row, count)?;
        transaction.commit().await?;
        Ok(Some(letter))
    }

    /// What became of a mail, for good. No word of another's mail is kept.
    pub async fn end_letter(
        &self,
        letter: &Letter,
        end: LetterEnd,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE outbox SET state = $1, reason = $2, facts = NULL, owner = NULL, ended_at = $3 \
             WHERE id = $4",
        )
        .bind(end.as_str())
        .bind(reason)
        .bind(now.as_millisecond())
        .bind(letter.id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A mail could not be sent now, and is tried again from `due` on.
    pub async fn postpone_letter(
        &self,
        letter: &Letter,
        due: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE outbox SET state = 'waiting', owner = NULL, due_at = $1, reason = $2 \
             WHERE id = $3 AND state = 'sending'",
        )
        .bind(due.as_millisecond())
        .bind(reason)
        .bind(letter.id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Mails that nobody is sending any more wait again: those of this daemon, while it sends none, and
    /// those of daemons whose lease is over. Without a name it is the only one.
    pub async fn retake_letters(&self, owner: Option<&str>) -> Result<u64, StoreError> {
        let over = match self.kind {
            Kind::Postgresql => {
                "OR NOT EXISTS (SELECT 1 FROM instance WHERE CAST(id AS TEXT) = outbox.owner)"
            }
            Kind::Sqlite => "",
        };
        let query = format!(
            "UPDATE outbox SET state = 'waiting', owner = NULL \
             WHERE state = 'sending' AND (owner IS NULL OR owner = CAST($1 AS TEXT) {over})"
        );
        let retaken =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(owner).execute(&self.pool).await?;
        Ok(retaken.rows_affected())
    }

    /// How the outbox stands.
    pub async fn outbox(&self, now: Timestamp) -> Result<Outbox, StoreError> {
        let row = sqlx::query(
            "SELECT count(*), min(due_at) FROM outbox WHERE state IN ('waiting', 'sending')",
        )
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

    /// The mails of a chunk, in the transaction that plans it; each with the effect that it is.
    pub(super) async fn write_letters(
        &self,
        transaction: &mut DbTransaction<'_>,
        mailbox: &StoredMailbox,
        mut raised: Vec<(i64, &PlannedMessage, &Raised)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if raised.is_empty() {
            return Ok(());
        }
        let account: String = sqlx::query_scalar("SELECT name FROM account WHERE id = $1")
            .bind(mailbox.account.0)
            .fetch_one(&mut **transaction)
            .await?;
        // One order for all daemons, so that no two wait for each other's budgets.
        raised.sort_by(|(_, _, a), (_, _, b)| a.rule.cmp(&b.rule));
        for (effect, planned, raised) in raised {
            let goes_to = planned.decision.move_to.as_ref().map(|asked| asked.what.mailbox.clone());
            let facts = Facts {
                account: account.clone(),
                uid: planned.uid.get(),
                goes_to,
                decided: now,
                ..raised.facts.clone()
            };
            let facts = serde_json::to_string(&facts)
                .map_err(|error| StoreError::Row(format!("facts of an alert: {error}")))?;
            let place = letter_place(mailbox, planned);
            let mut to: Vec<&String> = raised.alert.to.iter().collect();
            to.sort();
            for recipient in to {
                let slip = Slip { effect, raised, recipient, facts: &facts };
                self.write_letter(transaction, &slip, &place, now).await?;
            }
        }
        Ok(())
    }

    async fn write_letter(
        &self,
        transaction: &mut DbTransaction<'_>,
        slip: &Slip<'_>,
        place: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Slip { raised, recipient, .. } = *slip;
        let (rule, per_hour) = (&*raised.rule, i64::from(raised.alert.per_hour));
        let key = format!("{place}:{rule}:{recipient}");
        let known: Option<i64> =
            sqlx::query_scalar("SELECT id FROM outbox WHERE idempotency_key = $1")
                .bind(&key)
                .fetch_optional(&mut **transaction)
                .await?;
        if known.is_some() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO alert_budget (rule, recipient, counted_at) VALUES ($1, $2, $3) \
             ON CONFLICT (rule, recipient) DO UPDATE SET counted_at = excluded.counted_at",
        )
        .bind(rule)
        .bind(recipient)
        .bind(now.as_millisecond())
        .execute(&mut **transaction)
        .await?;
        let counted = sqlx::query(
            "SELECT count(*), min(created_at) FROM outbox WHERE rule = $1 AND recipient = $2 \
             AND kind = 'alert' AND state NOT IN ('digested', 'suppressed') AND created_at > $3",
        )
        .bind(rule)
        .bind(recipient)
        .bind(before(now, HOUR).as_millisecond())
        .fetch_one(&mut **transaction)
        .await?;
        let first = counted.try_get::<Option<i64>, _>(1)?.map(moment).transpose()?;
        let digest = match first {
            Some(first) if counted.try_get::<i64, _>(0)? >= per_hour => {
                Some(self.digest(transaction, slip, first, now).await?)
            }
            _ => None,
        };
        self.insert_letter(transaction, slip, &key, digest, now).await
    }

    async fn insert_letter(
        &self,
        transaction: &mut DbTransaction<'_>,
        slip: &Slip<'_>,
        key: &str,
        digest: Option<i64>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let held = digest.is_some();
        sqlx::query(
            "INSERT INTO outbox (kind, effect, rule, recipient, per_hour, message_id, \
             idempotency_key, state, facts, digest, created_at, due_at, ended_at) \
             VALUES ('alert', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11) \
             ON CONFLICT (idempotency_key) DO NOTHING",
        )
        .bind(slip.effect)
        .bind(&*slip.raised.rule)
        .bind(slip.recipient)
        .bind(i64::from(slip.raised.alert.per_hour))
        .bind(self.letter_id(key, slip.raised))
        .bind(key)
        .bind(if held { "digested" } else { "waiting" })
        .bind((!held).then_some(slip.facts))
        .bind(digest)
        .bind(now.as_millisecond())
        .bind(held.then_some(now.as_millisecond()))
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }

    /// The mail that counts what is held back: one that has not been sent yet, else a new one, which
    /// goes out when the first alert of this hour is an hour old.
    async fn digest(
        &self,
        transaction: &mut DbTransaction<'_>,
        slip: &Slip<'_>,
        first: Timestamp,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let Slip { raised, recipient, .. } = *slip;
        let rule = &*raised.rule;
        // The change holds the row: nobody begins to send it while it is counted into.
        let open: Option<i64> = sqlx::query_scalar(
            "UPDATE outbox SET per_hour = $1 WHERE kind = 'digest' AND rule = $2 \
             AND recipient = $3 AND state = 'waiting' AND attempts = 0 RETURNING id",
        )
        .bind(i64::from(raised.alert.per_hour))
        .bind(rule)
        .bind(recipient)
        .fetch_optional(&mut **transaction)
        .await?;
        if let Some(open) = open {
            return Ok(open);
        }
        let key = format!("digest:{rule}:{recipient}:{}", now.as_millisecond());
        let due = first.checked_add(HOUR).unwrap_or(now);
        Ok(sqlx::query_scalar(
            "INSERT INTO outbox (kind, rule, recipient, per_hour, message_id, idempotency_key, \
             state, created_at, due_at) VALUES ('digest', $1, $2, $3, $4, $5, 'waiting', $6, $7) \
             RETURNING id",
        )
        .bind(rule)
        .bind(recipient)
        .bind(i64::from(raised.alert.per_hour))
        .bind(self.letter_id(&key, raised))
        .bind(key)
        .bind(now.as_millisecond())
        .bind(due.as_millisecond())
        .fetch_one(&mut **transaction)
        .await?)
    }

    /// The same for the same key, in this store and in no other.
    fn letter_id(&self, key: &str, raised: &Raised) -> String {
        // No message has this size, nor any other kind of identity.
        let unique = self.identity(key.as_bytes(), u64::MAX - 2);
        format!("<{}.triaged@{}>", hex(unique), raised.alert.domain)
    }
}

/// One mail to one address, before it is written down.
#[derive(Clone, Copy)]
struct Slip<'a> {
    effect: i64,
    raised: &'a Raised,
    recipient: &'a str,
    facts: &'a str,
}

/// What makes an alert about a message the same alert: the message wherever it is, else its place.
fn letter_place(mailbox: &StoredMailbox, planned: &PlannedMessage) -> String {
    let account = mailbox.account.0;
    if let Some(identity) = planned.identity {
        return format!("alert:{account}:{}", hex(identity));
    }
    let (validity, uid) = (mailbox.cursor.uid_validity, planned.uid);
    format!("alert:{account}:{}:{validity}:{uid}", mailbox.id.0)
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

fn hex(Identity(bytes): Identity) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
