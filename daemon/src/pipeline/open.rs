//! Opening a mailbox: under which name it is known, where to go on in it, and whether what is known
//! of it still holds.

use std::collections::HashMap;

use triaged_core::mailbox::{Uid, UidSet};
use triaged_core::sync::{self, Cursor, MailboxState, SyncPlan};

use super::moves::Source;
use super::refused::Refused;
use super::{Draft, FlowError, OpenMailbox, Pipeline, Terms};
use crate::imap::{ImapError, Listed, Selected, Session};
use crate::store::{Account, Marks, Remarks, StoredMailbox};

/// Messages by which a mailbox with another name is recognised.
const TO_RECOGNISE: u32 = 3;
/// Messages that are compared when a server seems to have gone back: those that it can have lost.
const TO_COMPARE: u32 = 100;

impl Pipeline {
    /// Selects a mailbox, begins it where it is new or has new UIDs, and finishes what an earlier
    /// life of the daemon decided and did not confirm.
    pub async fn open(
        &self,
        session: &mut Session,
        account: Account,
        name: &str,
        terms: &Terms,
    ) -> Result<OpenMailbox, FlowError> {
        let selected = session.select(name).await?;
        let stored = match self.store.mailbox(account.id, name).await? {
            None => self.renamed(session, account, name, &selected).await?,
            stored => stored,
        };
        let cursor = stored.map(|mailbox| mailbox.cursor);
        let plan = sync::plan_sync(cursor, selected.status, terms.backfill, account.first_start);
        let stored = match (plan, stored) {
            (SyncPlan::Continue(_), Some(stored)) => {
                self.still_true(session, name, stored, &selected).await?
            }
            (SyncPlan::Begin(cursor), Some(stored)) if same_generation(&stored, cursor) => {
                self.gone_back(session, name, stored, cursor.next).await?
            }
            (SyncPlan::Continue(cursor) | SyncPlan::Begin(cursor), _) => {
                self.store.begin_mailbox(account.id, name, cursor).await?
            }
            (SyncPlan::AskHighestUid, _) => {
                let next = session.highest_uid().await?.map_or(Uid::FIRST, Uid::next);
                let uid_validity = selected.status.uid_validity;
                let cursor = Cursor { uid_validity, next, not_before: None };
                self.store.begin_mailbox(account.id, name, cursor).await?
            }
        };
        let Selected { object_id, highest_mod_seq, .. } = selected.clone();
        self.store.remark(stored.id, &Remarks { object_id, highest_mod_seq }).await?;
        let mut mailbox = OpenMailbox {
            source: Source::new(session, name, account.id, selected),
            stored,
            mode: terms.mode,
            without_keywords: terms.without_keywords.clone(),
            refused: Refused::default(),
            quarantined: 0,
            first_start: account.first_start,
        };
        self.finish_pending(session, &mut mailbox).await?;
        Ok(mailbox)
    }

    /// Whether all mail of a mailbox that stands like this is settled.
    pub async fn is_settled(
        &self,
        account: Account,
        name: &str,
        state: &MailboxState,
    ) -> Result<bool, FlowError> {
        let Some(stored) = self.store.mailbox(account.id, name).await? else { return Ok(false) };
        let before = self.store.remarks(stored.id).await?.highest_mod_seq;
        let went_back = sync::went_back(before, state.highest_mod_seq);
        Ok(!went_back
            && state.is_settled(&stored.cursor)
            && self.store.pending(&stored).await?.is_empty()
            && self.store.attempts(&stored).await?.is_empty())
    }

    /// A mailbox that was known under a name that is gone: it keeps what was settled in it. The
    /// server's own word for it decides (RFC 8474), else its UIDVALIDITY and what is in it.
    async fn renamed(
        &self,
        session: &mut Session,
        account: Account,
        name: &str,
        selected: &Selected,
    ) -> Result<Option<StoredMailbox>, FlowError> {
        let generation = selected.status.uid_validity;
        for (before, stored) in self.store.of_generation(account.id, generation).await? {
            let known_as = self.store.remarks(stored.id).await?.object_id;
            let same = match (&known_as, &selected.object_id) {
                (Some(then), Some(now)) => then == now,
                _ => {
                    is_gone(session, &before).await?
                        && self.has_the_same_mail(session, &stored, selected).await?
                }
            };
            if same {
                tracing::info!(before, mailbox = name, "a mailbox has another name");
                self.store.rename_mailbox(stored.id, name).await?;
                return Ok(Some(stored));
            }
        }
        Ok(None)
    }

    async fn has_the_same_mail(
        &self,
        session: &mut Session,
        stored: &StoredMailbox,
        selected: &Selected,
    ) -> Result<bool, FlowError> {
        if selected.status.uid_next.is_some_and(|next| next < stored.cursor.next) {
            return Ok(false);
        }
        let latest = self.store.latest(stored, TO_RECOGNISE).await?;
        Ok(self.compare(session, &latest).await?.iter().all(|(_, same)| *same))
    }

    /// The mailbox as it is known, unless its mod-sequences say that the server went back to an
    /// earlier state: it may have given UIDs out again that were decided.
    async fn still_true(
        &self,
        session: &mut Session,
        name: &str,
        stored: StoredMailbox,
        selected: &Selected,
    ) -> Result<StoredMailbox, FlowError> {
        let before = self.store.remarks(stored.id).await?.highest_mod_seq;
        if sync::went_back(before, selected.highest_mod_seq) {
            return self.gone_back(session, name, stored, stored.cursor.next).await;
        }
        Ok(stored)
    }

    /// The server has gone back to an earlier state, and `next` is where it goes on. From the first
    /// message on that is another one than was decided under its UID, all is looked at anew; what
    /// is as it was stays decided, also where the server's numbers say otherwise.
    async fn gone_back(
        &self,
        session: &mut Session,
        name: &str,
        stored: StoredMailbox,
        next: Uid,
    ) -> Result<StoredMailbox, FlowError> {
        let latest = self.store.latest(&stored, TO_COMPARE).await?;
        let compared = self.compare(session, &latest).await?;
        let other = compared.iter().find(|(_, same)| !same).map(|(uid, _)| *uid);
        let same = compared.iter().take_while(|(_, same)| *same).last().map(|(uid, _)| uid.next());
        let next = other.unwrap_or_else(|| same.map_or(next, |same| same.max(next)));
        tracing::warn!(
            mailbox = name,
            from_uid = next.get(),
            "the server has gone back to an earlier state of the mailbox: it is looked at anew from there on"
        );
        let cursor = Cursor { next, ..stored.cursor };
        Ok(self.store.begin_mailbox(stored.account, name, cursor).await?)
    }

    /// Which of these messages of the selected mailbox are the ones that are known under their UIDs.
    /// Those that are gone, or by which nothing can be told, are left out.
    pub(super) async fn compare(
        &self,
        session: &mut Session,
        known: &[(Uid, Marks)],
    ) -> Result<Vec<(Uid, bool)>, FlowError> {
        let uids: UidSet = known.iter().map(|(uid, _)| *uid).collect();
        let found = self.marks(session, &uids).await?;
        let same = |(uid, then): &(Uid, Marks)| {
            let now = found.get(uid)?;
            let pair = then.email.zip(now.email).or(then.identity.zip(now.identity));
            pair.map(|(then, now)| (*uid, then == now))
        };
        Ok(known.iter().filter_map(same).collect())
    }

    /// By what these messages are recognised, those that are still there.
    async fn marks(
        &self,
        session: &mut Session,
        uids: &UidSet,
    ) -> Result<HashMap<Uid, Marks>, FlowError> {
        let listed = session.fetch_listed(uids).await?;
        if listed.iter().all(|one| one.email.is_some()) {
            let mark = |one: &Listed| Marks {
                identity: None,
                email: one.email.as_deref().map(|email| self.store.email(email)),
            };
            return Ok(listed.iter().map(|one| (one.uid, mark(one))).collect());
        }
        let fetched = session.fetch_messages(uids).await?;
        let drafts = self.read(&listed, fetched, UidSet::default()).await?;
        let marks =
            |draft: Draft| (draft.uid, Marks { identity: draft.identity, email: draft.email });
        Ok(drafts.into_iter().map(marks).collect())
    }
}

/// Whether a cursor is about the UIDs that are known.
fn same_generation(stored: &StoredMailbox, cursor: Cursor) -> bool {
    stored.cursor.uid_validity == cursor.uid_validity
}

async fn is_gone(session: &mut Session, name: &str) -> Result<bool, ImapError> {
    match session.status(name).await {
        Err(ImapError::MailboxGone(_)) => Ok(true),
        Err(error) if error.ends_connection() => Err(error),
        _ => Ok(false),
    }
}
