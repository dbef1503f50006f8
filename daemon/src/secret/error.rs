//! Why there is nothing to log in with. Nothing here repeats a secret, or what a token endpoint or
//! a program has said beyond a known word.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::SecretError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file with a secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The program that prints tokens.
    #[error("the token command {program} {what}; try it as the user that runs triaged")]
    Command {
        /// Its path.
        program: PathBuf,
        /// What went wrong.
        what: String,
    },
    /// No connection to the token endpoint, or none that is secure.
    #[error("the token endpoint {endpoint} can not be asked: {reason}")]
    Unreachable {
        /// Its host.
        endpoint: String,
        /// What the system or the certificate's checker said.
        reason: String,
    },
    /// The token endpoint is there but can not serve now.
    #[error("the token endpoint {endpoint} is not available for now (status {status})")]
    Unavailable {
        /// Its host.
        endpoint: String,
        /// Its HTTP status.
        status: u16,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The token endpoint does not take what it was given (RFC 6749 §5.2).
    #[error(
        "the token endpoint {endpoint} refuses the refresh token or the client ({word}): get a new \
         one from the provider and write it into the file"
    )]
    Refused {
        /// Its host.
        endpoint: String,
        /// Its error code.
        word: String,
    },
    /// What came is no answer of a token endpoint.
    #[error("the token endpoint {endpoint} gave a strange answer: {what}")]
    Answer {
        /// Its host.
        endpoint: String,
        /// What is strange.
        what: String,
    },
    /// A new refresh token is there, and the disk does not take it.
    #[error("the new refresh token can not be kept in {path}: {source}")]
    NotKept {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl CredentialError {
    /// Whether trying again with the same means the same answer.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// How long the token endpoint asks us to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
