//! Asking about messages without reading them: sizes, dates, flags, and who has a keyword.
//!
//! Answers are matched by UID. A FETCH for a UID that was not asked for is the server telling of
//! a flag; a message without an answer is gone.

use std::collections::BTreeMap;

use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use triaged_core::label::Keyword;
use triaged_core::mailbox::{Uid, UidSet};

use super::command::{Command, Verb};
use super::error::ImapError;
use super::name;
use super::session::{Emails, Session};
use super::wire::Heard;

/// Most messages that one listing returns, the lowest UIDs first: memory is bounded whatever the
/// server sends. Who gets so many asks again from behind the last one.
pub const MAX_LISTED: usize = 20_000;
/// Messages that are searched at once for a keyword which all of them may have: the answer is one
/// line, of half a megabyte with the longest UIDs.
const MOST_SEARCHED: u32 = 50_000;
/// What a listing asks for beside flags, and what where a date can not be parsed.
const DATED: &str = "UID RFC822.SIZE INTERNALDATE";
const UNDATED: &str = "UID RFC822.SIZE";
/// IMAP's `date-time` (RFC 9051 §9); the day may be padded with a space.
const INTERNAL_DATE: &str = "%d-%b-%Y %H:%M:%S %z";

/// A message as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its UID.
    pub uid: Uid,
    /// The whole message in bytes.
    pub size: u64,
    /// When the server received it; `None` where it does not say.
    pub received: Option<Timestamp>,
    /// Flags and keywords as the server spells them; on Gmail its labels, too.
    pub flags: Vec<String>,
    /// Its mod-sequence (RFC 7162), where the mailbox keeps them and the whole list is of one
    /// moment: what is changed later gets a higher one than all of the list.
    pub mod_seq: Option<u64>,
    /// What the server calls the message wherever it is moved or copied, where it does.
    pub email: Option<String>,
}

impl Listed {
    /// A message of which nothing is known but that it is there.
    pub fn unseen(uid: Uid) -> Self {
        Self { uid, size: 0, received: None, flags: Vec::new(), mod_seq: None, email: None }
    }
}

/// How messages are at one moment; those that are gone are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The flags of each as the server spells them, and on Gmail its labels.
    pub messages: BTreeMap<Uid, Vec<String>>,
    /// A change to any of them from then on gets a higher mod-sequence than this one; `None` where
    /// the mailbox keeps none.
    pub mod_seq: Option<u64>,
}

impl Session {
    /// The highest UID in the selected mailbox, for servers that do not say UIDNEXT; `None` for
    /// an empty mailbox.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn highest_uid(&mut self) -> Result<Option<Uid>, ImapError> {
        if self.selected().is_some_and(|selected| selected.exists == 0) {
            return Ok(None);
        }
        let mut highest = None;
        let command = Command::new(Verb::Fetch, "UID FETCH * (UID)");
        self.exec(&command, |response| {
            highest = highest.max(fetched(response).map(|(uid, _)| uid));
            Heard::Foreign
        })
        .await?;
        Ok(highest)
    }

    /// Lists the messages from `from` to `to`, both included, in the order of their UIDs, the
    /// first 20,000 of them. [`Uid::LAST`] means up to the newest one.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn fetch_envelopes(&mut self, from: Uid, to: Uid) -> Result<Vec<Listed>, ImapError> {
        let mut entries = BTreeMap::new();
        let marks = self.marks();
        let dated = format!("{DATED} {marks}");
        let unparsed = match self.list_range(from, to, &dated, &mut entries).await {
            // Nobody promised that it has a name for messages.
            Err(ImapError::Rejected { .. }) if self.emails != Emails::Unnamed => {
                self.emails = Emails::Unnamed;
                self.list_range(from, to, &dated, &mut entries).await?
            }
            unparsed => unparsed?,
        };
        if unparsed > 0 {
            // Most likely a message without a date, which imap-proto can not parse.
            self.list_range(from, to, &format!("{UNDATED} {marks}"), &mut entries).await?;
        }
        Ok(entries.into_iter().filter_map(|(uid, entry)| entry.listed(uid)).collect())
    }

    /// Lists these messages, in the order of their UIDs; those that are gone are absent.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn fetch_listed(&mut self, uids: &UidSet) -> Result<Vec<Listed>, ImapError> {
        let mut entries: BTreeMap<Uid, Entry> = BTreeMap::new();
        // In more than one piece it is not of one moment.
        let pieces = uids.pieces();
        let marks = if pieces.len() > 1 { self.marks_alone() } else { self.marks() };
        for piece in pieces {
            for items in [DATED, UNDATED] {
                let line = format!("UID FETCH {piece} ({items} {marks}{})", self.emails.item());
                let command = Command::new(Verb::Fetch, line);
                let done = self.exec(&command, |response| match fetched(response) {
                    Some((uid, attributes)) if piece.contains(uid) => {
                        entries.entry(uid).or_default().hear(attributes)
                    }
                    _ => Heard::Foreign,
                });
                // As above: again without the date, which may be one that can not be parsed.
                if done.await?.unparsed == 0 {
                    break;
                }
            }
        }
        Ok(entries.into_iter().filter_map(|(uid, entry)| entry.listed(uid)).collect())
    }

    /// Adds what the server says of the messages in the range; how much of it was not parsed.
    async fn list_range(
        &mut self,
        from: Uid,
        to: Uid,
        items: &str,
        entries: &mut BTreeMap<Uid, Entry>,
    ) -> Result<u64, ImapError> {
        let end = if to == Uid::LAST { "*".to_owned() } else { to.to_string() };
        if end == "*" {
            // Whatever was reported so far is in the answer to this.
            self.view.arrived = false;
        }
        let line = format!("UID FETCH {from}:{end} ({items}{})", self.emails.item());
        let command = Command::new(Verb::Fetch, line);
        let done = self.exec(&command, |response| {
            // `n:*` always has the last message in it, and 9:5 is 5:9 (RFC 9051 §9, seq-range).
            let Some((uid, attributes)) =
                fetched(response).filter(|(uid, _)| (from..=to).contains(uid))
            else {
                return Heard::Foreign;
            };
            let heard = entries.entry(uid).or_default().hear(attributes);
            if entries.len() > MAX_LISTED {
                entries.pop_last();
            }
            heard
        });
        Ok(done.await?.unparsed)
    }

    /// The flags of these messages as they are stored now; messages that are gone are absent.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn look(&mut self, uids: &UidSet) -> Result<Seen, ImapError> {
        let mut found: BTreeMap<Uid, Entry> = BTreeMap::new();
        let pieces = uids.pieces();
        let one_moment = pieces.len() == 1;
        let marks = if one_moment { self.marks() } else { self.marks_alone() };
        for piece in pieces {
            let command = Command::new(Verb::Fetch, format!("UID FETCH {piece} (UID {marks})"));
            self.exec(&command, |response| match fetched(response) {
                Some((uid, attributes)) if piece.contains(uid) => {
                    found.entry(uid).or_default().hear(attributes)
                }
                _ => Heard::Foreign,
            })
            .await?;
        }
        let mod_seqs: Option<Vec<u64>> = found.values().map(|entry| entry.mod_seq).collect();
        let mod_seq = mod_seqs.and_then(|all| all.into_iter().max()).filter(|_| one_moment);
        let flags = |(uid, entry): (Uid, Entry)| entry.all_flags().map(|flags| (uid, flags));
        Ok(Seen { messages: found.into_iter().filter_map(flags).collect(), mod_seq })
    }

    /// The items that show flags, on Gmail also labels, and mod-sequences where the mailbox keeps
    /// them.
    fn marks(&self) -> &'static str {
        let counted = self.selected().is_some_and(|selected| selected.highest_mod_seq.is_some());
        if counted && !self.has_labels() { "FLAGS MODSEQ" } else { self.marks_alone() }
    }

    fn marks_alone(&self) -> &'static str {
        if self.has_labels() { "FLAGS X-GM-LABELS" } else { "FLAGS" }
    }

    /// The messages of the selected mailbox that have a keyword, or on Gmail the label.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn search_keyword(&mut self, keyword: &Keyword) -> Result<UidSet, ImapError> {
        let criterion = if self.has_labels() {
            format!("X-GM-LABELS {}", name::argument(keyword.as_str())?)
        } else {
            format!("KEYWORD {keyword}")
        };
        let exists = self.selected().map_or(0, |selected| selected.exists);
        if exists <= MOST_SEARCHED {
            return self.search(&criterion).await;
        }
        let mut found = Vec::new();
        for first in (1..=exists).step_by(MOST_SEARCHED as usize) {
            let last = first.saturating_add(MOST_SEARCHED - 1);
            let last = if last < exists { last.to_string() } else { "*".to_owned() };
            found.extend(self.search(&format!("{first}:{last} {criterion}")).await?.iter());
        }
        Ok(found.into_iter().collect())
    }

    /// The messages with lower UIDs than `below` that the server received on the day of `since` by
    /// its own clock and calendar, the day before, or later.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn search_since(
        &mut self,
        since: Timestamp,
        below: Uid,
    ) -> Result<UidSet, ImapError> {
        let Some(last) = below.get().checked_sub(1).and_then(Uid::new) else {
            return Ok(UidSet::default());
        };
        let day =
            since.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::UNIX_EPOCH);
        let day = day.max(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).strftime("%-d-%b-%Y");
        let found = self.search(&format!("UID 1:{last} SINCE {day}")).await?;
        Ok(found.iter().filter(|uid| *uid < below).collect())
    }

    /// An answer that can not be parsed is longer than any mailbox that people read makes it.
    async fn search(&mut self, criteria: &str) -> Result<UidSet, ImapError> {
        let mut found: Vec<Uid> = Vec::new();
        let command = Command::new(Verb::Search, format!("UID SEARCH {criteria}"));
        let done = self.exec(&command, |response| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                found.extend(uids.iter().filter_map(|&uid| Uid::new(uid)));
            }
            Heard::Foreign
        });
        if done.await?.unparsed > 0 {
            return Err(ImapError::Protocol(
                "an answer to UID SEARCH that can not be parsed, or is too long: ask for less at once",
            ));
        }
        Ok(found.into_iter().collect())
    }
}

/// UID and attributes of a FETCH response that names its UID, as every answer to a `UID FETCH`
/// does (RFC 9051 §6.4.9).
pub(super) fn fetched<'a, 'r>(
    response: &'a Response<'r>,
) -> Option<(Uid, &'a [AttributeValue<'r>])> {
    let Response::Fetch(_, attributes) = response else { return None };
    let uid = attributes.iter().find_map(|value| match value {
        AttributeValue::Uid(uid) => Uid::new(*uid),
        _ => None,
    })?;
    Some((uid, attributes))
}

/// What is known of one message so far; its attributes may come in several responses.
#[derive(Debug, Default)]
struct Entry {
    size: Option<u64>,
    received: Option<Timestamp>,
    flags: Option<Vec<String>>,
    labels: Option<Vec<String>>,
    mod_seq: Option<u64>,
    email: Option<String>,
}

impl Entry {
    fn hear(&mut self, attributes: &[AttributeValue<'_>]) -> Heard {
        let new = self.size.is_none() && self.flags.is_none();
        for value in attributes {
            match value {
                AttributeValue::Rfc822Size(size) => self.size = Some(u64::from(*size)),
                AttributeValue::InternalDate(date) => self.received = internal_date(date),
                AttributeValue::Flags(flags) => {
                    self.flags = Some(flags.iter().map(ToString::to_string).collect());
                }
                AttributeValue::GmailLabels(labels) => {
                    self.labels = Some(labels.iter().map(ToString::to_string).collect());
                }
                // A change that is told of later is not of the moment of the list.
                AttributeValue::ModSeq(mod_seq) => {
                    self.mod_seq = Some(self.mod_seq.unwrap_or(*mod_seq).min(*mod_seq));
                }
                AttributeValue::EmailId(id) => self.email = Some(id.to_string()),
                _ => {}
            }
        }
        if new { Heard::Ours } else { Heard::Foreign }
    }

    /// `None` without a size: then it was no answer, but a flag that changed meanwhile.
    fn listed(self, uid: Uid) -> Option<Listed> {
        let Self { size, received, flags, labels, mod_seq, email } = self;
        let flags = flags.into_iter().chain(labels).flatten().collect();
        Some(Listed { uid, size: size?, received, flags, mod_seq, email })
    }

    /// Flags, and behind them labels.
    fn all_flags(self) -> Option<Vec<String>> {
        let mut flags = self.flags?;
        flags.extend(self.labels.unwrap_or_default());
        Some(flags)
    }
}

fn internal_date(date: &str) -> Option<Timestamp> {
    Timestamp::strptime(INTERNAL_DATE, date.trim_start()).ok()
}

#[cfg(test)]
mod tests;
