//! Whether this daemon shares its accounts with others: then it has a lease, and a name among them.

use triaged_core::config::{Config, DatabaseConfig};

use crate::lifecycle;
use crate::ownership::{Ownership, Share};
use crate::store::Store;
use crate::supervisor::Ground;
use crate::tasks::Tasks;

/// Begins to share, where the database is one for several. What comes back tells the supervisor what is
/// this daemon's.
pub(super) fn start(config: &Config, store: &Store, ground: &Ground, tasks: &Tasks) -> Share {
    let (DatabaseConfig::Postgresql(server), Some(leases)) =
        (&config.database, store.leases(&config.state))
    else {
        return Share::alone();
    };
    let (share, estate, demand) = Share::with_others();
    let ownership = Ownership {
        leases,
        name: server.instance.clone().unwrap_or_else(lifecycle::machine_name),
        clock: ground.pipeline.clock,
        estate,
        demand,
        metrics: ground.pipeline.metrics.clone(),
        standings: ground.standings.clone(),
        heart: ground.pulse.heart("ownership", Ownership::FIRST),
    };
    tasks.spawn("ownership", ownership.keep(tasks.stop().soft.clone()));
    share
}
