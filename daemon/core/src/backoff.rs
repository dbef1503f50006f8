//! How long to wait before the next attempt.

use std::time::Duration;

/// First delay.
const BASE: Duration = Duration::from_secs(1);
/// A server that is down for a day is asked every five minutes: often enough to be back within
/// the time in which a person would look, seldom enough for ten thousand accounts.
const LONGEST: Duration = Duration::from_mins(5);

/// Delay before attempt `n` (the first retry is 1): doubling from one second to five minutes,
/// and of that a part between one half and all, by `jitter` from 0 to 1 ("equal jitter"), so
/// that accounts which lost one server together do not come back together.
pub fn delay(attempt: u32, jitter: f64) -> Duration {
    let doubled = BASE.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
    // `clamp` alone lets a NaN through, and the multiplication would panic.
    let jitter = if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) };
    doubled.min(LONGEST).mul_f64(0.5 + 0.5 * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_ceiling() {
        assert_eq!(delay(1, 1.0), Duration::from_secs(1));
        assert_eq!(delay(4, 1.0), Duration::from_secs(8));
        assert_eq!(delay(4, 0.0), Duration::from_secs(4));
        assert_eq!(delay(u32::MAX, 1.0), LONGEST);
        assert!(delay(1, f64::NAN) >= Duration::from_millis(500));
    }
}
