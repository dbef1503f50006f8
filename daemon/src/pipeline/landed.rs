//! Where messages are of which a lost connection left in doubt whether they were moved: looked for in
//! the target among what came since the server was told, by their identity.

use std::collections::BTreeMap;

use triaged_core::decision::Target;
use triaged_core::mailbox::{Uid, UidSet, UidValidity};
use triaged_core::message;

use super::moves::begun;
use super::{FlowError, OpenMailbox, Pipeline};
use crate::imap::{ImapError, Session};
use crate::store::{Begun, Identity, Landed, PendingEffect};

/// Headers that are held at the same time, each at most 256 KiB.
const HEADERS: usize = 50;

/// What was found.
#[derive(Debug)]
pub(super) enum Search {
    /// By their UIDs where they were.
    Found(BTreeMap<Uid, Landed>),
    /// The target may not be looked into.
    Blind,
}

impl Search {
    /// Where a message is.
    pub(super) fn found(&self, uid: Uid) -> Option<Landed> {
        match self {
            Self::Found(found) => found.get(&uid).copied(),
            Self::Blind => None,
        }
    }

    /// Whether nobody knows.
    pub(super) fn is_blind(&self) -> bool {
        matches!(self, Self::Blind)
    }
}

impl Pipeline {
    /// Looks for messages in the target of their move; the first ones have the first choice among
    /// copies that look the same. The mailbox is open again afterwards.
    pub(super) async fn search(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        target: &Target,
        moves: impl Iterator<Item = &PendingEffect>,
    ) -> Result<Search, FlowError> {
        let moves: Vec<&PendingEffect> = moves.collect();
        if moves.is_empty() {
            return Ok(Search::Found(BTreeMap::new()));
        }
        let search = match session.examine(&target.mailbox).await {
            Ok(there) => {
                let validity = there.status.uid_validity;
                self.search_in(session, mailbox, target, validity, &moves).await?
            }
            Err(ImapError::MailboxGone(_)) => Search::Found(BTreeMap::new()),
            Err(error) if !error.ends_connection() => Search::Blind,
            Err(error) => return Err(error.into()),
        };
        let again = session.select(&mailbox.name).await?;
        if again.status.uid_validity != mailbox.selected.status.uid_validity {
            return Err(ImapError::Protocol("a mailbox was made anew meanwhile").into());
        }
        mailbox.selected = again;
        Ok(search)
    }

    async fn search_in(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        target: &Target,
        uid_validity: UidValidity,
        moves: &[&PendingEffect],
    ) -> Result<Search, FlowError> {
        let Some(since) = earliest(moves, uid_validity) else {
            return Ok(Search::Found(BTreeMap::new()));
        };
        let account = mailbox.stored.account;
        let taken = self.store.landed(account, &target.mailbox, &since).await?;
        let listed = session.fetch_envelopes(since.next, Uid::LAST).await?;
        let sizes: BTreeMap<Uid, u64> = listed
            .iter()
            .filter(|listed| !taken.contains(&listed.uid))
            .map(|listed| (listed.uid, listed.size))
            .collect();
        let mut waiting: UidSet = sizes.keys().copied().collect();
        let mut by_identity: BTreeMap<Identity, Vec<Uid>> = BTreeMap::new();
        while !waiting.is_empty() {
            let (some, rest) = waiting.split_at(HEADERS);
            for fetched in session.fetch_headers(&some).await? {
                let (Ok(header), Some(size)) = (&fetched.content, sizes.get(&fetched.uid)) else {
                    continue;
                };
                let id = message::parse(header, *size).message_id;
                if let Some(identity) = self.identity(header, id.as_deref(), *size) {
                    by_identity.entry(identity).or_default().push(fetched.uid);
                }
            }
            waiting = rest;
        }
        let mut found = BTreeMap::new();
        for effect in moves {
            let copies = effect.identity.and_then(|identity| by_identity.get_mut(&identity));
            if let Some(uid) = copies.and_then(Vec::pop) {
                found.insert(effect.uid, Landed { uid_validity, uid });
            }
        }
        Ok(Search::Found(found))
    }
}

/// From where on copies can be; from the beginning where the target was made anew meanwhile.
fn earliest(moves: &[&PendingEffect], uid_validity: UidValidity) -> Option<Begun> {
    let begun = moves.iter().filter_map(|effect| begun(effect));
    let since = begun.map(|begun| match begun.uid_validity == uid_validity {
        true => *begun,
        false => Begun { uid_validity, next: Uid::FIRST, ..*begun },
    });
    since.min_by_key(|begun| begun.next)
}
