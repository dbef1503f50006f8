//! Where messages are of which a lost connection left in doubt whether they were moved: looked for in
//! the target among what came since the server was told, by their identity.

use std::collections::BTreeMap;

use triaged_core::decision::Target;
use triaged_core::mailbox::{Uid, UidSet, UidValidity};
use triaged_core::message;

use super::mark::uids;
use super::moves::{Source, begun, is_deleted};
use super::{FlowError, Pipeline};
use crate::imap::{ImapError, Session};
use crate::store::{Begun, Identity, Landed, PendingEffect};

/// Headers that are held at the same time, each at most 256 KiB.
const HEADERS: usize = 50;

/// What was found.
#[derive(Debug)]
pub(super) enum Search {
    /// By their UIDs where they were; without a place where they are not in the target.
    Found(BTreeMap<Uid, Option<Landed>>),
    /// There is no such mailbox.
    NotThere,
    /// The target may not be looked into.
    Blind,
}

impl Search {
    /// Where a message is.
    pub(super) fn found(&self, uid: Uid) -> Option<Landed> {
        match self {
            Self::Found(found) => found.get(&uid).copied().flatten(),
            Self::NotThere | Self::Blind => None,
        }
    }

    /// Whether a message that was not found is not there. Who has no header can not be recognised.
    pub(super) fn is_sure(&self, uid: Uid) -> bool {
        match self {
            Self::Found(found) => found.contains_key(&uid),
            Self::NotThere => true,
            Self::Blind => false,
        }
    }

    /// Whether nobody knows.
    pub(super) fn is_blind(&self) -> bool {
        matches!(self, Self::Blind)
    }
}

/// By what copies are recognised: each move with the identity of its message.
type Wanted<'a> = Vec<(&'a PendingEffect, Identity)>;

impl Pipeline {
    /// Looks for messages in the target of their move: those that are gone from here by what is known
    /// of them, those that are still here by their whole header. The mailbox is open again afterwards.
    pub(super) async fn search(
        &self,
        session: &mut Session,
        mailbox: &mut Source,
        target: &Target,
        gone: &[&PendingEffect],
        here: &[&PendingEffect],
    ) -> Result<Search, FlowError> {
        if gone.is_empty() && here.is_empty() {
            return Ok(Search::Found(BTreeMap::new()));
        }
        let known = gone.iter().filter_map(|effect| Some((*effect, effect.identity?)));
        let mut wanted: Wanted<'_> = known.collect();
        wanted.extend(self.by_header(session, here).await?);
        let search = match session.examine(&target.mailbox).await {
            Ok(there) => {
                let validity = there.status.uid_validity;
                self.search_in(session, mailbox, target, validity, &wanted).await?
            }
            Err(ImapError::MailboxGone(_)) => Search::NotThere,
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

    /// Messages of the mailbox that is open, by their whole header: the originals of what is removed
    /// must be no other messages than their copies.
    async fn by_header<'a>(
        &self,
        session: &mut Session,
        here: &[&'a PendingEffect],
    ) -> Result<Wanted<'a>, FlowError> {
        if here.is_empty() {
            return Ok(Wanted::new());
        }
        let identities = self.identities(session, &uids(here.iter().copied())).await?;
        let identity = |effect: &&'a PendingEffect| {
            let of_this = identities.iter().find(|(uid, _)| *uid == effect.uid);
            Some((*effect, of_this?.1.header?))
        };
        Ok(here.iter().filter_map(identity).collect())
    }

    async fn search_in(
        &self,
        session: &mut Session,
        mailbox: &Source,
        target: &Target,
        uid_validity: UidValidity,
        wanted: &Wanted<'_>,
    ) -> Result<Search, FlowError> {
        let Some(since) = earliest(wanted, uid_validity) else {
            return Ok(Search::Found(BTreeMap::new()));
        };
        let account = mailbox.account;
        let effects: Vec<_> = wanted.iter().map(|(effect, _)| *effect).collect();
        let taken = self.store.landed(account, &target.mailbox, &since, &effects).await?;
        let listed = session.fetch_envelopes(since.next, Uid::LAST).await?;
        // No original is removed for a copy that somebody wants gone.
        let fresh =
            listed.iter().filter(|one| !taken.contains(&one.uid) && !is_deleted(&one.flags));
        let fresh = fresh.map(|listed| listed.uid).collect();
        let mut there = self.identities(session, &fresh).await?;
        let mut found = BTreeMap::new();
        for (effect, identity) in wanted {
            let is_it = |(_, one): &(Uid, Identities)| {
                one.message == Some(*identity) || one.header == Some(*identity)
            };
            let place = there.iter().position(is_it).map(|at| {
                let (uid, _) = there.remove(at);
                Landed { uid_validity, uid }
            });
            found.insert(effect.uid, place);
        }
        Ok(Search::Found(found))
    }

    /// By what these messages of the mailbox that is open are recognised, in the order of UIDs.
    async fn identities(
        &self,
        session: &mut Session,
        uids: &UidSet,
    ) -> Result<Vec<(Uid, Identities)>, FlowError> {
        let mut found = Vec::with_capacity(uids.len());
        let mut waiting = uids.clone();
        while !waiting.is_empty() {
            let (some, rest) = waiting.split_at(HEADERS);
            let listed = session.fetch_listed(&some).await?;
            let sizes: BTreeMap<Uid, u64> = listed.iter().map(|one| (one.uid, one.size)).collect();
            for fetched in session.fetch_headers(&some).await? {
                let (Ok(header), Some(size)) = (&fetched.content, sizes.get(&fetched.uid)) else {
                    continue;
                };
                let id = message::parse(header, *size).message_id;
                let identities = Identities {
                    message: self.identity(header, id.as_deref(), *size),
                    header: self.whole_header(header, *size),
                };
                found.push((fetched.uid, identities));
            }
            waiting = rest;
        }
        Ok(found)
    }
}

/// How a message is recognised: by what the store knows of it, and more strictly.
struct Identities {
    message: Option<Identity>,
    header: Option<Identity>,
}

/// From where on copies can be; from the beginning where the target was made anew meanwhile.
fn earliest(wanted: &Wanted<'_>, uid_validity: UidValidity) -> Option<Begun> {
    let begun = wanted.iter().filter_map(|(effect, _)| begun(effect));
    let since = begun.map(|begun| {
        let next = if begun.uid_validity == uid_validity { begun.next } else { Uid::FIRST };
        Begun { uid_validity, next, ..*begun }
    });
    since.min_by_key(|begun| begun.next)
}
