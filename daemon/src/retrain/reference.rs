//! The mails that come with the training package: those that taught the base, and the check set.
//!
//! `data/` tells which of a person's mails the base knows by heart, and which labels a training
//! will see without the person; `validation/` is the check set of the gate.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;
use triaged_core::document::render;
use triaged_core::label::Head;
use triaged_core::retrain::{LabelledMail, Labels};

use crate::mailfile::{self, MailFileError, MailItem, Source};

/// What the training package brings.
#[derive(Debug, Default)]
pub struct Reference {
    /// Places of the person's mails that taught the base.
    pub by_heart: BTreeSet<usize>,
    /// The check set without mails that the person gave, too: text and labels.
    pub check: Vec<(String, Labels)>,
    /// Labels (head and label) that the package's mails carry.
    pub taught: BTreeSet<(String, String)>,
}

/// The package's mails can not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// A file of the package.
    #[error("the training package is damaged: {0}; install it again")]
    Unreadable(#[from] MailFileError),
    /// A folder of the package.
    #[error("the training package is not whole: {} is missing; install it again", .0.display())]
    Missing(PathBuf),
}

/// Reads the package's mails, and compares them with the person's. Blocks.
pub fn read(
    training: &Path,
    heads: &[Head],
    mails: &[LabelledMail],
) -> Result<Reference, ReferenceError> {
    let places: HashMap<&str, usize> =
        mails.iter().enumerate().map(|(at, mail)| (&*mail.text, at)).collect();
    let mut reference = Reference::default();
    for item in items(&training.join("data"))? {
        let item = item?;
        reference.taught.extend(labels(&item, heads));
        reference.by_heart.extend(places.get(render(&item.message()).as_str()));
    }
    for item in items(&training.join("validation"))? {
        let item = item?;
        let text = render(&item.message());
        if !places.contains_key(text.as_str()) {
            reference.check.push((text, labels(&item, heads)));
        }
    }
    Ok(reference)
}

fn items(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<MailItem, MailFileError>>, ReferenceError> {
    if !folder.is_dir() {
        return Err(ReferenceError::Missing(folder.to_owned()));
    }
    Ok(mailfile::open(&[folder.to_owned()]))
}

/// The labels of a line that the model has.
fn labels(item: &MailItem, heads: &[Head]) -> Labels {
    let Source::Fields { rest, .. } = &item.source else { return Labels::new() };
    let label = |head: &Head| {
        let said = rest.get(&head.name).and_then(Value::as_str)?;
        let known = head.labels.iter().any(|label| label.name == said);
        known.then(|| (head.name.clone(), said.to_owned()))
    };
    heads.iter().filter_map(label).collect()
}
