//! The accounts that are watched: those of the configuration from the start, those of servers as
//! their lists say, without a restart; of all these the ones that are this daemon's.
//!
//! Each is a tracked task that comes back from failures by itself. One whose user has left the list, or
//! that another daemon is to have, is asked to end: it finishes the chunk in hand and logs out. One that
//! may be another daemon's already is dropped where it stands. What is in the store stays.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use triaged_core::config::AccountConfig;
use triaged_core::lease::LOOK;

use self::running::{Candidate, Leave, Running};
use crate::account::{Gate, Master, Places};
use crate::backfill::Requests;
use crate::clock::Jumps;
use crate::ownership::{Demand, Estate, Share};
use crate::pipeline::Pipeline;
use crate::pulse::Pulse;
use crate::readiness::{AccountState, Readiness};
use crate::secret::Credentials;
use crate::standing::Standings;
use crate::storage::Storage;
use crate::store::{StoreError, shard_of};
use crate::tasks::Tasks;
use crate::trusted::Trust;

/// What all accounts share.
#[derive(Clone)]
pub struct Ground {
    /// The way of their messages.
    pub pipeline: Arc<Pipeline>,
    /// Where their states are shown.
    pub readiness: Readiness,
    /// Where they are shown in detail.
    pub standings: Standings,
    /// Hears that they are alive.
    pub pulse: Pulse,
    /// Changes at SIGHUP.
    pub hangup: watch::Receiver<u32>,
    /// What their connections go through.
    pub gate: Gate,
    /// Tells them of requests for older mail.
    pub requests: Requests,
    /// Tells them when the machine slept.
    pub jumps: Jumps,
    /// Hears of, and tells them of, a database that does not do its work.
    pub storage: Storage,
}

/// How accounts get in: what they log in with, and where they get a place.
#[derive(Clone)]
pub struct Entrance {
    /// The account's own, or its server's.
    pub credentials: Credentials,
    /// Who opens all of the server's mailboxes, if somebody does.
    pub master: Option<Master>,
    /// The places at the server.
    pub places: Places,
}

/// All users of a server that shall be watched from now on.
pub struct Roll {
    /// The name of the server.
    pub server: String,
    /// How its accounts get in.
    pub entrance: Entrance,
    /// Its accounts, each name once.
    pub accounts: Vec<AccountConfig>,
}

/// See the module.
pub struct Supervisor {
    tasks: Tasks,
    ground: Ground,
    share: Share,
    /// Everybody who is to be watched, by this daemon or another one, by name.
    candidates: BTreeMap<String, Candidate>,
    /// Those that were started, by name, and not found ended.
    running: BTreeMap<String, Running>,
    /// Told when one has ended.
    ended: Arc<Notify>,
}

/// The store can not be written to now; a disk has room again, or has not, for a while.
const STORE_PAUSE: Duration = Duration::from_secs(10);
/// Several daemons can go on as soon as their database does.
const SHARED_STORE_PAUSE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// One that has started nothing.
    pub fn new(tasks: Tasks, ground: Ground, share: Share) -> Self {
        let (candidates, running) = (BTreeMap::new(), BTreeMap::new());
        Self { tasks, ground, share, candidates, running, ended: Arc::default() }
    }

    /// Starts accounts of the configuration.
    ///
    /// # Errors
    /// The store can not be written to.
    pub async fn start(
        &mut self,
        accounts: Vec<(AccountConfig, Entrance)>,
    ) -> Result<(), StoreError> {
        for (config, entrance) in accounts {
            self.candidates.insert(config.name.clone(), Candidate::new(config, entrance, None));
        }
        self.follow_estate().await
    }

    /// Follows the lists of servers, and what is this daemon's, until `stop`, and then until all
    /// accounts have ended.
    ///
    /// # Errors
    /// Never: what can not be done now is tried again.
    pub async fn follow(
        mut self,
        mut rolls: mpsc::Receiver<Roll>,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        let (mut news, ended) = (self.share.estate.clone(), Arc::clone(&self.ended));
        while !stop.is_cancelled() {
            // As it was before anything was looked at: what turns meanwhile is not missed.
            let trust = trust_of(&news.borrow());
            let turned = trust.map(|trust| (trust.holds(), trust));
            let followed = self.follow_estate().await;
            if let Err(error) = &followed {
                tracing::error!(%error, "accounts can not be started; this is tried again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                // No server may have a list: the accounts are those of the configuration.
                Some(roll) = rolls.recv() => self.take(roll),
                () = word(&mut news, &ended, turned) => {}
                () = tokio::time::sleep(pause(&self.share)), if followed.is_err() => {}
            }
        }
        while self.forget_ended() {
            let estate = self.share.estate.borrow().clone();
            self.demand(&estate);
            self.ended.notified().await;
        }
        // Whatever is asked to be handed over from now on is not worked on.
        let done = Demand { heard: u64::MAX, ..Demand::default() };
        self.share.demand.send_replace(done);
        Ok(())
    }

    /// Takes over a server's list.
    fn take(&mut self, roll: Roll) {
        let Roll { server, entrance, accounts } = roll;
        let listed: BTreeSet<&String> = accounts.iter().map(|account| &account.name).collect();
        let gone = self.candidates.extract_if(.., |name, one| {
            one.server.as_ref() == Some(&server) && !listed.contains(name)
        });
        let gone: Vec<String> = gone.map(|(name, _)| name).collect();
        // Who is worked on is shown until the work has ended.
        for name in gone.iter().filter(|name| !self.running.contains_key(*name)) {
            self.ground.readiness.forget(name);
            self.ground.standings.forget(name);
        }
        let (left, before) = (gone.len(), self.candidates.len());
        for config in accounts {
            let candidate =
                || Candidate::new(config.clone(), entrance.clone(), Some(server.clone()));
            self.candidates.entry(config.name.clone()).or_insert_with(candidate);
        }
        let new = self.candidates.len() - before;
        tracing::info!(server, new, left, "the accounts follow the list of users");
    }

    /// Ends what is not to be worked on any more, and starts what is.
    async fn follow_estate(&mut self) -> Result<(), StoreError> {
        self.forget_ended();
        let estate = self.share.estate.borrow().clone();
        for (name, one) in &self.running {
            let leave = self.candidates.get(name).map_or(Leave::Finish, |it| it.leave(&estate));
            one.follow(leave);
        }
        self.demand(&estate);
        self.show(&estate);
        self.begin(&estate).await?;
        self.demand(&estate);
        Ok(())
    }

    /// Starts those that may be worked on, and are not.
    async fn begin(&mut self, estate: &Estate) -> Result<(), StoreError> {
        let is_on =
            |name: &str| self.running.get(name).is_some_and(|one| !one.asked.is_cancelled());
        let new = self.candidates.iter().filter(|(name, _)| !is_on(name));
        let new: Vec<(String, Leave)> = new
            .map(|(name, one)| (name.clone(), one.leave(estate)))
            .filter(|(_, leave)| matches!(leave, Leave::Work(_)))
            .collect();
        let unknown = new.iter().map(|(name, _)| name.as_str());
        let unknown: Vec<&str> = unknown.filter(|name| self.is_unknown(name)).collect();
        let now = self.ground.pipeline.clock.now();
        if !unknown.is_empty() {
            let rows = self.ground.pipeline.store.accounts(&unknown, now).await?;
            let known: Vec<(String, _)> = unknown.iter().map(|&n| n.to_owned()).zip(rows).collect();
            for (name, row) in known {
                self.candidates.entry(name).and_modify(|one| one.row = Some(row));
            }
        }
        for (name, leave) in new {
            let Leave::Work(work) = leave else { continue };
            let Some(candidate) = self.candidates.get(&name) else { continue };
            let before = self.running.remove(&name);
            let running =
                running::start(candidate, work, before, &self.tasks, &self.ground, &self.ended);
            self.running.extend(running.map(|running| (name, running)));
        }
        Ok(())
    }

    fn is_unknown(&self, name: &str) -> bool {
        self.candidates.get(name).is_some_and(|one| one.row.is_none())
    }

    /// Lets go of those that have ended; whether any has not.
    fn forget_ended(&mut self) -> bool {
        self.running.retain(|_, one| !one.gone.is_cancelled());
        !self.running.is_empty()
    }

    /// Tells what is wanted and worked on, as it follows from what was told last: of an edition that
    /// has come since nothing was heard yet.
    fn demand(&self, estate: &Estate) {
        let Estate::Held(held) = estate else { return };
        let demand = Demand {
            wanted: self.candidates.values().map(|one| one.shard).collect(),
            busy: self.running.values().map(|one| one.shard).collect(),
            heard: held.edition,
        };
        self.share.demand.send_if_modified(|before| {
            let changed = *before != demand;
            *before = demand;
            changed
        });
    }

    /// Shows whose those are that are not worked on here.
    fn show(&mut self, estate: &Estate) {
        let Estate::Held(held) = estate else { return };
        let now = self.ground.pipeline.clock.now();
        for (name, one) in &mut self.candidates {
            let owner = held.owners.get(&one.shard);
            self.ground.standings.note(name, |standing| standing.owner = owner.cloned());
            let is_running = self.running.contains_key(name);
            one.was_had |= is_running || owner.is_some();
            if is_running {
                continue;
            }
            // Before the first look at the leases nobody knows anything.
            let trusted = held.edition == 0 || held.trust.holds();
            let state = state_of(&one.leave(estate), one.was_had, trusted, now);
            self.ground.readiness.set(name, state, now);
        }
    }
}

/// How an account stands that is not worked on here. One that nobody has had is on its way to somebody:
/// until it is there, its new mail would be old mail when it is looked at for the first time.
fn state_of(leave: &Leave, was_had: bool, trusted: bool, now: Timestamp) -> AccountState {
    match leave {
        Leave::Work(_) => AccountState::Starting,
        _ if trusted && was_had => AccountState::Elsewhere,
        _ if trusted => AccountState::Starting,
        _ => AccountState::Waiting {
            reason: NOBODY_KNOWS.to_owned(),
            retry_at: now.checked_add(LOOK).unwrap_or(now),
        },
    }
}

const NOBODY_KNOWS: &str = "the database does not confirm whose account this is: nothing is done to \
                            it until it does";

fn trust_of(estate: &Estate) -> Option<Trust> {
    match estate {
        Estate::Alone => None,
        Estate::Held(held) => Some(held.trust.clone()),
    }
}

/// Waits until it may be others that are to be worked on, or one has ended; `trusted` says whether
/// the trust has held.
async fn word(
    estate: &mut watch::Receiver<Estate>,
    ended: &Notify,
    trusted: Option<(bool, Trust)>,
) {
    let turned = async {
        match &trusted {
            Some((true, trust)) => trust.lapsed().await,
            Some((false, trust)) => trust.given().await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = ended.notified() => {}
        () = turned => {}
        changed = estate.changed() => if changed.is_err() { pending().await },
    }
}

fn pause(share: &Share) -> Duration {
    let alone = matches!(*share.estate.borrow(), Estate::Alone);
    if alone { STORE_PAUSE } else { SHARED_STORE_PAUSE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It once counted as another daemon's, and a daemon that had nothing yet as ready.
    #[test]
    fn an_account_that_nobody_has_had_is_not_anothers() {
        let name = |was_had, trusted| {
            state_of(&Leave::Drop, was_had, trusted, Timestamp::UNIX_EPOCH).name()
        };
        assert_eq!((name(false, true), name(true, true)), ("starting", "elsewhere"));
        assert_eq!((name(false, false), name(true, false)), ("waiting", "waiting"));
    }
}
