//! Whether a message is still as we left it, so that what we did to it may be taken back.

use crate::decision::Flag;
use crate::label::KeywordMap;

/// Whether somebody has changed what is to be taken back of a message with these `flags`: `wanted` is
/// to come off, and `ours` is all that we have put there.
///
/// A flag of ours that is not there any more was taken off by somebody. A keyword of the same head
/// that is not ours is somebody's own answer beside ours. Who marked the message as deleted wants it
/// gone. Other flags say nothing about our labels: that a mail was read, answered or filed under a
/// keyword of somebody's own is no change to them.
pub fn is_changed(wanted: &[Flag], ours: &[Flag], flags: &[String], keywords: &KeywordMap) -> bool {
    let has = |flag: &Flag| flags.iter().any(|one| flag.matches(one));
    let is_deleted = flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Deleted"));
    let answered = |flag: &Flag| {
        let head = flag.keyword().and_then(|keyword| keywords.label_of(keyword));
        head.is_some_and(|(head, _)| {
            let others = keywords.of_head(head).cloned().map(Flag::Keyword);
            others.filter(|other| !is_among(other, ours)).any(|other| has(&other))
        })
    };
    is_deleted || wanted.iter().any(|flag| !has(flag) || answered(flag))
}

fn is_among(flag: &Flag, ours: &[Flag]) -> bool {
    ours.iter().any(|one| one.matches(flag.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyword(text: &str) -> Flag {
        Flag::Keyword(text.parse().expect("valid"))
    }

    fn map() -> KeywordMap {
        let mut map = KeywordMap::default();
        for (head, label) in [("urgency", "high"), ("category", "billing"), ("category", "order")] {
            map.insert(head, label, format!("t-{label}").parse().expect("valid"));
        }
        map
    }

    fn changed(wanted: &[Flag], ours: &[Flag], flags: &[&str]) -> bool {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        is_changed(wanted, ours, &flags, &map())
    }

    #[test]
    fn what_was_read_answered_or_filed_is_as_we_left_it() {
        let ours = [keyword("t-high"), keyword("t-billing"), Flag::Flagged];
        let there = ["\\Seen", "\\Answered", "T-High", "t-billing", "\\flagged", "todo"];
        assert!(!changed(&ours, &ours, &there));
        assert!(!changed(&[], &ours, &["\\Seen"]), "only a move is to be taken back");
    }

    #[test]
    fn what_somebody_took_off_answered_or_deleted_is_changed() {
        let ours = [keyword("t-high"), keyword("t-billing")];
        assert!(changed(&ours, &ours, &["t-billing"]), "one of ours was taken off");
        assert!(changed(&ours, &ours, &["t-high", "t-billing", "t-order"]), "another answer");
        assert!(changed(&[], &ours, &["t-high", "\\Deleted"]));
        let urgency = [keyword("t-high")];
        let both = ["t-high", "t-billing", "t-order"];
        assert!(!changed(&urgency, &ours, &both), "an answer of another head");
        assert!(!changed(&ours[1..], &[ours.as_slice(), &[keyword("t-order")]].concat(), &both));
    }
}
