//! A small IMAP client of the tests' own: what it sees owes nothing to the code under test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use jiff::Timestamp;

use super::mail::Mail;
use super::wait::PATIENCE;

/// A logged-in connection. Every command but an attempt must succeed, or the test fails.
pub(crate) struct ImapClient {
    stream: BufReader<TcpStream>,
    tag: u32,
}

impl ImapClient {
    /// Connects to the plain port and logs in.
    pub(crate) fn login(port: u16, user: &str, password: &str) -> ImapClient {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = ImapClient { stream: BufReader::new(stream), tag: 0 };
        client.response();
        client.command(&format!("LOGIN \"{user}\" \"{password}\""));
        client
    }

    /// Sends a command and returns its untagged responses, one string each, literals included.
    pub(crate) fn command(&mut self, command: &str) -> Vec<String> {
        self.send(command.as_bytes());
        let (untagged, status) = self.end();
        assert!(status.starts_with("OK"), "{command}: {status}");
        untagged
    }

    /// The same where the octets of literals count.
    pub(crate) fn octets(&mut self, command: &str) -> Vec<Vec<u8>> {
        self.send(command.as_bytes());
        let (untagged, status) = self.octets_to_end();
        assert!(status.starts_with("OK"), "{command}: {status}");
        untagged
    }

    /// Sends a command that a server may refuse; its status line without the tag.
    pub(crate) fn attempt(&mut self, command: &str) -> String {
        self.send(command.as_bytes());
        self.end().1
    }

    /// How often a mail is in a mailbox, which is open then.
    pub(crate) fn copies(&mut self, mailbox: &str, mail: &Mail) -> usize {
        self.command(&format!("EXAMINE {mailbox}"));
        let found = self.command(&format!("UID SEARCH HEADER Message-ID \"{}\"", mail.id()));
        let uids = found.iter().find_map(|line| line.strip_prefix("* SEARCH"));
        uids.unwrap_or_default().split_whitespace().count()
    }

    /// Stores a message in a mailbox with these flags, as received now or then. Returns its UID
    /// (RFC 4315).
    pub(crate) fn append(
        &mut self,
        to: &str,
        mail: &[u8],
        flags: &str,
        received: Option<Timestamp>,
    ) -> u32 {
        self.offer(to, mail, flags, received).unwrap_or_else(|status| panic!("APPEND: {status}"))
    }

    /// The same where a server may refuse the message; then what it said.
    pub(crate) fn offer(
        &mut self,
        to: &str,
        mail: &[u8],
        flags: &str,
        received: Option<Timestamp>,
    ) -> Result<u32, String> {
        let date = received.map(|time| time.strftime("\"%d-%b-%Y %H:%M:%S +0000\" ").to_string());
        let date = date.unwrap_or_default();
        self.send(format!("APPEND \"{to}\" ({flags}) {date}{{{}}}", mail.len()).as_bytes());
        assert!(self.response().starts_with('+'), "the server does not want the literal");
        self.stream.get_mut().write_all(mail).unwrap();
        self.stream.get_mut().write_all(b"\r\n").unwrap();
        let (_, status) = self.end();
        if !status.starts_with("OK") {
            return Err(status);
        }
        let code = status.split_once("[APPENDUID ").and_then(|(_, rest)| rest.split_once(']'));
        Ok(code.and_then(|(code, _)| code.split(' ').nth(1)?.parse().ok()).expect("APPENDUID"))
    }

    fn send(&mut self, command: &[u8]) {
        self.tag += 1;
        let line = [format!("t{} ", self.tag).as_bytes(), command, b"\r\n"].concat();
        self.stream.get_mut().write_all(&line).unwrap();
    }

    /// What comes up to the end of the command: the untagged responses, and the status.
    fn end(&mut self) -> (Vec<String>, String) {
        let (untagged, status) = self.octets_to_end();
        (untagged.iter().map(|octets| text(octets)).collect(), status)
    }

    fn octets_to_end(&mut self) -> (Vec<Vec<u8>>, String) {
        let tag = format!("t{} ", self.tag);
        let mut untagged = Vec::new();
        loop {
            let response = self.octets_of_response();
            match text(&response).strip_prefix(&tag) {
                Some(status) => return (untagged, status.to_owned()),
                None => untagged.push(response),
            }
        }
    }

    fn response(&mut self) -> String {
        text(&self.octets_of_response())
    }

    /// One response: its line, and with every literal the literal and the line that follows.
    fn octets_of_response(&mut self) -> Vec<u8> {
        let mut response = Vec::new();
        loop {
            let start = response.len();
            let read = self.stream.read_until(b'\n', &mut response).unwrap();
            assert!(read > 0, "the server closed the connection");
            let line = String::from_utf8_lossy(&response[start..]);
            let literal = line.trim_end().strip_suffix('}').and_then(|line| line.rsplit_once('{'));
            let Some((_, length)) = literal else { break };
            let mut bytes = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut bytes).unwrap();
            response.extend(bytes);
        }
        response
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim_end().to_owned()
}
