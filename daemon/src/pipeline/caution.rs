//! What to do about listings that cost us the connection: some servers hang up on a mail whose size
//! they can not tell. Asked for again and again with its neighbours, it would stop them all.
//!
//! Each time that a range does not come through, the next attempt asks for half as much; a single
//! message that fails time and again is given up. It is kept in memory only: a listing can end a
//! connection and never the process, so a restart that begins anew loses nothing. How often messages
//! were read stands in the store, see `groups`.

use std::sync::{Mutex, PoisonError};

use triaged_core::mailbox::{MailboxId, Uid};

/// Halvings after which the longest listing is one message.
const MOST_HALVINGS: u32 = 10;
/// Attempts that a message has alone.
const ALONE: u32 = 3;

/// How carefully the next messages of an account are asked for.
#[derive(Debug, Default)]
pub struct Caution {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was asked for and has not come through.
    asked: Option<(MailboxId, Uid)>,
    /// How often the chunk was halved.
    halvings: u32,
}

/// What the next attempt may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// At most so many messages.
    AtMost(usize),
    /// Nothing: the first message has failed too often.
    GiveUpFirst,
}

impl Caution {
    /// Before `count` messages from `first` on are asked for; `None` where that is none.
    pub(super) fn begin(&self, mailbox: MailboxId, first: Uid, count: usize) -> Option<Attempt> {
        let halvings_to_one = count.checked_ilog2()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.asked == Some((mailbox, first)) {
            state.halvings += 1;
        }
        state.asked = Some((mailbox, first));
        if state.halvings >= halvings_to_one + ALONE {
            return Some(Attempt::GiveUpFirst);
        }
        Some(Attempt::AtMost((count >> state.halvings).max(1)))
    }

    /// After they have come and were read: the next ones may be twice as many.
    pub(super) fn came_through(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked = None;
        state.halvings = state.halvings.min(MOST_HALVINGS).saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INBOX: MailboxId = MailboxId(1);

    /// Asks for the messages from `first` to 100.
    fn begin(caution: &Caution, first: u32) -> Option<Attempt> {
        caution.begin(INBOX, Uid::new(first).expect("not zero"), 101 - first as usize)
    }

    /// Connects again and again to a server that hangs up on the message 60 of 100; what was
    /// given up, and how many connections it took.
    fn read_all() -> (Vec<u32>, usize) {
        let caution = Caution::default();
        let (mut next, mut connections, mut given_up) = (1, 1, Vec::new());
        while let Some(attempt) = begin(&caution, next) {
            let most = if let Attempt::AtMost(most) = attempt { most } else { 1 };
            let end = next + u32::try_from(most).expect("small");
            match attempt {
                Attempt::GiveUpFirst => given_up.push(next),
                Attempt::AtMost(_) if (next..end).contains(&60) => {
                    connections += 1;
                    continue;
                }
                Attempt::AtMost(_) => {}
            }
            next = end;
            caution.came_through();
        }
        (given_up, connections)
    }

    #[test]
    fn only_the_message_that_ends_connections_is_given_up() {
        let (given_up, connections) = read_all();
        assert_eq!(given_up, [60]);
        assert!(connections < 30, "{connections}");
    }

    #[test]
    fn without_trouble_whole_chunks_are_asked_for() {
        let caution = Caution::default();
        assert_eq!(begin(&caution, 1), Some(Attempt::AtMost(100)));
        caution.came_through();
        assert_eq!(begin(&caution, 1), Some(Attempt::AtMost(100)));
        assert_eq!(begin(&caution, 1), Some(Attempt::AtMost(50)), "it did not come through");
        assert_eq!(begin(&caution, 101), None);
    }
}
