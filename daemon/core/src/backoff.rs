//! How long to wait before the next attempt: by what is in the way, how often it was, and what the
//! server asks for.
//!
//! It does not know how an error shows in a protocol, and it does not wait.

use std::time::Duration;

/// What is in the way, as far as waiting is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The network, a connection that has ended, a refused login, an answer that makes no sense.
    Lost,
    /// Somebody else holds the mailbox for a moment (INUSE).
    InUse,
    /// The server is there, and a part behind it is not (UNAVAILABLE, SERVERBUG).
    Unavailable,
    /// Too many commands (THROTTLED).
    Throttled,
    /// Too many connections of this user (LIMIT).
    Crowded,
    /// What is done can not be written down: our own database, not the server.
    Storage,
    /// More bytes than the server gives out in a day or an hour.
    Bandwidth,
}

/// No server may send us away for longer.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// Accounts that were all asked to wait for the same time come back over this part more of it.
const SPREAD: f64 = 0.1;

impl Trouble {
    /// The first delay and the longest.
    ///
    /// A server that is down for a day is asked every five minutes: often enough to be back within
    /// the time in which a person would look, seldom enough for ten thousand accounts. One that says
    /// that it is too much gets a quarter of an hour of peace. A quota on bytes is counted over hours
    /// or a day (Gmail shuts an account out for up to a day), and each try counts. A database is waited for
    /// elsewhere, before any server is asked.
    const fn delays(self) -> (Duration, Duration) {
        match self {
            Self::Lost => (Duration::from_secs(1), Duration::from_mins(5)),
            Self::Storage => (Duration::from_secs(1), Duration::from_secs(10)),
            Self::InUse => (Duration::from_secs(2), Duration::from_mins(1)),
            Self::Unavailable => (Duration::from_secs(2), Duration::from_mins(10)),
            Self::Throttled | Self::Crowded => (Duration::from_mins(1), Duration::from_mins(15)),
            Self::Bandwidth => (Duration::from_mins(15), Duration::from_hours(2)),
        }
    }

    /// Whether the server is well and only wants less of us.
    pub const fn is_too_much(self) -> bool {
        matches!(self, Self::Throttled | Self::Crowded | Self::Bandwidth)
    }
}

/// Delay before attempt `attempt` (the first retry is 1): doubling from the first to the longest one
/// of this trouble, and of that a part between one half and all, by `jitter` from 0 to 1 ("equal
/// jitter"), so that accounts which lost one server together do not come back together.
///
/// Where the server has named a time, that counts instead, up to an hour; but a server that names a
/// short one again and again is not asked oftener than one that is down.
pub fn delay(trouble: Trouble, attempt: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let jitter = if jitter.is_nan() { 1.0 } else { jitter.clamp(0.0, 1.0) };
    let (first, longest) = match asked {
        Some(_) => Trouble::Lost.delays(),
        None => trouble.delays(),
    };
    let doubled = first.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
    let own = doubled.min(longest).mul_f64(0.5 + 0.5 * jitter);
    let asked = asked.unwrap_or_default().min(LONGEST_ASKED).mul_f64(1.0 + SPREAD * jitter);
    own.max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Trouble; 7] = [
        Trouble::Lost,
        Trouble::InUse,
        Trouble::Unavailable,
        Trouble::Throttled,
        Trouble::Crowded,
        Trouble::Bandwidth,
        Trouble::Storage,
    ];

    #[test]
    fn doubles_to_a_ceiling() {
        let lost = |attempt, jitter| delay(Trouble::Lost, attempt, None, jitter);
        assert_eq!(lost(1, 1.0), Duration::from_secs(1));
        assert_eq!(lost(4, 1.0), Duration::from_secs(8));
        assert_eq!(lost(4, 0.0), Duration::from_secs(4));
        assert_eq!(lost(u32::MAX, 1.0), Duration::from_mins(5));
        assert!(lost(1, f64::NAN) >= Duration::from_millis(500));
    }

    #[test]
    fn every_trouble_has_its_own_time_and_none_is_hammered() {
        let all = |attempt, jitter| ALL.map(|one| delay(one, attempt, None, jitter).as_secs());
        assert_eq!(all(1, 1.0), [1, 2, 2, 60, 60, 900, 1]);
        assert_eq!(all(3, 1.0), [4, 8, 8, 240, 240, 3_600, 4]);
        assert_eq!(all(99, 1.0), [300, 60, 600, 900, 900, 7_200, 10]);
        assert_eq!(all(99, 0.0), [150, 30, 300, 450, 450, 3_600, 5]);
    }

    #[test]
    fn what_the_server_asks_for_counts_within_reason() {
        let asked = |seconds, attempt| {
            let asked = Some(Duration::from_secs(seconds));
            delay(Trouble::Throttled, attempt, asked, 0.0).as_secs()
        };
        assert_eq!(asked(30, 1), 30, "not the minute of one who does not say");
        assert_eq!(asked(999_999_999, 1), 3_600);
        assert_eq!(asked(0, 12), 150, "as a server that is down");
        let spread = delay(Trouble::Throttled, 1, Some(Duration::from_secs(100)), 1.0);
        assert_eq!(spread.as_secs(), 110);
    }
}
