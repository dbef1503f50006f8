//! Where mailboxes and messages are known from: other names of a mailbox, earlier places of a message.

use std::collections::HashMap;

use sqlx::Row;
use triaged_core::mailbox::{AccountId, MailboxId, Uid, UidValidity};
use triaged_core::sync::Cursor;

use super::database;
use super::rows::{Earlier, Identity, Marks, Remarks, StoredMailbox};
use super::{Store, StoreError, moment, uid, uid_validity};

/// A message of which nothing more is to be done to its flags.
const SETTLED: &str = "(outcome IN ('labelled', 'moved', 'unlabelled', 'shadow', 'known', 'undone') \
                       OR outcome = 'pending' AND EXISTS (SELECT 1 FROM effect \
                       WHERE effect.message = message.id AND begun_at IS NOT NULL))";

impl Store {
    /// What the server said of a mailbox beside its UIDs, when it was opened last.
    pub async fn remarks(&self, mailbox: MailboxId) -> Result<Remarks, StoreError> {
        let row = sqlx::query("SELECT object_id, highest_mod_seq FROM mailbox WHERE id = $1")
            .bind(mailbox.0)
            .fetch_one(&self.pool)
            .await?;
        let highest_mod_seq: Option<i64> = row.try_get(1)?;
        Ok(Remarks {
            object_id: row.try_get(0)?,
            highest_mod_seq: highest_mod_seq.map(i64::cast_unsigned),
        })
    }

    /// Keeps what the server says of a mailbox.
    pub async fn remark(&self, mailbox: MailboxId, remarks: &Remarks) -> Result<(), StoreError> {
        let query =
            sqlx::query("UPDATE mailbox SET object_id = $1, highest_mod_seq = $2 WHERE id = $3")
                .bind(remarks.object_id.as_deref())
                .bind(remarks.highest_mod_seq.map(u64::cast_signed))
                .bind(mailbox.0);
        self.run(query).await
    }

    /// The mailboxes of an account that had this UIDVALIDITY, with their names.
    pub async fn of_generation(
        &self,
        account: AccountId,
        generation: UidValidity,
    ) -> Result<Vec<(String, StoredMailbox)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, name, next_uid, not_before FROM mailbox \
             WHERE account = $1 AND uid_validity = $2 ORDER BY id",
        )
        .bind(account.0)
        .bind(i64::from(generation.get()))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let cursor = Cursor {
                    uid_validity: generation,
                    next: uid(row.try_get(2)?)?,
                    not_before: row.try_get::<Option<i64>, _>(3)?.map(moment).transpose()?,
                };
                let id = MailboxId(row.try_get(0)?);
                Ok((row.try_get(1)?, StoredMailbox { id, account, cursor }))
            })
            .collect()
    }

    /// A mailbox has another name now.
    pub async fn rename_mailbox(&self, mailbox: MailboxId, name: &str) -> Result<(), StoreError> {
        let query =
            sqlx::query("UPDATE mailbox SET name = $1 WHERE id = $2").bind(name).bind(mailbox.0);
        self.run(query).await
    }

    /// The messages of a mailbox that were decided last, at most so many, by UID; those by which
    /// nothing can be recognised are left out.
    pub async fn latest(
        &self,
        mailbox: &StoredMailbox,
        most: u32,
    ) -> Result<Vec<(Uid, Marks)>, StoreError> {
        let rows = sqlx::query(
            "SELECT uid, identity, email FROM message WHERE mailbox = $1 AND uid_validity = $2 \
             AND (identity IS NOT NULL OR email IS NOT NULL) ORDER BY uid DESC LIMIT $3",
        )
        .bind(mailbox.id.0)
        .bind(i64::from(mailbox.cursor.uid_validity.get()))
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await?;
        let mut latest = Vec::with_capacity(rows.len());
        for row in rows.into_iter().rev() {
            let marks = Marks { identity: mark(row.try_get(1)?)?, email: mark(row.try_get(2)?)? };
            latest.push((uid(row.try_get(0)?)?, marks));
        }
        Ok(latest)
    }

    /// Where messages of these identities were decided before in the account. Those that were
    /// decided and could not be labelled there do not count, for here they may be; nor do those
    /// whose effects are still to be confirmed, which a move has taken away from them, unless it was
    /// a move of ours: its marks were confirmed before.
    pub async fn earlier(
        &self,
        account: AccountId,
        identities: &[Identity],
    ) -> Result<HashMap<Identity, Vec<Earlier>>, StoreError> {
        let mut found = HashMap::new();
        for some in identities.chunks(database::ROWS) {
            let those: Vec<String> = (2..some.len() + 2).map(|n| format!("${n}")).collect();
            let those = those.join(", ");
            let query = format!(
                "SELECT identity, mailbox, uid_validity, uid FROM message \
                 WHERE account = $1 AND identity IN ({those}) AND {SETTLED} \
                 UNION SELECT email, mailbox, uid_validity, uid FROM message \
                 WHERE account = $1 AND email IN ({those}) AND {SETTLED}"
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(query))
                .persistent(database::is_usual(some))
                .bind(account.0);
            for identity in some {
                query = query.bind(identity.0.to_vec());
            }
            for row in query.fetch_all(&self.pool).await? {
                let earlier = Earlier {
                    mailbox: MailboxId(row.try_get(1)?),
                    uid_validity: uid_validity(row.try_get(2)?)?,
                    uid: uid(row.try_get(3)?)?,
                };
                if let Some(identity) = mark(row.try_get(0)?)? {
                    found.entry(identity).or_insert_with(Vec::new).push(earlier);
                }
            }
        }
        Ok(found)
    }
}

pub(super) fn mark(bytes: Option<Vec<u8>>) -> Result<Option<Identity>, StoreError> {
    bytes
        .map(|bytes| {
            let identity = bytes.try_into().map(Identity);
            identity.map_err(|_| StoreError::Row("an identity that has not 16 bytes".to_owned()))
        })
        .transpose()
}
