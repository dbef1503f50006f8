//! Rules: what follows from a message's labels beside their keywords.
//!
//! They are asked in the order of the file. A head that abstained has no label here. What a rule does
//! is a decision like every other one: a person who changes it afterwards is right, for a message is
//! decided once.

use std::sync::Arc;

use crate::alert::{self, Alert, Facts, Include, Raised};
use crate::decision::{Applied, Asked, Considered, Decision, Flag, Judge, Labels, Mark, Target};
use crate::label::Keyword;
use crate::message::Automatic;
use crate::roster::Pattern;
use crate::score::{HeadPrediction, Prediction};

/// The word for mail that was there before triaged first ran.
pub const OLDER_MAIL: &str = "older-mail";

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Short and unique, for logs, metrics and `triaged history`.
    pub name: Arc<str>,
    /// Which messages it is for.
    pub when: When,
    /// What is done to them.
    pub then: Then,
    /// Whether rules after it are not asked about a message that it is for.
    pub stop: bool,
    /// Whether it is only tried out: it is counted and logged, does nothing, and does not stop.
    pub dry_run: bool,
}

/// What must hold for a message. What is empty holds for all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct When {
    /// Labels with their heads: of each head that occurs, one of its labels must have been given.
    pub labels: Vec<(String, String)>,
    /// How sure the model must be of each label that counts, 0 to 1.
    pub min_confidence: Option<f32>,
    /// The mailboxes that it is in.
    pub mailboxes: Vec<Pattern>,
    /// The sender's address, or the domain of one.
    pub from: Vec<Pattern>,
    /// Texts of which one stands in the subject; upper and lower case are the same.
    pub subject: Vec<String>,
}

/// What is done to a message. At least one of these is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Then {
    /// It gets this keyword.
    pub keyword: Option<Keyword>,
    /// It gets `\Flagged`, the star of mail clients.
    pub flag: bool,
    /// It goes there, unless an earlier rule sends it elsewhere.
    pub move_to: Option<Target>,
    /// These are told, unless a program sent it.
    pub alert: Option<Arc<Alert>>,
}

impl When {
    fn holds(&self, mail: &Considered<'_>) -> bool {
        let any = |patterns: &[Pattern], name: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_of(name))
        };
        let domain = mail.from.rsplit_once('@').map_or("", |(_, domain)| domain);
        let sender = any(&self.from, mail.from) || any(&self.from, domain);
        sender
            && any(&self.mailboxes, mail.mailbox)
            && self.speaks(mail.subject)
            && self.is_labelled(mail.prediction)
    }

    fn speaks(&self, subject: &str) -> bool {
        let subject = subject.to_lowercase();
        self.subject.is_empty()
            || self.subject.iter().any(|text| subject.contains(&text.to_lowercase()))
    }

    fn is_labelled(&self, prediction: &Prediction) -> bool {
        self.labels.iter().all(|(head, _)| {
            let given = prediction.head(head).filter(|given| self.counts(given));
            given.is_some_and(|given| {
                self.labels.iter().any(|(other, label)| other == head && *label == given.label)
            })
        })
    }

    fn counts(&self, given: &HeadPrediction) -> bool {
        given.abstained.is_none()
            && self.min_confidence.is_none_or(|least| given.confidence >= least)
    }
}

impl Then {
    /// The changes to flags that a message with these flags still needs.
    fn marks(&self, flags: &[String]) -> impl Iterator<Item = Mark> {
        let keyword = self.keyword.iter().cloned().map(Flag::Keyword);
        let star = self.flag.then_some(Flag::Flagged);
        let marks = keyword.chain(star).map(Mark::Add).filter(|mark| !mark.is_done(flags));
        marks.collect::<Vec<_>>().into_iter()
    }
}

/// What is told of a mail for a rule, as far as it is known before the mail is stored.
fn raise(rule: &Rule, alert: &Arc<Alert>, mail: &Considered<'_>) -> Raised {
    let Include { subject, from, message_id } = alert.include;
    let given = |wanted: bool, text: &str| (wanted && !text.is_empty()).then(|| text.to_owned());
    let facts = Facts {
        mailbox: mail.mailbox.to_owned(),
        labels: alert::said(mail.prediction),
        subject: given(subject, mail.subject),
        from: given(from, mail.from),
        message_id: given(message_id, mail.message_id),
        ..Facts::default()
    };
    Raised { rule: Arc::clone(&rule.name), alert: Arc::clone(alert), facts }
}

/// Why nobody is alerted of a mail, in a word for metrics and logs.
fn silence(mail: &Considered<'_>) -> Option<&'static str> {
    let automatic = mail.automatic.map(Automatic::as_str);
    automatic.or_else(|| mail.is_older.then_some(OLDER_MAIL))
}

impl Rule {
    fn asks<T>(&self, what: T) -> Asked<T> {
        Asked { what, rule: Some(Arc::clone(&self.name)) }
    }
}

/// Decides by the labels, and then by the rules.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// These, in their order.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }
}

impl Judge for Rules {
    fn judge(&self, mail: &Considered<'_>) -> Decision {
        let mut decision = Labels.judge(mail);
        for rule in self.0.iter().filter(|rule| rule.when.holds(mail)) {
            decision.rules.push(Applied { name: Arc::clone(&rule.name), dry_run: rule.dry_run });
            if rule.dry_run {
                continue;
            }
            for mark in rule.then.marks(mail.flags) {
                if decision.marks.iter().all(|asked| asked.what != mark) {
                    decision.marks.push(rule.asks(mark));
                }
            }
            let target = rule.then.move_to.as_ref().filter(|target| target.mailbox != mail.mailbox);
            decision.move_to =
                decision.move_to.or_else(|| target.map(|target| rule.asks(target.clone())));
            if let Some(alert) = &rule.then.alert {
                match silence(mail) {
                    Some(reason) => decision.withheld.push((Arc::clone(&rule.name), reason)),
                    None => decision.alerts.push(raise(rule, alert, mail)),
                }
            }
            if rule.stop {
                break;
            }
        }
        decision
    }

    fn moves(&self) -> bool {
        self.0.iter().any(|rule| !rule.dry_run && rule.then.move_to.is_some())
    }

    fn keywords(&self) -> Vec<Keyword> {
        let acting = self.0.iter().filter(|rule| !rule.dry_run);
        acting.filter_map(|rule| rule.then.keyword.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
