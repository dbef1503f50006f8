//! Cuts a stream into mails without ever holding more of one than is looked at.
//!
//! It deliberately reads line by line in pieces: a line, like a mail, may be as long as a disk.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use triaged_core::message::LONGEST_MAIL;

use super::{MailFileError, MailItem, Source, mbox, unreadable};

/// Reads up to the end of a line, and keeps its first `keep` bytes, the end included. Returns the
/// bytes read: 0 at the end of the stream.
pub(super) fn read_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
    keep: usize,
) -> io::Result<u64> {
    line.clear();
    let mut read = 0;
    loop {
        let piece = match reader.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = piece.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let length = end.unwrap_or(piece.len());
        let room = keep.saturating_sub(line.len()).min(length);
        line.extend_from_slice(piece.get(..room).unwrap_or_default());
        reader.consume(length);
        read += u64::try_from(length).unwrap_or(u64::MAX);
        if end.is_some() || length == 0 {
            return Ok(read);
        }
    }
}

/// The mails of a stream: one, or those of an mbox.
pub(super) struct Mails<R> {
    path: PathBuf,
    reader: R,
    mbox: bool,
    /// Mails begun so far.
    number: usize,
    line: Vec<u8>,
    done: bool,
}

/// A mail as it comes in.
#[derive(Default)]
struct Growing {
    bytes: Vec<u8>,
    full_size: u64,
}

impl<R: BufRead> Mails<R> {
    pub(super) fn new(path: &Path, reader: R, mbox: bool) -> Self {
        Self { path: path.to_owned(), reader, mbox, number: 0, line: Vec::new(), done: false }
    }

    /// Reads up to the line that begins the next mail, or to the end; `None` where nothing came.
    fn read(&mut self) -> io::Result<Option<Growing>> {
        let mut mail = Growing::default();
        let mut after_blank = true;
        let mut any = false;
        loop {
            let read = read_line(&mut self.reader, &mut self.line, LONGEST_MAIL)?;
            if read == 0 {
                self.done = true;
                let begun = any || self.number > 0 || !self.mbox;
                return Ok(begun.then_some(mail));
            }
            if self.mbox && mbox::begins_message(&self.line, after_blank) {
                self.number += 1;
                // What stands before the first such line belongs to no message.
                if self.number > 1 {
                    return Ok(Some(mail));
                }
                (mail, any, after_blank) = (Growing::default(), false, false);
                continue;
            }
            after_blank = self.line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            let line = if self.mbox { mbox::unescaped(&self.line) } else { &self.line };
            let dropped = self.line.len() - line.len();
            mail.full_size += read - u64::try_from(dropped).unwrap_or_default();
            let room = LONGEST_MAIL.saturating_sub(mail.bytes.len()).min(line.len());
            mail.bytes.extend_from_slice(line.get(..room).unwrap_or_default());
            any |= !after_blank;
        }
    }
}

impl<R: BufRead> Iterator for Mails<R> {
    type Item = Result<MailItem, MailFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let began = self.number.max(1);
        match self.read() {
            Ok(mail) => mail.map(|Growing { bytes, full_size }| {
                let path = self.path.display();
                let file = if self.mbox { format!("{path}#{began}") } else { path.to_string() };
                Ok(MailItem { file, source: Source::Raw { bytes, full_size } })
            }),
            Err(source) => {
                self.done = true;
                Some(Err(unreadable(&self.path, source)))
            }
        }
    }
}
