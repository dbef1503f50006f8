//! Heads, labels and the keywords that carry them.
//!
//! Which heads and labels exist is said by a model bundle's manifest, never by this code.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One question that the model answers about a message, with its possible answers in the order
/// of the model's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Name of the head and of the model's output, for example `urgency`.
    pub name: String,
    /// The labels, in the order of the logits.
    pub labels: Vec<Label>,
}

/// One answer of a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Name of the label, for example `high`.
    pub name: String,
    /// What follows the prefix in the keyword that is written by default; `None` writes nothing,
    /// which is right for the normal case.
    #[serde(default)]
    pub keyword: Option<String>,
}

/// An IMAP keyword (a flag without backslash) that every server we know can store.
///
/// Compared without case, as servers do: the first spelling that a mailbox saw wins there.
#[derive(Debug, Clone)]
pub struct Keyword(String);

/// Why a text can not be one of our keywords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeywordError {
    /// Not `^[A-Za-z][A-Za-z0-9._-]{0,49}$`.
    #[error(
        "a keyword starts with a letter and has at most 50 letters, digits, '.', '_' and '-'; {0:?} does not"
    )]
    Form(String),
    /// Reserved by RFC 9051 and by mail clients (`$label1`, `$Junk`, `\Flagged`).
    #[error(
        "{0:?} belongs to the server or to mail clients: names that start with '$' or '\\' are never ours"
    )]
    Reserved(String),
}

impl Keyword {
    /// The spelling that is sent to the server.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a flag as the server spells it is this keyword.
    pub fn matches(&self, flag: &str) -> bool {
        self.0.eq_ignore_ascii_case(flag)
    }
}

impl FromStr for Keyword {
    type Err = KeywordError;

    fn from_str(text: &str) -> Result<Self, KeywordError> {
        if text.starts_with(['$', '\\']) {
            return Err(KeywordError::Reserved(text.to_owned()));
        }
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
        let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if first && rest && text.len() <= 50 {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeywordError::Form(text.to_owned()))
        }
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.to_ascii_lowercase().cmp(&other.0.to_ascii_lowercase())
    }
}

/// Which keyword stands for which label; labels that are not in it write nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeywordMap {
    by_label: BTreeMap<(String, String), Keyword>,
}

impl KeywordMap {
    /// Lets `keyword` stand for `label` of `head`.
    pub fn insert(&mut self, head: &str, label: &str, keyword: Keyword) {
        self.by_label.insert((head.to_owned(), label.to_owned()), keyword);
    }

    /// The keyword of a label, if it writes one.
    pub fn keyword(&self, head: &str, label: &str) -> Option<&Keyword> {
        self.by_label.get(&(head.to_owned(), label.to_owned()))
    }

    /// The keywords of one head: whoever finds one of them on a message knows that the head is
    /// answered already.
    pub fn of_head<'a>(&'a self, head: &'a str) -> impl Iterator<Item = &'a Keyword> + 'a {
        self.by_label.iter().filter(move |((name, _), _)| name == head).map(|(_, keyword)| keyword)
    }

    /// The head and the label that a keyword stands for.
    pub fn label_of(&self, keyword: &Keyword) -> Option<(&str, &str)> {
        let found = self.by_label.iter().find(|(_, ours)| *ours == keyword);
        found.map(|((head, label), _)| (head.as_str(), label.as_str()))
    }

    /// All keywords, in the order of heads and labels.
    pub fn all(&self) -> impl Iterator<Item = &Keyword> {
        self.by_label.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 16 of the table: a name that is too long, or has a character that a server could
    /// refuse, is never sent.
    #[test]
    fn keywords_are_atoms_that_are_ours() {
        assert!("triaged-urgent".parse::<Keyword>().is_ok());
        for reserved in ["$label1", "\\Flagged", "$Junk"] {
            assert!(matches!(reserved.parse::<Keyword>(), Err(KeywordError::Reserved(_))));
        }
        let long = "a".repeat(51);
        for bad in ["", "1a", "with space", "ümlaut", "a\r\nb", "par(en", &long] {
            assert!(matches!(bad.parse::<Keyword>(), Err(KeywordError::Form(_))), "{bad:?}");
        }
    }

    #[test]
    fn keywords_compare_without_case() {
        let ours: Keyword = "triaged-urgent".parse().expect("valid");
        assert!(ours.matches("TRIAGED-URGENT"));
        assert_eq!(ours, "Triaged-Urgent".parse().expect("valid"));
    }
}
