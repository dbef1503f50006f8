//! From a host name to a stream on which SMTP can be spoken: resolve, connect, TLS.
//!
//! Before TLS nothing is believed, as with IMAP's STARTTLS: what the server offers is not read,
//! STARTTLS is asked for in any case, and more than its answer ends the connection. No password is
//! known to this file.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use triaged_core::config::{SmtpConfig, Tls};

use super::error::{SmtpError, Step, Why, plain};
use crate::tls::{TlsClient, TrustError};

/// An address that does not answer must not use up the time of the next one.
const ONE_ADDRESS: Duration = Duration::from_secs(10);
/// All that a server may say in clear, in bytes.
const MOST: usize = 8 * 1024;
/// What lettre reads first. After STARTTLS a server does not greet again.
const GREETED: &[u8] = b"220 after STARTTLS\r\n";

impl From<TrustError> for SmtpError {
    fn from(error: TrustError) -> Self {
        Self { step: Step::Connect, why: Why::Tls(error.to_string()) }
    }
}

/// A line to the server, and what this machine says that it is: `hello`, else its address.
pub(super) async fn dial(
    config: &SmtpConfig,
    hello: Option<ClientId>,
) -> Result<(Box<dyn AsyncTokioStream>, ClientId), SmtpError> {
    let dialled = timeout(config.timeout, async {
        let server = format!("{}:{}", config.host, config.port);
        let mut stream = connect(config, &server).await?;
        let (here, peer) = stream
            .local_addr()
            .and_then(|here| Ok((here, stream.peer_addr()?)))
            .map_err(|error| lost(&error))?;
        let hello = hello.unwrap_or_else(|| literal(here.ip()));
        if config.tls == Tls::None {
            let line: Box<dyn AsyncTokioStream> = Box::new(stream);
            return Ok((line, hello));
        }
        let trusted = config.ca_file.as_deref();
        let client = TlsClient::of(&server, &config.host, trusted, config.pinned_key)?;
        let mut said: &[u8] = &[];
        if config.tls == Tls::StartTls {
            starttls(&mut stream, &hello).await?;
            said = GREETED;
        }
        let line = Line { said, stream: client.secure(stream).await?, peer };
        Ok((Box::new(line) as Box<dyn AsyncTokioStream>, hello))
    });
    dialled.await.unwrap_or(Err(SmtpError { step: Step::Connect, why: Why::Deadline }))
}

fn lost(error: &io::Error) -> SmtpError {
    SmtpError { step: Step::Connect, why: Why::Lost(error.to_string()) }
}

/// RFC 5321 §4.1.3.
fn literal(address: IpAddr) -> ClientId {
    match address.to_canonical() {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

async fn connect(config: &SmtpConfig, server: &str) -> Result<TcpStream, SmtpError> {
    let unreachable = |error: &io::Error| SmtpError {
        step: Step::Connect,
        why: Why::Unreachable(format!("{server}: {error}")),
    };
    let found = lookup_host((config.host.as_str(), config.port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| unreachable(&error))?.collect();
    let here = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
    let allowed = |address: &&SocketAddr| config.tls != Tls::None || here(address);
    if !addresses.is_empty() && !addresses.iter().any(|address| allowed(&address)) {
        return Err(SmtpError { step: Step::Connect, why: Why::NotLoopback(server.to_owned()) });
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses.iter().filter(allowed) {
        match timeout(ONE_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(unreachable(&last))
}

/// RFC 3207, of which only the codes are read.
async fn starttls(stream: &mut TcpStream, hello: &ClientId) -> Result<(), SmtpError> {
    let mut clear = Clear { stream, held: Vec::new(), received: 0 };
    clear.expect("220").await?;
    clear.say(&format!("EHLO {hello}\r\n")).await?;
    clear.expect("250").await?;
    clear.say("STARTTLS\r\n").await?;
    clear.expect("220").await?;
    if clear.held.is_empty() {
        return Ok(());
    }
    let what = "there is more in clear behind its answer to STARTTLS, which only somebody between \
                you and the server, or a broken server, sends";
    Err(SmtpError { step: Step::Connect, why: Why::Tls(what.to_owned()) })
}

/// A stream without protection.
struct Clear<'a> {
    stream: &'a mut TcpStream,
    held: Vec<u8>,
    received: usize,
}

impl Clear<'_> {
    async fn say(&mut self, line: &str) -> Result<(), SmtpError> {
        self.stream.write_all(line.as_bytes()).await.map_err(|error| lost(&error))
    }

    /// Reads one reply, of however many lines, which must have this code.
    async fn expect(&mut self, code: &str) -> Result<(), SmtpError> {
        loop {
            let line = self.line().await?;
            let (found, rest) = line.split_at_checked(3).unwrap_or((&line, ""));
            if found != code {
                let why = match found.as_bytes() {
                    [b'4', ..] => Why::NotNow(plain(&line)),
                    _ => Why::Tls(format!(
                        "it says {:?} where {code} was expected, and nothing is sent in clear; does \
                         this port have STARTTLS (587 does)?",
                        plain(&line)
                    )),
                };
                return Err(SmtpError { step: Step::Connect, why });
            }
            if !rest.starts_with('-') {
                return Ok(());
            }
        }
    }

    async fn line(&mut self) -> Result<String, SmtpError> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut piece = [0; 512];
            let read = self.stream.read(&mut piece).await.map_err(|error| lost(&error))?;
            self.received += read;
            if read == 0 {
                return Err(lost(&io::ErrorKind::UnexpectedEof.into()));
            }
            if self.received > MOST {
                return Err(SmtpError::protocol(Step::Connect, "it says too much before TLS"));
            }
            self.held.extend_from_slice(piece.get(..read).unwrap_or_default());
        }
    }
}

/// A protected stream; what was said before on it is read first.
#[derive(Debug)]
struct Line<S> {
    said: &'static [u8],
    stream: S,
    peer: SocketAddr,
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let (now, later) = self.said.split_at(self.said.len().min(buf.remaining()));
        buf.put_slice(now);
        self.said = later;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> AsyncTokioStream for Line<S>
where
    S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug,
{
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

/// A line to a server within the process.
#[cfg(test)]
pub(super) fn of_memory(stream: tokio::io::DuplexStream) -> Box<dyn AsyncTokioStream> {
    Box::new(Line { said: &[], stream, peer: SocketAddr::from(([127, 0, 0, 1], 0)) })
}
