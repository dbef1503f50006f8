//! What a file says about a message beside its text: which labels it has.
//!
//! A line of JSON says it in a field named like the head; a folder says it of all that lies below
//! by its name, `urgency=high`, as for a retraining. It deliberately knows no label: whether a model has one is asked
//! where the model is known.

use std::path::Path;

use serde_json::Value;
use thiserror::Error;
use triaged_core::retrain::folder_labels;

use super::{MailItem, Source};

/// What a file says about a label, and can not be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelError {
    /// A field that should hold a label and does not.
    #[error("{file}: {head} is {found}, which is no label; give a label as text, or null")]
    NoText {
        /// The file and the line.
        file: String,
        /// Name of the field.
        head: String,
        /// What it holds, cut short.
        found: String,
    },
    /// Two folders, or a folder and the line, say different things.
    #[error("{file}: {head} is {first} and {second} at once; a mail has one label of a head")]
    Two {
        /// The file and the line.
        file: String,
        /// Name of the head.
        head: String,
        /// What is said first.
        first: String,
        /// What is said then.
        second: String,
    },
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

    /// The label that is known for a head, by the line or by the folders; `None` where they say
    /// nothing.
    pub fn label(&self, head: &str) -> Result<Option<&str>, LabelError> {
        let own = self.own_label(head)?;
        let mut known: Option<&str> = None;
        for said in self
            .folder_labels()
            .filter(|(name, _)| *name == head)
            .map(|(_, label)| label)
            .chain(own)
        {
            match known {
                Some(first) if first != said => {
                    let (file, head) = (self.file.clone(), head.to_owned());
                    let (first, second) = (first.to_owned(), said.to_owned());
                    return Err(LabelError::Two { file, head, first, second });
                }
                _ => known = Some(said),
            }
        }
        Ok(known)
    }

    /// What the line says.
    fn own_label(&self, head: &str) -> Result<Option<&str>, LabelError> {
        let Source::Fields { rest, .. } = &self.source else { return Ok(None) };
        match rest.get(head) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(label)) if !label.trim().is_empty() => Ok(Some(label.trim())),
            Some(other) => Err(LabelError::NoText {
                file: self.file.clone(),
                head: head.to_owned(),
                found: other.to_string().chars().take(LONGEST_SHOWN).collect(),
            }),
        }
    }

    /// Heads and labels from the names of the folders that the message lies in, from outside.
    fn folder_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let folders = Path::new(&self.file).parent().into_iter().flat_map(Path::components);
        folders.filter_map(|folder| folder.as_os_str().to_str()).flat_map(folder_labels)
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
        let item = mail("in/urgency=high,mood=bad/category=billing/cur/1:2,S");
        assert_eq!(item.label("mood"), Ok(Some("bad")));
        assert_eq!(item.label("urgency"), Ok(Some("high")));
        assert_eq!(item.label("category"), Ok(Some("billing")));
        assert_eq!(item.label("sentiment"), Ok(None));
        assert_eq!(mail("box/.category=order/cur/1:2,").label("category"), Ok(Some("order")));
        assert_eq!(mail("category=order.eml").label("category"), Ok(None), "a file is no folder");
    }

    #[test]
    fn what_contradicts_itself_is_an_error() {
        let item = line("urgency=high/x.jsonl#3", &json!({ "urgency": "high" }));
        assert_eq!(item.label("urgency"), Ok(Some("high")));
        for item in [
            mail("urgency=high/urgency=low/x.mbox#3"),
            line("urgency=high/x.jsonl#3", &json!({ "urgency": "low" })),
        ] {
            let error = item.label("urgency").expect_err("both").to_string();
            assert!(error.contains("urgency is high and low at once"), "{error}");
        }
    }
}
