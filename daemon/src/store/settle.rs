//! Settling: what was done is ticked off, and its messages get their outcome, together with the cursor.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::mailbox::Uid;
use triaged_core::outcome::Outcome;

use super::database::{self, DbTransaction};
use super::rows::{Deed, EffectState, PendingEffect, StoredMailbox};
use super::{Store, StoreError, moves, outbox};

impl Store {
    /// Ticks effects off and moves the cursor to `next`, in one transaction. What comes back is
    /// what became of each message of the effects, once a message.
    pub async fn settle(
        &self,
        mailbox: &mut StoredMailbox,
        next: Uid,
        effects: &[(PendingEffect, EffectState)],
        now: Timestamp,
    ) -> Result<Vec<(Uid, Outcome)>, StoreError> {
        let mut transaction = self.begin().await?;
        tick_off(&mut transaction, effects, now, self.epoch()).await?;
        let outcomes = settle_messages(&mut transaction, messages_of(effects)).await?;
        sqlx::query("UPDATE mailbox SET next_uid = $1 WHERE id = $2 AND uid_validity = $3")
            .bind(i64::from(next.get()))
            .bind(mailbox.id.0)
            .bind(i64::from(mailbox.cursor.uid_validity.get()))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        mailbox.cursor.next = next;
        Ok(outcomes)
    }
}

/// Writes down how effects ended, under which epoch, and where what was moved is now.
pub(super) async fn tick_off(
    transaction: &mut DbTransaction<'_>,
    effects: &[(PendingEffect, EffectState)],
    now: Timestamp,
    epoch: Option<i64>,
) -> Result<(), StoreError> {
    let mut ended: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (effect, state) in effects {
        ended.entry(state.as_str()).or_default().push(effect.id);
        moves::remember_place(transaction, effect, *state).await?;
        if matches!(effect.deed, Deed::Alert(_)) && *state == EffectState::Shadow {
            outbox::withdraw(transaction, effect.id, now).await?;
        }
    }
    let copyless = effects.iter().filter(|(effect, state)| {
        let is_copyless = matches!(&effect.deed, Deed::Move(one) if !one.copied);
        *state != EffectState::Done && is_copyless
    });
    moves::forget_copies(transaction, copyless.map(|(effect, _)| effect.id)).await?;
    for (state, effects) in ended {
        let effects = database::list(effects);
        let query = format!(
            "UPDATE effect SET state = $1, settled_at = $2, epoch = $3 WHERE id IN ({effects})"
        );
        sqlx::query(sqlx::AssertSqlSafe(query))
            .persistent(false)
            .bind(state)
            .bind(now.as_millisecond())
            .bind(epoch)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

/// Settles those messages of which all effects have ended; the others are settled with their last one.
pub(super) async fn settle_finished(
    transaction: &mut DbTransaction<'_>,
    ended: &[(PendingEffect, EffectState)],
) -> Result<(), StoreError> {
    let mut messages = messages_of(ended);
    let those = database::list(messages.iter().map(|(message, _)| *message));
    if those.is_empty() {
        return Ok(());
    }
    let query = format!(
        "SELECT DISTINCT message FROM effect WHERE state = 'pending' AND message IN ({those})"
    );
    let open: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .persistent(false)
        .fetch_all(&mut **transaction)
        .await?;
    messages.retain(|(message, _)| !open.contains(message));
    settle_messages(transaction, messages).await?;
    Ok(())
}

/// The messages of effects, each once.
fn messages_of(effects: &[(PendingEffect, EffectState)]) -> BTreeSet<(i64, Uid)> {
    effects.iter().map(|(effect, _)| (effect.message, effect.uid)).collect()
}

/// A message is labelled, or moved, when all its effects are done, else it is what the first other
/// one says. What somebody else did first counts as done; one that can not be read stays that.
async fn settle_messages(
    transaction: &mut DbTransaction<'_>,
    messages: BTreeSet<(i64, Uid)>,
) -> Result<Vec<(Uid, Outcome)>, StoreError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let those = database::list(messages.iter().map(|(message, _)| *message));
    let query = format!("SELECT id FROM message WHERE outcome = $1 AND id IN ({those})");
    let quarantined: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .persistent(false)
        .bind(Outcome::Quarantined.as_str())
        .fetch_all(&mut **transaction)
        .await?;
    // An alert leaves the message as it is.
    let query = format!(
        "SELECT message, kind, state FROM effect WHERE message IN ({those}) AND kind <> '{}' \
         ORDER BY id",
        moves::ALERT
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .persistent(false)
        .fetch_all(&mut **transaction)
        .await?;
    let mut effects: HashMap<i64, Vec<(bool, EffectState)>> = HashMap::new();
    for row in rows {
        let state = EffectState::parse(row.try_get(2)?)?;
        let effect = (row.try_get::<&str, _>(1)? == moves::MOVE, state);
        effects.entry(row.try_get(0)?).or_default().push(effect);
    }
    let mut ended: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(messages.len());
    for (message, uid) in messages {
        let outcome = if quarantined.contains(&message) {
            Outcome::Quarantined
        } else {
            outcome_of(effects.get(&message).map_or(&[], Vec::as_slice))
        };
        ended.entry(outcome.as_str()).or_default().push(message);
        outcomes.push((uid, outcome));
    }
    for (outcome, messages) in ended {
        let messages = database::list(messages);
        let query = format!("UPDATE message SET outcome = $1 WHERE id IN ({messages})");
        sqlx::query(sqlx::AssertSqlSafe(query))
            .persistent(false)
            .bind(outcome)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(outcomes)
}

/// What has become of a message with these effects, each with whether it is a move.
fn outcome_of(effects: &[(bool, EffectState)]) -> Outcome {
    use EffectState::{Done, Kept, Yielded};
    let failed = effects.iter().find(|(_, state)| !matches!(state, Done | Yielded | Kept));
    match failed {
        Some((_, state)) => state.outcome(),
        None if effects.contains(&(true, Done)) => Outcome::Moved,
        None if effects.contains(&(false, Done)) => Outcome::Labelled,
        None => Outcome::Unlabelled,
    }
}
