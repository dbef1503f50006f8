//! What became of a message: one vocabulary for the store, `history` and the metrics.

use std::str::FromStr;

/// How a message left the pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Planned, and not yet confirmed by the server.
    Pending,
    /// All its keywords are on the server: they were read back.
    Labelled,
    /// It is in the mailbox that it was to go to, with all its keywords.
    Moved,
    /// Nothing to write: the normal case, an abstention, or answered by somebody before.
    Unlabelled,
    /// Shadow mode: what would have been written was not.
    Shadow,
    /// Decided before, under another UID or in another mailbox.
    Known,
    /// The model gave no usable answer.
    Failed,
    /// It can not be read, and is left alone until somebody asks for another attempt.
    Quarantined,
    /// It left the mailbox before the write.
    Gone,
    /// The mailbox is read-only for us.
    ReadOnly,
    /// The mailbox does not take our keyword.
    NotPermitted,
    /// The server said NO, or said OK and stored nothing.
    Rejected,
    /// What was done was taken back, or a part of it, because somebody asked for that.
    Undone,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 13] = [
        Self::Pending,
        Self::Labelled,
        Self::Moved,
        Self::Unlabelled,
        Self::Shadow,
        Self::Known,
        Self::Failed,
        Self::Quarantined,
        Self::Gone,
        Self::ReadOnly,
        Self::NotPermitted,
        Self::Rejected,
        Self::Undone,
    ];

    /// The name in the database, in `history` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Labelled => "labelled",
            Self::Moved => "moved",
            Self::Unlabelled => "unlabelled",
            Self::Shadow => "shadow",
            Self::Known => "known",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
            Self::Gone => "gone",
            Self::ReadOnly => "read-only",
            Self::NotPermitted => "not-permitted",
            Self::Rejected => "rejected",
            Self::Undone => "undone",
        }
    }
}

impl FromStr for Outcome {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_found_by_its_name() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
        assert_eq!("".parse::<Outcome>(), Err(()));
    }
}
