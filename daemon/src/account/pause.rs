//! How long an account stays away after a failure, beyond the usual back-off.

use std::time::Duration;

use crate::imap::ImapError;
use crate::pipeline::FlowError;

/// Refused logins in a row after which a server's guard may shut this whole machine out
/// (fail2ban's default is five in ten minutes).
const MANY_REFUSALS: u32 = 3;
/// Then one attempt in so long stays below such limits.
const LONG_PAUSE: Duration = Duration::from_mins(15);
/// After a server said that it was too much.
const SHORT_PAUSE: Duration = Duration::from_mins(1);
/// No server may send us away for longer.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The least pause before the next attempt: what the server asked for, within reason; and for what
/// a server may take for an attack, so much that it does not.
pub(super) fn least(error: &FlowError, attempt: u32) -> Duration {
    let FlowError::Imap(error) = error else { return Duration::ZERO };
    let least = match error {
        ImapError::LoginRefused(_) if attempt >= MANY_REFUSALS => LONG_PAUSE,
        ImapError::Throttled(_) => SHORT_PAUSE,
        _ => Duration::ZERO,
    };
    error.retry_after().unwrap_or_default().min(LONGEST_PAUSE).max(least)
}
