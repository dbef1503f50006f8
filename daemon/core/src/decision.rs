//! What shall be done to a message, as data; and many such decisions as few IMAP commands.

use std::collections::BTreeMap;

use crate::label::{Keyword, KeywordMap};
use crate::mailbox::{Uid, UidSet};
use crate::score::Prediction;

/// The keywords that shall be added to one message. Nothing else is ever done to mail here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which message.
    pub uid: Uid,
    /// What is added to it, in the order of heads; empty for the normal case.
    pub add: Vec<Keyword>,
}

/// One change to many messages of one mailbox: one grouped STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxChange {
    /// What is added.
    pub add: Vec<Keyword>,
    /// To which messages.
    pub uids: UidSet,
}

/// The keywords that `prediction` earns a message which carries `flags` already.
///
/// A head that abstained adds nothing. A head that has any of its keywords on the message was
/// answered by somebody before us, a person perhaps, and is left alone.
pub fn decide(
    uid: Uid,
    prediction: &Prediction,
    keywords: &KeywordMap,
    flags: &[String],
) -> Decision {
    let answered = |head: &str| {
        keywords.of_head(head).any(|keyword| flags.iter().any(|flag| keyword.matches(flag)))
    };
    let add = prediction
        .heads
        .iter()
        .filter(|head| head.abstained.is_none() && !answered(&head.head))
        .filter_map(|head| keywords.keyword(&head.head, &head.label).cloned())
        .collect();
    Decision { uid, add }
}

/// Groups decisions by identical change, so that a chunk needs few commands.
/// Decisions that add nothing disappear.
pub fn merge<'a>(decisions: impl IntoIterator<Item = &'a Decision>) -> Vec<MailboxChange> {
    let mut groups: BTreeMap<&[Keyword], Vec<Uid>> = BTreeMap::new();
    for decision in decisions {
        if !decision.add.is_empty() {
            groups.entry(&decision.add).or_default().push(decision.uid);
        }
    }
    groups
        .into_iter()
        .map(|(add, uids)| MailboxChange { add: add.to_vec(), uids: uids.into_iter().collect() })
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

    #[test]
    fn labels_without_keyword_and_abstentions_add_nothing() {
        let prediction = Prediction {
            heads: vec![says("urgency", "low", false), says("category", "billing", true)],
        };
        assert_eq!(decide(uid(7), &prediction, &map(), &[]).add, vec![]);
    }

    #[test]
    fn a_head_that_somebody_answered_is_left_alone() {
        let prediction = Prediction {
            heads: vec![says("urgency", "high", false), says("category", "billing", false)],
        };
        let flags = ["\\Seen".to_owned(), "T-ORDER".to_owned()];
        assert_eq!(decide(uid(7), &prediction, &map(), &flags).add, vec![keyword("t-urgent")]);
    }

    #[test]
    fn equal_changes_become_one_command() {
        let decisions = [
            Decision { uid: uid(3), add: vec![keyword("t-order")] },
            Decision { uid: uid(1), add: vec![keyword("t-order")] },
            Decision { uid: uid(2), add: vec![] },
            Decision { uid: uid(4), add: vec![keyword("t-urgent"), keyword("t-order")] },
        ];
        let changes = merge(&decisions);
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[0].uids.to_string(), "1,3");
        assert_eq!(changes[1].uids.to_string(), "4");
    }
}
