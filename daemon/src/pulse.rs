//! Signs of life: every part of the work says how long it may be silent, and the watchdog asks
//! whether somebody is silent for longer.
//!
//! Deliberately absent: a beat by timer. A timer lives on when the work hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;

type Promises = Arc<Mutex<BTreeMap<u64, Promise>>>;

#[derive(Debug)]
struct Promise {
    name: Arc<str>,
    until: Instant,
}

/// All parts that are alive; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    clock: Clock,
    promises: Promises,
    count: Arc<std::sync::atomic::AtomicU64>,
}

impl Pulse {
    /// Lets a part of the work in, for example one account; it has `within` until its first beat.
    pub fn heart(&self, name: &str, within: Duration) -> Heart {
        let id = self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let heart = Heart { id, name: name.into(), pulse: self.clone() };
        heart.beat(within);
        heart
    }

    /// The names of the parts that have been silent for longer than they said, in order of entry.
    pub fn overdue(&self) -> Vec<String> {
        self.overdue_at(self.clock.monotonic())
    }

    fn overdue_at(&self, now: Instant) -> Vec<String> {
        let promises = self.promises.lock().unwrap_or_else(PoisonError::into_inner);
        promises.values().filter(|one| one.until < now).map(|one| one.name.to_string()).collect()
    }
}

/// One part's sign of life. Dropping it says that the part has ended, which is no silence.
#[derive(Debug)]
pub struct Heart {
    id: u64,
    name: Arc<str>,
    pulse: Pulse,
}

impl Heart {
    /// "I am alive, and you will hear from me again `within` this time": said before each step of
    /// the work, with that step's own deadline and some room.
    pub fn beat(&self, within: Duration) {
        let until = self.pulse.clock.monotonic() + within;
        let mut promises = self.pulse.promises.lock().unwrap_or_else(PoisonError::into_inner);
        promises.insert(self.id, Promise { name: self.name.clone(), until });
    }

    /// Waits for something that only others can hasten, such as a turn, and beats meanwhile.
    pub async fn through<T>(&self, within: Duration, waiting: impl Future<Output = T>) -> T {
        tokio::pin!(waiting);
        loop {
            self.beat(within);
            if let Ok(done) = tokio::time::timeout(within / 2, &mut waiting).await {
                return done;
            }
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.pulse.promises.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_silent_for_longer_than_it_said_is_named_until_it_beats_or_ends() {
        let pulse = Pulse::default();
        let quick = pulse.heart("quick", Duration::from_secs(10));
        let slow = pulse.heart("slow", Duration::from_mins(10));
        let later = Clock.monotonic() + Duration::from_mins(1);
        assert_eq!(pulse.overdue(), Vec::<String>::new());
        assert_eq!(pulse.overdue_at(later), ["quick"]);
        quick.beat(Duration::from_mins(2));
        assert_eq!(pulse.overdue_at(later), Vec::<String>::new());
        let much_later = later + Duration::from_hours(1);
        assert_eq!(pulse.overdue_at(much_later), ["quick", "slow"]);
        drop((quick, slow));
        assert_eq!(pulse.overdue_at(much_later), Vec::<String>::new());
    }
}
