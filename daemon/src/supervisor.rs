//! The accounts that are watched: those of the configuration from the start, those of servers as
//! their lists say, without a restart.
//!
//! Each is a tracked task that comes back from failures by itself. One whose user has left the list is
//! asked to end: it finishes the chunk in hand, logs out, and is forgotten by everybody who showed it.
//! What is in the store stays, for the user may come back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use triaged_core::config::AccountConfig;

use crate::account::{self, Door, Gate, Master, Places, Watcher};
use crate::backfill::Requests;
use crate::clock::Jumps;
use crate::pipeline::{Allowance, Caution, Pipeline};
use crate::pulse::Pulse;
use crate::readiness::{AccountState, Readiness};
use crate::secret::Credentials;
use crate::standing::Standings;
use crate::storage::Storage;
use crate::store::{Account, StoreError};
use crate::tasks::Tasks;

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
    /// Those that were started, by name, and not found ended.
    running: BTreeMap<String, Running>,
}

/// A task that watches an account.
struct Running {
    /// Of which server's list it is, if of any.
    server: Option<String>,
    asked: CancellationToken,
    gone: CancellationToken,
}

/// The store can not be written to now; a disk has room again, or has not, for a while.
const STORE_PAUSE: Duration = Duration::from_secs(10);

impl Supervisor {
    /// One that has started nothing.
    pub fn new(tasks: Tasks, ground: Ground) -> Self {
        Self { tasks, ground, running: BTreeMap::new() }
    }

    /// Starts accounts of the configuration.
    ///
    /// # Errors
    /// The store can not be written to.
    pub async fn start(
        &mut self,
        accounts: Vec<(AccountConfig, Entrance)>,
    ) -> Result<(), StoreError> {
        let names: Vec<&str> = accounts.iter().map(|(config, _)| config.name.as_str()).collect();
        let now = self.ground.pipeline.clock.now();
        let rows = self.ground.pipeline.store.accounts(&names, now).await?;
        for ((config, entrance), row) in accounts.into_iter().zip(rows) {
            self.watch(config, &entrance, row, None);
        }
        Ok(())
    }

    /// Follows the lists of servers until `stop`.
    ///
    /// # Errors
    /// Never: what can not be done now is tried again.
    pub async fn follow(
        mut self,
        mut rolls: mpsc::Receiver<Roll>,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        loop {
            let roll = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                roll = rolls.recv() => roll,
            };
            let Some(roll) = roll else {
                // No server has a list: the accounts are those of the configuration.
                stop.cancelled().await;
                return Ok(());
            };
            while let Err(error) = self.take(&roll).await {
                tracing::error!(server = roll.server, %error, "new users can not be written down; this is tried again");
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(STORE_PAUSE) => {}
                }
            }
        }
    }

    /// Asks those to end who are on a server's list no more, and starts those who are new on it.
    async fn take(&mut self, roll: &Roll) -> Result<(), StoreError> {
        self.running.retain(|_, one| !(one.asked.is_cancelled() && one.gone.is_cancelled()));
        let listed: BTreeMap<&str, &AccountConfig> =
            roll.accounts.iter().map(|account| (account.name.as_str(), account)).collect();
        let of_list =
            self.running.iter().filter(|(_, one)| one.server.as_ref() == Some(&roll.server));
        let left = of_list
            .filter(|(name, one)| !listed.contains_key(name.as_str()) && !one.asked.is_cancelled());
        let left: Vec<CancellationToken> = left.map(|(_, one)| one.asked.clone()).collect();
        left.iter().for_each(CancellationToken::cancel);
        let is_on =
            |name: &str| self.running.get(name).is_some_and(|one| !one.asked.is_cancelled());
        let new: Vec<&str> = listed.keys().filter(|name| !is_on(name)).copied().collect();
        let now = self.ground.pipeline.clock.now();
        let rows = self.ground.pipeline.store.accounts(&new, now).await?;
        tracing::info!(
            server = roll.server,
            new = new.len(),
            left = left.len(),
            "the accounts follow the list of users"
        );
        for (name, row) in new.into_iter().zip(rows) {
            let Some(config) = listed.get(name) else { continue };
            self.watch((*config).clone(), &roll.entrance, row, Some(roll.server.clone()));
        }
        Ok(())
    }

    /// Starts a task for an account; it waits until an earlier one of the same name is gone.
    fn watch(
        &mut self,
        config: AccountConfig,
        entrance: &Entrance,
        row: Account,
        server: Option<String>,
    ) {
        let name = config.name.clone();
        let asked = self.tasks.stop().soft.child_token();
        let gone = CancellationToken::new();
        let running = Running { server, asked: asked.clone(), gone: gone.clone() };
        let before = self.running.insert(name.clone(), running);
        let (ground, entrance) = (self.ground.clone(), entrance.clone());
        let stop = self.tasks.stop().soft.clone();
        self.tasks.spawn_until(&format!("account {name}"), asked.clone(), async move {
            if let Some(before) = before {
                before.gone.cancelled().await;
            }
            let _gone = gone.drop_guard();
            let clock = ground.pipeline.clock;
            ground.readiness.set(&name, AccountState::Starting, clock.now());
            let (readiness, standings) = (ground.readiness.clone(), ground.standings.clone());
            watcher(ground, entrance, config, row).run(asked).await;
            // At the end of the daemon everybody shows as stopped; who left is shown no more.
            if !stop.is_cancelled() {
                readiness.forget(&name);
                standings.forget(&name);
            }
            Ok::<_, Infallible>(())
        });
    }
}

fn watcher(ground: Ground, entrance: Entrance, config: AccountConfig, account: Account) -> Watcher {
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
        pipeline: ground.pipeline,
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
