//! Taking every keyword of ours off an account: which mailboxes are still to be gone through, and what
//! was found.

use jiff::Timestamp;
use sqlx::Row;
use triaged_core::label::Keyword;
use triaged_core::mailbox::AccountId;

use super::{FLAG, Selection, Undos, ask, keyword};
use crate::store::rows::named;
use crate::store::{Store, StoreError};

named! {
    /// How far a mailbox is.
    RemovalState {
        /// To be done.
        Open = "open",
        /// None of our keywords is in it: it was looked for.
        Done = "done",
        /// It can not be done.
        Failed = "failed",
    }
}

/// The state of a request that somebody has ended.
const CANCELLED: &str = "cancelled";

/// A request, as the daemon works it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Its row.
    pub id: i64,
    /// Whether its mailboxes are known, and what was written until then.
    pub listed: bool,
    /// Every keyword that we had ever written in the account by then, or may have.
    pub written: Vec<Keyword>,
}

/// What has come of a request in one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalMailbox {
    /// Its name.
    pub name: String,
    /// How many keywords were taken off messages.
    pub removed: u64,
    /// How far it is.
    pub state: RemovalState,
    /// Why it failed.
    pub reason: Option<String>,
}

/// How far a request is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// It is at its end.
    pub ended: bool,
    /// Somebody has ended it before that.
    pub cancelled: bool,
    /// The mailboxes that are known so far.
    pub mailboxes: Vec<RemovalMailbox>,
}

/// A keyword or star that was written, as far as the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Which.
    pub keyword: String,
    /// On how many messages.
    pub messages: i64,
}

impl Undos {
    /// Asks to take everything off an account: its keywords by this request, and the stars that nobody
    /// has touched by one to take them back. One that is open already is taken up instead, and searches
    /// all mailboxes again, for keywords may have come since into those that it is through with. The
    /// numbers of both.
    pub async fn ask_removal(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<(i64, i64), StoreError> {
        let only_stars =
            Selection { only_stars: true, accounts: vec![account], ..Selection::default() };
        let filter = self.filter(&only_stars).await?;
        let mut transaction = self.pool.begin().await?;
        let (stars, _) = ask(&mut transaction, &only_stars, &filter, now).await?;
        let removal: i64 = sqlx::query_scalar(
            "INSERT INTO removal (account, asked_at, state) VALUES ($1, $2, 'open') \
             ON CONFLICT (account) WHERE state = 'open' \
             DO UPDATE SET asked_at = excluded.asked_at, listed = 0 RETURNING id",
        )
        .bind(account.0)
        .bind(now.as_millisecond())
        .fetch_one(&mut *transaction)
        .await?;
        let anew = "UPDATE removal_mailbox SET state = 'open', reason = NULL, attempts = 0 \
                    WHERE removal = $1";
        sqlx::query(anew).bind(removal).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok((removal, stars))
    }

    /// Ends what is asked for in an account, its stars included; whether anything was. Its messages stay
    /// as they are by now.
    pub async fn cancel_removal(&self, account: AccountId) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let ended =
            sqlx::query("UPDATE removal SET state = $1 WHERE account = $2 AND state = 'open'");
        let ended = ended.bind(CANCELLED).bind(account.0).execute(&mut *transaction).await?;
        let stars = sqlx::query(
            "DELETE FROM undo_item WHERE account = $1 AND state = 'open' \
             AND request IN (SELECT id FROM undo WHERE kind = $2)",
        );
        let stars = stars.bind(account.0).bind(FLAG).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(ended.rows_affected() + stars.rows_affected() > 0)
    }

    /// How far a removal is.
    pub async fn removed(&self, removal: i64) -> Result<Removed, StoreError> {
        let state: String = sqlx::query_scalar("SELECT state FROM removal WHERE id = $1")
            .bind(removal)
            .fetch_one(&self.pool)
            .await?;
        let rows = sqlx::query(
            "SELECT mailbox, removed, state, reason FROM removal_mailbox WHERE removal = $1 \
             ORDER BY mailbox",
        )
        .bind(removal)
        .fetch_all(&self.pool)
        .await?;
        let mailboxes = rows.iter().map(|row| {
            let removed: i64 = row.try_get(1)?;
            Ok(RemovalMailbox {
                name: row.try_get(0)?,
                removed: removed.unsigned_abs(),
                state: RemovalState::parse(row.try_get(2)?)?,
                reason: row.try_get(3)?,
            })
        });
        let mailboxes = mailboxes.collect::<Result<_, StoreError>>()?;
        let (ended, cancelled) = (state == RemovalState::Done.as_str(), state == CANCELLED);
        Ok(Removed { ended, cancelled, mailboxes })
    }

    /// The keywords and stars of an account that are on messages, as far as the store knows.
    pub async fn written(&self, account: AccountId) -> Result<Vec<Written>, StoreError> {
        let rows = sqlx::query(
            "SELECT argument, count(*) FROM effect JOIN message ON message.id = effect.message \
             WHERE account = $1 AND kind IN ('add-keyword', 'flag') \
             AND state IN ('done', 'kept') GROUP BY 1 ORDER BY 1",
        )
        .bind(account.0)
        .fetch_all(&self.pool)
        .await?;
        let written = rows
            .iter()
            .map(|row| Ok(Written { keyword: row.try_get(0)?, messages: row.try_get(1)? }));
        written.collect()
    }
}

impl Store {
    /// The open request of an account.
    pub async fn next_removal(&self, account: AccountId) -> Result<Option<Removal>, StoreError> {
        let query =
            "SELECT id, listed, keywords FROM removal WHERE account = $1 AND state = 'open'";
        let row = sqlx::query(query).bind(account.0).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let keywords: String = row.try_get(2)?;
        Ok(Some(Removal {
            id: row.try_get(0)?,
            listed: row.try_get::<i64, _>(1)? != 0,
            written: keywords.split_whitespace().map(keyword).collect::<Result<_, _>>()?,
        }))
    }

    /// Whether a request is still to be worked off.
    pub async fn removal_is_open(&self, id: i64) -> Result<bool, StoreError> {
        let query = "SELECT count(*) FROM removal WHERE id = $1 AND state = 'open'";
        let open: i64 = sqlx::query_scalar(query).bind(id).fetch_one(&self.pool).await?;
        Ok(open > 0)
    }

    /// The mailboxes of an account that the store knows: those that were watched, and those that mail
    /// was moved to.
    pub async fn known_mailboxes(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar(
            "SELECT name FROM mailbox WHERE account = $1 UNION \
             SELECT moved_to FROM message WHERE account = $1 AND moved_to IS NOT NULL",
        );
        Ok(names.bind(account.0).fetch_all(&self.pool).await?)
    }

    /// These are the mailboxes of a request by now, and what was written in its account is looked up;
    /// how many of them it did not know.
    pub async fn list_removal(
        &self,
        id: i64,
        account: AccountId,
        mailboxes: &[String],
    ) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let mut added = 0;
        for mailbox in mailboxes {
            let inserted = sqlx::query(
                "INSERT INTO removal_mailbox (removal, mailbox, state) VALUES ($1, $2, 'open') \
                 ON CONFLICT (removal, mailbox) DO NOTHING",
            )
            .bind(id)
            .bind(mailbox)
            .execute(&mut *transaction)
            .await?;
            added += inserted.rows_affected();
        }
        let keywords: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT argument FROM effect JOIN message ON message.id = effect.message \
             WHERE account = $1 AND kind = 'add-keyword' AND state <> 'shadow'",
        )
        .bind(account.0)
        .fetch_all(&mut *transaction)
        .await?;
        let listed = sqlx::query("UPDATE removal SET listed = 1, keywords = $1 WHERE id = $2");
        listed.bind(keywords.join(" ")).bind(id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// The next mailbox of a request; `None` at its end.
    pub async fn next_removal_mailbox(&self, id: i64) -> Result<Option<String>, StoreError> {
        let query = "SELECT mailbox FROM removal_mailbox WHERE removal = $1 AND state = 'open' \
                     ORDER BY mailbox LIMIT 1";
        Ok(sqlx::query_scalar(query).bind(id).fetch_optional(&self.pool).await?)
    }

    /// So many more keywords were taken off in a mailbox, and so far it is.
    pub async fn advance_removal(
        &self,
        id: i64,
        mailbox: &RemovalMailbox,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE removal_mailbox SET removed = removed + $1, state = $2, reason = $3 \
             WHERE removal = $4 AND mailbox = $5",
        )
        .bind(mailbox.removed.cast_signed())
        .bind(mailbox.state.as_str())
        .bind(mailbox.reason.as_deref())
        .bind(id)
        .bind(&mailbox.name);
        self.run(query).await
    }

    /// An error came in between in a mailbox; how many have by now.
    pub async fn count_removal_attempt(&self, id: i64, mailbox: &str) -> Result<i64, StoreError> {
        let query = "UPDATE removal_mailbox SET attempts = attempts + 1 \
                     WHERE removal = $1 AND mailbox = $2 RETURNING attempts";
        let mut transaction = self.begin().await?;
        let query = sqlx::query_scalar(query).bind(id).bind(mailbox);
        let attempts = query.fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(attempts)
    }

    /// All mailboxes of a request are gone through, unless it was asked for again meanwhile. Where none
    /// failed, no keyword that was written before it is anywhere any more.
    pub async fn end_removal(&self, id: i64, account: AccountId) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let asked_at: Option<i64> = sqlx::query_scalar(
            "UPDATE removal SET state = 'done' WHERE id = $1 AND state = 'open' AND listed = 1 \
             AND NOT EXISTS (SELECT 1 FROM removal_mailbox WHERE removal = $1 \
             AND removal_mailbox.state = 'open') RETURNING asked_at",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(asked_at) = asked_at else { return Ok(()) };
        let failed: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM removal_mailbox WHERE removal = $1 AND state = 'failed'",
        )
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
        let queries = [
            "UPDATE effect SET state = 'undone' WHERE kind = 'add-keyword' \
             AND state IN ('done', 'kept') AND settled_at < $1 \
             AND message IN (SELECT id FROM message WHERE account = $2)",
            "UPDATE message SET outcome = 'undone' WHERE outcome = 'labelled' AND decided_at < $1 \
             AND account = $2 AND EXISTS (SELECT 1 FROM effect \
             WHERE effect.message = message.id AND state = 'undone')",
        ];
        for query in queries.into_iter().filter(|_| failed == 0) {
            let marked = sqlx::query(query).bind(asked_at).bind(account.0);
            marked.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}
