//! Taking back, beside the daemon: what is asked for is written down message by message, so that a
//! request means what was done when it was made, whatever the daemon does meanwhile.

mod removal;
mod settle;
mod work;

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::label::Keyword;
use triaged_core::mailbox::AccountId;

use super::database::{self, DbPool, DbTransaction};
use super::{Location, StoreError, hashed_message_id, known_key, open};

pub use removal::{Removal, RemovalMailbox, RemovalState, Removed, Written};
pub use work::{TakenBack, UndoBatch, UndoItem, UndoPlace, UndoState};

/// Kinds of effects that can be taken back.
const KINDS: &str = "('add-keyword', 'flag', 'move')";
/// Effects that are on the server as far as is known: what was left alone once may be asked for again.
const ON_SERVER: &str = "('done', 'kept')";
/// The kind of a star among effects.
const FLAG: &str = "flag";

/// How a person names one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageName {
    /// By its number in `triaged history`.
    Number(i64),
    /// By its Message-ID, without angle brackets.
    Id(String),
}

/// What is to be taken back: of all accounts that are meant, what fits everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only this message, or those of this Message-ID.
    pub message: Option<MessageName>,
    /// Only what was decided since then.
    pub since: Option<Timestamp>,
    /// Only what this rule asked for.
    pub rule: Option<String>,
    /// Only what was decided with this version of the model.
    pub model: Option<String>,
    /// Only stars.
    pub only_stars: bool,
    /// Only in these accounts.
    pub accounts: Vec<AccountId>,
}

/// What would be taken back of one kind, as far as the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Name of the account.
    pub account: String,
    /// Where the messages are.
    pub mailbox: String,
    /// The keyword or flag, or the mailbox that they were moved to.
    pub argument: String,
    /// Where they would be moved back to; `None` for keywords and flags.
    pub back_to: Option<String>,
    /// How many messages.
    pub messages: i64,
}

/// How far a request is: messages by state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndoProgress {
    /// Each state that occurs, with how many messages are in it.
    pub states: Vec<(UndoState, u64)>,
    /// Why messages were refused, with how many.
    pub reasons: Vec<(String, u64)>,
    /// Accounts with messages that wait.
    pub waiting: Vec<String>,
}

impl UndoProgress {
    /// How many messages are in a state.
    pub fn count(&self, state: UndoState) -> u64 {
        self.states.iter().filter(|(one, _)| *one == state).map(|(_, count)| count).sum()
    }

    /// How many messages there are.
    pub fn total(&self) -> u64 {
        self.states.iter().map(|(_, count)| count).sum()
    }

    /// How many of them are not at their end.
    pub fn left(&self) -> u64 {
        self.count(UndoState::Open) + self.count(UndoState::Begun)
    }
}

/// Requests to take something back, beside a daemon that works them off.
#[derive(Debug)]
pub struct Undos {
    pool: DbPool,
}

impl Undos {
    /// Opens the database for requests; it must be there.
    pub async fn open(at: impl Into<Location>) -> Result<Self, StoreError> {
        Ok(Self { pool: open::open_beside(&at.into()).await? })
    }

    /// All accounts that the store knows.
    pub async fn accounts(&self) -> Result<Vec<(AccountId, String)>, StoreError> {
        let rows =
            sqlx::query("SELECT id, name FROM account ORDER BY name").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((AccountId(row.try_get(0)?), row.try_get(1)?))).collect()
    }

    /// Writes a request down, with all messages that it is about; its number, and how many they are.
    pub async fn ask(
        &self,
        selection: &Selection,
        now: Timestamp,
    ) -> Result<(i64, u64), StoreError> {
        let filter = self.filter(selection).await?;
        let mut transaction = self.pool.begin().await?;
        let asked = ask(&mut transaction, selection, &filter, now).await?;
        transaction.commit().await?;
        Ok(asked)
    }

    /// What a request would be about, and how many messages in all. Nothing is written.
    pub async fn expect(&self, selection: &Selection) -> Result<(Vec<Expected>, u64), StoreError> {
        let filter = self.filter(selection).await?;
        let query = format!(
            "SELECT account.name, {PLACE}, argument, \
             CASE WHEN effect.kind = 'move' THEN mailbox.name END, count(*) \
             FROM effect JOIN message ON message.id = effect.message \
             JOIN mailbox ON mailbox.id = message.mailbox \
             JOIN account ON account.id = message.account \
             WHERE {} AND {} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4, 3",
            filter.effects, filter.messages
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(&filter.rule).bind(&filter.model);
        let rows = rows.fetch_all(&self.pool).await?;
        let query = format!(
            "SELECT count(*) FROM message WHERE {} AND EXISTS \
             (SELECT 1 FROM effect WHERE effect.message = message.id AND {})",
            filter.messages, filter.effects
        );
        let messages = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        let messages = messages.bind(filter.rule).bind(filter.model);
        let messages: i64 = messages.fetch_one(&self.pool).await?;
        let expected = rows
            .iter()
            .map(|row| {
                Ok(Expected {
                    account: row.try_get(0)?,
                    mailbox: row.try_get(1)?,
                    argument: row.try_get(2)?,
                    back_to: row.try_get(3)?,
                    messages: row.try_get(4)?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok((expected, messages.unsigned_abs()))
    }

    /// How far a request is.
    pub async fn progress(&self, request: i64) -> Result<UndoProgress, StoreError> {
        let rows = sqlx::query(
            "SELECT state, COALESCE(reason, ''), count(*) FROM undo_item WHERE request = $1 \
             GROUP BY 1, 2 ORDER BY 1, 2",
        )
        .bind(request)
        .fetch_all(&self.pool)
        .await?;
        let mut progress = UndoProgress::default();
        for row in &rows {
            let state = UndoState::parse(row.try_get(0)?)?;
            let (reason, count): (String, i64) = (row.try_get(1)?, row.try_get(2)?);
            progress.states.push((state, count.unsigned_abs()));
            if state == UndoState::Refused {
                progress.reasons.push((reason, count.unsigned_abs()));
            }
        }
        progress.waiting = sqlx::query_scalar(
            "SELECT DISTINCT name FROM undo_item JOIN account ON account.id = undo_item.account \
             WHERE request = $1 AND state IN ('open', 'begun') ORDER BY name",
        )
        .bind(request)
        .fetch_all(&self.pool)
        .await?;
        Ok(progress)
    }

    /// Lets go of all messages of which nothing was taken back yet; how many they were.
    pub async fn cancel(&self) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM undo_item WHERE state = 'open'");
        Ok(done.execute(&self.pool).await?.rows_affected())
    }

    /// A selection as conditions. A Message-ID is looked up first: the store knows it as a keyed hash.
    async fn filter(&self, selection: &Selection) -> Result<Filter, StoreError> {
        let messages = match &selection.message {
            None => None,
            Some(MessageName::Number(number)) => Some(vec![*number]),
            Some(MessageName::Id(id)) => {
                let key = sqlx::query_scalar("SELECT key FROM identity_key");
                let key: Vec<u8> = key.fetch_one(&self.pool).await?;
                let hash = hashed_message_id(&known_key(key)?, id);
                let found = sqlx::query_scalar("SELECT id FROM message WHERE message_id = $1");
                Some(found.bind(hash.0.to_vec()).fetch_all(&self.pool).await?)
            }
        };
        Ok(Filter::new(selection, messages))
    }
}

/// A selection as SQL: `$1` is a rule and `$2` a version of the model, each empty where any will do.
struct Filter {
    /// Conditions on effects.
    effects: String,
    /// Conditions on their messages.
    messages: String,
    rule: String,
    model: String,
}

impl Filter {
    fn new(selection: &Selection, messages: Option<Vec<i64>>) -> Self {
        let mut effects = format!(
            "effect.kind IN {KINDS} AND effect.state IN {ON_SERVER} AND ($1 = '' OR effect.rule = $1)"
        );
        if selection.only_stars {
            effects.push_str(" AND effect.kind = 'flag'");
        }
        let mut conditions = vec!["($2 = '' OR message.model = $2)".to_owned()];
        if let Some(since) = selection.since {
            conditions.push(format!("message.decided_at >= {}", since.as_millisecond()));
        }
        conditions.extend(messages.map(|ids| among("message.id", &ids)));
        let accounts: Vec<i64> = selection.accounts.iter().map(|account| account.0).collect();
        conditions.push(among("message.account", &accounts));
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (rule, model) = (text(&selection.rule), text(&selection.model));
        Self { effects, messages: conditions.join(" AND "), rule, model }
    }
}

/// The condition that a column is one of these.
fn among(column: &str, ids: &[i64]) -> String {
    match ids {
        [] => "1 = 0".to_owned(),
        ids => format!("{column} IN ({})", database::list(ids.iter().copied())),
    }
}

fn keyword(text: &str) -> Result<Keyword, StoreError> {
    text.parse().map_err(|_| StoreError::Row(format!("the keyword {text:?}")))
}

/// Writes a request and its messages, each with the place where it is as far as the server said.
async fn ask(
    transaction: &mut DbTransaction<'_>,
    selection: &Selection,
    filter: &Filter,
    now: Timestamp,
) -> Result<(i64, u64), StoreError> {
    let request: i64 = sqlx::query_scalar(
        "INSERT INTO undo (asked_at, rule, kind) VALUES ($1, $2, $3) RETURNING id",
    )
    .bind(now.as_millisecond())
    .bind(selection.rule.as_deref())
    .bind(selection.only_stars.then_some(FLAG))
    .fetch_one(&mut **transaction)
    .await?;
    let query = format!(
        "INSERT INTO undo_item (request, message, account, mailbox, uid_validity, uid, state) \
         SELECT {request}, message.id, message.account, {PLACE}, \
         CASE WHEN moved_to IS NOT NULL THEN moved_validity \
         WHEN {LOST} THEN NULL ELSE message.uid_validity END, \
         CASE WHEN moved_to IS NOT NULL THEN moved_uid WHEN {LOST} THEN NULL ELSE uid END, 'open' \
         FROM message JOIN mailbox ON mailbox.id = message.mailbox WHERE {} AND EXISTS \
         (SELECT 1 FROM effect WHERE effect.message = message.id AND {})",
        filter.messages, filter.effects
    );
    let done = sqlx::query(sqlx::AssertSqlSafe(query)).bind(&filter.rule).bind(&filter.model);
    let done = done.execute(&mut **transaction).await?;
    Ok((request, done.rows_affected()))
}

/// The mailbox of a message by now.
const PLACE: &str = "COALESCE(moved_to, (SELECT argument FROM effect \
                     WHERE effect.message = message.id AND effect.kind = 'move' \
                     AND effect.state IN ('done', 'kept') \
                     ORDER BY effect.id DESC LIMIT 1), mailbox.name)";
/// A message that we moved, and of which the server did not say where it is now.
const LOST: &str = "EXISTS (SELECT 1 FROM effect WHERE effect.message = message.id \
                    AND effect.kind = 'move' AND effect.state IN ('done', 'kept'))";
