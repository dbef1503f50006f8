//! Taking back, in the daemon: the next messages of a request, and what was done to them.

use std::collections::HashMap;

use sqlx::Row;
use triaged_core::decision::{Flag, Target};
use triaged_core::mailbox::{AccountId, Uid, UidValidity};

use super::{FLAG, keyword};
use crate::store::database::{self, DbRow};
use crate::store::rows::{Deed, Marks, Move, PendingEffect, named};
use crate::store::{Store, StoreError, moves, places, uid, uid_validity};

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
    pub(super) effects: Vec<i64>,
    /// The effect that moved it.
    pub(super) moved: Option<i64>,
    /// Where it was decided.
    origin: String,
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
            "SELECT request, mailbox, uid_validity FROM undo_item \
             WHERE account = $1 AND state IN ('open', 'begun') \
             ORDER BY request, mailbox, uid_validity, uid LIMIT 1",
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
        // The index gives them in their order; it can not where the generation is in an expression.
        let generation = match place.uid_validity {
            Some(generation) => format!("= {generation}"),
            None => "IS NULL".to_owned(),
        };
        let query = format!(
            "SELECT message.id, item.uid, item.state, identity, email, mailbox.name, \
             undo.rule, undo.kind FROM undo_item item JOIN undo ON undo.id = item.request \
             JOIN message ON message.id = item.message \
             JOIN mailbox ON mailbox.id = message.mailbox \
             WHERE item.account = $1 AND item.request = $2 AND item.mailbox = $3 \
             AND item.uid_validity {generation} AND item.state IN ('open', 'begun') \
             ORDER BY item.uid LIMIT {BATCH}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(account.0)
            .bind(request)
            .bind(&place.mailbox)
            .fetch_all(&self.pool)
            .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let number: Option<i64> = row.try_get(1)?;
            items.push(UndoItem {
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
                origin: row.try_get(5)?,
            });
        }
        let Some(row) = rows.first() else { return Ok(items) };
        let wanted = Wanted { rule: row.try_get(6)?, kind: row.try_get(7)? };
        self.add_effects(&mut items, &wanted, place).await?;
        Ok(items)
    }

    /// Adds to messages what was done to them, and what of it is meant.
    async fn add_effects(
        &self,
        items: &mut [UndoItem],
        wanted: &Wanted,
        place: &UndoPlace,
    ) -> Result<(), StoreError> {
        let query = format!(
            "SELECT message, effect.id, kind, argument, rule, begun_at, target_validity, \
             target_next, copied FROM effect \
             WHERE message IN ({}) AND state IN ('done', 'kept', 'undoing') ORDER BY effect.id",
            database::list(items.iter().map(|item| item.message))
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).persistent(false);
        let rows = query.fetch_all(&self.pool).await?;
        let mut items: HashMap<i64, &mut UndoItem> =
            items.iter_mut().map(|item| (item.message, item)).collect();
        for row in &rows {
            let Some(item) = items.get_mut(&row.try_get(0)?) else { continue };
            item.add(row, wanted, place)?;
        }
        Ok(())
    }
}

impl UndoItem {
    fn add(&mut self, row: &DbRow, wanted: &Wanted, place: &UndoPlace) -> Result<(), StoreError> {
        let (kind, argument): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        let flag = match kind.as_str() {
            "add-keyword" => Some(Flag::Keyword(keyword(&argument)?)),
            FLAG => Some(Flag::Flagged),
            _ => None,
        };
        self.ours.extend(flag.clone());
        let rule: Option<String> = row.try_get(4)?;
        let is_meant = wanted.means(rule.as_deref(), &kind);
        match flag {
            Some(flag) if is_meant => {
                self.flags.push(flag);
                self.effects.push(row.try_get(1)?);
            }
            None if kind == moves::MOVE && is_meant && argument == place.mailbox => {
                self.moved = Some(row.try_get(1)?);
                self.back_to = Some(self.origin.clone());
            }
            None if kind == MOVE_BACK && self.back_to.is_some() => {
                let begun = moves::begun(row.try_get(5)?, row.try_get(6)?, row.try_get(7)?)?;
                let copied = row.try_get::<i64, _>(8)? != 0;
                let target = Target { mailbox: argument, create: false };
                let move_back = Move { begun, copied, ..Move::to(target) };
                self.back = self.moving(row.try_get(1)?, move_back);
            }
            _ => {}
        }
        Ok(())
    }

    /// The effect that moves it back.
    pub(super) fn moving(&self, id: i64, back: Move) -> Option<PendingEffect> {
        let (message, identity) = (self.message, self.marks.identity);
        Some(PendingEffect { id, message, uid: self.uid?, identity, deed: Deed::Move(back) })
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
pub(super) const MOVE_BACK: &str = "move-back";
