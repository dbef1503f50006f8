//! Mail in files: each message of what the command line names, one after the other.
//!
//! Reads single mails, mboxes, Maildirs with their folders, folders of those, JSON lines, and all
//! of them but folders from standard input. Of each message at most the part that the core looks
//! at is in memory. It deliberately changes nothing: no flags, no locks, no moving from `new` to
//! `cur`.

mod folder;
mod json;
mod labels;
mod mbox;
mod stream;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use thiserror::Error;
use triaged_core::message::{self, Message};

pub use labels::LabelError;

/// One message of a file.
#[derive(Debug)]
pub struct MailItem {
    /// The path; `path#n` (counted from one) where the file can hold several messages.
    pub file: String,
    /// What the file holds of it.
    pub source: Source,
}

/// A message as its file holds it.
#[derive(Debug)]
pub enum Source {
    /// A mail: its beginning, as far as it is ever looked at, and its whole size in bytes.
    Raw {
        /// At most [`message::LONGEST_MAIL`] bytes.
        bytes: Vec<u8>,
        /// Bytes in the file.
        full_size: u64,
    },
    /// A line of JSON.
    Fields {
        /// The sender, as in a mail.
        from: String,
        /// The subject.
        subject: String,
        /// The text.
        body: String,
        /// The further fields, such as labels; never the recipient.
        rest: Map<String, Value>,
    },
}

impl MailItem {
    /// The message, parsed.
    pub fn message(&self) -> Message {
        match &self.source {
            Source::Raw { bytes, full_size } => message::parse(bytes, *full_size),
            Source::Fields { from, subject, body, .. } => Message::from_fields(from, subject, body),
        }
    }
}

/// Why a file or a message in it can not be read.
#[derive(Debug, Error)]
pub enum MailFileError {
    /// The file or folder can not be opened, or reading stopped.
    #[error("{}: {source}; check the name and the permissions", path.display())]
    Unreadable {
        /// What was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder without mail.
    #[error(
        "{}: no mail in this folder; name a Maildir, or a folder with .eml, .mbox or .jsonl files",
        path.display()
    )]
    NoMail {
        /// The folder.
        path: PathBuf,
    },
    /// A line that is no JSON object.
    #[error(
        "{file}: no JSON object with from, subject and body ({source}); mend or delete the line"
    )]
    NotJson {
        /// The file and the line.
        file: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A line that is too long to be a message.
    #[error(
        "{file}: the line has {bytes} bytes, more than {}; split or delete it",
        json::LONGEST_LINE
    )]
    LongLine {
        /// The file and the line.
        file: String,
        /// Its length.
        bytes: u64,
    },
}

/// The messages of these files and folders, in order; `-` is standard input.
///
/// What can not be read is an error in its place, and what follows it is read all the same.
pub fn open(paths: &[PathBuf]) -> impl Iterator<Item = Result<MailItem, MailFileError>> + use<> {
    Messages { waiting: paths.iter().cloned().map(Waiting::Named).collect(), current: None }
}

/// Something to be read.
#[derive(Debug)]
enum Waiting {
    /// Named by a person: anything.
    Named(PathBuf),
    /// Found in a folder: a file.
    Found(PathBuf),
}

type Reader = Box<dyn BufRead>;

/// What the current file holds.
enum Content {
    Mail(stream::Mails<Reader>),
    Lines(json::Lines<Reader>),
}

struct Messages {
    waiting: VecDeque<Waiting>,
    current: Option<Content>,
}

impl Iterator for Messages {
    type Item = Result<MailItem, MailFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let item = match &mut self.current {
                Some(Content::Mail(mails)) => mails.next(),
                Some(Content::Lines(lines)) => lines.next(),
                None => None,
            };
            if item.is_some() {
                return item;
            }
            self.current = None;
            if let Err(error) = self.open_next()? {
                return Some(Err(error));
            }
        }
    }
}

impl Messages {
    /// Opens what waits next; `None` at the end of all.
    fn open_next(&mut self) -> Option<Result<(), MailFileError>> {
        let next = self.waiting.pop_front()?;
        let (Waiting::Named(path) | Waiting::Found(path)) = &next;
        let opened = if path.as_os_str() == "-" && matches!(next, Waiting::Named(_)) {
            content(path, Box::new(BufReader::new(io::stdin())))
        } else if path.is_dir() {
            return Some(self.enter(path));
        } else {
            File::open(path)
                .map_err(|source| unreadable(path, source))
                .and_then(|file| content(path, Box::new(BufReader::new(file))))
        };
        Some(opened.map(|content| self.current = Some(content)))
    }

    /// Puts the files of a folder before all that waits.
    fn enter(&mut self, folder: &Path) -> Result<(), MailFileError> {
        let files = folder::files(folder).map_err(|source| unreadable(folder, source))?;
        if files.is_empty() {
            return Err(MailFileError::NoMail { path: folder.to_owned() });
        }
        for file in files.into_iter().rev() {
            self.waiting.push_front(Waiting::Found(file));
        }
        Ok(())
    }
}

fn unreadable(path: &Path, source: io::Error) -> MailFileError {
    MailFileError::Unreadable { path: path.to_owned(), source }
}

/// Tells by the name, and where that says nothing by the first bytes, what a file holds.
fn content(path: &Path, mut reader: Reader) -> Result<Content, MailFileError> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let start = reader.fill_buf().map_err(|source| unreadable(path, source))?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let lines = extension == "jsonl" || (start.starts_with(b"{") && extension != "eml");
    let mbox = extension == "mbox" || (start.starts_with(b"From ") && extension != "eml");
    Ok(if lines {
        Content::Lines(json::Lines::new(path, reader))
    } else {
        Content::Mail(stream::Mails::new(path, reader, mbox))
    })
}

#[cfg(test)]
mod tests;
