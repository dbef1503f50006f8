//! Writing mails down with the decision that raised them: one row for each address, above the limit of
//! an hour counted into one digest.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use triaged_core::alert::{Facts, Raised};

use super::before;
use crate::store::database::DbTransaction;
use crate::store::rows::{Identity, PlannedMessage, StoredMailbox};
use crate::store::{Store, StoreError, moment};

/// The window in which alerts of a rule are counted.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Store {
    /// The mails of a chunk, in the transaction that plans it; each with the effect that it is.
    pub(in crate::store) async fn write_letters(
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
             AND kind = 'alert' AND state NOT IN ('digested', 'suppressed') \
             AND created_at > $3 AND created_at <= $4",
        )
        .bind(rule)
        .bind(recipient)
        .bind(before(now, HOUR).as_millisecond())
        .bind(now.as_millisecond())
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
        // The change holds the row: nobody begins to send it while it is counted into. What is open is
        // little, and what a rule has ever sent much: COALESCE keeps SQLite from that index.
        let open: Option<i64> = sqlx::query_scalar(
            "UPDATE outbox SET per_hour = $1 WHERE kind = 'digest' AND COALESCE(rule, '') = $2 \
             AND recipient = $3 AND state IN ('waiting', 'sending') AND state = 'waiting' \
             AND attempts = 0 RETURNING id",
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

fn hex(Identity(bytes): Identity) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
