//! Plan, do, settle: decisions and their effects are written before anything is done, and ticked
//! off together with the cursor afterwards.

use jiff::Timestamp;
use sqlx::{Row, Sqlite, Transaction};
use triaged_core::mailbox::{MailboxId, Uid, UidValidity};
use triaged_core::outcome::Outcome;
use triaged_core::score::Abstention;
use triaged_core::sync::Cursor;

use super::rows::{Action, EffectState, PendingEffect, PlannedMessage, StoredMailbox};
use super::{Store, StoreError, uid};

impl Store {
    /// Stores decisions with their effects, in one transaction. A message that has a decision
    /// under its UID already keeps it. What comes back are the effects to apply.
    pub async fn plan(
        &self,
        mailbox: &StoredMailbox,
        messages: &[PlannedMessage],
        now: Timestamp,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let mut pending = Vec::new();
        for planned in messages {
            let Some(message) = insert_message(&mut transaction, mailbox, planned, now).await?
            else {
                continue;
            };
            insert_predictions(&mut transaction, message, planned).await?;
            for keyword in &planned.add {
                let id =
                    insert_effect(&mut transaction, mailbox, message, planned, keyword.as_str())
                        .await?;
                if planned.action == Action::Label {
                    let (uid, keyword) = (planned.uid, keyword.clone());
                    pending.push(PendingEffect { id, message, uid, keyword });
                }
            }
        }
        transaction.commit().await?;
        Ok(pending)
    }

    /// Effects of the mailbox that an earlier life decided and did not confirm.
    pub async fn pending(&self, mailbox: &StoredMailbox) -> Result<Vec<PendingEffect>, StoreError> {
        let rows = sqlx::query(
            "SELECT effect.id, message.id, message.uid, effect.keyword \
             FROM effect JOIN message ON message.id = effect.message \
             WHERE effect.state = 'pending' AND message.mailbox = ? AND message.uid_validity = ? \
             ORDER BY message.uid, effect.id",
        )
        .bind(mailbox.id.0)
        .bind(mailbox.cursor.uid_validity.get())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let keyword: String = row.try_get(3)?;
                Ok(PendingEffect {
                    id: row.try_get(0)?,
                    message: row.try_get(1)?,
                    uid: uid(row.try_get(2)?)?,
                    keyword: keyword
                        .parse()
                        .map_err(|_| StoreError::Row(format!("the keyword {keyword:?}")))?,
                })
            })
            .collect()
    }

    /// Ticks effects off and moves the cursor to `next`, in one transaction. What comes back is
    /// what became of each message of the effects, once a message.
    pub async fn settle(
        &self,
        mailbox: &mut StoredMailbox,
        next: Uid,
        effects: &[(PendingEffect, EffectState)],
        now: Timestamp,
    ) -> Result<Vec<(Uid, Outcome)>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        for (effect, state) in effects {
            sqlx::query("UPDATE effect SET state = ?, settled_at = ? WHERE id = ?")
                .bind(state.as_str())
                .bind(now.as_millisecond())
                .bind(effect.id)
                .execute(&mut *transaction)
                .await?;
        }
        let mut outcomes = Vec::new();
        let mut messages: Vec<(i64, Uid)> =
            effects.iter().map(|(effect, _)| (effect.message, effect.uid)).collect();
        messages.sort_unstable();
        messages.dedup();
        for (message, uid) in messages {
            outcomes.push((uid, settle_message(&mut transaction, message).await?));
        }
        sqlx::query("UPDATE mailbox SET next_uid = ? WHERE id = ? AND uid_validity = ?")
            .bind(next.get())
            .bind(mailbox.id.0)
            .bind(mailbox.cursor.uid_validity.get())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        mailbox.cursor.next = next;
        Ok(outcomes)
    }
}

async fn insert_message(
    transaction: &mut Transaction<'_, Sqlite>,
    mailbox: &StoredMailbox,
    planned: &PlannedMessage,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(
        "INSERT INTO message (account, mailbox, uid_validity, uid, identity, email, subject, \
         decided_at, action, outcome, model, defects) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (mailbox, uid_validity, uid) DO NOTHING RETURNING id",
    )
    .bind(mailbox.account.0)
    .bind(mailbox.id.0)
    .bind(mailbox.cursor.uid_validity.get())
    .bind(planned.uid.get())
    .bind(planned.identity.map(|identity| identity.0.to_vec()))
    .bind(planned.email.map(|email| email.0.to_vec()))
    .bind(planned.subject.as_deref())
    .bind(now.as_millisecond())
    .bind(planned.action.as_str())
    .bind(planned.outcome().as_str())
    .bind(planned.model.as_deref())
    .bind(planned.defects.join(" "))
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn insert_predictions(
    transaction: &mut Transaction<'_, Sqlite>,
    message: i64,
    planned: &PlannedMessage,
) -> Result<(), StoreError> {
    let heads = planned.prediction.iter().flat_map(|prediction| &prediction.heads);
    for (position, head) in (0i64..).zip(heads) {
        sqlx::query(
            "INSERT INTO prediction (message, position, head, label, confidence, abstained, abstention) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(message)
        .bind(position)
        .bind(&head.head)
        .bind(&head.label)
        .bind(f64::from(head.confidence))
        .bind(head.abstained.is_some())
        .bind(head.abstained.map(Abstention::as_str))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

async fn insert_effect(
    transaction: &mut Transaction<'_, Sqlite>,
    mailbox: &StoredMailbox,
    message: i64,
    planned: &PlannedMessage,
    keyword: &str,
) -> Result<i64, StoreError> {
    let state = match planned.action {
        Action::Label => EffectState::Pending,
        Action::Shadow | Action::Skip => EffectState::Shadow,
    };
    let key = format!(
        "add-keyword:{}:{}:{}:{}",
        mailbox.id.0,
        mailbox.cursor.uid_validity,
        planned.uid,
        keyword.to_ascii_lowercase()
    );
    let row = sqlx::query(
        "INSERT INTO effect (message, kind, keyword, state, idempotency_key) \
         VALUES (?, 'add-keyword', ?, ?, ?) RETURNING id",
    )
    .bind(message)
    .bind(keyword)
    .bind(state.as_str())
    .bind(key)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(row.try_get(0)?)
}

/// A message is labelled when all its effects are done, else it is what the first other one says.
async fn settle_message(
    transaction: &mut Transaction<'_, Sqlite>,
    message: i64,
) -> Result<Outcome, StoreError> {
    let states: Vec<String> =
        sqlx::query_scalar("SELECT state FROM effect WHERE message = ? ORDER BY id")
            .bind(message)
            .fetch_all(&mut **transaction)
            .await?;
    let states: Vec<EffectState> =
        states.iter().map(|state| EffectState::parse(state)).collect::<Result<_, _>>()?;
    let outcome = states
        .iter()
        .find(|&&state| state != EffectState::Done)
        .map_or(Outcome::Labelled, |state| state.outcome());
    sqlx::query("UPDATE message SET outcome = ? WHERE id = ?")
        .bind(outcome.as_str())
        .bind(message)
        .execute(&mut **transaction)
        .await?;
    Ok(outcome)
}

/// Marks what was planned under other generations of a mailbox's UIDs as gone.
pub(super) async fn give_up_other_generations(
    transaction: &mut Transaction<'_, Sqlite>,
    mailbox: MailboxId,
    uid_validity: UidValidity,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE effect SET state = 'gone' WHERE state = 'pending' AND message IN \
         (SELECT id FROM message WHERE mailbox = ? AND uid_validity <> ?)",
    )
    .bind(mailbox.0)
    .bind(uid_validity.get())
    .execute(&mut **transaction)
    .await?;
    sqlx::query(
        "UPDATE message SET outcome = 'gone' \
         WHERE outcome = 'pending' AND mailbox = ? AND uid_validity <> ?",
    )
    .bind(mailbox.0)
    .bind(uid_validity.get())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Forgets what was decided about messages from the cursor on.
pub(super) async fn forget_from(
    transaction: &mut Transaction<'_, Sqlite>,
    mailbox: MailboxId,
    cursor: Cursor,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM message WHERE mailbox = ? AND uid_validity = ? AND uid >= ?")
        .bind(mailbox.0)
        .bind(cursor.uid_validity.get())
        .bind(cursor.next.get())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
