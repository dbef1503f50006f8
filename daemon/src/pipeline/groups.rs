//! Which messages are read together: those that never failed in crowds, those that did with fewer and
//! fewer neighbours, and in the end alone.
//!
//! Attempts are counted in the store, before each one, so they outlive the connection and the process
//! that a message may cost. A message that fails is behind all that did not: it holds nobody up, and an
//! outage that hits all of them tires none of them out before the others.

use std::collections::{BTreeMap, VecDeque};

use triaged_core::mailbox::{Uid, UidSet};
use triaged_core::sync;

/// Neighbours that a message has which failed once, in a crowd.
const FEW: usize = 10;
/// Failures after which a message is read alone.
const ALONE: u32 = 2;
/// After two more, only its header is asked for.
const HEADER_ONLY: u32 = 4;
/// And then it is left alone: it has failed three times with nobody else there.
pub(super) const GIVEN_UP: u32 = 5;

/// How a group is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Header and text.
    Whole,
    /// Only the header.
    HeaderOnly,
    /// Not at all any more.
    GiveUp,
}

/// Messages that are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) uids: UidSet,
    pub(super) manner: Manner,
}

/// Groups messages, in ascending order of UID with the bytes that fetching each will cost, by what
/// earlier attempts at them came to.
pub(super) fn groups(
    sizes: impl IntoIterator<Item = (Uid, u64)>,
    attempts: &BTreeMap<Uid, u32>,
) -> VecDeque<Group> {
    let failed = |uid: &Uid| attempts.get(uid).copied().unwrap_or_default();
    let (fresh, suspect): (Vec<_>, Vec<_>) =
        sizes.into_iter().partition(|(uid, _)| failed(uid) == 0);
    let whole = |uids| Group { uids, manner: Manner::Whole };
    let mut groups: VecDeque<Group> = sync::chunks(fresh).into_iter().map(whole).collect();
    let (once, mut alone): (Vec<_>, Vec<_>) =
        suspect.into_iter().partition(|(uid, _)| failed(uid) < ALONE);
    for few in once.chunks(FEW) {
        groups.extend(sync::chunks(few.iter().copied()).into_iter().map(whole));
    }
    alone.sort_by_key(|(uid, _)| failed(uid));
    groups.extend(alone.into_iter().map(|(uid, _)| Group {
        uids: uid.into(),
        manner: match failed(&uid) {
            GIVEN_UP.. => Manner::GiveUp,
            HEADER_ONLY.. => Manner::HeaderOnly,
            _ => Manner::Whole,
        },
    }));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(n: u32) -> Uid {
        Uid::new(n).expect("not zero")
    }

    /// Reads 100 messages, of which these always fail; who was read how, and how many attempts failed.
    fn read_all(bad: &[u32], header_of: &[u32]) -> (Vec<(u32, Manner)>, u32) {
        let mut attempts: BTreeMap<Uid, u32> = BTreeMap::new();
        let mut left: Vec<u32> = (1..=100).collect();
        let (mut special, mut failures) = (Vec::new(), 0);
        while !left.is_empty() {
            let sizes = left.iter().map(|&n| (uid(n), 1_000));
            let mut failed = false;
            for group in groups(sizes, &attempts) {
                if failed {
                    break;
                }
                for uid in group.uids.iter() {
                    *attempts.entry(uid).or_default() += 1;
                }
                let fails = |uid: Uid| match group.manner {
                    Manner::GiveUp => false,
                    Manner::HeaderOnly => {
                        bad.contains(&uid.get()) && !header_of.contains(&uid.get())
                    }
                    Manner::Whole => bad.contains(&uid.get()),
                };
                failed = group.uids.iter().any(fails);
                failures += u32::from(failed);
                if !failed {
                    left.retain(|n| !group.uids.contains(uid(*n)));
                    let manner = group.manner;
                    let odd = group.uids.iter().filter(|_| manner != Manner::Whole);
                    special.extend(odd.map(|uid| (uid.get(), manner)));
                }
            }
        }
        (special, failures)
    }

    #[test]
    fn only_the_message_that_fails_is_given_up() {
        assert_eq!(read_all(&[], &[]), (vec![], 0));
        assert_eq!(read_all(&[60], &[]), (vec![(60, Manner::GiveUp)], GIVEN_UP));
        assert_eq!(read_all(&[60], &[60]), (vec![(60, Manner::HeaderOnly)], HEADER_ONLY));
        let (given_up, failures) = read_all(&[3, 60, 61], &[]);
        assert_eq!(given_up.iter().map(|(uid, _)| *uid).collect::<Vec<_>>(), [3, 60, 61]);
        assert!(failures < 20, "{failures}");
    }

    #[test]
    fn an_outage_tires_nobody_out_before_the_others() {
        let mut attempts: BTreeMap<Uid, u32> = BTreeMap::new();
        for _ in 0..200 {
            let groups = groups((1..=100).map(|n| (uid(n), 1_000)), &attempts);
            let first = groups.front().expect("there is one");
            assert_eq!(first.manner, Manner::Whole);
            for uid in first.uids.iter() {
                *attempts.entry(uid).or_default() += 1;
            }
        }
        let (least, most) = (attempts.values().min(), attempts.values().max());
        assert_eq!((least, most), (Some(&(HEADER_ONLY - 1)), Some(&HEADER_ONLY)));
    }
}
