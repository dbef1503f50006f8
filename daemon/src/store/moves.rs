//! Moves in the store: that the server was told of one is written down before it is told, so that
//! a second attempt knows where to look for what the first one did.

use std::collections::BTreeSet;

use sqlx::Row;
use triaged_core::decision::{Flag, Mark, Target};
use triaged_core::label::Keyword;
use triaged_core::mailbox::{AccountId, Uid};

use super::database::{self, DbRow, DbTransaction};
use super::rows::{Begun, Deed, EffectState, Identity, Move, PendingEffect, StoredMailbox};
use super::{Store, StoreError, moment, settle, uid, uid_validity};

/// The kind of a move in the table of effects.
pub(super) const MOVE: &str = "move";
/// That of an alert.
pub(super) const ALERT: &str = "alert";

impl Store {
    /// Effects of the mailbox that an earlier life decided and did not confirm.
    pub async fn pending(&self, mailbox: &StoredMailbox) -> Result<Vec<PendingEffect>, StoreError> {
        let rows = sqlx::query(
            "SELECT effect.id, message.id, message.uid, message.identity, kind, argument, \
             may_create, begun_at, target_validity, target_next, copied \
             FROM effect JOIN message ON message.id = effect.message \
             WHERE effect.state = 'pending' AND message.mailbox = $1 AND message.uid_validity = $2 \
             ORDER BY message.uid, effect.id",
        )
        .bind(mailbox.id.0)
        .bind(i64::from(mailbox.cursor.uid_validity.get()))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(from_row).collect()
    }

    /// Before the server is told to move messages: how the marks of their chunk ended, and how the
    /// target is now, in one transaction. Their neighbours that are not moved are settled: nothing of
    /// theirs would be left for the next life to find.
    pub async fn begin_moves(
        &self,
        marks: &[(PendingEffect, EffectState)],
        moves: &mut [PendingEffect],
        begun: Begun,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        settle::tick_off(&mut transaction, marks, begun.at, self.epoch()).await?;
        settle::settle_finished(&mut transaction, marks).await?;
        if !moves.is_empty() {
            let those = database::list(moves.iter().map(|effect| effect.id));
            forget_copies(&mut transaction, moves.iter().map(|effect| effect.id)).await?;
            let query = format!(
                "UPDATE effect SET begun_at = $1, target_validity = $2, target_next = $3, copied = 0 \
                 WHERE id IN ({those})"
            );
            sqlx::query(sqlx::AssertSqlSafe(query))
                .persistent(false)
                .bind(begun.at.as_millisecond())
                .bind(i64::from(begun.uid_validity.get()))
                .bind(i64::from(begun.next.get()))
                .execute(&mut *transaction)
                .await?;
        }
        for effect in moves {
            if let Deed::Move(one) = &mut effect.deed {
                one.begun = Some(begun);
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Copies of these messages are where they were to go: what is left is to remove the originals.
    pub async fn copied(&self, moves: &mut [PendingEffect]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for effect in moves {
            sqlx::query("UPDATE effect SET copied = 1 WHERE id = $1")
                .bind(effect.id)
                .execute(&mut *transaction)
                .await?;
            remember_place(&mut transaction, effect, EffectState::Done).await?;
            if let Deed::Move(one) = &mut effect.deed {
                one.copied = true;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// The UIDs of a mailbox that are known to be messages which we moved there, others than these.
    pub async fn landed(
        &self,
        account: AccountId,
        mailbox: &str,
        since: &Begun,
        these: &[&PendingEffect],
    ) -> Result<BTreeSet<Uid>, StoreError> {
        let these =
            database::list(std::iter::once(0).chain(these.iter().map(|effect| effect.message)));
        let query = format!(
            "SELECT moved_uid FROM message WHERE account = $1 AND moved_to = $2 \
             AND moved_validity = $3 AND moved_uid >= $4 AND id NOT IN ({these})"
        );
        let uids: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .persistent(false)
            .bind(account.0)
            .bind(mailbox)
            .bind(i64::from(since.uid_validity.get()))
            .bind(i64::from(since.next.get()))
            .fetch_all(&self.pool)
            .await?;
        uids.into_iter().map(uid).collect()
    }
}

/// Forgets where copies were that somebody has removed, of those of these effects that are moves.
pub(super) async fn forget_copies(
    transaction: &mut DbTransaction<'_>,
    effects: impl Iterator<Item = i64>,
) -> Result<(), StoreError> {
    let effects = database::list(effects);
    if effects.is_empty() {
        return Ok(());
    }
    let query = format!(
        "UPDATE message SET moved_to = NULL, moved_validity = NULL, moved_uid = NULL WHERE id IN \
         (SELECT message FROM effect WHERE id IN ({effects}) AND copied = 1 AND kind = '{MOVE}')"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).persistent(false);
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Kind, argument and leave to create of an effect, as they stand in the table.
pub(super) fn columns(deed: &Deed) -> (&'static str, &str, bool) {
    match deed {
        Deed::Mark(Mark::Add(Flag::Keyword(keyword))) => ("add-keyword", keyword.as_str(), false),
        Deed::Mark(Mark::Add(flag @ Flag::Flagged)) => ("flag", flag.as_str(), false),
        Deed::Mark(Mark::Remove(keyword)) => ("remove-keyword", keyword.as_str(), false),
        Deed::Move(Move { target, .. }) => (MOVE, &target.mailbox, target.create),
        Deed::Alert(rule) => (ALERT, rule, false),
    }
}

/// Writes down where a message is, when its move has ended and the server has said it.
pub(super) async fn remember_place(
    transaction: &mut DbTransaction<'_>,
    effect: &PendingEffect,
    state: EffectState,
) -> Result<(), StoreError> {
    let Deed::Move(Move { target, landed: Some(landed), .. }) = &effect.deed else { return Ok(()) };
    if state != EffectState::Done {
        return Ok(());
    }
    let query =
        "UPDATE message SET moved_to = $1, moved_validity = $2, moved_uid = $3 WHERE id = $4";
    sqlx::query(query)
        .bind(&target.mailbox)
        .bind(i64::from(landed.uid_validity.get()))
        .bind(i64::from(landed.uid.get()))
        .bind(effect.message)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn from_row(row: &DbRow) -> Result<PendingEffect, StoreError> {
    let argument: String = row.try_get(5)?;
    let keyword = || -> Result<Keyword, StoreError> {
        argument.parse().map_err(|_| StoreError::Row(format!("the keyword {argument:?}")))
    };
    let deed = match row.try_get::<&str, _>(4)? {
        "add-keyword" => Deed::Mark(Mark::Add(Flag::Keyword(keyword()?))),
        "remove-keyword" => Deed::Mark(Mark::Remove(keyword()?)),
        "flag" => Deed::Mark(Mark::Add(Flag::Flagged)),
        ALERT => Deed::Alert(argument),
        MOVE => Deed::Move(Move {
            target: Target { mailbox: argument, create: truth(row, 6)? },
            begun: begun(row.try_get(7)?, row.try_get(8)?, row.try_get(9)?)?,
            copied: truth(row, 10)?,
            landed: None,
        }),
        other => return Err(StoreError::Row(format!("an effect {other:?}"))),
    };
    let identity: Option<Vec<u8>> = row.try_get(3)?;
    Ok(PendingEffect {
        id: row.try_get(0)?,
        message: row.try_get(1)?,
        uid: uid(row.try_get(2)?)?,
        identity: identity.and_then(|bytes| bytes.try_into().ok()).map(Identity),
        deed,
    })
}

fn truth(row: &DbRow, column: usize) -> Result<bool, StoreError> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

/// How the target was when the server was told, from the three columns that say it.
pub(super) fn begun(
    at: Option<i64>,
    validity: Option<i64>,
    next: Option<i64>,
) -> Result<Option<Begun>, StoreError> {
    let (Some(at), Some(validity), Some(next)) = (at, validity, next) else { return Ok(None) };
    let (at, next) = (moment(at)?, uid(next)?);
    Ok(Some(Begun { at, uid_validity: uid_validity(validity)?, next }))
}
