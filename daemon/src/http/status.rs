//! How the daemon stands, as one object: made by it for /status, asked for by `triaged status`.
//!
//! Deliberately absent: an address, a user's name or a line of mail. Names of accounts and mailboxes
//! are there, which is why it is answered on loopback only.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use crate::readiness::{AccountState, ListStanding, ModelStanding, OutboxStanding, Readiness};
use crate::standing::{SharingStanding, Standing, Standings};

/// A daemon on this machine answers in milliseconds; one that hangs must not hang who asks.
const LIMIT: Duration = Duration::from_secs(10);
/// Ten thousand accounts with some mailboxes each are a few megabytes.
const LARGEST: usize = 64 << 20;

/// How everything stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of triaged that runs.
    pub version: String,
    /// Whether every account is watched.
    pub ready: bool,
    /// The model that serves.
    pub model: ModelStanding,
    /// Why the database does not do its work; absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The accounts by name.
    pub accounts: BTreeMap<String, AccountStatus>,
    /// The lists of servers' users, by the name of the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<String, ListStanding>,
    /// Mails of alerts; absent where there are no alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox: Option<OutboxStanding>,
    /// Who shares the accounts; absent where this daemon is alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<SharingStanding>,
}

/// How an account stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its state, where it waits with the reason and the time of the next attempt.
    #[serde(flatten)]
    pub state: AccountState,
    /// Since when.
    pub since: Timestamp,
    /// How it is watched and what its mailboxes refuse.
    #[serde(flatten)]
    pub standing: Standing,
}

impl Status {
    /// What the boards say now.
    pub(super) fn of(readiness: &Readiness, standings: &Standings) -> Self {
        let (report, sharing) = (readiness.report(), standings.sharing());
        let mut standings = standings.all();
        let accounts = report.accounts().map(|(name, state, since)| {
            let standing = standings.remove(name).unwrap_or_default();
            (name.to_owned(), AccountStatus { state: state.clone(), since, standing })
        });
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: report.ready(),
            model: readiness.model(),
            database: report.database().map(str::to_owned),
            accounts: accounts.collect(),
            lists: report.lists().clone(),
            outbox: readiness.outbox(),
            sharing,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("no daemon answers at {0}: {1}")]
    Nobody(SocketAddr, #[source] io::Error),
    /// Something else listens there, or an older triaged.
    #[error("what answers at {0} is not a triaged that knows /status: {1}")]
    Other(SocketAddr, String),
    /// It did not answer in time.
    #[error("the daemon at {0} does not answer within {limit} seconds", limit = LIMIT.as_secs())]
    Slow(SocketAddr),
}

/// Asks the daemon that listens at `address` how it stands.
///
/// # Errors
/// Nobody answers there, or nobody in time, or not triaged.
pub async fn ask(address: SocketAddr) -> Result<Status, AskError> {
    let answer = tokio::time::timeout(LIMIT, fetch(address)).await;
    answer.unwrap_or(Err(AskError::Slow(address)))
}

async fn fetch(address: SocketAddr) -> Result<Status, AskError> {
    let other = |error: &dyn std::fmt::Display| AskError::Other(address, error.to_string());
    let stream =
        TcpStream::connect(address).await.map_err(|error| AskError::Nobody(address, error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| other(&error))?;
    let request = Request::get("/status")
        .header(hyper::header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| other(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| other(&error))?;
        if response.status() != StatusCode::OK {
            return Err(other(&response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let bytes = body.map_err(|error| other(&error))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| other(&error))
    };
    // The connection has to be driven beside the request; when it ends first, the answer says why.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}
