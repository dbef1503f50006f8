//! The labels that a person's folders and files name: those of the model, new ones, and slips.
//!
//! A label that no head knows is a new one of the person's own, without further ado: naming a
//! folder is saying so. What looks like a slip of a known label is refused with the known one,
//! because a new label would take the mails of the old one away; whoever means it says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::label::{Head, Keyword, Label};

use super::Labels;

/// Longest name of a label; its keyword has a prefix of up to 30 bytes and 50 in all.
const LONGEST_NAME: usize = 20;
/// As many wrong, missing, added or swapped letters make a slip, if the word is long enough.
const SLIP: usize = 2;

/// What is wrong with a label or with the name of a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelFault {
    /// A head that the model does not have.
    #[error("there is no head {head:?}; the model has {known}")]
    NoHead {
        /// As it was written.
        head: String,
        /// The heads, listed.
        known: String,
    },
    /// Nearly a known label.
    #[error(
        "{head}={label} looks like a slip of {head}={meant}; rename it, or say that it is a label \
         of your own: --own-label {head}={label}"
    )]
    Slip {
        /// The head.
        head: String,
        /// As it was written.
        label: String,
        /// The known label that it resembles.
        meant: String,
    },
    /// No keyword can be made of it.
    #[error(
        "{head}={label:?} can not be a label: use a letter and then up to {} letters, digits, '.', \
         '_' and '-', for example {head}={like}", LONGEST_NAME - 1
    )]
    Form {
        /// The head.
        head: String,
        /// As it was written.
        label: String,
        /// A name that would do.
        like: String,
    },
    /// Its keyword stands for another label.
    #[error(
        "{head}={label}: the keyword {label:?} stands for {taken} already; choose another name"
    )]
    Taken {
        /// The head.
        head: String,
        /// As it was written.
        label: String,
        /// The head and label that have it.
        taken: String,
    },
    /// Two labels of one head.
    #[error("{head}={first} and {head}={second} at once; a mail has one label of a head")]
    Both {
        /// The head.
        head: String,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}

/// The labels in a folder's name, `category=billing` or `category=billing,urgency=high`; none
/// where the name says nothing of the kind. A leading dot, as Maildirs have it, is no part of it.
pub fn folder_labels(name: &str) -> Vec<(&str, &str)> {
    let name = name.strip_prefix('.').unwrap_or(name);
    let pairs = name.split(',').filter_map(|part| part.split_once('='));
    pairs.map(|(head, label)| (head.trim(), label.trim())).collect()
}

/// The heads and labels of a model, and those that a person adds.
#[derive(Debug, Clone)]
pub struct LabelNames {
    heads: Vec<Head>,
    known: BTreeSet<(String, String)>,
    /// What is a label of the person's own even if it looks like a slip.
    meant: BTreeSet<(String, String)>,
}

impl LabelNames {
    /// Those of a model, and the own ones that were named as such.
    pub fn new(heads: &[Head], meant: &[(String, String)]) -> Self {
        let pairs = |head: &Head| -> Vec<(String, String)> {
            head.labels.iter().map(|label| (head.name.clone(), label.name.clone())).collect()
        };
        let lower = |(head, label): &(String, String)| (head.clone(), label.to_lowercase());
        Self {
            heads: heads.to_vec(),
            known: heads.iter().flat_map(pairs).collect(),
            meant: meant.iter().map(lower).collect(),
        }
    }

    /// The heads with all labels met so far, new ones last.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Whether the model had the label before.
    pub fn is_known(&self, head: &str, label: &str) -> bool {
        self.known.contains(&(head.to_owned(), label.to_owned()))
    }

    /// The labels that the model did not have, with their keywords, head by head.
    pub fn own(&self) -> BTreeMap<&str, BTreeMap<&str, &str>> {
        let mut own: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for head in &self.heads {
            for label in &head.labels {
                if let (false, Some(word)) =
                    (self.is_known(&head.name, &label.name), &label.keyword)
                {
                    own.entry(&head.name).or_default().insert(&label.name, word);
                }
            }
        }
        own
    }

    /// Puts a label as somebody wrote it into `labels`, under the spelling that counts.
    pub fn put(&mut self, labels: &mut Labels, head: &str, label: &str) -> Result<(), LabelFault> {
        let label = self.spelled(head, label)?;
        match labels.insert(head.to_owned(), label.clone()) {
            Some(first) if first != label => {
                Err(LabelFault::Both { head: head.to_owned(), first, second: label })
            }
            _ => Ok(()),
        }
    }

    /// The spelling that counts: that of the model, or lower case for an own one, which is known
    /// from here on.
    fn spelled(&mut self, name: &str, label: &str) -> Result<String, LabelFault> {
        let Some(at) = self.heads.iter().position(|head| head.name == name) else {
            let known: Vec<&str> = self.heads.iter().map(|head| head.name.as_str()).collect();
            return Err(LabelFault::NoHead { head: name.to_owned(), known: known.join(", ") });
        };
        let labels = self.heads.get(at).map(|head| head.labels.as_slice()).unwrap_or_default();
        if let Some(known) = labels.iter().find(|known| known.name.eq_ignore_ascii_case(label)) {
            return Ok(known.name.clone());
        }
        let own = self.own_label(name, label, labels)?;
        if let Some(head) = self.heads.get_mut(at) {
            head.labels.push(Label { name: own.clone(), keyword: Some(own.clone()) });
        }
        Ok(own)
    }

    fn own_label(&self, head: &str, label: &str, labels: &[Label]) -> Result<String, LabelFault> {
        let own = label.to_lowercase();
        let (head, label) = (head.to_owned(), label.to_owned());
        if own.len() > LONGEST_NAME || own.parse::<Keyword>().is_err() {
            let like = like(&label);
            return Err(LabelFault::Form { head, label, like });
        }
        let keyword = |known: &&Label| known.keyword.as_deref().is_some_and(|word| word == own);
        for other in &self.heads {
            if let Some(known) = other.labels.iter().find(keyword) {
                let taken = format!("{}={}", other.name, known.name);
                return Err(LabelFault::Taken { head, label, taken });
            }
        }
        if self.meant.contains(&(head.clone(), own.clone())) {
            return Ok(own);
        }
        match labels.iter().find(|known| is_slip(&own, &known.name.to_lowercase())) {
            Some(known) => Err(LabelFault::Slip { head, label, meant: known.name.clone() }),
            None => Ok(own),
        }
    }
}

/// Whether one word may be meant for another: one or two letters are wrong, missing, added or
/// swapped, and no more than a quarter of them.
fn is_slip(word: &str, known: &str) -> bool {
    let slips = strsim::damerau_levenshtein(word, known);
    slips <= SLIP && slips * 4 <= known.chars().count().max(4)
}

/// A name that is allowed and resembles `label`.
fn like(label: &str) -> String {
    let plain = label.to_lowercase();
    let plain = plain.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let plain: String = plain.collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let joined: String = words.join("-").chars().take(LONGEST_NAME).collect();
    if joined.parse::<Keyword>().is_ok() { joined } else { "my-label".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(meant: &[(&str, &str)]) -> LabelNames {
        let head = |name: &str, labels: &[(&str, Option<&str>)]| Head {
            name: name.to_owned(),
            labels: labels
                .iter()
                .map(|(name, word)| Label {
                    name: (*name).to_owned(),
                    keyword: word.map(str::to_owned),
                })
                .collect(),
        };
        let category =
            [("billing", Some("billing")), ("work", Some("work")), ("order", Some("order"))];
        let urgency = [("high", Some("urgent")), ("normal", None), ("low", None)];
        let heads = [head("category", &category), head("urgency", &urgency)];
        let meant: Vec<(String, String)> =
            meant.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        LabelNames::new(&heads, &meant)
    }

    fn said(names: &mut LabelNames, head: &str, label: &str) -> String {
        let mut labels = Labels::new();
        match names.put(&mut labels, head, label) {
            Ok(()) => labels[head].clone(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn folders_name_labels_by_head() {
        assert_eq!(folder_labels("category=billing"), [("category", "billing")]);
        assert_eq!(
            folder_labels(".category=billing, urgency=high"),
            [("category", "billing"), ("urgency", "high")]
        );
        assert_eq!(folder_labels("cur"), []);
    }

    #[test]
    fn a_label_that_no_head_knows_is_a_new_one() {
        let mut names = names(&[]);
        assert_eq!(said(&mut names, "category", "Legal-Hold"), "legal-hold");
        assert_eq!(said(&mut names, "category", "BILLING"), "billing");
        assert_eq!(said(&mut names, "category", "legal-hold"), "legal-hold");
        assert!(names.is_known("category", "billing") && !names.is_known("category", "legal-hold"));
        let own = names.own();
        assert_eq!(own["category"], BTreeMap::from([("legal-hold", "legal-hold")]));
        assert_eq!(names.heads()[0].labels.len(), 4);
    }

    #[test]
    fn a_slip_is_refused_unless_it_is_meant() {
        for (slip, meant) in
            [("biling", "billing"), ("billings", "billing"), ("orders", "order"), ("wrok", "work")]
        {
            let said = said(&mut names(&[]), "category", slip);
            assert!(said.contains(&format!("slip of category={meant}")), "{said}");
            assert!(said.contains(&format!("--own-label category={slip}")), "{said}");
        }
        assert_eq!(said(&mut names(&[("category", "Biling")]), "category", "biling"), "biling");
        for own in ["accounting", "homework", "wall"] {
            assert_eq!(said(&mut names(&[]), "category", own), own);
        }
    }

    #[test]
    fn what_can_not_be_a_keyword_is_refused_with_one_that_can() {
        let mut names = names(&[]);
        let spaced = said(&mut names, "category", "Legal Hold");
        assert!(spaced.contains("for example category=legal-hold"), "{spaced}");
        assert!(said(&mut names, "category", "réseau").contains("category=r-seau"));
        assert!(said(&mut names, "category", "").contains("category=my-label"));
        assert!(said(&mut names, "category", &"a".repeat(21)).contains("can not be a label"));
        assert_eq!(
            said(&mut names, "urgency", "urgent"),
            "urgency=urgent: the keyword \"urgent\" stands for urgency=high already; choose \
             another name"
        );
        assert_eq!(
            said(&mut names, "kategorie", "billing"),
            "there is no head \"kategorie\"; the model has category, urgency"
        );
    }

    #[test]
    fn a_mail_has_one_label_of_a_head() {
        let mut names = names(&[]);
        let mut labels = Labels::new();
        assert_eq!(names.put(&mut labels, "category", "billing"), Ok(()));
        assert_eq!(names.put(&mut labels, "category", "Billing"), Ok(()));
        let both = names.put(&mut labels, "category", "work").expect_err("two labels");
        assert!(both.to_string().starts_with("category=billing and category=work at once"));
    }
}
