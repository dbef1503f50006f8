//! The mails of a retraining, brought together: each text once, with the labels that all its
//! copies agree on.
//!
//! Bounded on purpose: the mails are held in memory and nowhere else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{LabelNames, Labels, Ties};

/// Fewer mails than this teach nothing that could be judged.
pub const FEWEST_MAILS: usize = 50;
/// Fewer mails than this make no label: two of eight judge it, six teach it.
pub const FEWEST_OF_A_LABEL: usize = 8;
/// More mails would train for days on two cores.
const MOST_MAILS: usize = 50_000;
/// More text, in bytes, than a small machine has room for beside the training.
const MOST_TEXT: usize = 256 * 1024 * 1024;
/// A person mends the first mistakes and tries again.
const MOST_FAULTS: usize = 20;

/// A mail with what a person said about it.
#[derive(Debug, Clone)]
pub struct LabelledMail {
    /// Where it was found first.
    pub file: String,
    /// Exactly the text that the model reads.
    pub text: Arc<str>,
    /// At least one.
    pub labels: Labels,
    /// What ties it to other mails.
    pub ties: Ties,
}

/// What is wrong with a set of mails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectionFault {
    /// Two copies of one text carry different labels.
    #[error(
        "{first} and {second} are the same mail, labelled {head}={one} and {head}={other}; keep one"
    )]
    Contradiction {
        /// Where the text was found first.
        first: String,
        /// Where it was found again.
        second: String,
        /// The head they differ in.
        head: String,
        /// The first label.
        one: String,
        /// The other label.
        other: String,
    },
    /// More than fits.
    #[error("more than {most} {of}; give a sample of them, the newest say most")]
    TooMany {
        /// The limit.
        most: usize,
        /// Of what.
        of: &'static str,
    },
    /// No label at all.
    #[error(
        "none of the {0} mails carries a label; name folders by label, like category=billing, or \
         give the lines of JSON a key like \"category\""
    )]
    NoLabels(usize),
    /// Fewer than can be judged.
    #[error(
        "{found} labelled mails are too few; it takes {FEWEST_MAILS}, and some hundreds do well"
    )]
    TooFew {
        /// So many there are.
        found: usize,
    },
    /// Fewer of a new label than can be learnt and judged.
    #[error(
        "{head}={label} is a label of your own and has {found} mails; it takes {FEWEST_OF_A_LABEL}, \
         and thirty do well"
    )]
    TooFewOfLabel {
        /// The head.
        head: String,
        /// The label.
        label: String,
        /// So many there are.
        found: usize,
    },
}

/// Mails as they come in.
#[derive(Debug, Default)]
pub struct Collection {
    mails: Vec<LabelledMail>,
    by_text: HashMap<Arc<str>, usize>,
    bytes: usize,
    merged: usize,
    unlabelled: usize,
    faults: Vec<CollectionFault>,
}

impl Collection {
    /// Takes a mail in; `false` when no more should come: the set is too large, or has shown
    /// mistakes enough. A mail without labels is counted and left out.
    pub fn add(&mut self, mail: LabelledMail) -> bool {
        if mail.labels.is_empty() {
            self.unlabelled += 1;
        } else if let Some(&at) = self.by_text.get(&mail.text) {
            self.merge(at, mail);
        } else {
            self.bytes += mail.text.len();
            self.by_text.insert(Arc::clone(&mail.text), self.mails.len());
            self.mails.push(mail);
        }
        for (found, most, of) in
            [(self.mails.len(), MOST_MAILS, "mails"), (self.bytes, MOST_TEXT, "bytes of text")]
        {
            if found > most {
                self.faults.push(CollectionFault::TooMany { most, of });
                return false;
            }
        }
        self.faults.len() < MOST_FAULTS
    }

    fn merge(&mut self, at: usize, again: LabelledMail) {
        self.merged += 1;
        let Some(first) = self.mails.get_mut(at) else { return };
        for (head, other) in again.labels {
            match first.labels.get(&head) {
                Some(one) if *one != other => {
                    self.faults.push(CollectionFault::Contradiction {
                        first: first.file.clone(),
                        second: again.file.clone(),
                        head,
                        one: one.clone(),
                        other,
                    });
                }
                Some(_) => {}
                None => {
                    first.labels.insert(head, other);
                }
            }
        }
        first.ties.ids.extend(again.ties.ids);
    }

    /// Copies of a text that was there already.
    pub fn merged(&self) -> usize {
        self.merged
    }

    /// Mails that carry no label.
    pub fn unlabelled(&self) -> usize {
        self.unlabelled
    }

    /// How many mails carry each label, by head.
    pub fn counts(mails: &[LabelledMail]) -> BTreeMap<&str, BTreeMap<&str, usize>> {
        let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for (head, label) in mails.iter().flat_map(|mail| &mail.labels) {
            *counts.entry(head).or_default().entry(label).or_default() += 1;
        }
        counts
    }

    /// The mails, or everything that is wrong with them as a set.
    pub fn finish(self, names: &LabelNames) -> Result<Vec<LabelledMail>, Vec<CollectionFault>> {
        let Self { mails, unlabelled, mut faults, .. } = self;
        if mails.is_empty() && faults.is_empty() {
            return Err(vec![CollectionFault::NoLabels(unlabelled)]);
        }
        if mails.len() < FEWEST_MAILS {
            faults.push(CollectionFault::TooFew { found: mails.len() });
        }
        let counts = Self::counts(&mails);
        for (head, labels) in names.own() {
            for label in labels.into_keys() {
                let found = counts.get(head).and_then(|of| of.get(label)).copied().unwrap_or(0);
                if found < FEWEST_OF_A_LABEL {
                    let (head, label) = (head.to_owned(), label.to_owned());
                    faults.push(CollectionFault::TooFewOfLabel { head, label, found });
                }
            }
        }
        if faults.is_empty() { Ok(mails) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{Head, Label};

    fn mail(file: &str, text: &str, labels: &[(&str, &str)]) -> LabelledMail {
        let labels = labels.iter().map(|(head, label)| ((*head).to_owned(), (*label).to_owned()));
        let labels = labels.collect();
        LabelledMail { file: file.to_owned(), text: text.into(), labels, ties: Ties::default() }
    }

    fn names() -> LabelNames {
        let labels = ["billing", "work"]
            .map(|name| Label { name: name.to_owned(), keyword: Some(name.to_owned()) });
        LabelNames::new(&[Head { name: "category".to_owned(), labels: labels.to_vec() }], &[])
    }

    fn faults(collection: Collection, names: &LabelNames) -> String {
        let faults = collection.finish(names).expect_err("it is refused");
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn copies_are_one_mail_with_the_labels_of_all() {
        let mut collection = Collection::default();
        for copy in 0..60 {
            let text = format!("text {}", copy / 2);
            let head = if copy % 2 == 0 { ("category", "work") } else { ("urgency", "low") };
            assert!(collection.add(mail(&copy.to_string(), &text, &[head])));
        }
        collection.add(mail("x", "no label", &[]));
        assert_eq!((collection.merged(), collection.unlabelled()), (30, 1));
        assert_eq!(
            faults(collection, &names()),
            "30 labelled mails are too few; it takes 50, and some hundreds do well"
        );
    }

    #[test]
    fn a_contradiction_names_both_files_and_not_the_text() {
        let mut collection = Collection::default();
        for at in 0..50 {
            collection.add(mail(&at.to_string(), &at.to_string(), &[("category", "work")]));
        }
        collection.add(mail("a.eml", "secret", &[("category", "work")]));
        collection.add(mail("b.eml", "secret", &[("category", "billing")]));
        assert_eq!(
            faults(collection, &names()),
            "a.eml and b.eml are the same mail, labelled category=work and category=billing; keep one"
        );
    }

    #[test]
    fn a_label_of_ones_own_needs_eight_mails() {
        let mut names = names();
        let mut labels = Labels::new();
        names.put(&mut labels, "category", "legal-hold").expect("a label");
        let mut collection = Collection::default();
        for at in 0..60 {
            let label = if at < 7 { "legal-hold" } else { "work" };
            collection.add(mail(&at.to_string(), &at.to_string(), &[("category", label)]));
        }
        let said = faults(collection, &names);
        assert!(said.starts_with("category=legal-hold is a label of your own and has 7 mails"));
    }

    #[test]
    fn it_stops_at_its_limit_and_at_many_mistakes() {
        let mut collection = Collection::default();
        let taken = (0..200_000)
            .take_while(|at| collection.add(mail("f", &at.to_string(), &[("category", "work")])))
            .count();
        assert_eq!(taken, MOST_MAILS);
        assert!(faults(collection, &names()).starts_with("more than 50000 mails"));

        let mut collection = Collection::default();
        let taken = (0..100).take_while(|at| {
            let label = at.to_string();
            collection.add(mail("f", "the same", &[("category", &label)]))
        });
        assert_eq!(taken.count(), MOST_FAULTS);
    }

    #[test]
    fn mails_without_any_label_are_said_to_be_so() {
        let mut collection = Collection::default();
        collection.add(mail("a", "b", &[]));
        assert!(faults(collection, &names()).starts_with("none of the 1 mails carries a label"));
    }
}
