//! Who is watched, and where each gets in: the accounts of the configuration, and the lists of its
//! servers.
//!
//! A server is a host and a port: its budget of connections holds for all its accounts, whichever part
//! of the configuration they stand in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use triaged_core::config::{AccountConfig, Config};

use super::AppError;
use crate::account::{Budget, Master, Places};
use crate::ownership::Share;
use crate::reload::{UserList, Whose, whose};
use crate::secret::Credentials;
use crate::supervisor::{Entrance, Ground, Roll, Supervisor};
use crate::tasks::Tasks;

/// Lists that are told and not yet followed; their senders wait.
const ROLLS: usize = 1;
/// How long a list may take until it says for how long it will be silent.
const FIRST: Duration = Duration::from_mins(5);

/// Starts all accounts of the configuration, and follows the lists of its servers.
pub(super) async fn start(
    config: Config,
    tasks: &Tasks,
    ground: Ground,
    share: Share,
) -> Result<(), AppError> {
    let budgets = Budgets::of(&config);
    let own: BTreeSet<Whose> = config.accounts.iter().map(whose).collect();
    let mut supervisor = Supervisor::new(tasks.clone(), ground.clone(), share);
    let accounts = config.accounts.into_iter().map(|account| {
        let credentials = Credentials::of(&account, &config.state);
        let places = budgets.places(&account);
        (account, Entrance { credentials, master: None, places })
    });
    supervisor.start(accounts.collect()).await?;

    let (told, rolls) = mpsc::channel::<Roll>(ROLLS);
    let stop = || tasks.stop().soft.clone();
    for server in config.servers {
        let entrance = Entrance {
            credentials: Credentials::of(&server.every, &config.state),
            master: Some(Master::new(ground.pipeline.clock)),
            places: budgets.places(&server.every),
        };
        let name = format!("users of {}", server.name);
        let list = UserList {
            heart: ground.pulse.heart(&name, FIRST),
            server,
            entrance,
            own: own.clone(),
            rolls: told.clone(),
            readiness: ground.readiness.clone(),
            clock: ground.pipeline.clock,
            hangup: ground.hangup.clone(),
        };
        tasks.spawn(&name, list.keep_up(stop()));
    }
    tasks.spawn("supervisor", supervisor.follow(rolls, stop()));
    Ok(())
}

/// The budgets of connections: one in all, and one a server.
struct Budgets {
    all: Budget,
    servers: BTreeMap<(String, u16), Budget>,
}

impl Budgets {
    /// Where several parts of the configuration say something of one server, the least number holds.
    fn of(config: &Config) -> Self {
        let mut given: BTreeMap<(String, u16), Option<usize>> = BTreeMap::new();
        let usual = config.accounts.iter().map(|account| (account, None));
        let said = config.servers.iter().map(|server| (&server.every, server.connections));
        for (account, connections) in usual.chain(said) {
            let least = given.entry(address(account)).or_default();
            *least = connections.into_iter().chain(*least).min();
        }
        let budget =
            |given: Option<usize>| Budget::new(given.unwrap_or(config.connections.per_server));
        let servers = given.into_iter().map(|(server, given)| (server, budget(given)));
        Self { all: Budget::new(config.connections.in_all), servers: servers.collect() }
    }

    fn places(&self, account: &AccountConfig) -> Places {
        let server = self.servers.get(&address(account)).cloned();
        // Every server of the configuration has one.
        Places::new(server.unwrap_or_else(|| Budget::new(1)), self.all.clone())
    }
}

fn address(account: &AccountConfig) -> (String, u16) {
    (account.host.to_ascii_lowercase(), account.port)
}
