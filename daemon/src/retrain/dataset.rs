//! The mails of a retraining, read from a person's files: folders named by label, or JSON lines.
//!
//! Everything is parsed and rendered by the code that does it in service. No error quotes a mail:
//! it names the file and what is wrong with its labels or its form.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use triaged_core::document::render;
use triaged_core::message::{Links, address, links};
use triaged_core::retrain::{
    Collection, LabelFault, LabelNames, LabelledMail, Labels, Ties, folder_labels,
};

use crate::mailfile::{self, MailFileError, MailItem, Source};

/// A person mends the first mistakes and tries again.
const MOST_FAULTS: usize = 20;

/// The labelled mails of a person.
#[derive(Debug)]
pub struct Dataset {
    /// Each text once.
    pub mails: Vec<LabelledMail>,
    /// The labels of the base, and those that the mails add.
    pub names: LabelNames,
    /// Copies of a text that was there already.
    pub merged: usize,
    /// Mails without a label, which were left out.
    pub unlabelled: usize,
}

impl Dataset {
    /// SHA-256 of each text: the training repeats none of them from elsewhere. Of the held-out ones
    /// because they judge, of the others because the person's labels count.
    pub fn hashes(&self) -> Vec<String> {
        let hash = |mail: &LabelledMail| {
            Sha256::digest(mail.text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        };
        self.mails.iter().map(hash).collect()
    }
}

/// All that is wrong with a person's mails.
#[derive(Debug, thiserror::Error)]
#[error("the mails can not be used as they are:\n{}", .0.join("\n"))]
pub struct DatasetError(pub Vec<String>);

/// Reads the mails in `path`. Blocks, and wants a stack for hostile mail.
pub fn read(path: &Path, mut names: LabelNames) -> Result<Dataset, DatasetError> {
    let mut collection = Collection::default();
    let mut faults = Faults::default();
    for item in mailfile::open(&[path.to_owned()]) {
        let goes_on = match item {
            Err(error) => faults.add(without_quotes(&error)),
            Ok(item) => match labels(path, &item, &mut names) {
                Err(fault) => faults.add(fault),
                Ok(labels) => collection.add(labelled(item, labels)),
            },
        };
        if !goes_on {
            break;
        }
    }
    let (merged, unlabelled) = (collection.merged(), collection.unlabelled());
    match collection.finish(&names) {
        Ok(mails) if faults.all.is_empty() => Ok(Dataset { mails, names, merged, unlabelled }),
        // Mails that could not be read explain why there are too few.
        Ok(_) => Err(DatasetError(faults.all)),
        Err(found) => {
            faults.all.extend(found.iter().map(ToString::to_string));
            Err(DatasetError(faults.all))
        }
    }
}

/// Mistakes in the order found, each once: a folder's name is wrong for all its mails.
#[derive(Default)]
struct Faults {
    all: Vec<String>,
    seen: BTreeSet<String>,
}

impl Faults {
    /// Whether there is room for more.
    fn add(&mut self, fault: String) -> bool {
        if self.seen.insert(fault.clone()) {
            self.all.push(fault);
        }
        self.all.len() < MOST_FAULTS
    }
}

/// The parser of JSON quotes what it stumbles over.
fn without_quotes(error: &MailFileError) -> String {
    match error {
        MailFileError::NotJson { file, .. } => {
            format!("{file}: no JSON object with from, subject and body; mend or delete the line")
        }
        other => other.to_string(),
    }
}

/// The labels of a mail: those of the folders it lies in, and those of its line.
fn labels(root: &Path, item: &MailItem, names: &mut LabelNames) -> Result<Labels, String> {
    let mut labels = Labels::new();
    let path = Path::new(&item.file);
    let folders = path.strip_prefix(root).unwrap_or(path).parent();
    for folder in folders.into_iter().flat_map(Path::components) {
        let name = folder.as_os_str().to_string_lossy();
        for (head, label) in folder_labels(&name) {
            let place = |fault: LabelFault| format!("{}: {fault}", root.join(&*name).display());
            names.put(&mut labels, head, label).map_err(place)?;
        }
    }
    let Source::Fields { rest, .. } = &item.source else { return Ok(labels) };
    let heads: Vec<String> = names.heads().iter().map(|head| head.name.clone()).collect();
    for head in heads {
        let put = match rest.get(&head) {
            None | Some(Value::Null) => continue,
            Some(Value::String(label)) => names.put(&mut labels, &head, label),
            Some(_) => return Err(format!("{}: {head} is no text and not null", item.file)),
        };
        put.map_err(|fault| format!("{}: {fault}", item.file))?;
    }
    Ok(labels)
}

/// The mail as the model reads it, with what ties it to others.
fn labelled(item: MailItem, labels: Labels) -> LabelledMail {
    let message = item.message();
    let Links { address, ids } = match &item.source {
        Source::Raw { bytes, .. } => links(bytes),
        Source::Fields { from, rest, .. } => {
            let thread = rest.get("thread").and_then(|thread| match thread {
                Value::String(name) => Some(name.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            Links { address: address(from), ids: thread.into_iter().collect() }
        }
    };
    let text = render(&message).into();
    let ties = Ties { sender: address, subject: message.subject, ids };
    LabelledMail { file: item.file, text, labels, ties }
}

#[cfg(test)]
mod tests;
