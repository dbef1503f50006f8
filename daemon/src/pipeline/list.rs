//! What is new in a mailbox: listed from the cursor on, in ranges that keep answers small.

use std::collections::BTreeSet;

use triaged_core::mailbox::Uid;

use super::caution::Attempt;
use super::{FlowError, OpenMailbox, Pace, Pipeline};
use crate::imap::{Listed, MAX_LISTED, Session};

/// How many UIDs are listed by one command: a line of about 80 bytes each.
pub(super) const WINDOW: u32 = 1_000;

/// One range of UIDs.
pub(super) struct Page {
    /// The messages that concern us, in the order of their UIDs.
    pub(super) listed: Vec<Listed>,
    /// A message that can not even be listed.
    pub(super) given_up: Option<Listed>,
    /// Where the next range begins; `None` where this one reached the newest message.
    pub(super) next: Option<Uid>,
    /// Behind the last message that is there, whoever it concerns; `None` where nothing is.
    pub(super) end: Option<Uid>,
}

impl Pipeline {
    /// Lists the next range. Asking for the size of a damaged mail can end the connection as well
    /// as reading it can, so ranges are asked for with the same caution.
    pub(super) async fn list(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        decided: &BTreeSet<Uid>,
        window: u32,
        pace: &Pace<'_>,
    ) -> Result<Page, FlowError> {
        let from = mailbox.stored.cursor.next;
        let uid_next = mailbox.source.selected.status.uid_next.filter(|&uid_next| from < uid_next);
        let to = match uid_next {
            None => None,
            Some(uid_next) => {
                let known = uid_next.get() - from.get();
                let span = known.min(window);
                match pace.listing.begin(mailbox.stored.id, from, span as usize) {
                    Some(Attempt::GiveUpFirst) => {
                        pace.listing.came_through();
                        return Ok(Page::without(from));
                    }
                    // Without an end, so that what has come since is not left for later.
                    Some(Attempt::AtMost(most)) if most >= known as usize => None,
                    Some(Attempt::AtMost(most)) => {
                        Some(from.plus(u32::try_from(most).unwrap_or(span).saturating_sub(1)))
                    }
                    None => None,
                }
            }
        };
        let mut listed = session.fetch_envelopes(from, to.unwrap_or(Uid::LAST)).await?;
        pace.listing.came_through();
        // A listing that was cut ends where the next one goes on.
        let cut = (listed.len() >= MAX_LISTED).then(|| listed.last().map(|last| last.uid));
        let end = listed.iter().map(|listed| listed.uid.next()).max();
        listed.retain(|listed| !decided.contains(&listed.uid) && concerns_us(listed, mailbox));
        Ok(Page { listed, given_up: None, next: cut.flatten().or(to).map(Uid::next), end })
    }
}

impl Page {
    /// How many UIDs the next range has: more and more where there is nothing, so that a few
    /// messages between thousands of millions of UIDs are found with a few commands.
    pub(super) fn window_after(&self, window: u32) -> u32 {
        if self.end.is_none() { window.saturating_mul(2) } else { WINDOW }
    }

    fn without(uid: Uid) -> Self {
        let given_up = Some(Listed::unseen(uid));
        Self { listed: Vec::new(), given_up, next: Some(uid.next()), end: Some(uid.next()) }
    }
}

/// Mail from before the moment that the cursor names is passed over, and what is deleted already.
/// Servers say when mail came in whole seconds: what came in the second of that moment is not older.
fn concerns_us(listed: &Listed, mailbox: &OpenMailbox) -> bool {
    let not_before = mailbox.stored.cursor.not_before;
    let old = not_before
        .zip(listed.received)
        .is_some_and(|(oldest, at)| at.as_second() < oldest.as_second());
    let deleted = listed.flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Deleted"));
    !old && !deleted
}
