//! What the flow that holds the leases and the supervisor tell each other: what may be worked on, and
//! what is wanted and worked on.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;
use triaged_core::lease::{Shard, Shards};

use crate::store::Tenure;
use crate::trust::Trust;

/// What this daemon may work on.
#[derive(Debug, Clone, Default)]
pub enum Estate {
    /// Everything: nobody shares the database.
    #[default]
    Alone,
    /// What it has leases for.
    Held(Held),
}

/// The shards of one life of a daemon.
#[derive(Debug, Clone)]
pub struct Held {
    /// Grows with each change.
    pub edition: u64,
    /// Those that it has.
    pub tenures: BTreeMap<Shard, Tenure>,
    /// Of these, those whose accounts are to be brought to an end.
    pub leaving: BTreeSet<Shard>,
    /// What the daemon is called that has a shard.
    pub owners: BTreeMap<Shard, String>,
    /// While it holds, all this is so; another life has another one.
    pub trust: Trust,
}

impl Held {
    /// Whether another edition would change nothing.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.tenures == other.tenures
            && self.leaving == other.leaving
            && self.owners == other.owners
            && self.trust.is(&other.trust)
    }
}

/// What the supervisor wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// The shards in which there are accounts to be watched.
    pub wanted: Shards,
    /// Those of which an account is in work, or has not quite ended.
    pub busy: BTreeSet<Shard>,
    /// The edition of the estate that was heard last.
    pub heard: u64,
}

/// The supervisor's end.
#[derive(Debug)]
pub struct Share {
    /// What may be worked on.
    pub estate: watch::Receiver<Estate>,
    /// What is wanted.
    pub demand: watch::Sender<Demand>,
}

impl Share {
    /// Of a daemon that is alone.
    pub fn alone() -> Self {
        let (_, estate) = watch::channel(Estate::Alone);
        Self { estate, demand: watch::Sender::default() }
    }

    /// Both ends: this one, and what the flow of the leases sends into and hears from.
    pub fn with_others() -> (Self, watch::Sender<Estate>, watch::Receiver<Demand>) {
        let nothing = Held {
            edition: 0,
            tenures: BTreeMap::new(),
            leaving: BTreeSet::new(),
            owners: BTreeMap::new(),
            trust: Trust::none(),
        };
        let (tell, estate) = watch::channel(Estate::Held(nothing));
        let (demand, hear) = watch::channel(Demand::default());
        (Self { estate, demand }, tell, hear)
    }
}
