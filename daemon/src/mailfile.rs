//! Mail in files: each message of what the command line names, one after the other.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use thiserror::Error;
use triaged_core::message::Message;

/// One message of a file.
#[derive(Debug)]
pub struct MailItem {
    /// The path; `path#n` (counted from one) where a file holds several messages.
    pub file: String,
    /// What the file holds of it.
    pub source: Source,
}

/// A message as its file holds it.
#[derive(Debug)]
pub enum Source {
    /// A line of JSON with decoded fields; `rest` holds those that are no part of the mail.
    Fields { from: String, subject: String, body: String, rest: Map<String, Value> },
}

impl MailItem {
    /// The message, parsed.
    pub fn message(&self) -> Message {
        match &self.source {
            Source::Fields { from, subject, body, .. } => Message::from_fields(from, subject, body),
        }
    }
}

/// Why a message can not be read.
#[derive(Debug, Error)]
pub enum MailFileError {
    /// The file can not be opened or read.
    #[error("{path}: {source}; check the name and the permissions")]
    Unreadable { path: PathBuf, source: io::Error },
    /// A line is no JSON object.
    #[error("{file}: this line is no JSON object with from, subject and body: {source}")]
    NotJson { file: String, source: serde_json::Error },
}

/// The messages of these files, in order.
pub fn open(paths: Vec<PathBuf>) -> impl Iterator<Item = Result<MailItem, MailFileError>> {
    paths.into_iter().flat_map(|path| match File::open(&path) {
        Ok(file) => Box::new(json_lines(path, BufReader::new(file))) as Box<dyn Iterator<Item = _>>,
        Err(source) => Box::new(std::iter::once(Err(MailFileError::Unreadable { path, source }))),
    })
}

fn json_lines(
    path: PathBuf,
    reader: impl BufRead,
) -> impl Iterator<Item = Result<MailItem, MailFileError>> {
    reader.lines().enumerate().map(move |(at, line)| {
        let line =
            line.map_err(|source| MailFileError::Unreadable { path: path.clone(), source })?;
        fields(&path, at + 1, &line)
    })
}

fn fields(path: &Path, number: usize, line: &str) -> Result<MailItem, MailFileError> {
    let file = format!("{}#{number}", path.display());
    let mut rest: Map<String, Value> = serde_json::from_str(line)
        .map_err(|source| MailFileError::NotJson { file: file.clone(), source })?;
    let mut take = |name| match rest.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let source = Source::Fields {
        from: take("from"),
        subject: take("subject"),
        body: take("body"),
        rest: {
            take("to");
            rest
        },
    };
    Ok(MailItem { file, source })
}
