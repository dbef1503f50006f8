//! Reading what was decided and done, beside a daemon that is at work.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::mailbox::Uid;
use triaged_core::score::Abstention;

use super::database::{DbPool, DbRow};
use super::rows::{Action, EffectState, HistoryAnswer, HistoryEffect, HistoryRow};
use super::{Location, StoreError, moment, open, uid};

/// Rows that are read at a time: a history of years must not stand in memory.
const PAGE: i64 = 500;

/// The record of decisions, opened for reading only.
#[derive(Debug)]
pub struct History {
    pool: DbPool,
    since: i64,
    after: (i64, i64),
}

/// What the store holds, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Messages with a decision.
    pub messages: i64,
    /// Of those, with their subject stored.
    pub subjects: i64,
    /// Keywords that were decided on and are not confirmed yet.
    pub pending: i64,
}

impl History {
    /// Opens the history, from the moment `since` on.
    pub async fn open(at: impl Into<Location>, since: Timestamp) -> Result<Self, StoreError> {
        let pool = open::open_read_only(&at.into()).await?;
        Ok(Self { pool, since: since.as_millisecond(), after: (i64::MIN, 0) })
    }

    /// The next rows in the order of their time; empty at the end.
    pub async fn page(&mut self) -> Result<Vec<HistoryRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT message.id, decided_at, account.name, mailbox.name, uid, subject, action, \
             outcome, model, defects, (SELECT argument FROM effect \
             WHERE effect.message = message.id AND kind = 'move') FROM message \
             JOIN account ON account.id = message.account \
             JOIN mailbox ON mailbox.id = message.mailbox \
             WHERE decided_at >= $1 AND (decided_at, message.id) > ($2, $3) \
             ORDER BY decided_at, message.id LIMIT $4",
        )
        .bind(self.since)
        .bind(self.after.0)
        .bind(self.after.1)
        .bind(PAGE)
        .fetch_all(&self.pool)
        .await?;
        let mut page = Vec::with_capacity(rows.len());
        for row in &rows {
            self.after = (row.try_get(1)?, row.try_get(0)?);
            page.push(self.complete(row).await?);
        }
        Ok(page)
    }

    /// The mailboxes of an account that were opened at some time, by name.
    pub async fn mailboxes(&self, account: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT mailbox.name FROM mailbox JOIN account ON account.id = mailbox.account \
             WHERE account.name = $1 ORDER BY mailbox.name",
        )
        .bind(account)
        .fetch_all(&self.pool)
        .await?)
    }

    /// The UIDs of a mailbox, as it is now, that were decided.
    pub async fn decided(&self, account: &str, mailbox: &str) -> Result<BTreeSet<Uid>, StoreError> {
        let uids: Vec<i64> = sqlx::query_scalar(
            "SELECT uid FROM message \
             JOIN mailbox ON mailbox.id = message.mailbox \
             JOIN account ON account.id = message.account \
             WHERE account.name = $1 AND mailbox.name = $2 \
             AND message.uid_validity = mailbox.uid_validity",
        )
        .bind(account)
        .bind(mailbox)
        .fetch_all(&self.pool)
        .await?;
        uids.into_iter().map(uid).collect()
    }

    pub(super) fn pool(&self) -> &DbPool {
        &self.pool
    }

    /// What is stored about mail.
    pub async fn facts(&self) -> Result<Facts, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM message), \
             (SELECT count(*) FROM message WHERE subject IS NOT NULL), \
             (SELECT count(*) FROM effect WHERE state = 'pending')",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Facts { messages: row.try_get(0)?, subjects: row.try_get(1)?, pending: row.try_get(2)? })
    }

    async fn effects(&self, message: i64) -> Result<Vec<HistoryEffect>, StoreError> {
        let query = "SELECT kind, argument, state, rule FROM effect WHERE message = $1 ORDER BY id";
        let rows = sqlx::query(query).bind(message).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(HistoryEffect {
                    kind: row.try_get(0)?,
                    argument: row.try_get(1)?,
                    state: EffectState::parse(row.try_get(2)?)?,
                    rule: row.try_get(3)?,
                })
            })
            .collect()
    }

    async fn complete(&self, row: &DbRow) -> Result<HistoryRow, StoreError> {
        let message: i64 = row.try_get(0)?;
        let heads = sqlx::query(
            "SELECT head, label, confidence, abstained, abstention FROM prediction \
             WHERE message = $1 ORDER BY position",
        )
        .bind(message)
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| answer(&row))
        .collect::<Result<Vec<_>, StoreError>>()?;
        let alerts = sqlx::query(
            "SELECT effect.argument, coalesce(outbox.state, effect.state) FROM effect \
             LEFT JOIN outbox ON outbox.effect = effect.id \
             WHERE effect.message = $1 AND effect.kind = 'alert' ORDER BY effect.id, outbox.id",
        )
        .bind(message)
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<Vec<_>, StoreError>>()?;
        let effects = self.effects(message).await?;
        let keyword = |effect: &&HistoryEffect| ["add-keyword", "flag"].contains(&&*effect.kind);
        let keywords = effects.iter().filter(keyword);
        Ok(HistoryRow {
            number: message,
            alerts,
            time: moment(row.try_get(1)?)?,
            account: row.try_get(2)?,
            mailbox: row.try_get(3)?,
            uid: uid(row.try_get(4)?)?.get(),
            subject: row.try_get(5)?,
            heads,
            keywords: keywords.map(|one| (one.argument.clone(), one.state)).collect(),
            effects,
            action: Action::parse(row.try_get(6)?)?,
            outcome: row
                .try_get::<&str, _>(7)?
                .parse()
                .map_err(|()| StoreError::Row("an outcome of another name".to_owned()))?,
            model: row.try_get(8)?,
            moved_to: row.try_get(10)?,
            defects: row.try_get::<&str, _>(9)?.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

/// One head's answer, from a row of `prediction`.
fn answer(row: &DbRow) -> Result<HistoryAnswer, StoreError> {
    #[expect(clippy::cast_possible_truncation, reason = "it was stored from an f32")]
    let confidence = row.try_get::<f64, _>(2)? as f32;
    let reason = match row.try_get::<Option<&str>, _>(4)? {
        Some(reason) => reason
            .parse()
            .map_err(|()| StoreError::Row("an abstention of another name".to_owned()))?,
        // Stored before there was any other reason.
        None => Abstention::Unsure,
    };
    Ok(HistoryAnswer {
        head: row.try_get(0)?,
        label: row.try_get(1)?,
        confidence,
        abstained: (row.try_get::<i64, _>(3)? != 0).then_some(reason),
    })
}
