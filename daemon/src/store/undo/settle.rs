//! Taking back, in the daemon: that it is begun, and what became of it.
//!
//! Before the server is told, the store knows that something is taken back (`undoing`): what is found
//! missing afterwards was our doing, and nobody takes it for a person's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::decision::Target;

use super::work::{MOVE_BACK, TakenBack, UndoBatch, UndoItem, UndoState};
use crate::store::database::{self, DbTransaction};
use crate::store::rows::{EffectState, Move, PendingEffect};
use crate::store::{Store, StoreError, moves, settle};

impl Store {
    /// Before the server is told: these messages are about to be taken back. Those that are to be
    /// moved come with their move. Who was let go since they were looked up is left out, and as it was.
    pub async fn begin_undo(
        &self,
        request: i64,
        items: &mut Vec<UndoItem>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let fresh = items.iter().filter(|item| !item.begun).map(|item| item.message);
        let begun = begin_items(&mut transaction, request, fresh.collect()).await?;
        items.retain(|item| item.begun || begun.contains(&item.message));
        let fresh = items.iter().filter(|item| !item.begun);
        let effects: Vec<i64> =
            fresh.flat_map(|item| item.effects.iter().chain(&item.moved)).copied().collect();
        set_effects(&mut transaction, &effects, EffectState::Undoing.as_str(), None).await?;
        for item in items.iter_mut().filter(|item| !item.begun) {
            if let Some(target) = &item.back_to {
                let (id, back) = insert_back(&mut transaction, item.message, target).await?;
                item.back = item.moving(id, back);
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Writes down what became of messages, and how the moves ended that were made for it.
    pub async fn settle_undo(
        &self,
        request: i64,
        taken: &[TakenBack],
        moves: &[(PendingEffect, EffectState)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        settle::tick_off(&mut transaction, moves, now, self.epoch()).await?;
        let mut items: BTreeMap<(&str, Option<&str>), Vec<i64>> = BTreeMap::new();
        let mut effects: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        let mut undone = BTreeSet::new();
        for one in taken {
            let key = (one.state.as_str(), one.reason.as_deref());
            items.entry(key).or_default().push(one.item.message);
            for (effect, state) in one.effects() {
                effects.entry(state.as_str()).or_default().push(effect);
                if state == EffectState::Undone {
                    undone.insert(one.item.message);
                }
            }
        }
        // A move that was not made after all, because its message was not there any more.
        let made: BTreeSet<i64> = moves.iter().map(|(effect, _)| effect.id).collect();
        let backs = taken.iter().filter_map(|one| Some(one.item.back.as_ref()?.id));
        let unmade: Vec<i64> = backs.filter(|id| !made.contains(id)).collect();
        for ((state, reason), messages) in items {
            set_items(&mut transaction, request, &messages, state, reason).await?;
        }
        for (state, ids) in effects {
            set_effects(&mut transaction, &ids, state, Some(now)).await?;
        }
        set_effects(&mut transaction, &unmade, EffectState::Gone.as_str(), Some(now)).await?;
        let refused = taken.iter().filter(|one| one.state == UndoState::Refused);
        let refused = refused.map(|one| one.item.message).collect();
        stay_in_place(&mut transaction, request, refused).await?;
        set_outcome(&mut transaction, &undone).await?;
        Ok(transaction.commit().await?)
    }

    /// An error came in between; after as many as `most` the messages are given up. How many were.
    pub async fn count_undo_attempt(
        &self,
        batch: &UndoBatch,
        most: u32,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let query = format!(
            "UPDATE undo_item SET attempts = attempts + 1 WHERE request = $1 AND message IN ({}) \
             RETURNING message, attempts",
            database::list(batch.items.iter().map(|item| item.message))
        );
        let mut transaction = self.begin().await?;
        let attempts: Vec<(i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .persistent(false)
            .bind(batch.request)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let tired = attempts.into_iter().filter(|(_, attempts)| *attempts >= i64::from(most));
        let tired: BTreeSet<i64> = tired.map(|(message, _)| message).collect();
        let tired = batch.items.iter().filter(|item| tired.contains(&item.message));
        let refused = tired.map(|item| TakenBack {
            item: item.clone(),
            state: UndoState::Refused,
            reason: Some(reason.to_owned()),
            flags_off: false,
        });
        let refused: Vec<TakenBack> = refused.collect();
        self.settle_undo(batch.request, &refused, &[], now).await?;
        Ok(refused.len() as u64)
    }
}

impl TakenBack {
    /// The effects that were to be taken back, each with how it is now.
    fn effects(&self) -> impl Iterator<Item = (i64, EffectState)> {
        let ended = match self.state {
            UndoState::Undone => EffectState::Undone,
            UndoState::Kept | UndoState::Gone => EffectState::Kept,
            UndoState::Open | UndoState::Begun | UndoState::Refused => EffectState::Done,
        };
        let of_flags = if self.flags_off { EffectState::Undone } else { ended };
        let flags = self.item.effects.iter().map(move |effect| (*effect, of_flags));
        flags.chain(self.item.moved.map(|effect| (effect, ended)))
    }
}

/// Begins those of these messages that are open still, and says which. A message that somebody has let
/// go has no item any more.
async fn begin_items(
    transaction: &mut DbTransaction<'_>,
    request: i64,
    messages: Vec<i64>,
) -> Result<BTreeSet<i64>, StoreError> {
    if messages.is_empty() {
        return Ok(BTreeSet::new());
    }
    let query = format!(
        "UPDATE undo_item SET state = 'begun' WHERE request = $1 AND state = 'open' \
         AND message IN ({}) RETURNING message",
        database::list(messages)
    );
    let begun: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .persistent(false)
        .bind(request)
        .fetch_all(&mut **transaction)
        .await?;
    Ok(begun.into_iter().collect())
}

async fn set_items(
    transaction: &mut DbTransaction<'_>,
    request: i64,
    messages: &[i64],
    state: &str,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let query = format!(
        "UPDATE undo_item SET state = $1, reason = $2 WHERE request = $3 AND message IN ({})",
        database::list(messages.iter().copied())
    );
    sqlx::query(sqlx::AssertSqlSafe(query))
        .persistent(false)
        .bind(state)
        .bind(reason.map(database::text))
        .bind(request)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn set_effects(
    transaction: &mut DbTransaction<'_>,
    effects: &[i64],
    state: &str,
    now: Option<Timestamp>,
) -> Result<(), StoreError> {
    if effects.is_empty() {
        return Ok(());
    }
    let query = format!(
        "UPDATE effect SET state = $1, settled_at = COALESCE($2, settled_at) WHERE id IN ({})",
        database::list(effects.iter().copied())
    );
    sqlx::query(sqlx::AssertSqlSafe(query))
        .persistent(false)
        .bind(state)
        .bind(now.map(Timestamp::as_millisecond))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Something of these messages was taken back. One that can not be read stays that.
async fn set_outcome(
    transaction: &mut DbTransaction<'_>,
    messages: &BTreeSet<i64>,
) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let query = format!(
        "UPDATE message SET outcome = 'undone' WHERE id IN ({}) AND outcome <> 'quarantined'",
        database::list(messages.iter().copied())
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).persistent(false);
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// The move back of a message. One that an earlier request could not make may have left a copy: that is
/// looked for before another one is made, and not relied on, for somebody may have removed it since.
async fn insert_back(
    transaction: &mut DbTransaction<'_>,
    message: i64,
    target: &str,
) -> Result<(i64, Move), StoreError> {
    let row = sqlx::query(
        "INSERT INTO effect (message, kind, argument, may_create, state, idempotency_key) \
         VALUES ($1, 'move-back', $2, 0, 'undoing', $3) ON CONFLICT (idempotency_key) \
         DO UPDATE SET state = 'undoing', argument = excluded.argument, copied = 0, \
         begun_at = CASE WHEN effect.argument = excluded.argument THEN effect.begun_at END \
         RETURNING id, begun_at, target_validity, target_next",
    )
    .bind(message)
    .bind(target)
    .bind(format!("{MOVE_BACK}:{message}"))
    .fetch_one(&mut **transaction)
    .await?;
    let begun = moves::begun(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)?;
    Ok((row.try_get(0)?, Move { begun, ..Move::to(Target::existing(target)) }))
}

/// What was only copied is where it was when that was asked for, and not where its copy is.
async fn stay_in_place(
    transaction: &mut DbTransaction<'_>,
    request: i64,
    refused: Vec<i64>,
) -> Result<(), StoreError> {
    if refused.is_empty() {
        return Ok(());
    }
    let of_item = |column| {
        format!(
            "(SELECT item.{column} FROM undo_item item WHERE item.request = $1 AND item.message = message.id)"
        )
    };
    let query = format!(
        "UPDATE message SET moved_to = {}, moved_validity = {}, moved_uid = {} WHERE id IN ({}) \
         AND EXISTS (SELECT 1 FROM undo_item item WHERE item.request = $1 AND item.message = message.id) \
         AND EXISTS (SELECT 1 FROM effect WHERE effect.message = message.id \
         AND effect.kind = '{MOVE_BACK}' AND effect.state <> 'done')",
        of_item("mailbox"),
        of_item("uid_validity"),
        of_item("uid"),
        database::list(refused)
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).persistent(false).bind(request);
    query.execute(&mut **transaction).await?;
    Ok(())
}
