//! How many bytes an account may take from its server in a day, and which day it is.
//!
//! Days are those of UTC. Who counts the bytes, and where the count is kept, is not known here.

use jiff::Timestamp;

const SECONDS: i64 = 86_400;
const MEBIBYTE: u64 = 1024 * 1024;
/// Gmail gives out 2,500 MB a day by IMAP, to all programs of an account together, and shuts out one
/// that wants more for up to a day. This is half of it: phones and mail programs need the other.
const GMAIL: u64 = 1_200 * MEBIBYTE;
/// The part, in hundredths, from which on older mail waits, so that new mail still has a rest.
const OLD_MAIL: u64 = 70;

/// Which mail bytes are spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mail {
    /// What has come since: from the cursor on.
    New,
    /// From before the cursor, because somebody asked for it.
    Old,
}

/// What an account may receive in a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DailyBudget {
    bytes: Option<u64>,
}

impl DailyBudget {
    /// What the configuration says in MiB (0: no limit); where it says nothing, what suits Gmail if
    /// the server is that, and else no limit.
    pub fn new(configured: Option<u32>, gmail: bool) -> Self {
        let bytes = match configured {
            Some(0) => None,
            Some(mebibytes) => Some(u64::from(mebibytes) * MEBIBYTE),
            None => gmail.then_some(GMAIL),
        };
        Self { bytes }
    }

    /// The limit in bytes.
    pub fn bytes(self) -> Option<u64> {
        self.bytes
    }

    /// Whether nothing more may be fetched after so many bytes.
    pub fn is_spent(self, received: u64, mail: Mail) -> bool {
        let part = if mail == Mail::New { 100 } else { OLD_MAIL };
        self.bytes.is_some_and(|bytes| received >= bytes / 100 * part)
    }
}

/// The number of the day in UTC, from 1970 on.
pub fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(SECONDS)
}

/// When the next day begins.
pub fn next_day(now: Timestamp) -> Timestamp {
    Timestamp::from_second((day(now) + 1) * SECONDS).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gmail_has_a_limit_that_nobody_configured() {
        assert_eq!(DailyBudget::new(None, false).bytes(), None);
        assert_eq!(DailyBudget::new(None, true).bytes(), Some(GMAIL));
        assert_eq!(DailyBudget::new(Some(0), true).bytes(), None);
        assert_eq!(DailyBudget::new(Some(3), true).bytes(), Some(3 * MEBIBYTE));
    }

    #[test]
    fn older_mail_stops_before_new_mail_does() {
        let budget = DailyBudget::new(Some(100), false);
        let spent = |mebibytes, mail| budget.is_spent(mebibytes * MEBIBYTE, mail);
        assert!(!spent(69, Mail::Old) && spent(70, Mail::Old));
        assert!(!spent(99, Mail::New) && spent(100, Mail::New));
        assert!(!DailyBudget::default().is_spent(u64::MAX, Mail::Old));
    }

    #[test]
    fn days_begin_at_midnight_in_utc() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(next_day(at("2026-11-21T23:59:59Z")), at("2026-11-22T00:00:00Z"));
        assert_eq!(next_day(at("2026-11-22T00:00:00Z")), at("2026-11-23T00:00:00Z"));
        assert_eq!(day(at("1969-12-31T23:00:00Z")), -1);
        assert_eq!(next_day(Timestamp::MAX), Timestamp::MAX);
    }
}
