//! Until when this daemon may rely on its accounts being its own, where several share them: told by
//! the flow that renews the lease, asked right before anything is changed on a server.
//!
//! A server can not check whose a command is, so a daemon that was frozen, or cut off from the database,
//! has to know by itself that its time is over. Deliberately absent: what follows from that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;

/// Longer than any machine is up.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

/// A word that ends by itself; clones share it.
#[derive(Debug, Clone)]
pub struct Trust {
    clock: Clock,
    /// A moment since the boot of this machine.
    until: Arc<watch::Sender<Duration>>,
}

/// One that never ends: nobody shares the accounts.
impl Default for Trust {
    fn default() -> Self {
        Self { clock: Clock, until: Arc::new(watch::Sender::new(Duration::MAX)) }
    }
}

impl Trust {
    /// One that is not given yet.
    pub fn none() -> Self {
        Self { clock: Clock, until: Arc::new(watch::Sender::new(Duration::ZERO)) }
    }

    /// Gives it until a moment since boot, unless it holds longer already.
    pub fn extend(&self, until: Duration) {
        self.until.send_modify(|now| *now = until.max(*now));
    }

    /// Takes it back at once.
    pub fn end(&self) {
        self.until.send_replace(Duration::ZERO);
    }

    /// Whether something may be changed now.
    pub fn holds(&self) -> bool {
        let until = *self.until.borrow();
        until == Duration::MAX || self.clock.since_boot() < until
    }

    /// Whether both are the same word.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.until, &other.until)
    }

    /// Waits until it does not hold any more.
    pub async fn lapsed(&self) {
        let mut until = self.until.subscribe();
        while self.holds() {
            // One that never ends is not slept through.
            let left =
                until.borrow_and_update().min(LONGEST).saturating_sub(self.clock.since_boot());
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // The sender lives in `self`.
                _ = until.changed() => {}
            }
        }
    }

    /// Waits until it holds.
    pub async fn given(&self) {
        let mut until = self.until.subscribe();
        while !self.holds() {
            // The sender lives in `self`, so waiting can not fail.
            let _ = until.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_holds_until_its_time_is_over_and_again_when_it_is_given_again() {
        let (trust, clock) = (Trust::none(), Clock);
        assert!(!trust.holds());
        trust.extend(clock.since_boot() + Duration::from_millis(30));
        trust.given().await;
        trust.lapsed().await;
        assert!(!trust.holds());
        trust.extend(clock.since_boot() + Duration::from_hours(1));
        // An answer that comes late takes nothing back.
        trust.extend(clock.since_boot());
        assert!(trust.clone().holds());
        trust.end();
        trust.lapsed().await;
        assert!(!trust.holds() && Trust::default().holds());
    }
}
