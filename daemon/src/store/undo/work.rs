//! Taking back, in the daemon: the next messages of a request, and what became of them.
//!
//! Before the server is told, the store knows that something is taken back (`undoing`): what is found
//! missing afterwards was our doing, and nobody takes it for a person's.

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::decision::{Flag, Target};
use triaged_core::mailbox::{AccountId, Uid, UidValidity};

use super::{FLAG, keyword};
use crate::store::database::DbTransaction;
use crate::store::rows::{Deed, EffectState, Marks, Move, PendingEffect, named};
use crate::store::{Store, StoreError, moves, places, plan, uid, uid_validity};

/// Messages that are taken back together: their UIDs fit into one command, so that what is looked at
/// is of one moment.
const BATCH: i64 = 80;

named! {
    /// What has become of a message that is to be taken back.
    UndoState {
        /// To be done.
        Open = "open",
        /// The server was told, or is about to be.
        Begun = "begun",
        /// What was asked for is taken back.
        Undone = "undone",
        /// Somebody has changed it since: it is left as it is.
        Kept = "kept",
        /// It is not where it was: somebody has moved it on, or deleted it.
        Gone = "gone",
        /// The server, or its rights, do not let it be taken back.
        Refused = "refused",
    }
}

/// Messages of one request that are in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoBatch {
    /// The request.
    pub request: i64,
    /// Where they are; without a generation where nobody knows under which UIDs.
    pub place: UndoPlace,
    /// The messages, in the order of their UIDs.
    pub items: Vec<UndoItem>,
}

/// A mailbox, and the generation of its UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoPlace {
    /// Its name.
    pub mailbox: String,
    /// The generation.
    pub uid_validity: Option<UidValidity>,
}

/// One message, and what is to be taken back of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoItem {
    pub(in crate::store) message: i64,
    /// Its UID in the place; `None` where the server never said it.
    pub uid: Option<Uid>,
    /// By what it is recognised.
    pub marks: Marks,
    /// It was looked at in an earlier life, and what is missing since is our doing.
    pub begun: bool,
    /// The flags that are to come off.
    pub flags: Vec<Flag>,
    /// All flags of ours on it, those included.
    pub ours: Vec<Flag>,
    /// Where it is to go back to, if it was moved.
    pub back_to: Option<String>,
    /// The effects that put those flags there.
    effects: Vec<i64>,
    /// The effect that moved it.
    moved: Option<i64>,
    /// The move back, as far as it was begun.
    pub back: Option<PendingEffect>,
}

/// How it ended for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// The message.
    pub item: UndoItem,
    /// What became of it.
    pub state: UndoState,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Its flags were taken off, whatever became of its move.
    pub flags_off: bool,
}

impl Store {
    /// The next messages of an account that are to be taken back.
    pub async fn next_undo(&self, account: AccountId) -> Result<Option<UndoBatch>, StoreError> {
        let first = sqlx::query(
            "SELECT request, undo_item.mailbox, uid_validity FROM undo_item \
             WHERE account = $1 AND state IN ('open', 'begun') \
             ORDER BY request, state, undo_item.mailbox, uid_validity LIMIT 1",
        )
        .bind(account.0)
        .fetch_optional(&self.pool)
        .await?;
        let Some(first) = first else { return Ok(None) };
        let generation: Option<i64> = first.try_get(2)?;
        let place = UndoPlace {
            mailbox: first.try_get(1)?,
            uid_validity: generation.map(uid_validity).transpose()?,
        };
        let request = first.try_get(0)?;
        let items = self.undo_items(account, request, &place).await?;
        Ok(Some(UndoBatch { request, place, items }))
    }

    async fn undo_items(
        &self,
        account: AccountId,
        request: i64,
        place: &UndoPlace,
    ) -> Result<Vec<UndoItem>, StoreError> {
        let rows = sqlx::query(
            "SELECT message.id, item.uid, item.state, identity, email, mailbox.name, \
             undo.rule, undo.kind FROM undo_item item JOIN undo ON undo.id = item.request \
             JOIN message ON message.id = item.message \
             JOIN mailbox ON mailbox.id = message.mailbox \
             WHERE item.account = $1 AND item.request = $2 AND item.mailbox = $3 \
             AND COALESCE(item.uid_validity, 0) = $4 AND item.state IN ('open', 'begun') \
             ORDER BY item.uid LIMIT $5",
        )
        .bind(account.0)
        .bind(request)
        .bind(&place.mailbox)
        .bind(place.uid_validity.map_or(0, |generation| i64::from(generation.get())))
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let number: Option<i64> = row.try_get(1)?;
            let item = UndoItem {
                message: row.try_get(0)?,
                uid: number.map(uid).transpose()?,
                marks: Marks {
                    identity: places::mark(row.try_get(3)?)?,
                    email: places::mark(row.try_get(4)?)?,
                },
                begun: UndoState::parse(row.try_get(2)?)? == UndoState::Begun,
                flags: Vec::new(),
                ours: Vec::new(),
                back_to: None,
                effects: Vec::new(),
                moved: None,
                back: None,
            };
            let wanted = Wanted { rule: row.try_get(6)?, kind: row.try_get(7)? };
            items.push(self.with_effects(item, row.try_get(5)?, &wanted, place).await?);
        }
        Ok(items)
    }

    /// Adds what was done to a message, and what of it is meant.
    async fn with_effects(
        &self,
        mut item: UndoItem,
        origin: String,
        wanted: &Wanted,
        place: &UndoPlace,
    ) -> Result<UndoItem, StoreError> {
        let rows = sqlx::query(
            "SELECT effect.id, kind, argument, rule, begun_at, target_validity, target_next, \
             copied FROM effect \
             WHERE message = $1 AND state IN ('done', 'kept', 'undoing') ORDER BY effect.id",
        )
        .bind(item.message)
        .fetch_all(&self.pool)
        .await?;
        for row in &rows {
            let (kind, argument): (String, String) = (row.try_get(1)?, row.try_get(2)?);
            let flag = match kind.as_str() {
                "add-keyword" => Some(Flag::Keyword(keyword(&argument)?)),
                FLAG => Some(Flag::Flagged),
                _ => None,
            };
            item.ours.extend(flag.clone());
            let rule: Option<String> = row.try_get(3)?;
            let is_meant = wanted.means(rule.as_deref(), &kind);
            match flag {
                Some(flag) if is_meant => {
                    item.flags.push(flag);
                    item.effects.push(row.try_get(0)?);
                }
                None if kind == moves::MOVE && is_meant && argument == place.mailbox => {
                    item.moved = Some(row.try_get(0)?);
                    item.back_to = Some(origin.clone());
                }
                None if kind == MOVE_BACK && item.back_to.is_some() => {
                    let begun = moves::begun(row.try_get(4)?, row.try_get(5)?, row.try_get(6)?)?;
                    let copied = row.try_get::<i64, _>(7)? != 0;
                    let target = Target { mailbox: argument, create: false };
                    let deed = Deed::Move(Move { begun, copied, ..Move::to(target) });
                    item.back = back(&item, row.try_get(0)?, deed);
                }
                _ => {}
            }
        }
        Ok(item)
    }

    /// Before the server is told: these messages are about to be taken back. Those that are to be
    /// moved come with their move.
    pub async fn begin_undo(&self, request: i64, items: &mut [UndoItem]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for item in items.iter_mut().filter(|item| !item.begun) {
            set_item(&mut transaction, request, item, UndoState::Begun, None).await?;
            for effect in item.effects.iter().chain(&item.moved) {
                set_effect(&mut transaction, *effect, EffectState::Undoing, None).await?;
            }
            if let Some(target) = &item.back_to {
                let id = insert_back(&mut transaction, item.message, target).await?;
                let deed = Deed::Move(Move::to(Target::existing(target)));
                item.back = back(item, id, deed);
            }
            item.begun = true;
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
        plan::tick_off(&mut transaction, moves, now, self.epoch()).await?;
        for TakenBack { item, state, reason, flags_off } in taken {
            set_item(&mut transaction, request, item, *state, reason.as_deref()).await?;
            let ended = match state {
                UndoState::Undone => EffectState::Undone,
                UndoState::Kept | UndoState::Gone => EffectState::Kept,
                UndoState::Open | UndoState::Begun | UndoState::Refused => EffectState::Done,
            };
            let of_flags = if *flags_off { EffectState::Undone } else { ended };
            for (effect, state) in item.with_states(of_flags, ended) {
                set_effect(&mut transaction, effect, state, Some(now)).await?;
            }
            let any = item.with_states(of_flags, ended).any(|(_, now)| now == EffectState::Undone);
            if any {
                let query = "UPDATE message SET outcome = 'undone' \
                             WHERE id = $1 AND outcome <> 'quarantined'";
                sqlx::query(query).bind(item.message).execute(&mut *transaction).await?;
            }
        }
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
        let mut tired = Vec::new();
        let mut transaction = self.begin().await?;
        for item in &batch.items {
            let attempts: i64 = sqlx::query_scalar(
                "UPDATE undo_item SET attempts = attempts + 1 \
                 WHERE request = $1 AND message = $2 RETURNING attempts",
            )
            .bind(batch.request)
            .bind(item.message)
            .fetch_one(&mut *transaction)
            .await?;
            if attempts >= i64::from(most) {
                let (item, reason) = (item.clone(), Some(reason.to_owned()));
                let state = UndoState::Refused;
                tired.push(TakenBack { item, state, reason, flags_off: false });
            }
        }
        transaction.commit().await?;
        self.settle_undo(batch.request, &tired, &[], now).await?;
        Ok(tired.len() as u64)
    }
}

impl UndoItem {
    /// Its effects, those on its flags and the one that moved it, each with a state.
    fn with_states(
        &self,
        of_flags: EffectState,
        of_move: EffectState,
    ) -> impl Iterator<Item = (i64, EffectState)> {
        let flags = self.effects.iter().map(move |effect| (*effect, of_flags));
        flags.chain(self.moved.map(|effect| (effect, of_move)))
    }
}

/// What of a message's effects a request is about.
struct Wanted {
    rule: Option<String>,
    kind: Option<String>,
}

impl Wanted {
    fn means(&self, rule: Option<&str>, kind: &str) -> bool {
        let of_rule = self.rule.is_none() || self.rule.as_deref() == rule;
        of_rule && self.kind.as_deref().is_none_or(|wanted| wanted == kind)
    }
}

/// The kind of a move that takes another one back. It is found by its message's request, never among
/// what is pending in a mailbox.
const MOVE_BACK: &str = "move-back";

fn back(item: &UndoItem, id: i64, deed: Deed) -> Option<PendingEffect> {
    let (message, identity) = (item.message, item.marks.identity);
    Some(PendingEffect { id, message, uid: item.uid?, identity, deed })
}

async fn set_item(
    transaction: &mut DbTransaction<'_>,
    request: i64,
    item: &UndoItem,
    state: UndoState,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let query = "UPDATE undo_item SET state = $1, reason = $2 WHERE request = $3 AND message = $4";
    sqlx::query(query)
        .bind(state.as_str())
        .bind(reason)
        .bind(request)
        .bind(item.message)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn set_effect(
    transaction: &mut DbTransaction<'_>,
    effect: i64,
    state: EffectState,
    now: Option<Timestamp>,
) -> Result<(), StoreError> {
    let query = "UPDATE effect SET state = $1, settled_at = COALESCE($2, settled_at) WHERE id = $3";
    sqlx::query(query)
        .bind(state.as_str())
        .bind(now.map(Timestamp::as_millisecond))
        .bind(effect)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The move back of a message. One that an earlier request could not make is begun anew.
async fn insert_back(
    transaction: &mut DbTransaction<'_>,
    message: i64,
    target: &str,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO effect (message, kind, argument, may_create, state, idempotency_key) \
         VALUES ($1, 'move-back', $2, 0, 'undoing', $3) ON CONFLICT (idempotency_key) \
         DO UPDATE SET state = 'undoing', argument = excluded.argument, begun_at = NULL, \
         target_validity = NULL, target_next = NULL, copied = 0 RETURNING id",
    )
    .bind(message)
    .bind(target)
    .bind(format!("{MOVE_BACK}:{message}"))
    .fetch_one(&mut **transaction)
    .await?;
    Ok(id)
}
