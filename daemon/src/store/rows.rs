//! What goes into the store and comes out of it, in words of the domain.

mod effect;

use jiff::Timestamp;
use triaged_core::alert::Facts;
use triaged_core::decision::Decision;
use triaged_core::mailbox::{AccountId, MailboxId, Uid, UidValidity};
use triaged_core::outcome::Outcome;
use triaged_core::score::{Abstention, Prediction};
use triaged_core::sync::Cursor;

pub use effect::{Begun, Deed, EffectState, Landed, Move, PendingEffect};

use super::StoreError;

/// An account as the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Its row.
    pub id: AccountId,
    /// When triaged first ran with it: older mail is left alone unless a backfill asks for it.
    pub first_start: Timestamp,
}

/// A mailbox under one generation of its UIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMailbox {
    /// Its row.
    pub id: MailboxId,
    /// The account that it belongs to.
    pub account: AccountId,
    /// How far it is settled.
    pub cursor: Cursor,
}

/// Recognises a message wherever it is moved: a keyed hash of its Message-ID and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub [u8; 16]);

/// By what a message is recognised, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Message-ID and size.
    pub identity: Option<Identity>,
    /// What the server calls it.
    pub email: Option<Identity>,
}

/// What a server says of a mailbox beside its UIDs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// What it calls the mailbox whatever its name is (RFC 8474).
    pub object_id: Option<String>,
    /// The highest mod-sequence (RFC 7162).
    pub highest_mod_seq: Option<u64>,
}

/// Where a message of some identity was decided before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// In which mailbox.
    pub mailbox: MailboxId,
    /// Under which generation.
    pub uid_validity: UidValidity,
    /// As which UID.
    pub uid: Uid,
}

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// The name in the database and in `history`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            pub(in crate::store) fn parse(text: &str) -> Result<Self, StoreError> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(StoreError::Row(format!("{} {other:?}", stringify!($name)))),
                }
            }
        }
    };
}

pub(super) use named;

named! {
    /// What was to be done with a message.
    Action {
        /// Its labels are written.
        Label = "label",
        /// Everything but the write.
        Shadow = "shadow",
        /// It was decided before, somewhere else, and is left as it is.
        Skip = "skip",
    }
}

named! {
    /// How far a request for older mail is.
    BackfillState {
        /// To be done, or in work.
        Open = "open",
        /// All of it was looked at.
        Done = "done",
        /// It can not be done.
        Failed = "failed",
        /// Somebody thought better of it.
        Cancelled = "cancelled",
    }
}

/// A request for older mail of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// Its row.
    pub id: i64,
    /// The name of the mailbox.
    pub mailbox: String,
    /// Mail received earlier is left alone.
    pub since: Timestamp,
    /// Most messages a minute, at least 1.
    pub per_minute: u32,
    /// How far it is; `None` before the work begins.
    pub progress: Option<BackfillProgress>,
    /// How many messages were looked at, those that were decided before included.
    pub looked_at: u64,
    /// Whether it is at its end.
    pub state: BackfillState,
    /// Why it failed.
    pub reason: Option<String>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillProgress {
    /// The generation of UIDs that it is about.
    pub uid_validity: UidValidity,
    /// Messages with this UID and higher ones are done.
    pub below: Uid,
    /// How many messages there were when it began.
    pub found: u64,
}

/// A message with what was decided about it, before anything is done.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedMessage {
    /// Its UID in the mailbox of the chunk.
    pub uid: Uid,
    /// How to recognise it elsewhere; `None` without a Message-ID.
    pub identity: Option<Identity>,
    /// The server's own word for it; `None` where it has none.
    pub email: Option<Identity>,
    /// Its Message-ID, by which people name it.
    pub message_id: Option<Identity>,
    /// Only where the configuration asks for subjects.
    pub subject: Option<String>,
    /// What shall be done.
    pub action: Action,
    /// The model's answers, if it was asked and could answer.
    pub prediction: Option<Prediction>,
    /// Which model.
    pub model: Option<String>,
    /// Names of oddities found while parsing.
    pub defects: Vec<&'static str>,
    /// What shall be done to it.
    pub decision: Decision,
    /// Whether it can not be read, and was tried often enough.
    pub quarantined: bool,
}

impl PlannedMessage {
    /// What has become of it as soon as it is planned.
    pub fn outcome(&self) -> Outcome {
        match self.action {
            Action::Skip => Outcome::Known,
            _ if self.quarantined => Outcome::Quarantined,
            _ if self.prediction.is_none() => Outcome::Failed,
            _ if self.decision.is_empty() => Outcome::Unlabelled,
            Action::Shadow => Outcome::Shadow,
            Action::Label => Outcome::Pending,
        }
    }
}

/// A mail of ours that is to be sent to one address.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub(super) id: i64,
    /// The rule that it is about.
    pub rule: String,
    /// To whom it goes.
    pub recipient: String,
    /// With its brackets; the same at every attempt.
    pub message_id: String,
    /// When it was written down.
    pub created: Timestamp,
    /// How often it was begun to be sent, this time included.
    pub attempts: u32,
    /// What it says.
    pub content: Content,
}

/// What a mail of ours says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// What is known of one mail.
    Mail(Box<Facts>),
    /// How many more there were.
    Digest {
        /// That nobody was told of one by one.
        count: u64,
        /// How many alerts its rule may send in an hour.
        per_hour: u32,
    },
}

/// How a mail of ours has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterEnd {
    /// The server has taken it.
    Sent,
    /// It was given up.
    Failed,
}

impl LetterEnd {
    /// The name in the database and in `history`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// How the outbox stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbox {
    /// Mails that are to be sent, those included that somebody is sending.
    pub waiting: u64,
    /// When the first of them that nobody is sending is tried.
    pub next_due: Option<Timestamp>,
    /// Since when the oldest of them could have been sent.
    pub oldest: Option<Timestamp>,
    /// Mails of the last seven days that were given up.
    pub failed: u64,
    /// The rule of the last of these, and why.
    pub last_failure: Option<(String, String)>,
}

/// What one head said about a message.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryAnswer {
    /// Name of the head.
    pub head: String,
    /// Its answer, abstained or not.
    pub label: String,
    /// Its calibrated probability.
    pub confidence: f32,
    /// Why the head abstained, if it did.
    pub abstained: Option<Abstention>,
}

/// Something that was decided to be done to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEffect {
    /// `add-keyword`, `remove-keyword`, `flag`, `move`, `move-back`.
    pub kind: String,
    /// The keyword, the flag, or the mailbox that it goes to.
    pub argument: String,
    /// How far it is.
    pub state: EffectState,
    /// The rule that asks for it.
    pub rule: Option<String>,
}

/// One line of `triaged history`.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    /// By what `triaged undo --message` knows the message.
    pub number: i64,
    /// When it was decided.
    pub time: Timestamp,
    /// Name of the account.
    pub account: String,
    /// Name of the mailbox, as it is configured.
    pub mailbox: String,
    /// UID there.
    pub uid: u32,
    /// Only where the configuration asked for subjects.
    pub subject: Option<String>,
    /// What each head said, in the order of the manifest.
    pub heads: Vec<HistoryAnswer>,
    /// Keywords and stars that are decided on, each with its state.
    pub keywords: Vec<(String, EffectState)>,
    /// All that was decided to be done, in its order.
    pub effects: Vec<HistoryEffect>,
    /// The mailbox that it was to be moved to.
    pub moved_to: Option<String>,
    /// The rules that had somebody told of it, each with the state of the mail, once an address.
    pub alerts: Vec<(String, String)>,
    /// What was to be done.
    pub action: Action,
    /// What became of it.
    pub outcome: Outcome,
    /// Which model.
    pub model: Option<String>,
    /// Oddities of the message.
    pub defects: Vec<String>,
}
