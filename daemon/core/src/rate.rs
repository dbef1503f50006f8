//! How often something may happen: each who asks is told how long he has to wait for his turn.
//!
//! The generic cell rate algorithm (ITU-T I.371): one moment is all the state there is.

use std::time::Duration;

/// A rate with some room for bursts. Times are those of a clock that only grows, from any beginning.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Between two turns in the long run.
    interval: Duration,
    /// How much earlier than that turns may come after a time of quiet.
    room: Duration,
    /// When the next turn is due if all turns so far had come as late as they may.
    due: Duration,
}

impl Rate {
    /// One turn each `interval`, and up to `burst` turns at once after a time of quiet (0 is 1).
    pub const fn new(interval: Duration, burst: u32) -> Self {
        let room = interval.saturating_mul(burst.saturating_sub(1));
        Self { interval, room, due: Duration::ZERO }
    }

    /// Takes the next turn; how long it is until then. Who does not wait for it has wasted it.
    pub fn take(&mut self, now: Duration) -> Duration {
        let wait = self.due.saturating_sub(self.room).saturating_sub(now);
        self.due = self.due.max(now).saturating_add(self.interval);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn turns_are_an_interval_apart_however_many_ask_at_once() {
        let mut rate = Rate::new(ms(50), 1);
        let waits: Vec<Duration> = (0..1_000).map(|_| rate.take(ms(7_000))).collect();
        let even = |(n, wait): (u64, &Duration)| *wait == ms(50 * n);
        assert!((0..).zip(&waits).all(even), "{waits:?}");
        // Time that passed counts, and no more than that.
        assert_eq!(rate.take(ms(7_000 + 50_000 - 20)), ms(20));
    }

    #[test]
    fn who_asks_seldom_never_waits() {
        let mut rate = Rate::new(ms(50), 1);
        assert!((1..100).all(|n| rate.take(ms(50 * n)).is_zero()));
    }

    #[test]
    fn after_quiet_there_is_a_burst_and_no_more() {
        let mut rate = Rate::new(ms(200), 10);
        for start in [0, 100_000] {
            let waits: Vec<Duration> = (0..12).map(|_| rate.take(ms(start))).collect();
            assert!(waits.iter().take(10).all(Duration::is_zero), "{waits:?}");
            assert_eq!(waits[10..], [ms(200), ms(400)]);
        }
    }
}
