//! IMAP as this daemon needs it: log in, select, list, fetch with PEEK, change our keywords, move, wait.
//!
//! The only user of async-imap and of TLS. async-imap is a parser behind a stream here, nothing
//! more: its session helpers say success where a server said NO, and are forbidden by
//! `clippy.toml`. Every command goes through [`wire`], which waits for its own tag and turns the
//! outcome into an [`ImapError`].
//!
//! Deliberately absent: BODYSTRUCTURE, ENVELOPE, `BODY[]` without PEEK, EXPUNGE without UIDs, replacing
//! `FLAGS`, and any switch that accepts a certificate which does not verify. Nothing
//! here logs: answers of a server carry mail text, and commands carry passwords.

mod auth;
mod capabilities;
mod change;
mod code;
mod command;
mod dialect;
mod error;
mod fetch;
mod frame;
mod guard;
mod idle;
mod list;
mod login;
mod messages;
mod meter;
mod moves;
mod name;
mod news;
mod select;
mod session;
mod starttls;
mod survey;
mod transport;
mod view;
mod wire;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod scripted;

pub use capabilities::Capabilities;
pub use change::{Stored, StoredPiece};
pub use code::{CopyUid, ResponseCode, UidRanges};
pub use error::{ImapError, Reply};
pub use fetch::{Listed, MAX_LISTED, Seen};
pub use idle::Woken;
pub use login::{Login, Proof};
pub use messages::{Fetched, Unreadable};
pub use meter::Meter;
pub use moves::{MoveWay, Moved};
pub use select::Selected;
pub use session::Session;
pub use survey::{Survey, Surveyed};
pub use transport::Endpoint;
