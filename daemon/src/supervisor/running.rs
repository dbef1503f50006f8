//! One account: whether it may be worked on, and the task that does.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use triaged_core::config::AccountConfig;
use triaged_core::lease::Shard;

use super::{Entrance, Estate, Ground, shard_of};
use crate::account::{self, Door, Watcher};
use crate::pipeline::{Allowance, Caution, Pipeline};
use crate::readiness::AccountState;
use crate::store::{Account, Tenure};
use crate::tasks::Tasks;
use crate::trusted::Trust;

/// An account that is to be watched by somebody.
pub(super) struct Candidate {
    pub(super) config: AccountConfig,
    pub(super) entrance: Entrance,
    /// Of which server's list it is, if of any.
    pub(super) server: Option<String>,
    pub(super) shard: Shard,
    /// Whether somebody has had it already, this daemon or another one.
    pub(super) was_had: bool,
    /// Its row in the store, once it is known.
    pub(super) row: Option<Account>,
}

/// A task that watches an account.
pub(super) struct Running {
    pub(super) shard: Shard,
    /// Under which lease it began.
    tenure: Option<Tenure>,
    /// To end in order.
    pub(super) asked: CancellationToken,
    /// To end where it stands.
    dropped: CancellationToken,
    pub(super) gone: CancellationToken,
}

/// Whether an account may be worked on.
pub(super) enum Leave {
    Work(Work),
    /// What is in hand may be brought to its end.
    Finish,
    /// It may be another daemon's already.
    Drop,
}

/// On what terms.
#[derive(Clone, Default)]
pub(super) struct Work {
    /// The lease; none where nobody shares.
    tenure: Option<Tenure>,
    /// While it holds.
    trust: Trust,
}

impl Candidate {
    pub(super) fn new(config: AccountConfig, entrance: Entrance, server: Option<String>) -> Self {
        let shard = shard_of(&config.name);
        Self { config, entrance, server, shard, was_had: false, row: None }
    }

    pub(super) fn leave(&self, estate: &Estate) -> Leave {
        let held = match estate {
            Estate::Alone => return Leave::Work(Work::default()),
            Estate::Held(held) => held,
        };
        match held.tenures.get(&self.shard) {
            Some(_) if !held.trust.holds() => Leave::Drop,
            Some(_) if held.leaving.contains(&self.shard) => Leave::Finish,
            Some(tenure) => Leave::Work(Work { tenure: Some(*tenure), trust: held.trust.clone() }),
            None => Leave::Drop,
        }
    }
}

impl Running {
    /// Ends the task, if that is what its leave says.
    pub(super) fn follow(&self, leave: Leave) {
        match leave {
            Leave::Work(work) if work.tenure == self.tenure => {}
            Leave::Finish => self.asked.cancel(),
            Leave::Work(_) | Leave::Drop => {
                self.asked.cancel();
                self.dropped.cancel();
            }
        }
    }
}

/// Starts a task for an account; it waits until an earlier one of the same name is gone. `None` where
/// nothing is known of the account.
pub(super) fn start(
    candidate: &Candidate,
    work: Work,
    before: Option<Running>,
    tasks: &Tasks,
    ground: &Ground,
    ended: &Arc<Notify>,
) -> Option<Running> {
    let Candidate { config, entrance, shard, row, .. } = candidate;
    let (config, entrance, row) = (config.clone(), entrance.clone(), (*row)?);
    let name = config.name.clone();
    let stop = tasks.stop().soft.clone();
    let running = Running {
        shard: *shard,
        tenure: work.tenure,
        asked: stop.child_token(),
        dropped: CancellationToken::new(),
        gone: CancellationToken::new(),
    };
    let (asked, dropped, gone) =
        (running.asked.clone(), running.dropped.clone(), running.gone.clone());
    let (ground, ended) = (ground.clone(), Ended { gone, told: Arc::clone(ended) });
    tasks.spawn_until(&format!("account {name}"), asked.clone(), async move {
        if let Some(before) = before {
            before.gone.cancelled().await;
        }
        let _ended = ended;
        let clock = ground.pipeline.clock;
        ground.readiness.set(&name, AccountState::Starting, clock.now());
        let (readiness, standings) = (ground.readiness.clone(), ground.standings.clone());
        tokio::select! {
            biased;
            () = dropped.cancelled() => {}
            () = watcher(ground, entrance, config, row, work).run(asked) => {}
        }
        // At the end of the daemon everybody shows as stopped; who left is shown no more.
        if !stop.is_cancelled() {
            readiness.forget(&name);
            standings.forget(&name);
        }
        Ok::<_, Infallible>(())
    });
    Some(running)
}

/// Says that a task has ended, however it did.
struct Ended {
    gone: CancellationToken,
    told: Arc<Notify>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.gone.cancel();
        self.told.notify_one();
    }
}

fn watcher(
    ground: Ground,
    entrance: Entrance,
    config: AccountConfig,
    account: Account,
    work: Work,
) -> Watcher {
    let door = Door::new(entrance.credentials, ground.hangup);
    Watcher {
        door: match entrance.master {
            Some(master) => door.of_master(master),
            None => door,
        },
        heart: ground.pulse.heart(&config.name, account::STEP),
        asked: ground.requests.enter(account.id),
        account,
        allowance: Allowance::new(config.daily_mebibytes),
        config,
        pipeline: under(ground.pipeline, work.tenure),
        trust: work.trust,
        readiness: ground.readiness,
        standings: ground.standings,
        gate: ground.gate,
        places: entrance.places,
        gave_way: false,
        jumps: ground.jumps,
        storage: ground.storage,
        listing: Caution::default(),
    }
}

/// The way of the messages, on which everything is written under the lease.
fn under(pipeline: Arc<Pipeline>, tenure: Option<Tenure>) -> Arc<Pipeline> {
    match tenure {
        Some(tenure) => {
            Arc::new(Pipeline { store: pipeline.store.under(tenure), ..Pipeline::clone(&pipeline) })
        }
        None => pipeline,
    }
}
