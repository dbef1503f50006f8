//! How long to wait: for a server that can not be used, and with a mail that it does not take now.

use std::time::Duration;

use triaged_core::backoff::{self, Trouble as Kind};

use super::Trouble;

/// A mail that is not taken now: greylisting wants some minutes.
const NOT_NOW: Duration = Duration::from_secs(30);
/// A mail with which the conversation ended: all wait for the server then, and this one lets others go
/// first, for it may be the reason.
const CUT_OFF: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(15);
/// A server that refuses the login counts each attempt, and only somebody can mend it: the first pause
/// and the longest. SIGHUP ends it.
const REFUSED: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(30));

/// The delay of a mail before its next attempt, by whether it alone was refused, how often it was
/// tried, and by `jitter` from 0 to 1.
pub(super) fn letter_delay(alone: bool, attempts: u32, jitter: f64) -> Duration {
    doubled(if alone { NOT_NOW } else { CUT_OFF }, LONGEST, attempts, jitter)
}

fn doubled(first: Duration, longest: Duration, attempt: u32, jitter: f64) -> Duration {
    let doubled = first.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
    doubled.min(longest).mul_f64(0.5 + 0.5 * jitter)
}

/// What was in the way, and how often in a row.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    /// The same of our own database, which says nothing about the server.
    storage: u32,
    said: Option<String>,
}

impl Pace {
    /// Whether this was not said before.
    pub(super) fn is_news(&mut self, error: &Trouble) -> bool {
        let text = error.to_string();
        let news = self.said.as_ref() != Some(&text);
        self.said = Some(text);
        news
    }

    /// Nothing is in the way; whether something was.
    pub(super) fn is_over(&mut self) -> bool {
        (self.failures, self.storage) = (0, 0);
        self.said.take().is_some()
    }

    /// How long nothing is tried now.
    pub(super) fn after(&mut self, error: &Trouble, jitter: f64) -> Duration {
        if matches!(error, Trouble::Store(_)) {
            self.storage = self.storage.saturating_add(1);
            return backoff::delay(Kind::Storage, self.storage, None, jitter);
        }
        self.failures = self.failures.saturating_add(1);
        if error.is_refusal() {
            return doubled(REFUSED.0, REFUSED.1, self.failures, jitter);
        }
        backoff::delay(Kind::Lost, self.failures, None, jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::{SmtpError, Step, Why};
    use crate::store::StoreError;

    fn trouble(step: Step, why: Why) -> Trouble {
        Trouble::Smtp(SmtpError { step, why })
    }

    #[test]
    fn the_pauses_grow_to_a_bound_and_are_said_once() {
        let seconds = |attempts| letter_delay(true, attempts, 1.0).as_secs();
        assert_eq!([1, 2, 5, 6, 99].map(seconds), [30, 60, 480, 900, 900]);
        assert_eq!(letter_delay(true, 1, 0.0), Duration::from_secs(15));
        assert_eq!(letter_delay(false, 3, 1.0), Duration::from_secs(4));
        let mut pace = Pace::default();
        let away = trouble(Step::Greeting, Why::Deadline);
        assert!(pace.is_news(&away) && !pace.is_news(&away));
        let pauses: Vec<u64> = (0..12).map(|_| pace.after(&away, 1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert!(pace.is_over() && !pace.is_over());
        let refused = trouble(Step::Login, Why::Refused("535".to_owned()));
        assert!(pace.is_news(&refused));
        assert_eq!(pace.after(&refused, 1.0), Duration::from_mins(1));
        let full = Trouble::Store(StoreError::TimedOut);
        let pauses: Vec<u64> = (0..9).map(|_| pace.after(&full, 1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10, 10, 10, 10], "it is back sooner than a server");
        assert_eq!(pace.after(&refused, 1.0), Duration::from_mins(2), "and says nothing about one");
    }
}
