//! What can interrupt the way of a message; the account's flow decides what follows.

use crate::imap::ImapError;
use crate::model::ModelError;
use crate::secret::CredentialError;
use crate::store::StoreError;

/// Why a chunk was not settled. Nothing is lost by it: the cursor has not moved, and what was
/// planned is finished by the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The server, or the way to it.
    #[error(transparent)]
    Imap(#[from] ImapError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to log in with.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The login of the server's master was refused to others, and is not tried for this account.
    #[error("the login of the server's master is refused")]
    MasterShut,
    /// The model's thread.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The machine slept, or its clock was set: no connection can be relied on.
    #[error("the clock has jumped: the connection is made anew")]
    ClockJumped,
    /// A parser's thread ended by itself.
    #[error("reading a chunk of messages ended by itself: {0}")]
    Reading(#[from] tokio::task::JoinError),
}
