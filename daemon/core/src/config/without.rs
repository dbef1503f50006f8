//! What an account does in mailboxes that store no keywords of ours, such as Exchange's.

use super::problem::{Fault, Problems};
use super::raw::{Placed, Section};
use super::values::target;
use crate::decision::{Decision, Flag, Mark, Target};
use crate::score::Prediction;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WithoutKeywords {
    /// Messages are decided and nothing is written; history, metrics and `triaged status` say so.
    #[default]
    Report,
    /// Messages with one of these labels, each a head and a label, get `\Flagged`.
    Flag(Vec<(String, String)>),
    /// Messages with one of these labels go to a mailbox.
    Mailbox(Vec<(String, String)>, Target),
}

/// What counts as urgent where nobody says otherwise; a model without such a label has nothing to
/// flag.
const URGENT: &str = "urgency.high";

impl WithoutKeywords {
    /// What is done in place of `decision` to a message that carries `flags` already.
    #[must_use]
    pub fn instead_of(
        &self,
        decision: Decision,
        prediction: &Prediction,
        flags: &[String],
    ) -> Decision {
        let (labels, target) = match self {
            Self::Report => return decision,
            Self::Flag(labels) => (labels, None),
            Self::Mailbox(labels, target) => (labels, Some(target)),
        };
        let is_keyword = |mark: &Mark| matches!(mark, Mark::Add(Flag::Keyword(_)));
        let Decision { mut marks, mut move_to, alerts, withheld, rules } = decision;
        marks.retain(|mark| !is_keyword(&mark.what));
        let said = prediction.heads.iter().filter(|head| head.abstained.is_none());
        let meant = said.into_iter().any(|said| {
            labels.iter().any(|(head, label)| *head == said.head && *label == said.label)
        });
        match target {
            _ if !meant => {}
            Some(target) => move_to = move_to.or_else(|| Some(target.clone().into())),
            None if flags.iter().any(|flag| Flag::Flagged.matches(flag)) => {}
            None => marks.push(Mark::Add(Flag::Flagged).into()),
        }
        Decision { marks, move_to, alerts, withheld, rules }
    }

    /// Whether messages may be moved for it.
    pub fn moves(&self) -> bool {
        matches!(self, Self::Mailbox(..))
    }
}

/// Reads `without_keywords`, `urgent_labels` and `urgent_mailbox` of an account.
pub(super) fn read(section: &mut Section<'_>, problems: &mut Problems) -> WithoutKeywords {
    let place = section.place.key("without_keywords", section.place.line);
    let said = section.take::<String>("without_keywords", problems);
    let labels = section.take_list::<String>("urgent_labels", problems);
    let mailbox = section.take::<String>("urgent_mailbox", problems);
    let said = said.unwrap_or(Placed { value: "report".to_owned(), place });
    match said.value.as_str() {
        "report" => WithoutKeywords::Report,
        "flag" => WithoutKeywords::Flag(urgent(labels, problems)),
        "mailbox" => {
            let labels = urgent(labels, problems);
            let Some(mailbox) = mailbox else {
                let mend = "name the mailbox: urgent_mailbox = \"Urgent\"";
                problems.add(&said.place, Fault::new("there is no urgent_mailbox", mend));
                return WithoutKeywords::Report;
            };
            match mailbox.check(problems, |name| target(&name)) {
                Some(target) => WithoutKeywords::Mailbox(labels, target),
                None => WithoutKeywords::Report,
            }
        }
        other => {
            let what = format!("{other:?} is nothing that can be done");
            let mend = "write \"report\", \"flag\" or \"mailbox\"";
            problems.add(&said.place, Fault::new(what, mend));
            WithoutKeywords::Report
        }
    }
}

fn urgent(
    labels: Option<Placed<Vec<Placed<String>>>>,
    problems: &mut Problems,
) -> Vec<(String, String)> {
    let split = |name: &str| {
        let (head, label) = name.split_once('.')?;
        let whole = !head.is_empty() && !label.is_empty();
        whole.then(|| (head.to_owned(), label.to_owned()))
    };
    let Some(labels) = labels else { return split(URGENT).into_iter().collect() };
    let mut read = Vec::new();
    for Placed { value, place } in labels.value {
        if let Some(label) = split(&value) {
            read.push(label);
        } else {
            let what = format!("{value:?} names no label");
            problems.add(&place, Fault::new(what, "write head and label, like \"urgency.high\""));
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Keyword;
    use crate::score::{Abstention, HeadPrediction};

    fn keyword() -> Keyword {
        "triaged-urgent".parse().expect("valid")
    }

    fn says(label: &str, abstained: Option<Abstention>) -> Prediction {
        let (head, label) = ("urgency".to_owned(), label.to_owned());
        Prediction {
            heads: vec![HeadPrediction { head, label, confidence: 0.9, abstained, scores: vec![] }],
        }
    }

    fn urgent() -> Vec<(String, String)> {
        vec![("urgency".to_owned(), "high".to_owned())]
    }

    #[test]
    fn urgent_mail_gets_a_star_or_goes_elsewhere_and_other_mail_nothing() {
        let decided = || Decision::adding([keyword()]);
        let (high, low) = (says("high", None), says("low", None));
        let unsure = says("high", Some(Abstention::Unsure));
        let star = WithoutKeywords::Flag(urgent());
        let flagged = star.instead_of(decided(), &high, &[]);
        assert_eq!(flagged.marks, [Mark::Add(Flag::Flagged).into()]);
        let there = ["\\Flagged".to_owned()];
        for nothing in [
            star.instead_of(decided(), &low, &[]),
            star.instead_of(decided(), &unsure, &[]),
            star.instead_of(decided(), &high, &there),
        ] {
            assert!(nothing.is_empty(), "{nothing:?}");
        }
        let aside = WithoutKeywords::Mailbox(urgent(), Target::existing("Urgent"));
        let moved = aside.instead_of(decided(), &high, &there);
        let aside = Some(Target::existing("Urgent").into());
        assert_eq!((moved.marks.len(), moved.move_to), (0, aside));
        assert_eq!(WithoutKeywords::Report.instead_of(decided(), &high, &[]), decided());
    }
}
