//! Starts the flow of every account, at a bounded rate.
//!
//! It does not watch them: each is a tracked task that comes back from failures by itself, and one
//! that ends though nobody asked stops the daemon.

use std::convert::Infallible;
use std::time::Duration;

use crate::account::Watcher;
use crate::tasks::Tasks;

/// Between the first logins of two accounts: twenty a second, so that a server with thousands of
/// users is not asked for all of them at once.
const BETWEEN_STARTS: Duration = Duration::from_millis(50);

/// Starts all watchers; each hears the soft stop.
pub fn start(tasks: &Tasks, watchers: Vec<Watcher>) {
    for (position, watcher) in (0u32..).zip(watchers) {
        let stop = tasks.stop().soft.clone();
        let name = format!("account {}", watcher.config.name);
        tasks.spawn(&name, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(BETWEEN_STARTS.saturating_mul(position)) => {
                    watcher.run(stop.clone()).await;
                }
            }
            Ok::<_, Infallible>(())
        });
    }
}
