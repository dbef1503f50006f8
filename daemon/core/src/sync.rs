//! Which messages of a mailbox come next, and what a new generation of its UIDs means.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::mailbox::{Uid, UidSet, UidValidity};

/// How far triaged has come in one mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The generation that `next` belongs to.
    pub uid_validity: UidValidity,
    /// The first UID that is not settled yet.
    pub next: Uid,
    /// Mail that the server received before this moment is passed over.
    pub not_before: Option<Timestamp>,
}

/// What a server says when a mailbox is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxStatus {
    /// Its generation now.
    pub uid_validity: UidValidity,
    /// The UID that the next message will get, where the server says it.
    pub uid_next: Option<Uid>,
}

/// What a server says of a mailbox that is not selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxState {
    /// Generation and next UID.
    pub status: MailboxStatus,
    /// How many messages there are, where it is said.
    pub messages: Option<u32>,
    /// The highest mod-sequence (RFC 7162), where the server keeps them.
    pub highest_mod_seq: Option<u64>,
}

impl MailboxState {
    /// Whether mail may have come since the mailbox stood like that. A server that does not say its
    /// next UID gives itself away by other numbers, or leaves it open.
    pub fn may_have_mail_since(&self, before: &Self) -> bool {
        let (now, then) = (self.highest_mod_seq, before.highest_mod_seq);
        if self.status.uid_validity != before.status.uid_validity || went_back(then, now) {
            return true;
        }
        match (self.status.uid_next, before.status.uid_next) {
            (Some(now), Some(before)) => now != before,
            _ => match now.zip(then) {
                Some((now, before)) => now != before,
                None => true,
            },
        }
    }

    /// Whether there is nothing beyond the cursor: all mail is settled.
    pub fn is_settled(&self, cursor: &Cursor) -> bool {
        self.status.uid_validity == cursor.uid_validity && self.status.uid_next == Some(cursor.next)
    }
}

/// Whether a server has fewer mod-sequences than before, or none any more: they only grow (RFC 7162
/// §3.1.2.2), so it stands as it stood earlier, or is another one.
pub fn went_back(before: Option<u64>, now: Option<u64>) -> bool {
    before.is_some_and(|before| now.is_none_or(|now| now < before))
}

/// How much of the mail that was there before the first start is classified too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backfill {
    /// Only what arrives from now on.
    #[default]
    None,
    /// What arrived in so many days before.
    Days(u16),
    /// Everything.
    All,
    /// What arrived since: for a mailbox that was not there when its account was looked at then.
    Since(Timestamp),
}

/// What to do with a mailbox that has just been selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPlan {
    /// Go on from here.
    Continue(Cursor),
    /// Never seen, or seen under other UIDs: store this cursor first, then go on from it.
    Begin(Cursor),
    /// Never seen, and the server does not say UIDNEXT: ask it for its highest UID, then begin.
    AskHighestUid,
}

/// Compares what is stored about a mailbox with what the server says of it.
///
/// When the generation changed, nothing that was stored about UIDs holds. What arrived since
/// `first_start` is then looked at again (messages that were decided are recognised by their
/// identity and passed over), and older mail stays untouched: no storm of new labels.
pub fn plan_sync(
    stored: Option<Cursor>,
    status: MailboxStatus,
    backfill: Backfill,
    first_start: Timestamp,
) -> SyncPlan {
    let begin = |next, not_before| {
        SyncPlan::Begin(Cursor { uid_validity: status.uid_validity, next, not_before })
    };
    match stored {
        Some(cursor) if cursor.uid_validity == status.uid_validity => match status.uid_next {
            // The server went back to an earlier state, a restored backup most likely: what it
            // receives now gets UIDs that had another message.
            Some(next) if next < cursor.next => SyncPlan::Begin(Cursor { next, ..cursor }),
            _ => SyncPlan::Continue(cursor),
        },
        Some(cursor) => begin(Uid::FIRST, Some(cursor.not_before.unwrap_or(first_start))),
        None => match (backfill, status.uid_next) {
            (Backfill::None, Some(next)) => begin(next, None),
            (Backfill::None, None) => SyncPlan::AskHighestUid,
            (Backfill::All, _) => begin(Uid::FIRST, Some(Timestamp::MIN)),
            (Backfill::Since(moment), _) => begin(Uid::FIRST, Some(moment)),
            (Backfill::Days(days), _) => begin(Uid::FIRST, Some(days_before(first_start, days))),
        },
    }
}

fn days_before(moment: Timestamp, days: u16) -> Timestamp {
    moment
        .checked_sub(jiff::SignedDuration::from_hours(24 * i64::from(days)))
        .unwrap_or(Timestamp::MIN)
}

/// Most messages in a chunk: memory and the time between two writes are bounded by it.
const CHUNK_MESSAGES: usize = 100;
/// Most bytes that a chunk may make the server send, apart from one message that is larger alone.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// Cuts messages, in ascending order of UID with the bytes that fetching each will cost, into
/// chunks.
pub fn chunks(sizes: impl IntoIterator<Item = (Uid, u64)>) -> VecDeque<UidSet> {
    let mut chunks = VecDeque::new();
    let mut chunk: Vec<Uid> = Vec::new();
    let mut bytes = 0;
    for (uid, size) in sizes {
        if !chunk.is_empty() && (chunk.len() >= CHUNK_MESSAGES || bytes + size > CHUNK_BYTES) {
            chunks.push_back(chunk.drain(..).collect());
            bytes = 0;
        }
        chunk.push(uid);
        bytes += size;
    }
    if !chunk.is_empty() {
        chunks.push_back(chunk.into_iter().collect());
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(n: u32) -> Uid {
        Uid::new(n).expect("not zero")
    }

    fn generation(n: u32) -> UidValidity {
        UidValidity::new(n).expect("not zero")
    }

    fn start() -> Timestamp {
        Timestamp::from_second(1_700_000_000).expect("in range")
    }

    fn status(validity: u32, next: Option<u32>) -> MailboxStatus {
        MailboxStatus { uid_validity: generation(validity), uid_next: next.and_then(Uid::new) }
    }

    fn cursor(validity: u32, next: u32) -> Cursor {
        Cursor { uid_validity: generation(validity), next: uid(next), not_before: None }
    }

    #[test]
    fn without_backfill_old_mail_is_left_alone() {
        assert_eq!(
            plan_sync(None, status(1, Some(42)), Backfill::None, start()),
            SyncPlan::Begin(cursor(1, 42))
        );
        assert_eq!(
            plan_sync(None, status(1, None), Backfill::None, start()),
            SyncPlan::AskHighestUid
        );
    }

    #[test]
    fn the_same_generation_goes_on_and_a_new_one_begins_with_mail_since_the_first_start() {
        let stored = Some(cursor(1, 42));
        assert_eq!(
            plan_sync(stored, status(1, Some(50)), Backfill::All, start()),
            SyncPlan::Continue(cursor(1, 42))
        );
        assert_eq!(
            plan_sync(stored, status(2, Some(50)), Backfill::None, start()),
            SyncPlan::Begin(Cursor { not_before: Some(start()), ..cursor(2, 1) })
        );
    }

    #[test]
    fn a_server_that_went_back_is_followed() {
        assert_eq!(
            plan_sync(Some(cursor(1, 42)), status(1, Some(40)), Backfill::None, start()),
            SyncPlan::Begin(cursor(1, 40))
        );
        assert_eq!(
            plan_sync(Some(cursor(1, 42)), status(1, Some(42)), Backfill::None, start()),
            SyncPlan::Continue(cursor(1, 42))
        );
    }

    #[test]
    fn a_mailbox_is_looked_at_again_only_where_mail_may_have_come() {
        let state = |validity, next, highest_mod_seq| MailboxState {
            status: status(validity, next),
            messages: Some(3),
            highest_mod_seq,
        };
        let since = |now: MailboxState, before| now.may_have_mail_since(&before);
        assert!(!since(state(1, Some(5), Some(9)), state(1, Some(5), Some(8))), "flags only");
        assert!(since(state(1, Some(5), Some(7)), state(1, Some(5), Some(8))), "all went back");
        assert!(since(state(1, Some(5), None), state(1, Some(5), Some(8))), "none is kept now");
        assert!(since(state(1, Some(6), None), state(1, Some(5), None)));
        assert!(since(state(1, Some(4), None), state(1, Some(5), None)), "it went back");
        assert!(since(state(2, Some(5), None), state(1, Some(5), None)));
        assert!(since(state(1, None, Some(9)), state(1, None, Some(8))));
        assert!(!since(state(1, None, Some(8)), state(1, None, Some(8))));
        assert!(since(state(1, None, None), state(1, None, None)), "nothing is known");
        assert!(state(1, Some(42), None).is_settled(&cursor(1, 42)));
        assert!(!state(1, Some(43), None).is_settled(&cursor(1, 42)));
        assert!(!state(1, None, None).is_settled(&cursor(1, 42)));
    }

    #[test]
    fn a_mailbox_that_has_appeared_is_begun_with_mail_since_it_was_not_there() {
        assert_eq!(
            plan_sync(None, status(1, Some(9)), Backfill::Since(start()), start()),
            SyncPlan::Begin(Cursor { not_before: Some(start()), ..cursor(1, 1) })
        );
    }

    #[test]
    fn backfill_reaches_back_by_days() {
        let SyncPlan::Begin(begun) =
            plan_sync(None, status(1, Some(9)), Backfill::Days(7), start())
        else {
            panic!("a mailbox that was never seen begins");
        };
        assert_eq!(begun.not_before.map(|t| start().as_second() - t.as_second()), Some(7 * 86_400));
    }

    #[test]
    fn chunks_are_bounded_by_number_and_by_bytes() {
        let small = chunks((1..=250).map(|n| (uid(n), 100)));
        assert_eq!(small.iter().map(UidSet::len).collect::<Vec<_>>(), [100, 100, 50]);
        let large =
            chunks([(uid(1), 900_000), (uid(2), 400_000), (uid(3), 5_000_000), (uid(4), 1)]);
        assert_eq!(large.iter().map(UidSet::len).collect::<Vec<_>>(), [1, 1, 1, 1]);
    }
}
