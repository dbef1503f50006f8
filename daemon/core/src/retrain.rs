//! Retraining: which labels a person's mails carry, which of the mails teach and which judge, and
//! the gate that a candidate must pass.
//!
//! ```text
//! folders, JSON lines ─► names ─► Collection ─► split ─┬─ teach ─► the trainer's process
//!                                                      └─ judge ─► gate(before, after) ─► Verdict
//! ```
//!
//! Nothing here reads a file, trains or runs a model; and nothing here ever prints a mail's text.

mod collection;
mod gate;
mod measure;
mod names;
mod split;

use std::collections::BTreeMap;

pub use collection::{Collection, CollectionFault, FEWEST_MAILS, FEWEST_OF_A_LABEL, LabelledMail};
pub use gate::{Answer, Fresh, HeadTrial, HeadVerdict, OwnLabel, Refusal, Verdict, gate};
pub use measure::Compared;
pub use names::{LabelFault, LabelNames, folder_labels};
pub use split::{Split, Ties, split};

/// The labels that a person gave to a mail: head to label.
pub type Labels = BTreeMap<String, String>;

/// The one seed of split and gate: the same mails are always split and judged alike.
pub const SEED: u64 = 1;
