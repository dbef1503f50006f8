//! Retraining: from a person's labelled mails to a candidate that passed the gate.
//!
//! ```text
//! dataset ─► split (core) ─► trainer (Python, a pipe) ─► trial: old and new on what was held out
//!                                                           └─► gate (core) ─► a version, or none
//! ```
//!
//! No text of a mail is written anywhere: it is in this process's memory and in the training
//! process's, neither of which may dump it. Deliberately absent: printing, which is the command
//! line's, and deciding when to retrain.

pub mod dataset;
pub mod environment;
mod protocol;
pub mod reference;
pub mod seclusion;
pub mod trainer;
pub mod trial;
