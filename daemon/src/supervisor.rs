//! Starts the flow of every account; the gate before their connections spreads them in time.
//!
//! It does not watch them: each is a tracked task that comes back from failures by itself, and one
//! that ends though nobody asked stops the daemon.

use std::convert::Infallible;

use crate::account::Watcher;
use crate::tasks::Tasks;

/// Starts all watchers; each hears the soft stop.
pub fn start(tasks: &Tasks, watchers: Vec<Watcher>) {
    for watcher in watchers {
        let stop = tasks.stop().soft.clone();
        let name = format!("account {}", watcher.config.name);
        tasks.spawn(&name, async move {
            watcher.run(stop).await;
            Ok::<_, Infallible>(())
        });
    }
}
