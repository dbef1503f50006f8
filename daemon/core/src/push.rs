//! Whether what a server announces by itself can be relied on.
//!
//! A push that has silently died looks like a mailbox without mail. It shows only where somebody
//! asks: mail that lay there for a while when a wait ended, and of which nothing was said. Until the
//! server announces mail again, waits are short.

use std::time::Duration;

use jiff::Timestamp;

/// Servers gather events before they announce them (Dovecot: half a second), and clocks differ a
/// little: mail that is younger than this when a wait ends was not withheld.
const GRACE: Duration = Duration::from_secs(30);

/// What is known of a server's push.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Push {
    /// No mail has come yet that it could have announced.
    #[default]
    Unproven,
    /// It has announced the last mail that came.
    Verified,
    /// Mail came of which it said nothing.
    Failing,
}

impl Push {
    /// The name, as it stands in status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Verified => "verified",
            Self::Failing => "failing",
        }
    }
}

/// What a server's push has done so far, on all connections of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushRecord {
    /// What to make of it now.
    pub push: Push,
    /// When it last announced mail.
    pub announced: Option<Timestamp>,
    /// How often mail had come and nothing was said.
    pub withheld: u64,
}

impl PushRecord {
    /// Mail was announced at `now`.
    pub fn announced(&mut self, now: Timestamp) {
        self.push = Push::Verified;
        self.announced = Some(now);
    }

    /// A wait ended at `ended` without a word, and then mail was found, the oldest of it received
    /// at `oldest`. Whether it was withheld.
    pub fn found(&mut self, oldest: Timestamp, ended: Timestamp) -> bool {
        let withheld = ended.duration_since(oldest) > GRACE.try_into().unwrap_or_default();
        if withheld {
            self.push = Push::Failing;
            self.withheld = self.withheld.saturating_add(1);
        }
        withheld
    }

    /// How long to wait for an announcement, where `longest` is for a push that works and `poll`
    /// for a server without one.
    pub fn wait(&self, longest: Duration, poll: Duration) -> Duration {
        if self.push == Push::Failing { poll.min(longest) } else { longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_mins(4);
    const POLL: Duration = Duration::from_mins(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn mail_that_came_just_before_the_end_of_a_wait_proves_nothing() {
        let mut record = PushRecord::default();
        assert!(!record.found(at(80), at(100)));
        assert_eq!(record, PushRecord::default());
    }

    #[test]
    fn a_push_that_withholds_mail_is_asked_more_often_until_it_announces_some() {
        let mut record = PushRecord::default();
        record.announced(at(10));
        assert_eq!((record.push, record.wait(LONGEST, POLL)), (Push::Verified, LONGEST));
        assert!(record.found(at(20), at(100)));
        assert_eq!((record.push, record.withheld), (Push::Failing, 1));
        assert_eq!(record.wait(LONGEST, POLL), POLL);
        record.announced(at(120));
        assert_eq!((record.push, record.announced), (Push::Verified, Some(at(120))));
        assert_eq!(record.wait(LONGEST, POLL), LONGEST);
    }
}
