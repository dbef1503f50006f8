//! Which mailboxes there are (RFC 9051 §6.3.9), and how they stand.
//!
//! What is asked for beyond names goes into one command where the server can do that (RFC 5258,
//! RFC 5819, RFC 6154). What of it is watched is not decided here.

use std::collections::{BTreeMap, BTreeSet};

use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response, StatusAttribute};
use triaged_core::choice::{Listed, SpecialUse};
use triaged_core::mailbox::{Uid, UidValidity};
use triaged_core::sync::{MailboxState, MailboxStatus};

use super::command::{Command, Verb};
use super::error::ImapError;
use super::name;
use super::session::Session;
use super::view::Asked;
use super::wire::Heard;

/// Longest list of patterns in one command, in bytes; some proxies stop at 1,000.
const MOST_BYTES: usize = 900;

/// Most mailboxes that are taken notice of: memory is bounded whatever the server sends.
const MOST_MAILBOXES: usize = 10_000;

/// What there is, as far as it was asked for.
#[derive(Debug, Default)]
pub(super) struct Listing {
    mailboxes: BTreeMap<String, Listed>,
    /// How those stand of which the server said it.
    pub(super) states: BTreeMap<String, MailboxState>,
    /// Something of the answer could not be parsed or was too much: there may be more than is known.
    pub(super) gaps: bool,
}

/// One question.
pub(super) struct Question {
    /// Patterns and names as arguments of a command, at least one.
    pub(super) patterns: Vec<String>,
    /// Only mailboxes that the server has marked as being for something.
    pub(super) marked: bool,
    /// Also how each stands.
    pub(super) states: bool,
}

impl Listing {
    /// All of them, in the order of their names.
    pub(super) fn mailboxes(self) -> Vec<Listed> {
        self.mailboxes.into_values().collect()
    }

    /// Whether a mailbox is there that the server has marked so.
    pub(super) fn has(&self, special: SpecialUse) -> bool {
        self.mailboxes.values().any(|one| one.uses.contains(&special))
    }

    fn hear(&mut self, response: &Response<'_>) -> Heard {
        match response {
            Response::MailboxData(MailboxDatum::List(data)) => {
                let Some(name) = name::shown(&data.name) else { return Heard::Foreign };
                if self.mailboxes.len() >= MOST_MAILBOXES && !self.mailboxes.contains_key(&name) {
                    self.gaps = true;
                    return Heard::Ours;
                }
                let listed = listed(name, &data.name_attributes, data.delimiter.as_deref());
                self.mailboxes
                    .entry(listed.name.clone())
                    .and_modify(|known| known.uses.extend(&listed.uses))
                    .or_insert(listed);
                Heard::Ours
            }
            Response::MailboxData(MailboxDatum::Status { mailbox, status }) => {
                if self.states.len() < MOST_MAILBOXES {
                    self.states.extend(name::shown(mailbox).zip(state(status)));
                }
                Heard::Ours
            }
            _ => Heard::Foreign,
        }
    }
}

impl Session {
    /// Adds what the server says to one question. A server that promises to say how mailboxes
    /// stand and then refuses is not asked for it again.
    pub(super) async fn list(
        &mut self,
        question: &Question,
        listing: &mut Listing,
    ) -> Result<(), ImapError> {
        for patterns in self.portions(&question.patterns) {
            match self.list_some(&patterns, question, listing).await {
                Err(ImapError::Refused { .. } | ImapError::Rejected { .. })
                    if self.lists_states =>
                {
                    self.lists_states = false;
                    self.list_some(&patterns, question, listing).await?;
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn list_some(
        &mut self,
        patterns: &str,
        question: &Question,
        listing: &mut Listing,
    ) -> Result<(), ImapError> {
        let only = if question.marked { "(SPECIAL-USE) " } else { "" };
        let mut asked = Vec::new();
        if self.capabilities().has("SPECIAL-USE") && self.capabilities().has("LIST-EXTENDED") {
            asked.push("SPECIAL-USE".to_owned());
        }
        if question.states && self.lists_states {
            asked.push(format!("STATUS ({})", self.state_items()));
        }
        let asked = match asked.join(" ") {
            none if none.is_empty() => none,
            some => format!(" RETURN ({some})"),
        };
        let line = format!("LIST {only}\"\" {patterns}{asked}");
        self.view.asked = Asked::Names { states: question.states && self.lists_states };
        let command = Command::new(Verb::List, line);
        let done = self.exec(&command, |response| listing.hear(response)).await;
        self.view.asked = Asked::Nothing;
        listing.gaps |= done?.unparsed > 0;
        Ok(())
    }

    /// The patterns, as many in one command as it takes.
    fn portions(&self, patterns: &[String]) -> Vec<String> {
        let many = self.capabilities().has("LIST-EXTENDED");
        let mut portions: Vec<Vec<&str>> = Vec::new();
        let mut bytes = 0;
        for pattern in patterns {
            let room = many && bytes + pattern.len() < MOST_BYTES;
            if let Some(portion) = portions.last_mut().filter(|_| room) {
                bytes += pattern.len() + 1;
                portion.push(pattern);
            } else {
                bytes = pattern.len();
                portions.push(vec![pattern]);
            }
        }
        let join = |portion: &Vec<&str>| match portion.as_slice() {
            [one] => (*one).to_owned(),
            several => format!("({})", several.join(" ")),
        };
        portions.iter().map(join).collect()
    }

    /// What makes a [`MailboxState`], as far as this server knows it.
    pub(super) fn state_items(&self) -> &'static str {
        if self.capabilities().has("CONDSTORE") || self.capabilities().has("QRESYNC") {
            "UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ"
        } else {
            "UIDVALIDITY UIDNEXT MESSAGES"
        }
    }
}

fn listed(name: String, attributes: &[NameAttribute<'_>], delimiter: Option<&str>) -> Listed {
    let mut uses = BTreeSet::new();
    let mut selectable = true;
    for attribute in attributes {
        match attribute {
            NameAttribute::NoSelect => selectable = false,
            NameAttribute::Extension(word) if word.eq_ignore_ascii_case("\\NonExistent") => {
                selectable = false;
            }
            other => uses.extend(special_use(other)),
        }
    }
    // In a quoted string a backslash as delimiter is escaped.
    let delimiter = delimiter.and_then(|text| text.chars().next_back());
    Listed { name, delimiter, uses, selectable }
}

fn special_use(attribute: &NameAttribute<'_>) -> Option<SpecialUse> {
    Some(match attribute {
        NameAttribute::All => SpecialUse::All,
        NameAttribute::Archive => SpecialUse::Archive,
        NameAttribute::Drafts => SpecialUse::Drafts,
        NameAttribute::Flagged => SpecialUse::Flagged,
        NameAttribute::Junk => SpecialUse::Junk,
        NameAttribute::Sent => SpecialUse::Sent,
        NameAttribute::Trash => SpecialUse::Trash,
        NameAttribute::Extension(word) => return SpecialUse::of_word(word),
        _ => return None,
    })
}

/// What a STATUS response says; `None` where it does not say which generation it is about.
pub(super) fn state(items: &[StatusAttribute]) -> Option<MailboxState> {
    let (mut uid_validity, mut uid_next, mut messages, mut highest_mod_seq) =
        (None, None, None, None);
    for item in items {
        match item {
            StatusAttribute::UidValidity(n) => uid_validity = UidValidity::new(*n),
            StatusAttribute::UidNext(n) => uid_next = Uid::new(*n),
            StatusAttribute::Messages(n) => messages = Some(*n),
            StatusAttribute::HighestModSeq(n) => highest_mod_seq = Some(*n),
            _ => {}
        }
    }
    let status = MailboxStatus { uid_validity: uid_validity?, uid_next };
    Some(MailboxState { status, messages, highest_mod_seq })
}
