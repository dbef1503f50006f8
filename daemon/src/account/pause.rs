//! How long an account stays away after a failure, and whether it stays when it is in again.
//!
//! It waits for nothing itself and knows no server: what a failure means for the time is told by the
//! core.

use std::time::{Duration, Instant};

use triaged_core::backoff::{self, Trouble};

use crate::clock::jitter;
use crate::pipeline::FlowError;

/// A connection that lasted this long was of use.
const OF_USE: Duration = Duration::from_mins(1);
/// For so long after a server had no room for a connection, none is kept: whoever else reads this
/// mail needs them more.
const CROWDED: Duration = Duration::from_hours(1);
/// How often mail is looked at meanwhile.
const BETWEEN_VISITS: Duration = Duration::from_mins(5);

/// What an account has learnt from its failures in a row.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Failures in a row at the server.
    server: u32,
    /// The same of our own database, which says nothing about the server.
    storage: u32,
    /// The one of both that was counted last.
    attempt: u32,
    /// When the server last had no room.
    crowded: Option<Instant>,
}

impl Patience {
    /// A connection that began at `began` has ended by `error`: how long to stay away.
    ///
    /// A connection that was of use for a while begins the count anew; one that only ever logs in
    /// and is thrown out does not.
    pub(super) fn after(&mut self, error: &FlowError, began: Instant, now: Instant) -> Duration {
        if now.duration_since(began) > OF_USE {
            self.begin_anew();
        }
        let trouble = trouble(error);
        let count = if trouble == Trouble::Storage {
            &mut self.storage
        } else {
            self.storage = 0;
            &mut self.server
        };
        *count = count.saturating_add(1);
        self.attempt = *count;
        if trouble == Trouble::Crowded {
            self.crowded = Some(now);
        }
        backoff::delay(trouble, self.attempt, asked(error), jitter())
    }

    /// Somebody has mended something.
    pub(super) fn begin_anew(&mut self) {
        (self.server, self.storage) = (0, 0);
    }

    /// Failures in a row so far.
    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Where no connection is to be kept: how long to stay away between two.
    pub(super) fn between_visits(&self, poll: Duration, now: Instant) -> Option<Duration> {
        let crowded = self.crowded.is_some_and(|then| now.duration_since(then) < CROWDED);
        crowded.then(|| BETWEEN_VISITS.max(poll))
    }
}

/// What is in the way.
pub(super) fn trouble(error: &FlowError) -> Trouble {
    match error {
        FlowError::Imap(error) => error.trouble(),
        FlowError::Store(_) => Trouble::Storage,
        _ => Trouble::Lost,
    }
}

/// How long the server, or who gives out tokens, asks us to wait.
fn asked(error: &FlowError) -> Option<Duration> {
    match error {
        FlowError::Imap(error) => error.retry_after(),
        FlowError::Credential(error) => error.retry_after(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::{ImapError, Reply, ResponseCode};
    use crate::store::StoreError;

    const POLL: Duration = Duration::from_mins(1);

    fn throttled(code: ResponseCode) -> FlowError {
        ImapError::Throttled(Reply { code: Some(code), retry_after: None }).into()
    }

    fn some_instant() -> Instant {
        crate::clock::Clock.monotonic()
    }

    #[test]
    fn failures_in_a_row_count_until_a_connection_was_of_use() {
        let (mut patience, began) = (Patience::default(), some_instant());
        let lost = FlowError::Imap(ImapError::Closed);
        for attempt in 1..=3 {
            patience.after(&lost, began, began + OF_USE);
            assert_eq!(patience.attempt(), attempt);
        }
        patience.after(&lost, began, began + 2 * OF_USE);
        assert_eq!(patience.attempt(), 1);
    }

    #[test]
    fn a_database_that_was_full_makes_no_server_wait_for_long() {
        let (mut patience, began) = (Patience::default(), some_instant());
        let full = FlowError::Store(StoreError::TimedOut);
        for attempt in 1..=9 {
            let away = patience.after(&full, began, began);
            assert_eq!(patience.attempt(), attempt);
            assert!(away <= Duration::from_secs(10), "{away:?}");
        }
        let away = patience.after(&FlowError::Imap(ImapError::Closed), began, began);
        assert!(away <= Duration::from_secs(1), "{away:?}");
        patience.after(&full, began, began);
        assert_eq!(patience.attempt(), 1);
        patience.after(&FlowError::Imap(ImapError::Closed), began, began);
        assert_eq!(patience.attempt(), 2, "the server is as ill as it was");
        patience.after(&full, began, began + 2 * OF_USE);
        patience.after(&FlowError::Imap(ImapError::Closed), began, began);
        assert_eq!(patience.attempt(), 1, "it was well for long enough");
    }

    #[test]
    fn after_a_server_had_no_room_connections_are_visits_for_an_hour() {
        let (mut patience, now) = (Patience::default(), some_instant());
        patience.after(&throttled(ResponseCode::Throttled), now, now);
        assert_eq!(patience.between_visits(POLL, now), None);
        let away = patience.after(&throttled(ResponseCode::Limit), now, now);
        assert!(away >= Duration::from_secs(30), "{away:?}");
        assert_eq!(patience.between_visits(POLL, now), Some(BETWEEN_VISITS));
        assert_eq!(patience.between_visits(CROWDED, now + POLL), Some(CROWDED));
        assert_eq!(patience.between_visits(POLL, now + CROWDED), None);
    }
}
