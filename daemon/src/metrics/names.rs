//! The values that labels of metrics may have where this code, and not the model, says them.

/// A step of the pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// That messages are about to be read is stored.
    Attempt,
    /// Messages come from the server.
    Fetch,
    /// Bytes become a message.
    Parse,
    /// A message becomes the text that the model reads.
    Render,
    /// Where messages were decided before is looked up in the store.
    Recall,
    /// The model reads it.
    Classify,
    /// Decisions and what shall follow from them are stored.
    Plan,
    /// The server is told.
    Apply,
    /// The server is asked whether it did.
    Verify,
    /// What was done is stored.
    Settle,
}

impl Stage {
    /// All stages, in the order of the pipe.
    pub const ALL: [Self; 10] = [
        Self::Attempt,
        Self::Fetch,
        Self::Parse,
        Self::Render,
        Self::Recall,
        Self::Classify,
        Self::Plan,
        Self::Apply,
        Self::Verify,
        Self::Settle,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Fetch => "fetch",
            Self::Parse => "parse",
            Self::Render => "render",
            Self::Recall => "recall",
            Self::Classify => "classify",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Verify => "verify",
            Self::Settle => "settle",
        }
    }
}

/// What becomes of a message of which something is to be taken back, as the store calls it.
pub(super) const TAKEN_BACK: [&str; 4] = ["undone", "kept", "gone", "refused"];

/// What a connection to a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// TCP, TLS and login.
    Connecting,
    /// Commands.
    Working,
    /// Waiting for news, in IDLE or between two polls.
    Waiting,
}

impl ConnectionState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Connecting, Self::Working, Self::Waiting];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Working => "working",
            Self::Waiting => "waiting",
        }
    }
}

/// What was refused because it is not this daemon's any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// Its lease, and with it all accounts.
    Lease,
    /// A write about one account.
    Write,
}

impl Fence {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Lease, Self::Write];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Write => "write",
        }
    }
}

/// What became of a mail of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterState {
    /// The server has taken it.
    Sent,
    /// It was given up.
    Failed,
}

impl LetterState {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sent, Self::Failed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// How an attempt to take another version of the model ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelReload {
    /// It serves.
    Taken,
    /// The one before serves on.
    Refused,
}

impl ModelReload {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Taken, Self::Refused];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused => "refused",
        }
    }
}
