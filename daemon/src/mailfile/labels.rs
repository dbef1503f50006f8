//! What a file says about a message beside its text: which labels it has.
//!
//! A line of JSON says it in a field named like the head; a folder says it to all that lies below
//! by its name, `urgency=high`. It deliberately knows no label: whether a model has one is asked
//! where the model is known.

use std::path::{Component, Path};

use serde_json::Value;
use thiserror::Error;

use super::{MailItem, Source};

/// A field that should hold a label and does not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}: {head} is {found}, which is no label; give a label as text, or null")]
pub struct NoLabel {
    /// The file and the line.
    pub file: String,
    /// Name of the field.
    pub head: String,
    /// What it holds, cut short.
    pub found: String,
}

/// More of a wrong value is not shown: it may be mail.
const LONGEST_SHOWN: usize = 24;

impl MailItem {
    /// The identifier that a line of JSON gives its message.
    pub fn id(&self) -> Option<&str> {
        match &self.source {
            Source::Fields { rest, .. } => rest.get("id")?.as_str(),
            Source::Raw { .. } => None,
        }
    }

    /// The label that is known for a head: that of the line, else that of the innermost folder with
    /// one; `None` where neither says anything.
    pub fn label(&self, head: &str) -> Result<Option<&str>, NoLabel> {
        let own = match &self.source {
            Source::Fields { rest, .. } => rest.get(head).filter(|value| !value.is_null()),
            Source::Raw { .. } => None,
        };
        match own {
            None => {
                Ok(self.folder_labels().find(|(name, _)| *name == head).map(|(_, label)| label))
            }
            Some(Value::String(label)) if !label.trim().is_empty() => Ok(Some(label.trim())),
            Some(other) => Err(NoLabel {
                file: self.file.clone(),
                head: head.to_owned(),
                found: other.to_string().chars().take(LONGEST_SHOWN).collect(),
            }),
        }
    }

    /// Heads and labels from the names of the folders that the message lies in, the innermost
    /// first. A folder of a Maildir has a dot before its name.
    pub fn folder_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let folders = Path::new(&self.file).parent().into_iter().flat_map(Path::components).rev();
        let names = folders.filter_map(|folder| match folder {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        names
            .filter_map(|name| name.trim_start_matches('.').split_once('='))
            .filter(|(head, label)| !head.is_empty() && !label.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(file: &str, rest: &Value) -> MailItem {
        let (from, subject, body) = Default::default();
        let rest = rest.as_object().expect("an object").clone();
        MailItem { file: file.into(), source: Source::Fields { from, subject, body, rest } }
    }

    fn mail(file: &str) -> MailItem {
        MailItem { file: file.into(), source: Source::Raw { bytes: vec![], full_size: 0 } }
    }

    #[test]
    fn a_line_says_its_labels_in_fields() {
        let item = line("a.jsonl#1", &json!({ "id": "x-1", "urgency": "high", "category": null }));
        assert_eq!(item.id(), Some("x-1"));
        assert_eq!(item.label("urgency"), Ok(Some("high")));
        assert_eq!(item.label("category"), Ok(None));
        assert_eq!(item.label("sentiment"), Ok(None));
    }

    #[test]
    fn a_field_that_holds_no_label_is_an_error_with_its_place() {
        for wrong in [json!(3), json!(""), json!(["high"]), json!(true)] {
            let item = line("a.jsonl#7", &json!({ "urgency": wrong }));
            let error = item.label("urgency").expect_err("no label").to_string();
            assert!(error.starts_with("a.jsonl#7: urgency is "), "{error}");
        }
    }

    #[test]
    fn a_folder_says_the_label_of_all_that_lies_in_it() {
        let item = mail("in/urgency=high/category=billing/cur/1:2,S");
        assert_eq!(item.label("urgency"), Ok(Some("high")));
        assert_eq!(item.label("category"), Ok(Some("billing")));
        assert_eq!(item.label("sentiment"), Ok(None));
        assert_eq!(mail("box/.category=order/cur/1:2,").label("category"), Ok(Some("order")));
        assert_eq!(mail("category=order.eml").label("category"), Ok(None), "a file is no folder");
    }

    #[test]
    fn the_nearer_word_counts() {
        let item = mail("urgency=high/urgency=low/x.mbox#3");
        assert_eq!(item.label("urgency"), Ok(Some("low")));
        let item = line("urgency=high/x.jsonl#3", &json!({ "urgency": "low" }));
        assert_eq!(item.label("urgency"), Ok(Some("low")));
    }
}
