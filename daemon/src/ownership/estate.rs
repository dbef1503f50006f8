//! What the flow that holds the leases and the supervisor tell each other: what may be worked on, and
//! what is wanted and worked on.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;
use triaged_core::lease::{InstanceId, Shard, Shards};

use crate::store::Tenure;
use crate::trusted::Trust;

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
    /// Which life it is, where one has begun.
    pub life: Option<InstanceId>,
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
    /// Nothing yet, in this life.
    pub(super) fn of(life: Option<InstanceId>, trust: Trust) -> Self {
        Self {
            edition: 0,
            life,
            tenures: BTreeMap::new(),
            leaving: BTreeSet::new(),
            owners: BTreeMap::new(),
            trust,
        }
    }

    /// Whether another edition would change nothing.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.life == other.life
            && self.tenures == other.tenures
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

    /// What asks whether this daemon may act for all of them.
    pub fn word(&self) -> Word {
        Word(self.estate.clone())
    }

    /// Both ends: this one, and what the flow of the leases sends into and hears from.
    pub fn with_others() -> (Self, watch::Sender<Estate>, watch::Receiver<Demand>) {
        let nothing = Held::of(None, Trust::none());
        let (tell, estate) = watch::channel(Estate::Held(nothing));
        let (demand, hear) = watch::channel(Demand::default());
        (Self { estate, demand }, tell, hear)
    }
}

/// Whether this daemon may do now what one of those that share the database does for all of them.
#[derive(Debug, Clone)]
pub struct Word(watch::Receiver<Estate>);

impl Word {
    /// Whether it may.
    pub fn holds(&self) -> bool {
        match &*self.0.borrow() {
            Estate::Alone => true,
            Estate::Held(held) => held.trust.holds(),
        }
    }

    /// In which life it would; `None` where nobody shares, or none has begun.
    pub fn life(&self) -> Option<InstanceId> {
        match &*self.0.borrow() {
            Estate::Alone => None,
            Estate::Held(held) => held.life,
        }
    }
}
