//! Whose the accounts are, where several daemons share them: registers this one, renews its lease,
//! takes what is free and its own, and hands over what another one should have.
//!
//! It starts and ends no account itself: it tells the supervisor what may be worked on, and hears from
//! it what is. What is right to take or to hand over is the core's. An error here is the database's, is
//! said once, and the next turn tries again; that nobody writes meanwhile is seen to by `trust`.

mod estate;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use triaged_core::lease::{self, InstanceId, Lives, Shard, Shards};

pub use self::estate::{Demand, Estate, Held, Share, Word};
use crate::clock::Clock;
use crate::metrics::{Fence, Metrics};
use crate::pulse::Heart;
use crate::standing::{InstanceStanding, SharingStanding, Standings};
use crate::store::{Leases, StoreError, Table, Tenure};
use crate::trusted::Trust;

/// A turn asks the database some ten questions at most, each with its own limit.
const TURN: Duration = Duration::from_mins(2);

/// Between two turns while others wait for what is handed over.
const HURRY: Duration = Duration::from_millis(100);

/// See the module.
pub struct Ownership {
    /// The database's side of it.
    pub leases: Leases,
    /// What this daemon is called.
    pub name: String,
    /// The time.
    pub clock: Clock,
    /// Where what is ours is told.
    pub estate: watch::Sender<Estate>,
    /// Where it is heard what is wanted and worked on.
    pub demand: watch::Receiver<Demand>,
    /// What is counted.
    pub metrics: Metrics,
    /// Where it is shown who has what.
    pub standings: Standings,
    /// Beats with each turn.
    pub heart: Heart,
}

/// What is known in one life, from a registration to its end.
struct Life {
    id: InstanceId,
    /// What others were told: in which shards there are accounts here.
    told: Shards,
    /// When the renewal was sent that was confirmed last.
    renewed: Duration,
    trust: Trust,
    lives: Lives,
    held: BTreeMap<Shard, Tenure>,
    /// Whether the lease of another one could not be ended.
    is_held_up: bool,
    /// What is to be handed over, with the edition of the estate that said so first.
    leaving: BTreeMap<Shard, u64>,
}

/// How a life goes on.
#[derive(Debug, PartialEq, Eq)]
enum Course {
    On,
    /// Somebody has taken the lease, or cleared the table.
    Fenced,
}

impl Ownership {
    /// How long it may take until the first beat.
    pub const FIRST: Duration = TURN;

    /// Holds on to what is ours until `stop`, and then until all of it was handed over.
    ///
    /// # Errors
    /// Never: what the database says is tried again.
    pub async fn keep(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        let (mut life, mut problem) = (None, None);
        loop {
            self.heart.beat(TURN);
            let stopping = stop.is_cancelled();
            let turn = self.turn(&mut life, stopping).await;
            let failed = turn.is_err();
            self.report(turn, &mut problem);
            let idle = self.demand.borrow().busy.is_empty();
            if stopping && (life.is_none() || (failed && idle)) {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled(), if !stopping => {}
                // A supervisor that has ended has nothing more to tell.
                Ok(()) = self.demand.changed() => {}
                () = tokio::time::sleep(if stopping { HURRY } else { lease::LOOK }) => {}
            }
        }
    }

    /// One look at everything, and what follows from it.
    async fn turn(&mut self, life: &mut Option<Life>, stopping: bool) -> Result<(), StoreError> {
        let demand = self.demand.borrow_and_update().clone();
        let wanted = if stopping { Shards::default() } else { demand.wanted.clone() };
        if life.is_none() {
            if stopping {
                return Ok(());
            }
            *life = Some(self.begin(&wanted).await?);
        }
        let Some(current) = life.as_mut() else { return Ok(()) };
        if self.live(current, &wanted, &demand).await? == Course::Fenced {
            current.trust.end();
            *life = None;
            self.metrics.fenced(Fence::Lease);
            self.tell(Held::of(None, Trust::none()));
            tracing::error!(
                "this daemon's lease is over, because it was silent for too long: all accounts are let go, and it begins anew"
            );
        } else if stopping && current.held.is_empty() && !self.leases.is_sending(current.id).await?
        {
            current.trust.end();
            self.leases.leave(current.id).await?;
            *life = None;
        }
        Ok(())
    }

    async fn begin(&mut self, wanted: &Shards) -> Result<Life, StoreError> {
        let asked = self.clock.since_boot();
        let id = self.leases.register(&self.name, wanted, self.clock.now()).await?;
        let trust = Trust::none();
        trust.extend(lease::trusted_until(asked));
        tracing::info!(instance = self.name, "this daemon shares the accounts of its database");
        Ok(Life {
            id,
            told: wanted.clone(),
            renewed: asked,
            trust,
            lives: Lives::default(),
            held: BTreeMap::new(),
            is_held_up: false,
            leaving: BTreeMap::new(),
        })
    }

    async fn live(
        &mut self,
        life: &mut Life,
        wanted: &Shards,
        demand: &Demand,
    ) -> Result<Course, StoreError> {
        let now = self.clock.since_boot();
        if now.saturating_sub(life.renewed) >= lease::RENEW || !life.trust.holds() {
            if !self.leases.renew(life.id).await? {
                return Ok(Course::Fenced);
            }
            life.trust.extend(lease::trusted_until(now));
            life.renewed = now;
        }
        if life.told != *wanted {
            self.leases.want(life.id, wanted).await?;
            life.told = wanted.clone();
        }
        let mut table = self.look(life, wanted).await?;
        // Somebody's long work may keep a silent one's rows locked for seconds: all else goes on.
        match self.remove_silent(life).await {
            Ok(false) => life.is_held_up = false,
            Ok(true) => table = self.look(life, wanted).await?,
            Err(error) if life.is_held_up => tracing::debug!(%error, "it is still so"),
            Err(error) => {
                life.is_held_up = true;
                tracing::warn!(%error, "the lease of a silent daemon can not be ended now; this is tried again every second");
            }
        }
        if table.instances.iter().all(|one| one.id != life.id) {
            return Ok(Course::Fenced);
        }
        self.follow(life, wanted, demand, &table).await?;
        self.show(life, &table);
        Ok(Course::On)
    }

    /// Looks at the shards that are wanted, and at those that are still held.
    async fn look(&mut self, life: &mut Life, wanted: &Shards) -> Result<Table, StoreError> {
        let shards = wanted.iter().chain(life.held.keys().copied()).collect();
        let asked = self.clock.since_boot();
        let table = self.leases.look(&shards).await?;
        let renewals = table.instances.iter().map(|one| (one.id, one.renewals));
        life.lives.look(asked, self.clock.since_boot(), renewals);
        let held = table.holdings.iter().filter(|one| one.owner == Some(life.id));
        let tenure = |shard, epoch| Tenure { shard, instance: life.id, epoch };
        life.held = held.map(|one| (one.shard, tenure(one.shard, one.epoch))).collect();
        Ok(table)
    }

    /// Ends the leases of those who were silent for too long; whether there was one.
    async fn remove_silent(&mut self, life: &Life) -> Result<bool, StoreError> {
        let mut any = false;
        for (id, renewals) in life.lives.over().into_iter().filter(|(id, _)| *id != life.id) {
            if self.leases.remove(id, renewals).await? {
                any = true;
                self.metrics.took_over();
                tracing::warn!(
                    silent_for_seconds = lease::TTL.as_secs(),
                    "a daemon has not renewed its lease: its accounts go to the others"
                );
            }
        }
        Ok(any)
    }

    /// Takes and hands over what is to be.
    async fn follow(
        &mut self,
        life: &mut Life,
        wanted: &Shards,
        demand: &Demand,
        table: &Table,
    ) -> Result<(), StoreError> {
        let others = table.instances.iter();
        let others = others.filter(|one| one.id != life.id && life.lives.is_well(one.id));
        let others: Vec<_> = others.map(|one| (one.id, one.shards.clone())).collect();
        let duties = lease::duties(life.id, wanted, &others, &table.holdings);
        let leaving: BTreeSet<Shard> = duties.hand_over.into_iter().collect();
        life.leaving.retain(|shard, _| leaving.contains(shard));
        // What the supervisor has heard of, and has nothing of in work any more.
        let is_done = |shard: &Shard| {
            let heard = life.leaving.get(shard).is_some_and(|edition| *edition <= demand.heard);
            heard && !demand.busy.contains(shard)
        };
        let done: Vec<Shard> = leaving.iter().copied().filter(is_done).collect();
        if !done.is_empty() {
            self.leases.release(life.id, &done).await?;
            life.held.retain(|shard, _| !done.contains(shard));
            tracing::info!(shards = done.len(), "accounts were handed over");
        }
        if !duties.take.is_empty() && life.trust.holds() {
            let taken = self.leases.take(life.id, &duties.take).await?;
            tracing::info!(shards = taken.len(), "accounts were taken");
            life.held.extend(taken.into_iter().map(|tenure| (tenure.shard, tenure)));
        }
        let held = life.held.clone();
        let leaving: BTreeSet<Shard> =
            leaving.into_iter().filter(|shard| held.contains_key(shard)).collect();
        let edition = self.tell(Held {
            tenures: held,
            leaving: leaving.clone(),
            owners: owners(life, table),
            ..Held::of(Some(life.id), life.trust.clone())
        });
        for shard in leaving {
            life.leaving.entry(shard).or_insert(edition);
        }
        Ok(())
    }

    /// Tells the supervisor what may be worked on, where that has changed; the edition that says it.
    fn tell(&self, mut new: Held) -> u64 {
        self.metrics.shards_owned(new.tenures.len());
        let mut edition = 0;
        self.estate.send_if_modified(|estate| {
            new.edition = match estate {
                Estate::Held(held) => held.edition,
                Estate::Alone => 0,
            };
            let same = matches!(estate, Estate::Held(held) if held.says_the_same(&new));
            new.edition += u64::from(!same);
            edition = new.edition;
            *estate = Estate::Held(new.clone());
            !same
        });
        edition
    }

    /// Shows who is there, and who has how much.
    fn show(&self, life: &Life, table: &Table) {
        let instances = table.instances.iter().map(|one| {
            let has = table.holdings.iter().filter(|holding| holding.owner == Some(one.id));
            InstanceStanding {
                name: one.name.clone(),
                this: one.id == life.id,
                shards: has.count(),
                silent_seconds: life.lives.silence(one.id).unwrap_or_default().as_secs(),
            }
        });
        let sharing = SharingStanding {
            instance: self.name.clone(),
            instances: instances.collect(),
            problem: None,
        };
        self.metrics.instances(sharing.instances.len());
        self.standings.share(|standing| *standing = Some(sharing));
    }

    /// Says what is in the way, once.
    fn report(&self, turn: Result<(), StoreError>, problem: &mut Option<String>) {
        let new = turn.err().map(|error| error.to_string());
        if new == *problem {
            return;
        }
        if let Some(error) = &new {
            tracing::error!(
                error,
                trusted_for_seconds = lease::trusted_until(Duration::ZERO).as_secs(),
                "the leases in the database can not be kept up: this is tried again every second, and no account is worked on when the last renewal is too long ago"
            );
        } else {
            tracing::info!("the leases in the database are kept up again");
        }
        self.standings.share(|standing| {
            let shown = standing.get_or_insert_default();
            shown.instance.clone_from(&self.name);
            shown.problem.clone_from(&new);
        });
        *problem = new;
    }
}

/// What each shard's owner is called.
fn owners(life: &Life, table: &Table) -> BTreeMap<Shard, String> {
    let names: BTreeMap<InstanceId, &String> =
        table.instances.iter().map(|one| (one.id, &one.name)).collect();
    let mut owners = BTreeMap::new();
    for holding in &table.holdings {
        if let Some(name) = holding.owner.and_then(|owner| names.get(&owner)) {
            owners.insert(holding.shard, (*name).clone());
        }
    }
    for shard in life.held.keys() {
        owners.extend(names.get(&life.id).map(|name| (*shard, (*name).clone())));
    }
    owners
}
