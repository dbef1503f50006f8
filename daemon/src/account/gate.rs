//! The gate that every connection of every account goes through before it is made.
//!
//! After an outage all accounts come back; the gate lets them through one by one, so that neither a
//! server nor its guards see thousands of logins in one moment. It does not order them: who asks
//! first goes first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use triaged_core::rate::Rate;

use crate::clock::Clock;

/// Twenty connections a second, evenly.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(50);

/// One for all accounts; clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    clock: Clock,
    built: Instant,
    rate: Arc<Mutex<Rate>>,
}

impl Gate {
    /// A gate that nobody has gone through.
    pub fn new(clock: Clock) -> Self {
        let rate = Rate::new(BETWEEN_CONNECTIONS, 1);
        Self { clock, built: clock.monotonic(), rate: Arc::new(Mutex::new(rate)) }
    }

    /// Takes a place; how long it is until it is that one's turn.
    pub(super) fn take(&self) -> Duration {
        let now = self.clock.monotonic().duration_since(self.built);
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }
}
