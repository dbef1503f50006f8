//! Mail as lines of JSON: the form of the training data.
//!
//! It deliberately knows no labels: whatever a line holds beside the mail is passed through.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{MailFileError, MailItem, Source, stream, unreadable};

/// No line of mail is longer, in bytes.
pub(super) const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// The lines of a stream.
pub(super) struct Lines<R> {
    path: PathBuf,
    reader: R,
    number: usize,
    line: Vec<u8>,
    done: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(path: &Path, reader: R) -> Self {
        Self { path: path.to_owned(), reader, number: 0, line: Vec::new(), done: false }
    }

    /// Reads the next line that is not blank; 0 at the end of the stream.
    fn read(&mut self) -> io::Result<u64> {
        loop {
            self.number += 1;
            let read = stream::read_line(&mut self.reader, &mut self.line, LONGEST_LINE)?;
            if read == 0 || !self.line.trim_ascii().is_empty() {
                return Ok(read);
            }
        }
    }

    fn item(&self, read: u64) -> Result<MailItem, MailFileError> {
        let file = format!("{}#{}", self.path.display(), self.number);
        if usize::try_from(read).is_ok_and(|read| read > LONGEST_LINE) {
            return Err(MailFileError::LongLine { file, bytes: read });
        }
        let line = self.line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.line);
        match serde_json::from_slice(line) {
            Ok(fields) => Ok(MailItem { file, source: source(fields) }),
            Err(source) => Err(MailFileError::NotJson { file, source }),
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<MailItem, MailFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.read() {
            Ok(0) => {
                self.done = true;
                None
            }
            Ok(read) => Some(self.item(read)),
            Err(source) => {
                self.done = true;
                Some(Err(unreadable(&self.path, source)))
            }
        }
    }
}

/// The mail of an object; a field that is missing, null or no text is empty.
fn source(mut rest: Map<String, Value>) -> Source {
    let mut take = |name| match rest.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (from, subject, body) = (take("from"), take("subject"), take("body"));
    take("to");
    Source::Fields { from, subject, body, rest }
}
