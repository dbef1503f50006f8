//! Effects: what is to be done to a message, and how far it is.

use jiff::Timestamp;
use triaged_core::decision::{Mark, Target};
use triaged_core::mailbox::{Uid, UidValidity};
use triaged_core::outcome::Outcome;

use super::{Identity, named};
use crate::store::StoreError;

named! {
    /// How far one effect is.
    EffectState {
        /// Decided, not confirmed.
        Pending = "pending",
        /// Never to be applied.
        Shadow = "shadow",
        /// Read back from the server.
        Done = "done",
        /// Somebody else answered the same question first.
        Yielded = "yielded",
        /// The message left before.
        Gone = "gone",
        /// The mailbox is read-only for us.
        ReadOnly = "read-only",
        /// The mailbox does not take this keyword, or lets nobody take a message out.
        NotPermitted = "not-permitted",
        /// Refused, or not stored although the server said OK.
        Rejected = "rejected",
        /// About to be taken back, because somebody asked for that.
        Undoing = "undoing",
        /// Taken back.
        Undone = "undone",
        /// To be taken back, and left as it is: somebody has changed the message since.
        Kept = "kept",
    }
}

impl EffectState {
    /// What a message becomes whose effect ended so.
    pub(in crate::store) fn outcome(self) -> Outcome {
        match self {
            Self::Pending => Outcome::Pending,
            Self::Shadow => Outcome::Shadow,
            Self::Done | Self::Yielded | Self::Kept => Outcome::Labelled,
            Self::Undoing | Self::Undone => Outcome::Undone,
            Self::Gone => Outcome::Gone,
            Self::ReadOnly => Outcome::ReadOnly,
            Self::NotPermitted => Outcome::NotPermitted,
            Self::Rejected => Outcome::Rejected,
        }
    }
}

/// Something that shall be done to a message and is not confirmed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEffect {
    pub(in crate::store) id: i64,
    pub(in crate::store) message: i64,
    /// Which message.
    pub uid: Uid,
    /// How it is recognised elsewhere.
    pub identity: Option<Identity>,
    /// What is done.
    pub deed: Deed,
}

/// What is done to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A change to its flags.
    Mark(Mark),
    /// To another mailbox.
    Move(Move),
    /// Somebody is told of it for the rule of this name. What is to be sent lies in the outbox since
    /// the plan.
    Alert(String),
}

/// A move, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Where to.
    pub target: Target,
    /// The server was told of it, and may have done it.
    pub begun: Option<Begun>,
    /// A copy is there, and the original is to be removed.
    pub copied: bool,
    /// Where it is now, as far as the server says.
    pub landed: Option<Landed>,
}

impl Move {
    /// One of which nothing is done yet.
    pub(in crate::store) fn to(target: Target) -> Self {
        Self { target, begun: None, copied: false, landed: None }
    }
}

/// How the target of a move was when the server was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// When that was.
    pub at: Timestamp,
    /// The generation of its UIDs.
    pub uid_validity: UidValidity,
    /// What comes from then on has this UID or a higher one.
    pub next: Uid,
}

/// Where a moved message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// The generation of the target's UIDs.
    pub uid_validity: UidValidity,
    /// Its UID there.
    pub uid: Uid,
}

impl PendingEffect {
    /// Whether it is a move of which the server was told.
    pub fn is_begun(&self) -> bool {
        matches!(self.deed, Deed::Move(Move { begun: Some(_), .. }))
    }

    /// The change to flags that it is.
    pub fn mark(&self) -> Option<&Mark> {
        match &self.deed {
            Deed::Mark(mark) => Some(mark),
            Deed::Move(_) | Deed::Alert(_) => None,
        }
    }
}
