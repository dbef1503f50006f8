//! How long an account stays away after a failure, beyond the usual back-off.

use std::time::Duration;

use crate::imap::ImapError;
use crate::pipeline::FlowError;

/// After a server said that it was too much.
const SHORT_PAUSE: Duration = Duration::from_mins(1);
/// No server may send us away for longer.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The least pause before the next attempt: what the server asked for, within reason, and more
/// after it said that it was too much.
pub(super) fn least(error: &FlowError) -> Duration {
    let (asked, least) = match error {
        FlowError::Imap(error @ ImapError::Throttled(_)) => (error.retry_after(), SHORT_PAUSE),
        FlowError::Imap(error) => (error.retry_after(), Duration::ZERO),
        FlowError::Credential(error) => (error.retry_after(), Duration::ZERO),
        _ => (None, Duration::ZERO),
    };
    asked.unwrap_or_default().min(LONGEST_PAUSE).max(least)
}
