//! Planning: decisions and their effects are written before anything is done (`settle` ticks them off
//! afterwards), and forgotten where their messages can never be meant again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::alert::Raised;
use triaged_core::decision::{Asked, Mark, Target};
use triaged_core::mailbox::{MailboxId, UidValidity};
use triaged_core::score::Abstention;
use triaged_core::sync::Cursor;

use super::database::{self, DbTransaction};
use super::rows::{Action, Deed, EffectState, Move, PendingEffect, PlannedMessage, StoredMailbox};
use super::{Store, StoreError, attempts, moves, uid};

impl Store {
    /// Stores decisions with their effects, in one transaction. A message that has a decision
    /// under its UID already keeps it. What comes back are the effects to apply.
    pub async fn plan(
        &self,
        mailbox: &StoredMailbox,
        messages: &[PlannedMessage],
        now: Timestamp,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        let mut transaction = self.begin().await?;
        let new = insert_messages(&mut transaction, mailbox, messages, now).await?;
        insert_predictions(&mut transaction, &new).await?;
        let pending = insert_effects(&mut transaction, mailbox, &new).await?;
        let raised = pending.iter().filter_map(|effect| alert(messages, effect)).collect();
        self.write_letters(&mut transaction, mailbox, raised, now).await?;
        let read = messages.iter().map(|planned| planned.uid);
        attempts::forget(&mut transaction, mailbox, read).await?;
        transaction.commit().await?;
        Ok(pending)
    }
}

/// What is to be done to a message, in the order in which it is done.
fn deeds(planned: &PlannedMessage) -> impl Iterator<Item = Asked<Deed>> + '_ {
    let to = |asked: &Asked<Target>| Asked {
        what: Deed::Move(Move::to(asked.what.clone())),
        rule: asked.rule.clone(),
    };
    let mark = |asked: &Asked<Mark>| Asked {
        what: Deed::Mark(asked.what.clone()),
        rule: asked.rule.clone(),
    };
    let alert = |raised: &Raised| Asked {
        what: Deed::Alert(raised.rule.to_string()),
        rule: Some(Arc::clone(&raised.rule)),
    };
    let decision = &planned.decision;
    let marks = decision.marks.iter().map(mark);
    marks.chain(decision.move_to.iter().map(to)).chain(decision.alerts.iter().map(alert))
}

/// The alert that an effect is, with its message.
fn alert<'a>(
    messages: &'a [PlannedMessage],
    effect: &PendingEffect,
) -> Option<(i64, &'a PlannedMessage, &'a Raised)> {
    let Deed::Alert(rule) = &effect.deed else { return None };
    let planned = messages.iter().find(|planned| planned.uid == effect.uid)?;
    let raised = planned.decision.alerts.iter().find(|alert| *alert.rule == **rule)?;
    Some((effect.id, planned, raised))
}

/// A new message: its row, and what is decided about it.
type Planned<'a> = (i64, &'a PlannedMessage);

/// Those that had no decision before, in their order.
async fn insert_messages<'a>(
    transaction: &mut DbTransaction<'_>,
    mailbox: &StoredMailbox,
    messages: &'a [PlannedMessage],
    now: Timestamp,
) -> Result<Vec<Planned<'a>>, StoreError> {
    let mut ids = BTreeMap::new();
    for rows in messages.chunks(database::ROWS) {
        let query = format!(
            "INSERT INTO message (account, mailbox, uid_validity, uid, identity, email, message_id, \
             subject, decided_at, action, outcome, model, defects) VALUES {} \
             ON CONFLICT (mailbox, uid_validity, uid) DO NOTHING RETURNING id, uid",
            database::rows_of_arguments(rows.len(), 13)
        );
        let mut query =
            sqlx::query(sqlx::AssertSqlSafe(query)).persistent(database::is_usual(rows));
        for planned in rows {
            query = query
                .bind(mailbox.account.0)
                .bind(mailbox.id.0)
                .bind(i64::from(mailbox.cursor.uid_validity.get()))
                .bind(i64::from(planned.uid.get()))
                .bind(planned.identity.map(|identity| identity.0.to_vec()))
                .bind(planned.email.map(|email| email.0.to_vec()))
                .bind(planned.message_id.map(|id| id.0.to_vec()))
                .bind(planned.subject.as_deref().map(database::text))
                .bind(now.as_millisecond())
                .bind(planned.action.as_str())
                .bind(planned.outcome().as_str())
                .bind(planned.model.as_deref())
                .bind(planned.defects.join(" "));
        }
        for row in query.fetch_all(&mut **transaction).await? {
            ids.insert(uid(row.try_get(1)?)?, row.try_get(0)?);
        }
    }
    Ok(messages.iter().filter_map(|one| Some((ids.remove(&one.uid)?, one))).collect())
}

async fn insert_predictions(
    transaction: &mut DbTransaction<'_>,
    messages: &[Planned<'_>],
) -> Result<(), StoreError> {
    let heads = messages.iter().flat_map(|(message, planned)| {
        let heads = planned.prediction.iter().flat_map(|prediction| &prediction.heads);
        (0i64..).zip(heads).map(move |(position, head)| (*message, position, head))
    });
    for rows in heads.collect::<Vec<_>>().chunks(database::ROWS) {
        let query = format!(
            "INSERT INTO prediction \
             (message, position, head, label, confidence, abstained, abstention) VALUES {}",
            database::rows_of_arguments(rows.len(), 7)
        );
        let mut query =
            sqlx::query(sqlx::AssertSqlSafe(query)).persistent(database::is_usual(rows));
        for (message, position, head) in rows {
            query = query
                .bind(*message)
                .bind(*position)
                .bind(head.head.as_str())
                .bind(head.label.as_str())
                .bind(f64::from(head.confidence))
                .bind(i64::from(head.abstained.is_some()))
                .bind(head.abstained.map(Abstention::as_str));
        }
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

/// What is to be done to new messages; what comes back is what is not only shown.
async fn insert_effects(
    transaction: &mut DbTransaction<'_>,
    mailbox: &StoredMailbox,
    messages: &[Planned<'_>],
) -> Result<Vec<PendingEffect>, StoreError> {
    let effects: Vec<(i64, &PlannedMessage, Asked<Deed>, String)> = messages
        .iter()
        .flat_map(|&(message, planned)| {
            let effect = move |asked: Asked<Deed>| {
                let key = idempotency_key(mailbox, planned, &asked.what);
                (message, planned, asked, key)
            };
            deeds(planned).map(effect)
        })
        .collect();
    let mut ids = HashMap::new();
    for rows in effects.chunks(database::ROWS) {
        let query = format!(
            "INSERT INTO effect (message, kind, argument, may_create, state, idempotency_key, rule) \
             VALUES {} RETURNING id, idempotency_key",
            database::rows_of_arguments(rows.len(), 7)
        );
        let mut query =
            sqlx::query(sqlx::AssertSqlSafe(query)).persistent(database::is_usual(rows));
        for (message, planned, asked, key) in rows {
            let (kind, argument, may_create) = moves::columns(&asked.what);
            query = query
                .bind(*message)
                .bind(kind)
                .bind(argument)
                .bind(i64::from(may_create))
                .bind(first_state(planned.action).as_str())
                .bind(key.as_str())
                .bind(asked.rule.as_deref());
        }
        for row in query.fetch_all(&mut **transaction).await? {
            ids.insert(row.try_get::<String, _>(1)?, row.try_get::<i64, _>(0)?);
        }
    }
    let pending = effects.into_iter().filter_map(|(message, planned, asked, key)| {
        let (id, uid, identity) = (ids.remove(&key)?, planned.uid, planned.identity);
        let effect = PendingEffect { id, message, uid, identity, deed: asked.what };
        (planned.action == Action::Label).then_some(effect)
    });
    Ok(pending.collect())
}

fn first_state(action: Action) -> EffectState {
    match action {
        Action::Label => EffectState::Pending,
        Action::Shadow | Action::Skip => EffectState::Shadow,
    }
}

/// The same effect of the same message has the same key, and the table takes each key once.
fn idempotency_key(mailbox: &StoredMailbox, planned: &PlannedMessage, deed: &Deed) -> String {
    let (kind, argument, _) = moves::columns(deed);
    let place = format!("{}:{}:{}", mailbox.id.0, mailbox.cursor.uid_validity, planned.uid);
    // A message is moved once, wherever to.
    match deed {
        Deed::Mark(_) | Deed::Alert(_) => {
            format!("{kind}:{place}:{}", argument.to_ascii_lowercase())
        }
        Deed::Move(_) => format!("{kind}:{place}"),
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
         (SELECT id FROM message WHERE mailbox = $1 AND uid_validity <> $2)",
    )
    .bind(mailbox.0)
    .bind(i64::from(uid_validity.get()))
    .execute(&mut **transaction)
    .await?;
    sqlx::query(
        "UPDATE message SET outcome = 'gone' \
         WHERE outcome = 'pending' AND mailbox = $1 AND uid_validity <> $2",
    )
    .bind(mailbox.0)
    .bind(i64::from(uid_validity.get()))
    .execute(&mut **transaction)
    .await?;
    sqlx::query("DELETE FROM attempt WHERE mailbox = $1 AND uid_validity <> $2")
        .bind(mailbox.0)
        .bind(i64::from(uid_validity.get()))
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
        "DELETE FROM message WHERE mailbox = $1 AND uid_validity = $2 AND uid >= $3",
        "DELETE FROM attempt WHERE mailbox = $1 AND uid_validity = $2 AND uid >= $3",
    ] {
        sqlx::query(query)
            .bind(mailbox.0)
            .bind(i64::from(cursor.uid_validity.get()))
            .bind(i64::from(cursor.next.get()))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
