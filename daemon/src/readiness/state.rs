//! The states that an account can be in, with what is in the way. The schema of `triaged status --json`
//! names the same ones.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where one account stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AccountState {
    /// Not logged in yet since the start, and nothing has gone wrong so far; or nobody has it yet.
    Starting,
    /// Logged in; mail that was there or came meanwhile goes through the pipe, which can take hours.
    CatchingUp,
    /// Logged in and caught up; new mail is noticed.
    Watching,
    /// Something is in the way, and it is tried again.
    Waiting {
        /// What is in the way, in words for an administrator; never a secret or a line of mail.
        reason: String,
        /// When the next attempt begins.
        retry_at: Timestamp,
    },
    /// The server is well and wants less of us; it is tried again.
    Throttled {
        /// What it wants less of.
        reason: String,
        /// When the next attempt begins.
        retry_at: Timestamp,
    },
    /// As much came from the server as may come in a day: new mail waits.
    OverBudget {
        /// How much, and what the limit is.
        reason: String,
        /// When the next day begins.
        retry_at: Timestamp,
    },
    /// The login was refused too often: nothing is tried until somebody has done something.
    Refused {
        /// What was refused, and what to do; never a secret.
        reason: String,
    },
    /// Another daemon has it, or is about to.
    Elsewhere,
    /// The daemon is ending and this account is done.
    Stopped,
}

impl AccountState {
    /// The names of all states, as they stand in /readyz and in metrics.
    pub const NAMES: [&'static str; 9] = [
        "starting",
        "catching_up",
        "watching",
        "waiting",
        "throttled",
        "over_budget",
        "refused",
        "elsewhere",
        "stopped",
    ];

    /// The name of this state.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching_up",
            Self::Watching => "watching",
            Self::Waiting { .. } => "waiting",
            Self::Throttled { .. } => "throttled",
            Self::OverBudget { .. } => "over_budget",
            Self::Refused { .. } => "refused",
            Self::Elsewhere => "elsewhere",
            Self::Stopped => "stopped",
        }
    }

    /// What is in the way, where something is.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Waiting { reason, .. }
            | Self::Throttled { reason, .. }
            | Self::OverBudget { reason, .. }
            | Self::Refused { reason } => Some(reason),
            Self::Starting
            | Self::CatchingUp
            | Self::Watching
            | Self::Elsewhere
            | Self::Stopped => None,
        }
    }

    /// When it is tried again, where that is known.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Waiting { retry_at, .. }
            | Self::Throttled { retry_at, .. }
            | Self::OverBudget { retry_at, .. } => Some(*retry_at),
            _ => None,
        }
    }
}
