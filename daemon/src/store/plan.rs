//! Plan, do, settle: decisions and their effects are written before anything is done, and ticked
//! off together with the cursor afterwards.

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::alert::Raised;
use triaged_core::mailbox::{MailboxId, Uid, UidValidity};
use triaged_core::outcome::Outcome;
use triaged_core::score::Abstention;
use triaged_core::sync::Cursor;

use super::database::DbTransaction;
use super::rows::{Action, Deed, EffectState, Move, PendingEffect, PlannedMessage, StoredMailbox};
use super::{Store, StoreError, attempts, moves, outbox};

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
        let (mut pending, mut raised) = (Vec::new(), Vec::new());
        for planned in messages {
            let Some(message) = insert_message(&mut transaction, mailbox, planned, now).await?
            else {
                continue;
            };
            insert_predictions(&mut transaction, message, planned).await?;
            for deed in deeds(planned) {
                let id = insert_effect(&mut transaction, mailbox, message, planned, &deed).await?;
                if planned.action == Action::Label {
                    raised.extend(alert(planned, &deed).map(|alert| (id, planned, alert)));
                    let (uid, identity) = (planned.uid, planned.identity);
                    pending.push(PendingEffect { id, message, uid, identity, deed });
                }
            }
        }
        self.write_letters(&mut transaction, mailbox, raised, now).await?;
        let read = messages.iter().map(|planned| planned.uid);
        attempts::forget(&mut transaction, mailbox, read).await?;
        transaction.commit().await?;
        Ok(pending)
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
        tick_off(&mut transaction, effects, now).await?;
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

/// What is to be done to a message, in the order in which it is done.
fn deeds(planned: &PlannedMessage) -> impl Iterator<Item = Deed> + '_ {
    let to = |target: &_| {
        Deed::Move(Move { target: Clone::clone(target), begun: None, copied: false, landed: None })
    };
    let marks = planned.decision.marks.iter().cloned().map(Deed::Mark);
    let alerts = planned.decision.alerts.iter().map(|alert| Deed::Alert(alert.rule.to_string()));
    marks.chain(planned.decision.move_to.iter().map(to)).chain(alerts)
}

/// The alert that a deed is.
fn alert<'a>(planned: &'a PlannedMessage, deed: &Deed) -> Option<&'a Raised> {
    let Deed::Alert(rule) = deed else { return None };
    planned.decision.alerts.iter().find(|alert| *alert.rule == **rule)
}

/// Writes down how effects ended, and where what was moved is now.
pub(super) async fn tick_off(
    transaction: &mut DbTransaction<'_>,
    effects: &[(PendingEffect, EffectState)],
    now: Timestamp,
) -> Result<(), StoreError> {
    for (effect, state) in effects {
        sqlx::query("UPDATE effect SET state = ?, settled_at = ? WHERE id = ?")
            .bind(state.as_str())
            .bind(now.as_millisecond())
            .bind(effect.id)
            .execute(&mut **transaction)
            .await?;
        moves::remember_place(transaction, effect, *state).await?;
        if matches!(effect.deed, Deed::Alert(_)) && *state == EffectState::Shadow {
            outbox::withdraw(transaction, effect.id, now).await?;
        }
    }
    Ok(())
}

async fn insert_message(
    transaction: &mut DbTransaction<'_>,
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
    transaction: &mut DbTransaction<'_>,
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
    transaction: &mut DbTransaction<'_>,
    mailbox: &StoredMailbox,
    message: i64,
    planned: &PlannedMessage,
    deed: &Deed,
) -> Result<i64, StoreError> {
    let state = match planned.action {
        Action::Label => EffectState::Pending,
        Action::Shadow | Action::Skip => EffectState::Shadow,
    };
    let (kind, argument, may_create) = moves::columns(deed);
    let place = format!("{}:{}:{}", mailbox.id.0, mailbox.cursor.uid_validity, planned.uid);
    // A message is moved once, wherever to.
    let key = match deed {
        Deed::Mark(_) | Deed::Alert(_) => {
            format!("{kind}:{place}:{}", argument.to_ascii_lowercase())
        }
        Deed::Move(_) => format!("{kind}:{place}"),
    };
    let row = sqlx::query(
        "INSERT INTO effect (message, kind, argument, may_create, state, idempotency_key) \
         VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(message)
    .bind(kind)
    .bind(argument)
    .bind(may_create)
    .bind(state.as_str())
    .bind(key)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(row.try_get(0)?)
}

/// A message is labelled, or moved, when all its effects are done, else it is what the first other
/// one says. What somebody else did first counts as done; one that can not be read stays that.
async fn settle_message(
    transaction: &mut DbTransaction<'_>,
    message: i64,
) -> Result<Outcome, StoreError> {
    let quarantined: bool = sqlx::query_scalar("SELECT outcome = ? FROM message WHERE id = ?")
        .bind(Outcome::Quarantined.as_str())
        .bind(message)
        .fetch_one(&mut **transaction)
        .await?;
    if quarantined {
        return Ok(Outcome::Quarantined);
    }
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT kind, state FROM effect WHERE message = ? AND kind <> 'alert' ORDER BY id",
    )
    .bind(message)
    .fetch_all(&mut **transaction)
    .await?;
    let effects: Vec<(bool, EffectState)> = rows
        .iter()
        .map(|(kind, state)| Ok((kind == moves::MOVE, EffectState::parse(state)?)))
        .collect::<Result<_, StoreError>>()?;
    let outcome = outcome_of(&effects);
    sqlx::query("UPDATE message SET outcome = ? WHERE id = ?")
        .bind(outcome.as_str())
        .bind(message)
        .execute(&mut **transaction)
        .await?;
    Ok(outcome)
}

/// What has become of a message with these effects, each with whether it is a move.
fn outcome_of(effects: &[(bool, EffectState)]) -> Outcome {
    use EffectState::{Done, Yielded};
    let failed = effects.iter().find(|(_, state)| !matches!(state, Done | Yielded));
    match failed {
        Some((_, state)) => state.outcome(),
        None if effects.contains(&(true, Done)) => Outcome::Moved,
        None if effects.contains(&(false, Done)) => Outcome::Labelled,
        None => Outcome::Unlabelled,
    }
}

/// Marks what was planned under other generations of a mailbox's UIDs as gone.
pub(super) async fn give_up_other_generations(
    transaction: &mut DbTransaction<'_>,
    mailbox: MailboxId,
    uid_validity: UidValidity,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE effect SET state = CASE kind WHEN 'alert' THEN 'done' ELSE 'gone' END \
         WHERE state = 'pending' AND message IN \
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
    sqlx::query("DELETE FROM attempt WHERE mailbox = ? AND uid_validity <> ?")
        .bind(mailbox.0)
        .bind(uid_validity.get())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Forgets what was decided about messages from the cursor on.
pub(super) async fn forget_from(
    transaction: &mut DbTransaction<'_>,
    mailbox: MailboxId,
    cursor: Cursor,
) -> Result<(), StoreError> {
    for query in [
        "DELETE FROM message WHERE mailbox = ? AND uid_validity = ? AND uid >= ?",
        "DELETE FROM attempt WHERE mailbox = ? AND uid_validity = ? AND uid >= ?",
    ] {
        sqlx::query(query)
            .bind(mailbox.0)
            .bind(cursor.uid_validity.get())
            .bind(cursor.next.get())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
