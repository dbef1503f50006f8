//! Whether the clocks have come apart between two looks: a sleep of the machine, or a set time.
//!
//! What the monotonic clock does while a machine sleeps differs: it stands still (Linux'
//! `CLOCK_MONOTONIC`, which Rust uses there) or goes on (`CLOCK_BOOTTIME`, other systems). Both are
//! noticed.

use std::time::Duration;

use jiff::SignedDuration;

/// More than a time server corrects at once in daily work, and less than the silence after which
/// servers and routers let a connection go.
const TOLERANCE: Duration = Duration::from_secs(30);
/// How late a look may be because the machine is busy.
const LATE: Duration = Duration::from_mins(1);

/// Whether a look that was to come after `planned` came over a jump: `monotonic` has passed by the
/// clock that only grows, `calendar` by the one that can be set.
pub fn has_jumped(planned: Duration, monotonic: Duration, calendar: SignedDuration) -> bool {
    let apart = SignedDuration::try_from(monotonic)
        .map_or(SignedDuration::MAX, |monotonic| calendar.saturating_sub(monotonic))
        .unsigned_abs();
    apart > TOLERANCE || monotonic > planned.saturating_add(LATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_jumped_in(monotonic: u64, calendar: i64) -> bool {
        let planned = Duration::from_secs(5);
        has_jumped(planned, Duration::from_secs(monotonic), SignedDuration::from_secs(calendar))
    }

    #[test]
    fn a_sleep_is_noticed_whether_or_not_the_monotonic_clock_stood_still() {
        assert!(has_jumped_in(5, 3_600), "it stood still");
        assert!(has_jumped_in(3_600, 3_600), "it went on");
    }

    #[test]
    fn a_set_clock_is_noticed_in_both_directions() {
        assert!(has_jumped_in(5, -3_600) && has_jumped_in(5, 10 * 365 * 86_400));
        assert!(has_jumped_in(5, i64::MIN) && has_jumped_in(u64::MAX, 5));
    }

    #[test]
    fn a_busy_machine_and_a_time_server_are_no_jump() {
        assert!(!has_jumped_in(5, 5) && !has_jumped_in(40, 40) && !has_jumped_in(5, 30));
    }
}
