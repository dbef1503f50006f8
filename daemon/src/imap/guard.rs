//! The stream between the network and async-imap: hands on whole responses that are safe to
//! parse, and nothing else.
//!
//! async-imap allocates what a literal announces, closes for good at the first response that it
//! cannot parse, and panics on some. So each response is held until it is complete and within
//! the bounds of [`super::frame`], and is parsed once here for a test. What can not be parsed is
//! counted and replaced: an untagged response by an OK without meaning, a status line by its
//! bare status. What is too large, and what is no response at all, ends the connection.
//!
//! It does not slow a server down and does not limit how many responses come: deadlines do.

use std::io;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_imap::imap_proto::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dialect::translated;
use super::frame::{Framer, is_status};
use super::meter::Meter;

/// A connection, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Bytes that are asked of the network at once.
const READ_BYTES: usize = 8 * 1024;
/// What stands for an untagged response that can not be parsed.
const HARMLESS: &[u8] = b"* OK [X-TRIAGED-UNPARSED] replaced\r\n";

/// See the module.
pub(super) struct Guard {
    inner: Box<dyn Stream>,
    framer: Framer,
    /// Received, and not yet a whole response.
    held: Vec<u8>,
    /// A whole response, handed on from `given`.
    ready: Vec<u8>,
    given: usize,
    unparsed: u64,
    fault: Option<&'static str>,
    meter: Meter,
}

impl Guard {
    /// A guard that counts in `meter` what it receives.
    pub(super) fn new(inner: impl Stream + 'static, meter: Meter) -> Self {
        Self {
            inner: Box::new(inner),
            framer: Framer::default(),
            held: Vec::new(),
            ready: Vec::new(),
            given: 0,
            unparsed: 0,
            fault: None,
            meter,
        }
    }

    /// How many responses could not be parsed so far.
    pub(super) fn unparsed(&self) -> u64 {
        self.unparsed
    }

    /// What the server did, when that is why the stream ended.
    pub(super) fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    fn give(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let rest = self.ready.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let now = rest.get(..out.remaining()).unwrap_or(rest);
        out.put_slice(now);
        self.given += now.len();
        true
    }

    /// Makes the next whole response ready, if there is one.
    fn take_frame(&mut self) -> io::Result<bool> {
        let found = self.framer.find(&self.held);
        let Some(frame) = found.map_err(|fault| self.fail(fault.as_str()))? else {
            return Ok(false);
        };
        let rest = self.held.split_off(frame.len);
        self.ready = std::mem::replace(&mut self.held, rest);
        self.given = 0;
        let status = is_status(&self.ready);
        if status {
            fold(&mut self.ready);
        } else {
            self.ready = translated(std::mem::take(&mut self.ready));
        }
        if !frame.safe || !parses(&self.ready) {
            self.unparsed += 1;
            let replacement = if status { bare_status(&self.ready) } else { harmless(&self.ready) };
            self.ready = replacement.ok_or_else(|| self.fail("this is not a response"))?;
        }
        Ok(true)
    }

    fn fail(&mut self, fault: &'static str) -> io::Error {
        self.fault = Some(fault);
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

/// Whether async-imap will be able to read exactly this, and survive it.
fn parses(frame: &[u8]) -> bool {
    catch_unwind(|| matches!(Response::parse(frame), Ok((rest, _)) if rest.is_empty()))
        .unwrap_or(false)
}

/// Takes everything but ASCII out of a status line: imap-proto panics on `[ALERT]é`, and the
/// text of a status is for people.
fn fold(line: &mut [u8]) {
    for byte in line.iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b'?';
    }
}

/// What stands for an untagged response; `None` where it is not even that.
fn harmless(frame: &[u8]) -> Option<Vec<u8>> {
    frame.starts_with(b"* ").then(|| HARMLESS.to_vec())
}

/// A status line without its text.
fn bare_status(frame: &[u8]) -> Option<Vec<u8>> {
    let mut words = frame.split(|byte| b" \r\n".contains(byte));
    let (tag, status) = (words.next()?, words.next()?);
    let bare = [tag, b" ", status, b"\r\n"].concat();
    parses(&bare).then_some(bare)
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.give(out) {
            if this.take_frame()? {
                continue;
            }
            let mut space = [0; READ_BYTES];
            let mut chunk = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                let whole = this.held.is_empty();
                return Poll::Ready(if whole {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                });
            }
            this.meter.count(chunk.filled().len());
            this.held.extend_from_slice(chunk.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl std::fmt::Debug for Guard {
    /// Says nothing of what goes through: async-imap wants a `Debug`, nobody prints it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What comes out of a guard for what goes in, and how many responses were replaced.
    async fn through(bytes: &[u8]) -> (io::Result<String>, u64) {
        let input = tokio::io::join(io::Cursor::new(bytes.to_vec()), tokio::io::sink());
        let meter = Meter::default();
        let mut guard = Guard::new(input, meter.clone());
        let mut out = Vec::new();
        let read = guard.read_to_end(&mut out).await;
        assert_eq!(meter.received(), bytes.len() as u64);
        (read.map(|_| String::from_utf8_lossy(&out).into_owned()), guard.unparsed())
    }

    #[tokio::test]
    async fn what_parses_passes_unchanged() {
        let all =
            "* OK hi\r\n* 1 FETCH (UID 5 FLAGS (\\Seen) BODY[TEXT] {3}\r\na\nb)\r\na1 OK x\r\n";
        assert_eq!(through(all.as_bytes()).await.0.expect("whole"), all);
    }

    #[tokio::test]
    async fn what_does_not_parse_is_replaced_and_its_neighbours_pass() {
        let cases: [&[u8]; 6] = [
            b"* ESEARCH (TAG \"a\") UID ALL 1\r\n",
            b"* 1 FETCH ()\r\n",
            b"* 1 FETCH (UID 3 INTERNALDATE NIL)\r\n",
            b"* X-NEWS {5}\r\nhello\r\n",
            b"* \x00\xff\r\n",
            b"* 1 FETCH (BODY[] ~{3}\r\nabc)\r\n",
        ];
        for case in cases {
            let all = [case, b"* 7 EXISTS\r\n"].concat();
            let (out, unparsed) = through(&all).await;
            let out = out.expect("whole");
            assert_eq!(
                (out.as_str(), unparsed),
                ("* OK [X-TRIAGED-UNPARSED] replaced\r\n* 7 EXISTS\r\n", 1)
            );
        }
    }

    #[tokio::test]
    async fn nesting_that_would_overflow_the_stack_is_replaced() {
        let deep =
            format!("* 1 FETCH (BODYSTRUCTURE {}{})\r\n", "(".repeat(2_000), ")".repeat(2_000));
        let (out, unparsed) = through(deep.as_bytes()).await;
        assert!(out.expect("whole").starts_with("* OK [X-TRIAGED") && unparsed == 1);
    }

    #[tokio::test]
    async fn a_status_keeps_its_tag_and_meaning() {
        let cases: [(&[u8], &str); 3] = [
            ("a7 NO [ALERT]é out of space\r\n".as_bytes(), "a7 NO [ALERT]?? out of space\r\n"),
            (b"* BYE [ALERT]\xe9\r\n", "* BYE [ALERT]?\r\n"),
            (b"a7 NO out\0of space\r\n", "a7 NO\r\n"),
        ];
        for (line, expected) in cases {
            assert_eq!(through(line).await.0.expect("whole"), expected);
        }
    }

    #[tokio::test]
    async fn what_is_too_large_or_cut_off_or_nothing_at_all_is_an_error() {
        for nothing in ["\r\n", "220 ready\r\n", "a OK\0\r\n\r\n"] {
            let (out, _) = through(nothing.as_bytes()).await;
            assert_eq!(out.expect_err("nothing").kind(), io::ErrorKind::InvalidData, "{nothing:?}");
        }
        let (out, _) = through(b"* 1 FETCH (BODY[] {500000000}\r\nabc").await;
        assert_eq!(out.expect_err("too large").kind(), io::ErrorKind::InvalidData);
        let (out, _) = through(b"* 1 FETCH (BODY[] {50}\r\nabc").await;
        assert_eq!(out.expect_err("cut off").kind(), io::ErrorKind::UnexpectedEof);
    }
}
