//! What triaged decides: types of the field and pure functions over them.
//!
//! No clock, no files, no network, no async and no logging: time and chance are arguments,
//! and whatever can fail returns a value that says so. The manifest and `clippy.toml` hold this.

pub mod alert;
pub mod backoff;
pub mod budget;
pub mod choice;
pub mod config;
pub mod decision;
pub mod document;
pub mod evaluation;
pub mod jump;
pub mod label;
pub mod lease;
pub mod mailbox;
pub mod message;
pub mod outcome;
pub mod push;
mod random;
pub mod rate;
pub mod retrain;
pub mod roster;
pub mod rule;
pub mod score;
pub mod sync;
pub mod undo;
