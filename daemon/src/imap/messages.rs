//! Reading messages: the header and the beginning of the text of each, never the whole mail.
//!
//! Only with PEEK: reading must not mark a message as seen. MIME is parsed elsewhere.

use std::collections::BTreeMap;

use async_imap::imap_proto::{AttributeValue, MessageSection, SectionPath};
use triaged_core::mailbox::{Uid, UidSet};

use super::code::ResponseCode;
use super::command::{Command, Verb};
use super::error::{ImapError, Reply};
use super::fetch::{Listed, fetched};
use super::session::Session;
use super::wire::Heard;

/// Bytes of a header that are read. Larger ones exist only to hurt parsers.
const HEADER_BYTES: usize = 256 * 1024;
/// Bytes of a message's text that are read: the model reads far less.
const TEXT_BYTES: usize = 128 * 1024;
/// The most that is read of one message.
const MOST_BYTES: u64 = (HEADER_BYTES + TEXT_BYTES) as u64;

/// A message that was asked for and is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: Uid,
    /// Header and first part of the text as one message, or why there is none.
    pub content: Result<Vec<u8>, Unreadable>,
}

/// Why a message that is there can not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The server refuses this one, and gives the others.
    #[error("the server does not give it{0}")]
    Refused(Reply),
    /// The server says that it has no header.
    #[error("the server has no header for it")]
    Nil,
    /// The answer can not be parsed.
    #[error("the answer of the server can not be parsed")]
    Unparsed,
}

impl Listed {
    /// The most bytes that reading it will make the server send.
    pub fn fetch_size(&self) -> u64 {
        self.size.min(MOST_BYTES)
    }
}

impl Session {
    /// Reads header and the first 128 KiB of the text of each message, in the order of UIDs.
    /// Messages that are gone are absent. At most 384 KiB are held per message: keep sets small.
    ///
    /// A server that refuses a set is asked for halves of it, so that one broken message does
    /// not cost its neighbours. One that refuses every message of several has a trouble of its
    /// own, which passes: that is an error, and no message is given up for it.
    ///
    /// # Errors
    /// What ends the connection or concerns the whole mailbox; one message alone is never an
    /// error.
    pub async fn fetch_messages(&mut self, uids: &UidSet) -> Result<Vec<Fetched>, ImapError> {
        let mut waiting = uids.pieces();
        waiting.reverse();
        let mut found = BTreeMap::new();
        let mut last_refusal = None;
        while let Some(piece) = waiting.pop() {
            let mut parts = Parts::default();
            match self.fetch_parts(&piece, &mut parts).await {
                Ok(unparsed) => parts.finish(&piece, unparsed > 0, &mut found),
                Err(ImapError::Refused { reply, .. }) => {
                    let rest = parts.keep_complete(&piece, &mut found);
                    match halves(&rest) {
                        Some((first, second)) => waiting.extend([second, first]),
                        None => refused(&rest, &reply, &mut found),
                    }
                    last_refusal = Some(reply);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(reply) = last_refusal
            && found.len() > 1
            && found.values().all(|content| matches!(content, Err(Unreadable::Refused(_))))
        {
            return Err(ImapError::Unavailable(reply));
        }
        Ok(found.into_iter().map(|(uid, content)| Fetched { uid, content }).collect())
    }

    /// Reads only the header of each message, for those whose text is not to be had. A set that is
    /// refused is asked for message by message; messages that are gone are absent.
    ///
    /// # Errors
    /// What ends the connection or concerns the whole mailbox.
    pub async fn fetch_headers(&mut self, uids: &UidSet) -> Result<Vec<Fetched>, ImapError> {
        let mut waiting = uids.pieces();
        let mut found = BTreeMap::new();
        while let Some(piece) = waiting.pop() {
            let mut parts = Parts::default();
            let items = format!("UID BODY.PEEK[HEADER]<0.{HEADER_BYTES}>");
            match self.fetch_items(&piece, &items, &mut parts).await {
                Ok(unparsed) => {
                    parts.without_text();
                    parts.finish(&piece, unparsed > 0, &mut found);
                }
                Err(ImapError::Refused { .. }) if piece.len() > 1 => {
                    waiting.extend(piece.iter().map(UidSet::from));
                }
                Err(ImapError::Refused { reply, .. }) => refused(&piece, &reply, &mut found),
                Err(error) => return Err(error),
            }
        }
        Ok(found.into_iter().map(|(uid, content)| Fetched { uid, content }).collect())
    }

    async fn fetch_parts(&mut self, uids: &UidSet, parts: &mut Parts) -> Result<u64, ImapError> {
        let items =
            format!("UID BODY.PEEK[HEADER]<0.{HEADER_BYTES}> BODY.PEEK[TEXT]<0.{TEXT_BYTES}>");
        self.fetch_items(uids, &items, parts).await
    }

    async fn fetch_items(
        &mut self,
        uids: &UidSet,
        items: &str,
        parts: &mut Parts,
    ) -> Result<u64, ImapError> {
        let line = format!("UID FETCH {uids} ({items})");
        let command = Command::new(Verb::Fetch, line);
        let done = self.exec(&command, |response| match fetched(response) {
            Some((uid, attributes)) if uids.contains(uid) => parts.hear(uid, attributes),
            _ => Heard::Foreign,
        });
        Ok(done.await?.unparsed)
    }
}

type Contents = BTreeMap<Uid, Result<Vec<u8>, Unreadable>>;

/// The parts that have come so far; those of one message may come in several responses.
#[derive(Default)]
struct Parts(BTreeMap<Uid, Part>);

#[derive(Default)]
struct Part {
    header: Section,
    text: Section,
}

#[derive(Default)]
enum Section {
    #[default]
    Missing,
    /// The server says that there is none.
    Nil,
    Bytes(Vec<u8>),
}

impl Parts {
    fn hear(&mut self, uid: Uid, attributes: &[AttributeValue<'_>]) -> Heard {
        let mut heard = Heard::Foreign;
        for value in attributes {
            let AttributeValue::BodySection {
                section: Some(SectionPath::Full(section)), data, ..
            } = value
            else {
                continue;
            };
            let part = self.0.entry(uid).or_default();
            let (slot, most) = match section {
                MessageSection::Header => (&mut part.header, HEADER_BYTES),
                MessageSection::Text => (&mut part.text, TEXT_BYTES),
                MessageSection::Mime => continue,
            };
            if matches!(slot, Section::Missing) {
                // Servers that do not know partial fetches send more than was asked for.
                let first = |data: &[u8]| data.get(..most).unwrap_or(data).to_vec();
                *slot = data.as_deref().map_or(Section::Nil, |data| Section::Bytes(first(data)));
                heard = Heard::Ours;
            }
        }
        heard
    }

    /// Where only headers were asked for, no text is missing.
    fn without_text(&mut self) {
        for part in self.0.values_mut() {
            part.text = Section::Nil;
        }
    }

    /// After an OK: what has no answer is gone, unless answers were lost on the way.
    fn finish(mut self, asked: &UidSet, lost: bool, found: &mut Contents) {
        for uid in asked.iter() {
            let part = self.0.remove(&uid).unwrap_or_default();
            let content = match (part.header, part.text) {
                (Section::Missing, _) | (Section::Bytes(_), Section::Missing) if lost => {
                    Err(Unreadable::Unparsed)
                }
                (Section::Missing, _) => continue,
                (Section::Nil, _) => Err(Unreadable::Nil),
                (Section::Bytes(header), text) => Ok(join(header, text)),
            };
            found.insert(uid, content);
        }
    }

    /// After a NO: keeps what came whole; the other UIDs.
    fn keep_complete(mut self, asked: &UidSet, found: &mut Contents) -> UidSet {
        let mut rest = Vec::new();
        for uid in asked.iter() {
            match self.0.remove(&uid) {
                Some(Part { header: Section::Bytes(header), text })
                    if !matches!(text, Section::Missing) =>
                {
                    found.insert(uid, Ok(join(header, text)));
                }
                _ => rest.push(uid),
            }
        }
        rest.into_iter().collect()
    }
}

/// A header ends with an empty line, unless it was cut.
fn join(mut header: Vec<u8>, text: Section) -> Vec<u8> {
    let ended = [&b"\r\n\r\n"[..], b"\n\n"].iter().any(|end| header.ends_with(end));
    if !ended && header != b"\r\n" {
        let end: &[u8] = if header.ends_with(b"\n") { b"\r\n" } else { b"\r\n\r\n" };
        header.extend_from_slice(end);
    }
    if let Section::Bytes(text) = text {
        header.extend(text);
    }
    header
}

fn halves(uids: &UidSet) -> Option<(UidSet, UidSet)> {
    let half = uids.len().div_ceil(2);
    (uids.len() > 1).then(|| (uids.iter().take(half).collect(), uids.iter().skip(half).collect()))
}

/// A message that was refused alone; one that was expunged meanwhile is simply gone.
fn refused(uids: &UidSet, reply: &Reply, found: &mut Contents) {
    if reply.code != Some(ResponseCode::ExpungeIssued) {
        found.extend(uids.iter().map(|uid| (uid, Err(Unreadable::Refused(reply.clone())))));
    }
}

#[cfg(test)]
mod tests {
    use async_imap::imap_proto::Response;

    use super::*;
    use crate::imap::scripted::selected;

    fn set(uids: &[u32]) -> UidSet {
        uids.iter().filter_map(|&uid| Uid::new(uid)).collect()
    }

    const ITEMS: &str = "(UID BODY.PEEK[HEADER]<0.262144> BODY.PEEK[TEXT]<0.131072>)";

    #[tokio::test]
    async fn parts_are_joined_by_uid_however_they_come() {
        let mut session = selected(
            9,
            &format!(
                "C: UID FETCH 1:4 {ITEMS}
                 S| * 1 FETCH (UID 1 BODY[HEADER]<0> {{8}}\r\n
                 S| A: b\r\n\r\n BODY[TEXT]<0> {{2}}\r\nhi)\r\n
                 S: * 2 FETCH (UID 2 FLAGS (\\Seen) BODY[TEXT]<0> \"two\")
                 S: * 7 FETCH (UID 70 BODY[HEADER]<0> \"stray\" BODY[TEXT]<0> \"stray\")
                 S: * 2 FETCH (UID 2 BODY[HEADER]<0> \"X: y\")
                 S: * 4 FETCH (UID 4 BODY[HEADER] NIL BODY[TEXT] NIL)
                 S: %t OK done
                 HANG"
            )
            .replace("\r\n", "\\r\\n"),
        )
        .await;
        let fetched = session.fetch_messages(&set(&[1, 2, 3, 4])).await.expect("messages");
        let found: Vec<_> = fetched.into_iter().map(|f| (f.uid.get(), f.content)).collect();
        assert_eq!(
            found,
            [
                (1, Ok(b"A: b\r\n\r\nhi".to_vec())),
                (2, Ok(b"X: y\r\n\r\ntwo".to_vec())),
                (4, Err(Unreadable::Nil)),
            ]
        );
    }

    /// Row 8: NO to FETCH, of one message of several.
    #[tokio::test]
    async fn one_message_that_is_refused_does_not_cost_its_neighbours() {
        let one = |uid: u32| {
            format!("S: * {uid} FETCH (UID {uid} BODY[HEADER] \"\" BODY[TEXT] \"{uid}\")")
        };
        let mut session = selected(
            9,
            &format!(
                "C: UID FETCH 1:3 {ITEMS}
                 {}
                 S: %t NO [SERVERBUG] internal error
                 C: UID FETCH 2 {ITEMS}
                 S: %t NO [SERVERBUG] internal error
                 C: UID FETCH 3 {ITEMS}
                 {}
                 S: %t OK done
                 C: UID FETCH 5 {ITEMS}
                 S: %t NO [EXPUNGEISSUED] gone
                 HANG",
                one(1),
                one(3)
            ),
        )
        .await;
        let fetched = session.fetch_messages(&set(&[1, 2, 3])).await.expect("messages");
        let found: Vec<_> = fetched.iter().map(|f| (f.uid.get(), f.content.is_ok())).collect();
        assert_eq!(found, [(1, true), (2, false), (3, true)]);
        assert_eq!(session.fetch_messages(&set(&[5])).await, Ok(vec![]));
    }

    /// Row 9 of the table, as far as the adapter goes.
    #[tokio::test]
    async fn of_messages_whose_text_is_not_to_be_had_the_header_may_be() {
        let mut session = selected(
            9,
            "C: UID FETCH 1:2 (UID BODY.PEEK[HEADER]<0.262144>)
             S: %t NO [SERVERBUG] internal error
             C: UID FETCH 2 (UID BODY.PEEK[HEADER]<0.262144>)
             S: %t NO [SERVERBUG] internal error
             C: UID FETCH 1 (UID BODY.PEEK[HEADER]<0.262144>)
             S: * 1 FETCH (UID 1 BODY[HEADER]<0> \"Subject: x\")
             S: %t OK done
             HANG",
        )
        .await;
        let fetched = session.fetch_headers(&set(&[1, 2])).await.expect("messages");
        let found: Vec<_> = fetched.iter().map(|one| one.content.as_deref().ok()).collect();
        assert_eq!(found, [Some(&b"Subject: x\r\n\r\n"[..]), None]);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_parse_is_told_apart_from_a_message_that_is_gone() {
        let mut session = selected(
            9,
            &format!(
                "C: UID FETCH 1:2 {ITEMS}
                 S: * 1 FETCH (UID 1 BODY[HEADER] \"\" BODY[TEXT] \"\")
                 S: * 2 FETCH (UID 2 BODY[HEADER] \"un\\known\" BODY[TEXT] \"\")
                 S: %t OK done
                 HANG"
            ),
        )
        .await;
        let fetched = session.fetch_messages(&set(&[1, 2])).await.expect("messages");
        let found: Vec<_> = fetched.into_iter().map(|f| (f.uid.get(), f.content)).collect();
        assert_eq!(found[1], (2, Err(Unreadable::Unparsed)));
        assert!(found[0].1.is_ok());
    }

    #[test]
    fn a_server_that_sends_more_than_was_asked_for_is_cut() {
        let long =
            format!("* 1 FETCH (UID 1 BODY[TEXT] {{200000}}\r\n{})\r\n", "x".repeat(200_000));
        let response = Response::parse(long.as_bytes()).expect("a response").1;
        let (uid, attributes) = fetched(&response).expect("it has a UID");
        let mut parts = Parts::default();
        assert_eq!(parts.hear(uid, attributes), Heard::Ours);
        assert_eq!(parts.hear(uid, attributes), Heard::Foreign, "the second time is not new");
        let Some(Section::Bytes(text)) = parts.0.remove(&uid).map(|part| part.text) else {
            panic!("the text was kept");
        };
        assert_eq!(text.len(), TEXT_BYTES);
    }

    #[test]
    fn the_header_of_a_joined_message_ends() {
        let joined = |header: &[u8]| join(header.to_vec(), Section::Bytes(b"t".to_vec()));
        assert_eq!(joined(b"A: b\r\n\r\n"), b"A: b\r\n\r\nt");
        assert_eq!(joined(b"A: b\n\n"), b"A: b\n\nt");
        assert_eq!(joined(b"A: b\r\n"), b"A: b\r\n\r\nt");
        assert_eq!(joined(b"A: cut"), b"A: cut\r\n\r\nt");
        assert_eq!(joined(b"\r\n"), b"\r\nt");
    }
}
