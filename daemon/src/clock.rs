//! The only place that asks what time it is, and for chance; everybody else is handed the answer,
//! or a `Clock`.
//!
//! Deliberately absent: waiting, which is the runtime's (but between two looks at the clocks), and any
//! arithmetic, which is the core's.

mod jump;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

pub use jump::{JumpWatch, Jumps};

/// The clocks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

#[expect(clippy::disallowed_methods, reason = "this is the one home of these calls")]
impl Clock {
    /// The moment by the calendar: for what is stored and shown. It may jump.
    pub fn now(self) -> Timestamp {
        Timestamp::now()
    }

    /// A moment that only grows: for how long something took. It means nothing after a restart.
    pub fn monotonic(self) -> Instant {
        Instant::now()
    }

    /// For how long this machine is up, its sleep included (`CLOCK_BOOTTIME`, see `clock_gettime(2)`): for
    /// what others wait for meanwhile.
    pub fn since_boot(self) -> Duration {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
    }
}

/// A number from 0 to 1 by the system's source of chance: what must not happen to many accounts
/// in the same moment is spread by it. Without such a source nothing is spread.
pub fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}
