//! Who works on what where several daemons share one database: shards of accounts, the lives of
//! instances, and how long a daemon may rely on its own.
//!
//! A moment here is the time since this machine's boot, sleep included. No calendar is asked, neither
//! this machine's nor the database's: an instance is alive while its count of renewals grows, and each
//! one who looks times that by a clock of its own. Deliberately absent: the database, and waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::random;

/// How many shards there are. It stands in databases: another number is another database.
pub const SHARDS: u16 = 4096;

/// An instance that was seen not to renew its lease for so long has lost it.
pub const TTL: Duration = Duration::from_secs(15);
/// How often a lease is renewed: two renewals may fail, and the third is in time.
pub const RENEW: Duration = Duration::from_secs(5);
/// How often a daemon looks at who is there, and at the shards.
pub const LOOK: Duration = Duration::from_secs(1);
/// What a holder gives up before others may take it: clocks of two machines go apart by less than a
/// second in fifteen, and a command that was sent in time still arrives.
const MARGIN: Duration = Duration::from_secs(1);
/// An instance that has missed a renewal may be about to end: nothing more is meant for it.
const SUSPECT: Duration = Duration::from_secs(8);
/// Between two looks that are further apart the database may have answered nobody, so that silence
/// says nothing about those who are silent.
const GAP: Duration = RENEW;

/// Until when a lease can be relied on that was renewed by a request sent at `asked`.
///
/// Whoever takes it has seen the renewal after that moment and nothing since for [`TTL`].
pub fn trusted_until(asked: Duration) -> Duration {
    asked.saturating_add(TTL.saturating_sub(MARGIN))
}

/// A part of all accounts, by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u16);

impl Shard {
    /// The shard of this number, below [`SHARDS`].
    pub fn new(number: i64) -> Option<Self> {
        u16::try_from(number).ok().filter(|number| *number < SHARDS).map(Self)
    }

    /// The shard in which a hash lies.
    pub fn of_hash(hash: u64) -> Self {
        Self(u16::try_from(hash % u64::from(SHARDS)).unwrap_or_default())
    }

    /// Its number.
    pub fn get(self) -> i64 {
        i64::from(self.0)
    }
}

/// One life of a daemon, from its registration to its end: a restart is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub i64);

/// A set of shards; 512 bytes where it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shards(BTreeSet<Shard>);

impl Shards {
    /// Whether a shard is in it.
    pub fn contains(&self, shard: Shard) -> bool {
        self.0.contains(&shard)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Shard> + '_ {
        self.0.iter().copied()
    }

    /// One bit a shard, the lowest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bit = |shard: u16| u8::from(self.0.contains(&Shard(shard)));
        let byte = |first: u16| (0..8).map(|n| bit(first + n) << n).sum();
        (0..SHARDS).step_by(8).map(byte).collect()
    }

    /// What [`Self::to_bytes`] has written.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let has = |shard: &u16| {
            let byte = bytes.get(usize::from(shard / 8)).copied().unwrap_or_default();
            byte >> (shard % 8) & 1 == 1
        };
        (0..SHARDS).filter(has).map(Shard).collect()
    }
}

impl FromIterator<Shard> for Shards {
    fn from_iter<I: IntoIterator<Item = Shard>>(shards: I) -> Self {
        Self(shards.into_iter().collect())
    }
}

/// A shard as it stands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Which one.
    pub shard: Shard,
    /// Who has it, if anybody.
    pub owner: Option<InstanceId>,
    /// How often it was taken.
    pub epoch: i64,
}

/// What one daemon has seen of the instances, itself included.
#[derive(Debug, Clone, Default)]
pub struct Lives {
    seen: BTreeMap<InstanceId, Seen>,
    /// When the database was asked the last time.
    asked: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    renewals: i64,
    /// Since when it is known to stand at that.
    since: Duration,
}

impl Lives {
    /// Takes in a look: how often each instance has renewed its lease, as the database said to a
    /// question that was sent at `asked` and answered at `answered`.
    pub fn look(
        &mut self,
        asked: Duration,
        answered: Duration,
        instances: impl IntoIterator<Item = (InstanceId, i64)>,
    ) {
        let before = std::mem::take(&mut self.seen);
        let goes_on = self.asked.is_some_and(|last| asked.saturating_sub(last) <= GAP);
        let fresh = |renewals| Seen { renewals, since: answered };
        let seen = |(id, renewals): (InstanceId, i64)| {
            let known = before.get(&id).filter(|seen| goes_on && seen.renewals == renewals);
            (id, known.copied().unwrap_or_else(|| fresh(renewals)))
        };
        self.seen = instances.into_iter().map(seen).collect();
        self.asked = Some(asked);
    }

    /// For how long an instance is known not to have renewed its lease.
    pub fn silence(&self, instance: InstanceId) -> Option<Duration> {
        let (seen, asked) = (self.seen.get(&instance)?, self.asked?);
        Some(asked.saturating_sub(seen.since))
    }

    /// The instances that have lost their lease, each with the count at which it stands: whoever
    /// removes one makes sure in the same step that it still does.
    pub fn over(&self) -> Vec<(InstanceId, i64)> {
        let over = |id: &InstanceId| self.silence(*id).is_some_and(|silence| silence >= TTL);
        let all = self.seen.iter().filter(|(id, _)| over(id));
        all.map(|(id, seen)| (*id, seen.renewals)).collect()
    }

    /// Whether an instance renews its lease as it should.
    pub fn is_well(&self, instance: InstanceId) -> bool {
        self.silence(instance).is_some_and(|silence| silence < SUSPECT)
    }
}

/// What a daemon does about the shards now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duties {
    /// Those that nobody has and that are its own to take.
    pub take: Vec<Shard>,
    /// Those that it has and another one should: their accounts are brought to an end, then they are
    /// let go.
    pub hand_over: Vec<Shard>,
}

/// What `me`, who has accounts in the shards `mine`, does about shards that stand so. `others` are
/// those who are well, with the shards in which they have accounts.
///
/// Each shard belongs to the one whose weight for it is the greatest (rendezvous hashing; Thaler and
/// Ravishankar 1998): who comes or goes moves no shard between the others.
pub fn duties(
    me: InstanceId,
    mine: &Shards,
    others: &[(InstanceId, Shards)],
    holdings: &[Holding],
) -> Duties {
    let mut duties = Duties::default();
    for Holding { shard, owner, .. } in holdings {
        let rivals = others.iter().filter(|(_, theirs)| theirs.contains(*shard));
        let best = rivals.map(|(id, _)| weight(*shard, *id)).max();
        let is_mine = mine.contains(*shard) && best.is_none_or(|best| weight(*shard, me) > best);
        match owner {
            None if is_mine => duties.take.push(*shard),
            Some(owner) if *owner == me && !is_mine => duties.hand_over.push(*shard),
            _ => {}
        }
    }
    duties
}

/// Ties are broken by the number of the instance, so that any two daemons agree.
fn weight(shard: Shard, instance: InstanceId) -> (u64, InstanceId) {
    (random::of_pair(u64::from(shard.0), instance.0.cast_unsigned()), instance)
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
