//! What shall be done to a message, as data; and many such decisions as few IMAP commands.
//!
//! Nothing is done here, and nothing is known of how: whether a server can do it is found out by
//! whoever applies it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::alert::Raised;
use crate::choice::canonical;
use crate::label::{Keyword, KeywordMap};
use crate::mailbox::{Uid, UidSet};
use crate::message::Automatic;
use crate::score::Prediction;

/// What may be put on a message: one of our keywords, or the one flag of the protocol's own that
/// people ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// One of ours.
    Keyword(Keyword),
    /// `\Flagged`, the star of mail clients: for servers that store no keywords.
    Flagged,
}

impl Flag {
    /// As it is sent to the server.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Keyword(keyword) => keyword.as_str(),
            Self::Flagged => "\\Flagged",
        }
    }

    /// Whether a flag as the server spells it is this one.
    pub fn matches(&self, flag: &str) -> bool {
        self.as_str().eq_ignore_ascii_case(flag)
    }

    /// The keyword, if it is one.
    pub fn keyword(&self) -> Option<&Keyword> {
        match self {
            Self::Keyword(keyword) => Some(keyword),
            Self::Flagged => None,
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change to the flags of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// It gets this.
    Add(Flag),
    /// It loses this, which was ours.
    Remove(Keyword),
}

impl Mark {
    /// What is added or removed.
    pub fn flag(&self) -> Flag {
        match self {
            Self::Add(flag) => flag.clone(),
            Self::Remove(keyword) => Flag::Keyword(keyword.clone()),
        }
    }

    /// Whether it adds.
    pub fn adds(&self) -> bool {
        matches!(self, Self::Add(_))
    }

    /// Whether a message with these flags is as the mark wants it.
    pub fn is_done(&self, flags: &[String]) -> bool {
        let flag = self.flag();
        flags.iter().any(|one| flag.matches(one)) == self.adds()
    }
}

/// Where a message is to go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The mailbox, as people write its name.
    pub mailbox: String,
    /// Whether it is made where it is missing.
    pub create: bool,
}

impl Target {
    /// A mailbox that must be there. INBOX has no case (RFC 9051 §5.1).
    pub fn existing(mailbox: &str) -> Self {
        Self { mailbox: canonical(mailbox).to_owned(), create: false }
    }

    /// The same, made where it is missing.
    #[must_use]
    pub fn or_created(self) -> Self {
        Self { create: true, ..self }
    }
}

/// Something that shall be done, and who asks for it, so that it can be taken back for that reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<T> {
    /// What it is.
    pub what: T,
    /// The rule that asks for it; `None` where it is a label's own keyword, or no rule's doing.
    pub rule: Option<Arc<str>>,
}

impl<T> From<T> for Asked<T> {
    fn from(what: T) -> Self {
        Self { what, rule: None }
    }
}

/// What shall be done to one message: first the marks, then the move. Who is alerted is told at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// In the order of heads; empty for the normal case.
    pub marks: Vec<Asked<Mark>>,
    /// To another mailbox.
    pub move_to: Option<Asked<Target>>,
    /// Who is told of it.
    pub alerts: Vec<Raised>,
    /// The rules that would have somebody told of it, and why nobody is.
    pub withheld: Vec<(Arc<str>, &'static str)>,
    /// The rules that are for the message, in their order.
    pub rules: Vec<Applied>,
}

/// A rule that is for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is only tried out, and nothing is done for it.
    pub dry_run: bool,
}

impl Decision {
    /// Keywords to be added, and nothing else.
    pub fn adding(keywords: impl IntoIterator<Item = Keyword>) -> Self {
        let add = |keyword| Mark::Add(Flag::Keyword(keyword)).into();
        Self { marks: keywords.into_iter().map(add).collect(), ..Self::default() }
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.move_to.is_none() && self.alerts.is_empty()
    }
}

/// A message as whoever decides about it sees it.
#[derive(Debug, Clone, Copy)]
pub struct Considered<'a> {
    /// The mailbox that it is in.
    pub mailbox: &'a str,
    /// The address of its sender; empty where there is none.
    pub from: &'a str,
    /// Its subject on one line.
    pub subject: &'a str,
    /// Its Message-ID without brackets; empty where there is none.
    pub message_id: &'a str,
    /// That a program sent it, of which nobody is alerted.
    pub automatic: Option<Automatic>,
    /// Whether it was there before triaged first ran: nobody is alerted of what lies there for long.
    pub is_older: bool,
    /// Flags and keywords that it has already.
    pub flags: &'a [String],
    /// The model's answers.
    pub prediction: &'a Prediction,
    /// Which keyword stands for which label.
    pub keywords: &'a KeywordMap,
}

/// Who decides what follows from the model's answers.
pub trait Judge: Send + Sync {
    /// What shall be done to a message that was read and classified.
    fn judge(&self, mail: &Considered<'_>) -> Decision;

    /// Whether any of its decisions may be a move, so that a mailbox out of which nothing can be
    /// moved is told when it is opened.
    fn moves(&self) -> bool {
        false
    }

    /// The keywords that it gives beside those of labels.
    fn keywords(&self) -> Vec<Keyword> {
        Vec::new()
    }
}

/// Decides that each message gets the keywords of its labels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels;

impl Judge for Labels {
    fn judge(&self, mail: &Considered<'_>) -> Decision {
        Decision::adding(earned(mail.prediction, mail.keywords, mail.flags))
    }
}

/// The keywords that `prediction` earns a message which carries `flags` already.
///
/// A head that abstained adds nothing. A head that has any of its keywords on the message was
/// answered by somebody before us, a person perhaps, and is left alone.
pub fn earned(prediction: &Prediction, keywords: &KeywordMap, flags: &[String]) -> Vec<Keyword> {
    let heads = prediction.heads.iter();
    heads
        .filter(|head| head.abstained.is_none() && !answered(&head.head, keywords, flags))
        .filter_map(|head| keywords.keyword(&head.head, &head.label).cloned())
        .collect()
}

/// Whether the head that `flag` answers is answered otherwise by these flags: somebody was faster
/// than we, and is right.
pub fn yields(flag: &Flag, keywords: &KeywordMap, flags: &[String]) -> bool {
    let Some(keyword) = flag.keyword() else { return false };
    let head = keywords.label_of(keyword).map(|(head, _)| head);
    head.is_some_and(|head| answered(head, keywords, flags))
}

fn answered(head: &str, keywords: &KeywordMap, flags: &[String]) -> bool {
    keywords.of_head(head).any(|keyword| flags.iter().any(|flag| keyword.matches(flag)))
}

/// One change to many messages of one mailbox: one grouped STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxChange {
    /// Whether the flags are added, else they are removed.
    pub adds: bool,
    /// Which flags.
    pub flags: Vec<Flag>,
    /// Of which messages.
    pub uids: UidSet,
}

/// Groups marks by identical change, so that a chunk needs few commands; what is removed comes
/// first.
pub fn merge<'a>(marks: impl IntoIterator<Item = (Uid, &'a Mark)>) -> Vec<MailboxChange> {
    let mut by_message: BTreeMap<(bool, Uid), Vec<Flag>> = BTreeMap::new();
    for (uid, mark) in marks {
        by_message.entry((mark.adds(), uid)).or_default().push(mark.flag());
    }
    let mut groups: BTreeMap<(bool, Vec<Flag>), Vec<Uid>> = BTreeMap::new();
    for ((adds, uid), flags) in by_message {
        groups.entry((adds, flags)).or_default().push(uid);
    }
    groups
        .into_iter()
        .map(|((adds, flags), uids)| MailboxChange {
            adds,
            flags,
            uids: uids.into_iter().collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Abstention, HeadPrediction};

    fn keyword(text: &str) -> Keyword {
        text.parse().expect("valid")
    }

    fn uid(n: u32) -> Uid {
        Uid::new(n).expect("not zero")
    }

    fn says(head: &str, label: &str, abstained: bool) -> HeadPrediction {
        HeadPrediction {
            head: head.into(),
            label: label.into(),
            confidence: 0.9,
            abstained: abstained.then_some(Abstention::Unsure),
            scores: vec![],
        }
    }

    fn map() -> KeywordMap {
        let mut map = KeywordMap::default();
        map.insert("urgency", "high", keyword("t-urgent"));
        map.insert("category", "billing", keyword("t-billing"));
        map.insert("category", "order", keyword("t-order"));
        map
    }

    fn flags(flags: &[&str]) -> Vec<String> {
        flags.iter().map(|&flag| flag.to_owned()).collect()
    }

    #[test]
    fn labels_without_keyword_and_abstentions_add_nothing() {
        let prediction = Prediction {
            heads: vec![says("urgency", "low", false), says("category", "billing", true)],
        };
        assert_eq!(earned(&prediction, &map(), &[]), vec![]);
    }

    #[test]
    fn a_head_that_somebody_answered_is_left_alone() {
        let prediction = Prediction {
            heads: vec![says("urgency", "high", false), says("category", "billing", false)],
        };
        let there = flags(&["\\Seen", "T-ORDER"]);
        assert_eq!(earned(&prediction, &map(), &there), vec![keyword("t-urgent")]);
        let billing = Flag::Keyword(keyword("t-billing"));
        assert!(yields(&billing, &map(), &there), "somebody says that it is an order");
        assert!(!yields(&Flag::Keyword(keyword("t-urgent")), &map(), &there));
        assert!(!yields(&Flag::Flagged, &map(), &there));
    }

    #[test]
    fn equal_changes_become_one_command() {
        let add = |text: &str| Mark::Add(Flag::Keyword(keyword(text)));
        let (order, urgent, star) = (add("t-order"), add("t-urgent"), Mark::Add(Flag::Flagged));
        let gone = Mark::Remove(keyword("t-order"));
        let marks = [
            (uid(3), &order),
            (uid(1), &order),
            (uid(4), &urgent),
            (uid(4), &order),
            (uid(5), &star),
            (uid(6), &gone),
        ];
        let changes = merge(marks);
        let shown: Vec<_> = changes
            .iter()
            .map(|change| {
                let flags: Vec<_> = change.flags.iter().map(Flag::as_str).collect();
                (change.adds, flags.join(" "), change.uids.to_string())
            })
            .collect();
        let expected = [
            (false, "t-order", "6"),
            (true, "t-order", "1,3"),
            (true, "t-urgent t-order", "4"),
            (true, "\\Flagged", "5"),
        ];
        assert_eq!(shown, expected.map(|(adds, flags, uids)| (adds, flags.into(), uids.into())));
    }

    #[test]
    fn a_mark_knows_when_it_is_done() {
        let there = flags(&["T-Order", "\\flagged"]);
        assert!(Mark::Add(Flag::Keyword(keyword("t-order"))).is_done(&there));
        assert!(!Mark::Remove(keyword("t-order")).is_done(&there));
        assert!(Mark::Add(Flag::Flagged).is_done(&there));
        assert!(Mark::Remove(keyword("t-urgent")).is_done(&there));
    }

    #[test]
    fn the_inbox_has_no_case_and_other_mailboxes_have() {
        assert_eq!(Target::existing("inbox"), Target::existing("INBOX"));
        assert_ne!(Target::existing("work"), Target::existing("Work"));
    }
}
