//! From a host name to a byte stream: resolve, connect, TLS.
//!
//! Deliberately absent: proxies, and a word of ours in clear to any other machine but STARTTLS.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use triaged_core::config::{AccountConfig, KeyPin, Tls};

use super::error::ImapError;
use super::guard::Stream;
use super::starttls;
use crate::tls::{TlsClient, TrustError};

/// An address that does not answer must not use up the time of the next one.
const ONE_ADDRESS: Duration = Duration::from_secs(10);
/// A dead link is noticed below IMAP too: first probe after a minute, then every 15 seconds, and
/// after five without an answer the connection ends.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(1))
    .with_interval(Duration::from_secs(15))
    .with_retries(5);

/// Name resolution, TCP, TLS and greeting together: what a slow server on a bad line needs.
const CONNECT_LIMIT: Duration = Duration::from_mins(1);

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address; the certificate must be for it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protection.
    pub tls: Tls,
    /// PEM file of certificate authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The one key that the server must have; then no authority is asked.
    pub pinned_key: Option<KeyPin>,
    /// Longest time for name, TCP, TLS and greeting together.
    pub connect_limit: Duration,
}

impl Endpoint {
    /// The server of a configured account.
    pub fn of(account: &AccountConfig) -> Self {
        let AccountConfig { host, port, tls, ca_file, pinned_key, .. } = account.clone();
        Self { host, port, tls, ca_file, pinned_key, connect_limit: CONNECT_LIMIT }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A connection, protected as its endpoint says.
pub(super) struct Line {
    pub(super) stream: Box<dyn Stream>,
    /// The greeting came in clear and does not count; there will be no other.
    pub(super) greeted: bool,
}

impl From<TrustError> for ImapError {
    fn from(TrustError { place, reason }: TrustError) -> Self {
        Self::Tls { endpoint: place, reason }
    }
}

/// A line to the server before `until`.
pub(super) async fn dial(endpoint: &Endpoint, until: Instant) -> Result<Line, ImapError> {
    let in_time = timeout_at(until, async {
        if endpoint.tls == Tls::None {
            let stream = Box::new(connect(endpoint).await?);
            return Ok(Line { stream, greeted: false });
        }
        let trusted = endpoint.ca_file.as_deref();
        let client = TlsClient::of(endpoint, &endpoint.host, trusted, endpoint.pinned_key)?;
        let mut stream = connect(endpoint).await?;
        let greeted = endpoint.tls == Tls::StartTls;
        if greeted {
            starttls::ask(&mut stream, &endpoint.to_string()).await?;
        }
        Ok(Line { stream: Box::new(client.secure(stream).await?), greeted })
    });
    in_time.await.unwrap_or(Err(ImapError::Deadline("the connection")))
}

async fn connect(endpoint: &Endpoint) -> Result<TcpStream, ImapError> {
    let failed = |error: &io::Error| ImapError::Unreachable {
        endpoint: endpoint.to_string(),
        reason: error.to_string(),
    };
    let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| failed(&error))?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in allowed(endpoint, &addresses)? {
        match timeout(ONE_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                tune(&stream).map_err(|error| failed(&error))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed(&last))
}

/// The addresses that may be connected to. Without TLS only those of this machine, whatever the
/// name in the configuration looks like: names resolve to what somebody else says.
fn allowed(endpoint: &Endpoint, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, ImapError> {
    let here = |address: &IpAddr| address.to_canonical().is_loopback();
    let permitted = |address: &&SocketAddr| endpoint.tls != Tls::None || here(&address.ip());
    let kept: Vec<_> = addresses.iter().filter(permitted).copied().collect();
    if kept.is_empty() && !addresses.is_empty() {
        return Err(ImapError::PlainNotLoopback { endpoint: endpoint.to_string() });
    }
    Ok(kept)
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(tls: Tls) -> Endpoint {
        let connect_limit = Duration::from_secs(5);
        let (host, port) = ("mail.example".into(), 143);
        Endpoint { host, port, tls, ca_file: None, pinned_key: None, connect_limit }
    }

    #[test]
    fn text_in_clear_goes_to_this_machine_only() {
        let here: SocketAddr = "127.0.0.1:143".parse().expect("an address");
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:143".parse().expect("an address");
        let there: SocketAddr = "192.0.2.1:143".parse().expect("an address");
        let plain = endpoint(Tls::None);
        assert_eq!(allowed(&plain, &[there, here, mapped]), Ok(vec![here, mapped]));
        let refused = allowed(&plain, &[there]).expect_err("not this machine");
        assert_eq!(refused.kind(), "plain_not_loopback");
        assert_eq!(allowed(&endpoint(Tls::Implicit), &[there]), Ok(vec![there]));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unreachable() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = closed.local_addr().expect("an address").port();
        drop(closed);
        let endpoint = Endpoint { host: "127.0.0.1".into(), port, ..endpoint(Tls::None) };
        let until = Instant::now() + Duration::from_secs(5);
        let error = dial(&endpoint, until).await.err().expect("nobody listens");
        assert_eq!(error.kind(), "unreachable");
    }
}
