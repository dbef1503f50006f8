//! Names and numbers of an IMAP mailbox (RFC 9051 §2.3.1, RFC 7162).
//!
//! Nothing here knows a connection or a database; the ids of rows are newtypes so that
//! an account can not be passed where a mailbox is meant.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

/// Row id of an account in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub i64);

/// Row id of a mailbox in the store; it belongs to one account and one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId(pub i64);

/// The unique identifier of a message in one mailbox under one [`UidValidity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The smallest UID that a server can give.
    pub const FIRST: Self = Self(NonZeroU32::MIN);
    /// The largest UID; as the end of a range it stands for the newest message, without the
    /// surprise of `*`, which always names a message even where the range should be empty.
    pub const LAST: Self = Self(NonZeroU32::MAX);

    /// `None` for zero, which RFC 9051 forbids.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number as it goes over the wire.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The next UID, or the same one at the end of the number range.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The UID `n` further on, or the largest one.
    #[must_use]
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.saturating_add(n))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The generation of a mailbox: when it changes, every UID means something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(NonZeroU32);

impl UidValidity {
    /// `None` for zero, which RFC 9051 forbids.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number as it goes over the wire.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for UidValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of UIDs, kept sorted and without duplicates; prints as an IMAP sequence set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UidSet {
    uids: Vec<Uid>,
}

/// Longest sequence set in one command, in bytes. Dovecot, Cyrus and Courier take commands of
/// 8 kB and more; RFC 7162 §4 asks clients to stay near 8,192, some proxies stop at 1,000.
const MAX_SET_BYTES: usize = 900;

impl UidSet {
    /// True when there is nothing in it; such a set must not be sent.
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    /// How many UIDs are in it.
    pub fn len(&self) -> usize {
        self.uids.len()
    }

    /// Whether `uid` is in it.
    pub fn contains(&self, uid: Uid) -> bool {
        self.uids.binary_search(&uid).is_ok()
    }

    /// The smallest UID.
    pub fn first(&self) -> Option<Uid> {
        self.uids.first().copied()
    }

    /// The first `n` UIDs, and the rest.
    #[must_use]
    pub fn split_at(&self, n: usize) -> (Self, Self) {
        let (first, rest) = self.uids.split_at(n.min(self.uids.len()));
        (Self { uids: first.to_vec() }, Self { uids: rest.to_vec() })
    }

    /// The UIDs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.uids.iter().copied()
    }

    /// The set cut into pieces that print in less than a kilobyte each, in ascending order.
    pub fn pieces(&self) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut uids: Vec<Uid> = Vec::new();
        let mut bytes = 0;
        for range in self.ranges() {
            let cost = range_bytes(&range) + 1;
            if bytes + cost > MAX_SET_BYTES && !uids.is_empty() {
                pieces.push(Self { uids: std::mem::take(&mut uids) });
                bytes = 0;
            }
            bytes += cost;
            uids.extend((range.start().get()..=range.end().get()).filter_map(Uid::new));
        }
        if !uids.is_empty() {
            pieces.push(Self { uids });
        }
        pieces
    }

    fn ranges(&self) -> Vec<RangeInclusive<Uid>> {
        let mut ranges: Vec<RangeInclusive<Uid>> = Vec::new();
        for uid in self.iter() {
            match ranges.last_mut() {
                Some(last) if last.end().next() == uid => *last = *last.start()..=uid,
                _ => ranges.push(uid..=uid),
            }
        }
        ranges
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(iter: I) -> Self {
        let mut uids: Vec<Uid> = iter.into_iter().collect();
        uids.sort_unstable();
        uids.dedup();
        Self { uids }
    }
}

impl From<Uid> for UidSet {
    fn from(uid: Uid) -> Self {
        Self { uids: vec![uid] }
    }
}

impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges().iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", range.start())?;
            if range.start() != range.end() {
                write!(f, ":{}", range.end())?;
            }
        }
        Ok(())
    }
}

fn range_bytes(range: &RangeInclusive<Uid>) -> usize {
    let digits = |uid: &Uid| uid.get().ilog10() as usize + 1;
    if range.start() == range.end() {
        digits(range.start())
    } else {
        digits(range.start()) + 1 + digits(range.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(uids: &[u32]) -> UidSet {
        uids.iter().filter_map(|&n| Uid::new(n)).collect()
    }

    #[test]
    fn prints_runs_as_ranges() {
        assert_eq!(set(&[5, 1, 2, 3, 9, 5]).to_string(), "1:3,5,9");
        assert_eq!(set(&[]).to_string(), "");
        assert_eq!(set(&[u32::MAX - 1, u32::MAX]).to_string(), "4294967294:4294967295");
    }

    #[test]
    fn pieces_stay_under_a_kilobyte_and_lose_nothing() {
        let odd: Vec<u32> = (0..5_000).map(|n| 4_000_000_000 + 2 * n).collect();
        let whole = set(&odd);
        let pieces = whole.pieces();
        assert!(pieces.iter().all(|piece| piece.to_string().len() < 1_000));
        let back: UidSet = pieces.iter().flat_map(UidSet::iter).collect();
        assert_eq!(back, whole);
        assert_eq!(set(&(1..=100_000).collect::<Vec<_>>()).pieces().len(), 1);
    }
}
