//! How much an account may still receive today.
//!
//! Bytes are counted by the connection's meter and written down from time to time: a crash forgets
//! at most [`WORTH_A_WRITE`] of them, so that idle accounts cost no writes. It stops nothing by
//! itself: the flow asks before each chunk.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use triaged_core::budget::{self, DailyBudget, Mail};
use triaged_core::mailbox::AccountId;

use super::Pipeline;
use crate::imap::Meter;
use crate::store::{Store, StoreError};

/// Bytes after which the count is written down.
const WORTH_A_WRITE: u64 = 256 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Allowance {
    configured: Option<u32>,
    meter: Meter,
    count: Mutex<Count>,
}

#[derive(Debug, Default)]
struct Count {
    budget: DailyBudget,
    /// The day that the rest is about; `None` before the store was asked.
    day: Option<i64>,
    /// Received on that day before the meter showed `from`.
    before: u64,
    from: u64,
    /// What of the day is written down.
    saved: u64,
    /// What the meter showed when it was last told to the metrics.
    told: u64,
}

/// How an account stands with what it may receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes, today.
    pub received: u64,
    /// The most that there may be.
    pub limit: Option<u64>,
}

impl Allowance {
    /// One of an account whose configuration says so many MiB, or nothing.
    pub fn new(configured: Option<u32>) -> Self {
        Self { configured, meter: Meter::default(), count: Mutex::default() }
    }

    /// What the account's connections are counted by.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// A connection has begun, to a Gmail or to another server.
    pub async fn begin(
        &self,
        store: &Store,
        account: AccountId,
        gmail: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let day = budget::day(now);
        let known = self.count().day.is_some();
        let before = if known { 0 } else { store.traffic(account, day).await? };
        let mut count = self.count();
        count.budget = DailyBudget::new(self.configured, gmail);
        if !known {
            *count = Count {
                budget: count.budget,
                day: Some(day),
                before,
                saved: before,
                ..Count::default()
            };
        }
        Ok(())
    }

    /// Whether nothing more of this mail may be fetched today; then until when.
    pub fn spent(&self, mail: Mail, now: Timestamp) -> Option<Timestamp> {
        let traffic = self.traffic(now);
        let spent = self.count().budget.is_spent(traffic.received, mail);
        spent.then(|| budget::next_day(now))
    }

    /// What came today.
    pub fn traffic(&self, now: Timestamp) -> Traffic {
        let mut count = self.count();
        let received = count.received(self.meter.received(), budget::day(now));
        Traffic { received, limit: count.budget.bytes() }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written down, if it is worth it.
    fn unsaved(&self, now: Timestamp) -> Option<(i64, u64)> {
        let (shown, day) = (self.meter.received(), budget::day(now));
        let mut count = self.count();
        let received = count.received(shown, day);
        if received.saturating_sub(count.saved) < WORTH_A_WRITE {
            return None;
        }
        count.saved = received;
        Some((day, received))
    }
}

impl Count {
    /// Bytes of `day` when the meter shows so many; another day begins at nothing.
    fn received(&mut self, shown: u64, day: i64) -> u64 {
        if self.day.is_some_and(|known| known != day) {
            *self = Self { day: Some(day), before: 0, from: shown, saved: 0, ..*self };
        }
        self.before.saturating_add(shown.saturating_sub(self.from))
    }
}

impl Pipeline {
    /// Writes down what an account has received, if that is worth it, and tells the metrics.
    pub async fn count_traffic(
        &self,
        allowance: &Allowance,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let shown = allowance.meter.received();
        let told = std::mem::replace(&mut allowance.count().told, shown);
        self.metrics.received(shown.saturating_sub(told));
        match allowance.unsaved(self.clock.now()) {
            Some((day, received)) => self.store.set_traffic(account, day, received).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_nothing_and_goes_on_after_a_restart() {
        let mut count = Count { day: Some(5), before: 1_000, ..Count::default() };
        assert_eq!(count.received(0, 5), 1_000);
        assert_eq!(count.received(500, 5), 1_500);
        assert_eq!((count.received(600, 6), count.saved), (0, 0));
        assert_eq!(count.received(900, 6), 300);
        assert_eq!(count.received(950, 5), 0, "a clock that went back begins a day, too");
    }
}
