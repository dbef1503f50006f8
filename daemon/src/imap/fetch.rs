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
use super::session::{Emails, Session};
use super::wire::Heard;

/// Most messages that one listing returns, the lowest UIDs first: memory is bounded whatever the
/// server sends. Who gets so many asks again from behind the last one.
pub const MAX_LISTED: usize = 20_000;
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

    /// The messages of the selected mailbox that have a keyword.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn search_keyword(&mut self, keyword: &Keyword) -> Result<UidSet, ImapError> {
        self.search(&format!("KEYWORD {keyword}")).await
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
mod tests {
    use super::*;
    use crate::imap::scripted::{selected, selected_with};

    fn uid(n: u32) -> Uid {
        Uid::new(n).expect("not zero")
    }

    #[test]
    fn dates_have_their_zone() {
        let date = internal_date("17-Jul-1996 02:44:25 -0700").map(|t| t.to_string());
        assert_eq!(date.as_deref(), Some("1996-07-17T09:44:25Z"));
        let padded = internal_date(" 7-Jul-1996 02:44:25 +0000").map(|t| t.to_string());
        assert_eq!(padded.as_deref(), Some("1996-07-07T02:44:25Z"));
        assert_eq!(internal_date("yesterday"), None);
    }

    #[tokio::test]
    async fn a_listing_joins_what_is_split_and_drops_what_was_not_asked_for() {
        let mut session = selected(
            3,
            "C: UID FETCH 5:* (UID RFC822.SIZE INTERNALDATE FLAGS)
             S: * 1 FETCH (UID 4 RFC822.SIZE 10 FLAGS ())
             S: * 2 FETCH (UID 5 RFC822.SIZE 20 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")
             S: * 4 EXISTS
             S: * 3 FETCH (FLAGS (\\Seen))
             S: * 2 FETCH (UID 5 FLAGS (\\Seen triaged-urgent))
             S: * 3 FETCH (UID 9 FLAGS (\\Deleted))
             S: %t OK done
             HANG",
        )
        .await;
        let listed = session.fetch_envelopes(uid(5), Uid::LAST).await.expect("a listing");
        let flags = vec!["\\Seen".to_owned(), "triaged-urgent".to_owned()];
        let received = internal_date("17-Jul-1996 02:44:25 -0700");
        let listed_here =
            Listed { uid: uid(5), size: 20, received, flags, ..Listed::unseen(uid(5)) };
        assert_eq!(listed, [listed_here]);
        assert!(session.view.arrived, "mail that arrived meanwhile is not forgotten");
    }

    #[tokio::test]
    async fn a_message_without_a_date_is_listed() {
        let mut session = selected(
            2,
            "C: UID FETCH 5:9 (UID RFC822.SIZE INTERNALDATE FLAGS)
             S: * 1 FETCH (UID 5 RFC822.SIZE 20 INTERNALDATE NIL FLAGS ())
             S: * 2 FETCH (UID 6 RFC822.SIZE 30 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" FLAGS ())
             S: %t OK done
             C: UID FETCH 5:9 (UID RFC822.SIZE FLAGS)
             S: * 1 FETCH (UID 5 RFC822.SIZE 20 FLAGS ())
             S: * 2 FETCH (UID 6 RFC822.SIZE 30 FLAGS ())
             S: %t OK done
             HANG",
        )
        .await;
        let listed = session.fetch_envelopes(uid(5), uid(9)).await.expect("a listing");
        let dated: Vec<_> = listed.iter().map(|l| (l.uid.get(), l.received.is_some())).collect();
        assert_eq!(dated, [(5, false), (6, true)]);
        assert_eq!(session.unparsed(), 1);
    }

    #[tokio::test]
    async fn n_star_on_a_mailbox_without_new_mail_lists_nothing() {
        let mut session = selected(
            1,
            "C: UID FETCH 50:* (UID RFC822.SIZE INTERNALDATE FLAGS)
             S: * 1 FETCH (UID 49 RFC822.SIZE 20 FLAGS ())
             S: %t OK done
             C: UID FETCH * (UID)
             S: * 1 FETCH (UID 49)
             S: %t OK done
             HANG",
        )
        .await;
        assert_eq!(session.fetch_envelopes(uid(50), Uid::LAST).await, Ok(vec![]));
        assert_eq!(session.highest_uid().await, Ok(Some(uid(49))));
    }

    #[tokio::test]
    async fn flags_are_those_of_the_messages_that_were_asked_for() {
        let mut session = selected(
            3,
            "C: UID FETCH 5:6,9 (UID FLAGS)
             S: * 1 FETCH (UID 5 FLAGS (triaged-urgent))
             S: * 3 FETCH (UID 8 FLAGS ())
             S: * 1 FETCH (UID 5 FLAGS ())
             S: %t OK done
             C: UID SEARCH KEYWORD triaged-urgent
             S: * SEARCH 9 6
             S: %t OK done
             HANG",
        )
        .await;
        let asked: UidSet = [5, 6, 9].into_iter().map(uid).collect();
        let seen = session.look(&asked).await.expect("an answer");
        assert_eq!(seen, Seen { messages: [(uid(5), vec![])].into(), mod_seq: None });
        let keyword = "triaged-urgent".parse().expect("valid");
        let found = session.search_keyword(&keyword).await.expect("an answer");
        assert_eq!(found.to_string(), "6,9");
    }

    #[tokio::test]
    async fn the_moment_of_a_look_is_told_where_the_mailbox_counts_changes() {
        let mut session = selected_with(
            "CONDSTORE",
            3,
            "C: UID FETCH 5:6 (UID FLAGS MODSEQ)
             S: * 1 FETCH (UID 5 FLAGS () MODSEQ (7))
             S: * 2 FETCH (UID 6 FLAGS (k) MODSEQ (12345678901))
             S: * 1 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (12345678902))
             S: %t OK done
             C: UID FETCH 5:6 (UID FLAGS MODSEQ)
             S: * 1 FETCH (UID 5 FLAGS () MODSEQ (7))
             S: * 2 FETCH (UID 6 FLAGS ())
             S: %t OK done
             HANG",
        )
        .await;
        let asked: UidSet = [5, 6].into_iter().map(uid).collect();
        let seen = session.look(&asked).await.expect("an answer");
        assert_eq!(seen.mod_seq, Some(12_345_678_901));
        assert_eq!(session.look(&asked).await.expect("an answer").mod_seq, None, "one is missing");
    }

    #[tokio::test]
    async fn older_mail_is_searched_by_day_and_listed_by_uid() {
        let mut session = selected(
            12,
            "C: UID SEARCH UID 1:8 SINCE 28-Feb-2026
             S: * SEARCH 6 5
             S: * SEARCH 9
             S: %t OK done
             C: UID FETCH 5:6 (UID RFC822.SIZE INTERNALDATE FLAGS)
             S: * 1 FETCH (UID 5 RFC822.SIZE 70 INTERNALDATE \" 2-Mar-2026 08:00:00 +0000\" FLAGS ())
             S: * 7 FETCH (UID 12 FLAGS (\\Seen))
             S: %t OK done
             HANG",
        )
        .await;
        let since = "2026-03-01T10:00:00Z".parse().expect("a time");
        let found = session.search_since(since, uid(9)).await.expect("an answer");
        assert_eq!(found.to_string(), "5:6");
        let listed = session.fetch_listed(&found).await.expect("a list");
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].uid, listed[0].size), (uid(5), 70));
    }
}
