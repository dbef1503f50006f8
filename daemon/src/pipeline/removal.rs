//! Taking every keyword of ours off an account, mailbox by mailbox, whoever has put it there; nothing
//! else is touched. What is done is found again by searching, so a step may be cut off anywhere.

use std::collections::BTreeSet;

use triaged_core::choice::canonical;
use triaged_core::decision::{Flag, MailboxChange};
use triaged_core::label::Keyword;
use triaged_core::mailbox::{AccountId, UidSet};

use super::undo::passes;
use super::{FlowError, Pipeline};
use crate::imap::{ImapError, Session};
use crate::store::{RemovalMailbox, RemovalState};

/// Messages of one step and keyword, after which new mail comes first again.
const BATCH: usize = 500;
/// How often an error may come in between before a mailbox is given up.
const MOST_ATTEMPTS: i64 = 20;

impl Pipeline {
    /// Takes the next step where somebody has asked for all keywords to be removed. `false` where
    /// nobody has, and no mailbox was opened.
    pub async fn remove_labels(
        &self,
        session: &mut Session,
        account: AccountId,
    ) -> Result<bool, FlowError> {
        let Some(removal) = self.store.next_removal(account).await? else { return Ok(false) };
        let next =
            if removal.listed { self.store.next_removal_mailbox(removal.id).await? } else { None };
        let Some(name) = next else {
            let mailboxes = self.all_mailboxes(session, account).await?;
            let added = self.store.list_removal(removal.id, account, &mailboxes).await?;
            // At the end one may be new, or have another name: then it is not the end.
            if removal.listed && added == 0 {
                self.store.end_removal(removal.id, account).await?;
                tracing::info!("all mailboxes were gone through for keywords to be removed");
            }
            return Ok(true);
        };
        let keywords = self.all_keywords(&removal.written);
        let found = match self.remove_in(session, removal.id, &name, &keywords).await {
            Err(FlowError::Imap(error)) if !passes(&error) => {
                self.removal_failed(removal.id, &name, error).await?
            }
            found => found?,
        };
        self.store.advance_removal(removal.id, &found).await?;
        Ok(true)
    }

    /// The mailboxes that the server lists, and those that the store knows.
    async fn all_mailboxes(
        &self,
        session: &mut Session,
        account: AccountId,
    ) -> Result<Vec<String>, FlowError> {
        let known = self.store.known_mailboxes(account).await?;
        let listed = session.mailboxes().await?;
        let all = known.iter().chain(&listed).map(|name| canonical(name).to_owned());
        Ok(all.collect::<BTreeSet<String>>().into_iter().collect())
    }

    /// Every keyword that may be on a message because of us: those that the store remembers, and
    /// those that the configuration and the model have now.
    fn all_keywords(&self, written: &[Keyword]) -> Vec<Keyword> {
        let model = self.classifier.model();
        let mut all = written.to_vec();
        all.extend(model.keywords.all().cloned());
        all.extend(self.judge.keywords());
        all.push(self.unreadable.clone());
        // Servers compare them without case.
        all.sort_by_key(|keyword| keyword.as_str().to_ascii_lowercase());
        all.dedup_by(|one, other| one.matches(other.as_str()));
        all
    }

    /// Removes keywords in one mailbox, as many as a step may; whether any is left is searched for
    /// afterwards.
    async fn remove_in(
        &self,
        session: &mut Session,
        removal: i64,
        name: &str,
        keywords: &[Keyword],
    ) -> Result<RemovalMailbox, FlowError> {
        let ended = |removed, state, reason: Option<String>| {
            Ok(RemovalMailbox { name: name.to_owned(), removed, state, reason })
        };
        // Only to look: a mailbox without any is not opened for writing.
        match session.examine(name).await {
            Err(ImapError::MailboxGone(_)) => return ended(0, RemovalState::Done, None),
            opened => drop(opened?),
        }
        let mut found = Vec::new();
        for keyword in keywords {
            let uids = session.search_keyword(keyword).await?;
            if !uids.is_empty() {
                found.push((keyword, uids));
            }
        }
        if found.is_empty() {
            return ended(0, RemovalState::Done, None);
        }
        let selected = session.select(name).await?;
        if selected.read_only {
            let reason = "it is read-only for this login".to_owned();
            return ended(0, RemovalState::Failed, Some(reason));
        }
        let mut removed = 0;
        for (keyword, uids) in found {
            // Somebody may have cancelled it during the search.
            if !self.store.removal_is_open(removal).await? {
                return ended(removed, RemovalState::Open, None);
            }
            removed += remove(session, keyword, uids).await?;
        }
        match removed {
            0 => ended(0, RemovalState::Failed, Some(KEPT.to_owned())),
            removed => ended(removed, RemovalState::Open, None),
        }
    }

    /// An error in one mailbox, which ends its part after a while and not the others'.
    async fn removal_failed(
        &self,
        removal: i64,
        name: &str,
        error: ImapError,
    ) -> Result<RemovalMailbox, FlowError> {
        let attempts = self.store.count_removal_attempt(removal, name).await?;
        let never = matches!(error, ImapError::NotPermitted(_) | ImapError::BadName);
        let is_tired = never || attempts >= MOST_ATTEMPTS;
        let state = if is_tired { RemovalState::Failed } else { RemovalState::Open };
        let reason = is_tired.then(|| error.to_string());
        let failed = RemovalMailbox { name: name.to_owned(), removed: 0, state, reason };
        if error.ends_connection() {
            self.store.advance_removal(removal, &failed).await?;
            return Err(error.into());
        }
        Ok(failed)
    }
}

const KEPT: &str = "the server was told to take keywords off, and kept them";

/// Takes a keyword off some messages; how many have lost it.
async fn remove(session: &mut Session, keyword: &Keyword, uids: UidSet) -> Result<u64, FlowError> {
    let (uids, _) = uids.split_at(BATCH);
    let flags = vec![Flag::Keyword(keyword.clone())];
    let change = MailboxChange { adds: false, flags, uids: uids.clone() };
    session.change(&change, None).await?;
    let left = session.search_keyword(keyword).await?;
    Ok(uids.iter().filter(|uid| !left.contains(*uid)).count() as u64)
}
