//! One command at a time over one connection, each with its own tag, its own end and a deadline.
//!
//! async-imap is used for `Client::new`, for the stream in it and for `read_response`. Lines are
//! written here, each in one piece: its `run_command` wants a login of its own first, writes in
//! four pieces and prints passwords in its trace.
//!
//! A command takes the connection out of the wire and puts it back when the server has answered
//! with its tag. So whatever ends a command earlier, be it an error, a deadline or a caller that
//! drops the future, ends the connection too: half an answer never meets the next command.

use std::time::Duration;

use async_imap::Client;
use async_imap::imap_proto::{Response, Status};
use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::capabilities::Capabilities;
use super::code::ResponseCode;
use super::command::{Command, Verb};
use super::error::{ImapError, Reply};
use super::guard::{Guard, Stream};
use super::meter::Meter;

/// What a command's listener says of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It answers the command: the deadline starts again.
    Ours,
    /// The server said it on its own account.
    Foreign,
}

/// A command that the server completed with OK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    /// What it added to the OK.
    pub(super) reply: Reply,
    /// How many responses between the command and its end could not be parsed.
    pub(super) unparsed: u64,
}

/// One response, seen from a command.
pub(super) enum Turn<R> {
    /// The server waits for the next line.
    Continue,
    /// Untagged data, with what the listener made of it.
    Untagged(R),
    /// The end of the command.
    Answer(Status, Reply),
}

/// See the module.
pub(super) struct Wire {
    client: Option<Client<Guard>>,
    tag: u32,
    unparsed: u64,
    meter: Meter,
}

impl Wire {
    /// A connection that begins, counted in `meter`.
    pub(super) fn over(stream: impl Stream + 'static, meter: &Meter) -> Self {
        meter.begin();
        let client = Some(Client::new(Guard::new(stream, meter.clone())));
        Self { client, tag: 0, unparsed: 0, meter: meter.clone() }
    }

    /// Whether commands can still be sent.
    pub(super) fn is_open(&self) -> bool {
        self.client.is_some()
    }

    /// Ends the connection: nothing more is sent.
    pub(super) fn close(&mut self) {
        self.client = None;
    }

    /// How many responses of this server could not be parsed.
    pub(super) fn unparsed(&self) -> u64 {
        self.unparsed
    }

    /// Reads the greeting; its capabilities, if it has any (RFC 9051 §7.1).
    pub(super) async fn greeting(
        &mut self,
        until: Instant,
    ) -> Result<Option<Capabilities>, ImapError> {
        let mut client = self.client.take().ok_or(ImapError::Closed)?;
        let meter = &self.meter;
        let greeting = read(&mut client, until, "the greeting", meter, |response| match response {
            Response::Data { status: Status::Ok, outcome } => Ok(ResponseCode::of(outcome)),
            Response::Data { status: Status::PreAuth, .. } => Err(ImapError::Preauth),
            Response::Data { status: Status::Bye, outcome } => {
                Err(ImapError::Bye(Reply::of(outcome)))
            }
            _ => Err(ImapError::Protocol("this is not the greeting of an IMAP server")),
        });
        let code = greeting.await??;
        if client.get_ref().unparsed() > 0 {
            return Err(ImapError::Protocol("its greeting can not be parsed"));
        }
        self.client = Some(client);
        Ok(match code {
            Some(ResponseCode::Capability(capabilities)) => Some(capabilities),
            _ => None,
        })
    }

    /// Sends a command and reads up to its tagged answer; every untagged response is shown to
    /// `hear`. A NO or BAD is an error, and the connection goes on; after any other error it is
    /// closed.
    pub(super) async fn exec(
        &mut self,
        command: &Command,
        mut hear: impl FnMut(&Response<'_>) -> Heard + Send,
    ) -> Result<Done, ImapError> {
        let mut exchange = self.begin(command).await?;
        let mut further = command.lines.iter().skip(1);
        let mut until = Instant::now() + command.limit;
        loop {
            match exchange.next(until, &mut hear).await? {
                Turn::Untagged(Heard::Ours) => until = Instant::now() + command.limit,
                Turn::Untagged(Heard::Foreign) => {}
                Turn::Continue => match further.next() {
                    Some(line) => exchange.send(line, until).await?,
                    None => return Err(ImapError::Protocol("it asks for a line that is not due")),
                },
                Turn::Answer(status, reply) => return exchange.end(&status, reply),
            }
        }
    }

    /// Sends the first line of a command, for a dialogue that [`Wire::exec`] does not cover.
    pub(super) async fn begin(&mut self, command: &Command) -> Result<Exchange<'_>, ImapError> {
        let client = self.client.take().ok_or(ImapError::Closed)?;
        self.tag = self.tag.wrapping_add(1);
        let tag = format!("t{}", self.tag);
        let line = command.lines.first().map_or("", |line| line);
        let line = Zeroizing::new(format!("{tag} {line}"));
        let before = client.get_ref().unparsed();
        let mut exchange = Exchange { wire: self, client, tag, verb: command.verb, before };
        exchange.send(&line, Instant::now() + command.limit).await?;
        Ok(exchange)
    }
}

/// A command that was sent and has no answer yet. Dropping it closes the connection.
pub(super) struct Exchange<'a> {
    wire: &'a mut Wire,
    client: Client<Guard>,
    tag: String,
    verb: Verb,
    /// Responses that could not be parsed before this command.
    before: u64,
}

impl Exchange<'_> {
    /// The next response; `hear` makes something of it if it is untagged data.
    pub(super) async fn next<R>(
        &mut self,
        until: Instant,
        hear: impl FnOnce(&Response<'_>) -> R,
    ) -> Result<Turn<R>, ImapError> {
        let (tag, meter, verb) = (self.tag.as_str(), &self.wire.meter, self.verb.as_str());
        read(&mut self.client, until, verb, meter, |response| match response {
            Response::Done { tag: theirs, status, outcome } if theirs.0 == tag => {
                let status = match status {
                    Status::Ok => Status::Ok,
                    Status::No => Status::No,
                    _ => Status::Bad,
                };
                Ok(Turn::Answer(status, Reply::of(outcome)))
            }
            Response::Done { .. } => Err(ImapError::Protocol("it answers a tag that was not sent")),
            Response::Continue(_) => Ok(Turn::Continue),
            Response::Data { status: Status::Bye, outcome } => {
                Err(ImapError::Bye(Reply::of(outcome)))
            }
            other => Ok(Turn::Untagged(hear(other))),
        })
        .await?
    }

    /// Sends a further line of this command.
    pub(super) async fn send(&mut self, line: &str, until: Instant) -> Result<(), ImapError> {
        let bytes = Zeroizing::new([line.as_bytes(), b"\r\n"].concat());
        let stream = self.client.get_mut();
        let write = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        match timeout_at(until, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ImapError::Closed),
            Err(_) => Err(ImapError::Deadline(self.verb.as_str())),
        }
    }

    /// Gives the connection back after the tagged answer.
    pub(super) fn end(self, status: &Status, reply: Reply) -> Result<Done, ImapError> {
        let unparsed = self.client.get_ref().unparsed();
        self.wire.unparsed = unparsed;
        self.wire.client = Some(self.client);
        match status {
            Status::Ok => Ok(Done { reply, unparsed: unparsed - self.before }),
            _ => Err(ImapError::refusal(self.verb, status, reply)),
        }
    }
}

/// Reads one response and makes something of it. Errors of async-imap quote what was received
/// and are replaced.
async fn read<R>(
    client: &mut Client<Guard>,
    until: Instant,
    waiting_for: &'static str,
    meter: &Meter,
    hear: impl FnOnce(&Response<'_>) -> R,
) -> Result<R, ImapError> {
    match timeout_at(until, client.read_response()).await {
        Err(_) => Err(ImapError::Deadline(waiting_for)),
        Ok(Ok(Some(response))) => {
            meter.hear(response.parsed());
            Ok(hear(response.parsed()))
        }
        Ok(Ok(None)) => Err(ImapError::Closed),
        Ok(Err(error)) => Err(match client.get_ref().fault() {
            Some(fault) => ImapError::Protocol(fault),
            None if error.kind() == std::io::ErrorKind::Other => {
                ImapError::Protocol("a response can not be parsed")
            }
            None => ImapError::Closed,
        }),
    }
}

/// The moment that is `limit` from now.
pub(super) fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::scripted::{selected, session};

    /// The kind of error that a NOOP meets, and whether the connection goes on after it.
    async fn noop(answer: &str) -> (&'static str, bool) {
        let mut session = session(&format!("C: NOOP\n{answer}")).await;
        let kind = session.noop().await.map_or_else(|error| error.kind(), |_| "ok");
        (kind, session.is_open())
    }

    #[tokio::test(start_paused = true)]
    async fn every_end_of_a_command_is_told_apart() {
        let cases = [
            ("S: %t OK done\nHANG", ("ok", true)),
            ("S: %t NO not now\nHANG", ("refused", true)),
            ("S: %t NO [THROTTLED] slower\nHANG", ("throttled", true)),
            ("S: %t BAD what\nHANG", ("rejected", true)),
            ("S: * BYE [UNAVAILABLE] restart\nHANG", ("bye", false)),
            ("S: t99 OK done\nHANG", ("protocol", false)),
            ("S: + go on\nHANG", ("protocol", false)),
            ("S: * OK still here", ("closed", false)),
            ("S: * 1 FETCH (BODY[TEXT] {50}\nS| abc", ("closed", false)),
            ("S| %t O", ("closed", false)),
            ("S: * 1 FETCH (BODY[TEXT] {500000000}\nHANG", ("protocol", false)),
            ("HANG", ("deadline", false)),
        ];
        for (answer, expected) in cases {
            assert_eq!(noop(answer).await, expected, "{answer}");
        }
    }

    #[tokio::test]
    async fn an_ok_counts_even_if_the_connection_ends_behind_it() {
        let mut session = session("C: NOOP\nS: %t OK done").await;
        assert_eq!(session.noop().await, Ok(false));
        assert_eq!(session.noop().await, Err(ImapError::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_closed_stays_closed() {
        let mut session = session("C: NOOP\nHANG").await;
        let began = Instant::now();
        assert_eq!(session.noop().await, Err(ImapError::Deadline("NOOP")));
        assert_eq!(began.elapsed().as_secs(), 60);
        assert_eq!(session.noop().await, Err(ImapError::Closed));
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_is_dropped_takes_the_connection_with_it() {
        let mut session = session("C: NOOP\nS: * 1 EXISTS\nHANG").await;
        assert!(tokio::time::timeout(Duration::from_secs(1), session.noop()).await.is_err());
        assert_eq!(session.noop().await, Err(ImapError::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn chatter_does_not_extend_a_deadline_and_answers_do() {
        let chatter = "S: * OK wait\nWAIT 40\n".repeat(3);
        let mut session = session(&format!("C: NOOP\n{chatter}HANG")).await;
        let began = Instant::now();
        assert_eq!(session.noop().await, Err(ImapError::Deadline("NOOP")));
        assert_eq!(began.elapsed().as_secs(), 60);

        let answer = |n: u32| format!("WAIT 40\nS: * {n} FETCH (UID {n} FLAGS ())\n");
        let answers: String = (1..=3).map(answer).collect();
        let script = format!("C: UID FETCH 1:3 (UID FLAGS)\n{answers}S: %t OK done\nHANG");
        let mut session = selected(3, &script).await;
        let asked = (1..=3).filter_map(triaged_core::mailbox::Uid::new).collect();
        assert_eq!(session.look(&asked).await.map(|seen| seen.messages.len()), Ok(3));
    }

    #[tokio::test]
    async fn what_can_not_be_parsed_is_counted_and_passed_over() {
        let mut session = session("C: NOOP\nS: * X-NEWS (()\nS: %t OK done\nHANG").await;
        assert_eq!(session.noop().await, Ok(false));
        assert_eq!(session.unparsed(), 1);
    }
}
