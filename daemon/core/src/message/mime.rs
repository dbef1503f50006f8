//! The tree of a mail's parts, found in one pass over its lines (RFC 2046).
//!
//! It deliberately neither recurses nor decodes, and bounds how deep and at how many parts it
//! looks: 34,000 nested messages, or boundaries that never come, cost no more than their bytes.
//! (mail-parser 0.11 overflows the stack on the former and is quadratic on the latter.)

use super::boundary::{self, Open};
use super::defect::{Defect, Defects};
use super::fields::{self, Content};
use super::header::{self, Header};

/// Open multiparts; real mail has four or five.
const DEEPEST: usize = 16;
/// Parts that are looked at.
const MOST_PARTS: usize = 256;
/// Mails within the mail.
const MOST_FORWARDS: usize = 16;

/// A part that holds no further parts.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) content: Content,
    pub(super) body: &'a [u8],
    /// Whether the part ends here, and not because the mail was cut.
    pub(super) whole: bool,
    /// Whether it is the rest of a multipart whose boundary never came.
    pub(super) leftover: bool,
    pub(super) place: Place,
}

/// Where in the tree a part stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// The outermost multipart/alternative around it.
    pub(super) alternative: Option<usize>,
    /// The mail within the mail that it belongs to.
    pub(super) forward: Option<usize>,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Tree<'a> {
    pub(super) header: Header<'a>,
    pub(super) parts: Vec<Part<'a>>,
    /// The headers of the mails within the mail.
    pub(super) forwards: Vec<Header<'a>>,
    /// A delivery report: the mail within is the reader's own.
    pub(super) is_report: bool,
    pub(super) is_encrypted: bool,
}

/// Finds the parts of a mail whose lines end in `\n`; `cut` says that `raw` is only its beginning.
pub(super) fn walk<'a>(raw: &'a [u8], cut: bool, defects: &mut Defects) -> Tree<'a> {
    let (header, body) = header::read(raw, 0, defects);
    let mut walker = Walker {
        raw,
        cut,
        open: Vec::new(),
        forward: None,
        alternatives: 0,
        entities: 0,
        tree: Tree::default(),
        defects,
    };
    let mut next = walker.entity(&header, body);
    while let Some(at) = next {
        let (header, body) = header::read(raw, at, walker.defects);
        next = walker.entity(&header, body);
    }
    Tree { header, ..walker.tree }
}

struct Walker<'a, 'd> {
    raw: &'a [u8],
    cut: bool,
    open: Vec<Open>,
    /// The mail within the mail that is being read.
    forward: Option<usize>,
    alternatives: usize,
    entities: usize,
    tree: Tree<'a>,
    defects: &'d mut Defects,
}

/// Where a body ends and the next part begins.
struct Found {
    end: usize,
    whole: bool,
    next: Option<usize>,
}

impl<'a> Walker<'a, '_> {
    /// Takes in the part whose body begins at `body`; returns where the next one begins.
    fn entity(&mut self, header: &Header<'a>, body: usize) -> Option<usize> {
        self.entities += 1;
        if self.entities > MOST_PARTS {
            self.defects.add(Defect::TooManyParts);
            return self.seek(body).next;
        }
        let mut content = fields::content(header, self.defects);
        if content.kind.is_empty() && self.open.last().is_some_and(|open| open.is_digest) {
            "message/rfc822".clone_into(&mut content.kind);
        }
        let mut body = body;
        while content.is_mail() && self.tree.forwards.len() < MOST_FORWARDS {
            let (header, inner) = header::read(self.raw, body, self.defects);
            self.forward = Some(self.tree.forwards.len());
            content = fields::content(&header, self.defects);
            body = inner;
            self.tree.forwards.push(header);
        }
        self.defects.add_if(content.is_mail(), Defect::TooManyParts);
        self.part(content, body)
    }

    /// Takes in a part that is a multipart or holds no further parts.
    fn part(&mut self, content: Content, body: usize) -> Option<usize> {
        if content.kind.starts_with("multipart/") {
            return self.multipart(&content, body);
        }
        self.tree.is_encrypted |= content.kind.ends_with("pkcs7-mime");
        let alternative = self.open.last().and_then(|open| open.alternative);
        let place = Place { alternative, forward: self.forward };
        let found = self.seek(body);
        let body = self.raw.get(body..found.end).unwrap_or_default();
        self.tree.parts.push(Part { content, body, whole: found.whole, leftover: false, place });
        found.next
    }

    fn multipart(&mut self, content: &Content, body: usize) -> Option<usize> {
        if self.open.len() >= DEEPEST {
            self.defects.add(Defect::TooManyParts);
            return self.seek(body).next;
        }
        self.tree.is_report |= content.kind == "multipart/report" && self.forward.is_none();
        self.tree.is_encrypted |= content.kind == "multipart/encrypted";
        let around = self.open.last().and_then(|open| open.alternative);
        let is_alternative = content.kind == "multipart/alternative";
        self.alternatives += usize::from(is_alternative);
        self.open.push(Open {
            boundary: content.boundary.as_bytes().to_vec(),
            is_digest: content.kind == "multipart/digest",
            alternative: around.or(is_alternative.then_some(self.alternatives)),
            forward: self.forward,
            body,
            started: false,
            guess: None,
        });
        self.seek(body).next
    }

    /// Looks for the line that ends the body which begins at `from`, and for the next part.
    fn seek(&mut self, from: usize) -> Found {
        let mut end = None;
        let mut at = from;
        while at < self.raw.len() {
            let (text, next) = header::line(self.raw, at);
            if text.starts_with(b"--") {
                match boundary::delimiter(&self.open, text) {
                    None => self.note_guess(text, at, next),
                    Some(delimiter) => {
                        let end = *end.get_or_insert(at.saturating_sub(1).max(from));
                        if let Some(next) = self.leave(delimiter.level + 1, end) {
                            return Found { end, whole: true, next: Some(next) };
                        }
                        if !delimiter.closes {
                            self.enter();
                            return Found { end, whole: true, next: Some(next) };
                        }
                        self.forward = self.open.pop().and_then(|open| open.forward);
                    }
                }
            }
            at = next;
        }
        self.defects.add_if(!self.cut && !self.open.is_empty(), Defect::BadStructure);
        let whole = end.is_some() || !self.cut;
        let end = end.unwrap_or(self.raw.len());
        let next = self.leave(0, end);
        Found { end, whole, next }
    }

    /// A further part of the innermost multipart begins.
    fn enter(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.started = true;
            self.forward = open.forward;
        }
    }

    /// Leaves the multiparts from `level` inwards, whose content ends at `end`. One whose boundary
    /// never came is read again with the guessed one, from the place returned, or is kept as it is.
    fn leave(&mut self, level: usize, end: usize) -> Option<usize> {
        if self.open.len() <= level {
            return None;
        }
        self.defects.add_if(!self.cut, Defect::BadStructure);
        if let Some(open) = self.open.last_mut().filter(|open| !open.started) {
            self.defects.add(Defect::BadStructure);
            if let Some(guess) = open.guess.filter(|&guess| guess < end) {
                let (text, next) = header::line(self.raw, guess);
                open.boundary = text.get(2..).unwrap_or_default().trim_ascii_end().to_vec();
                open.started = true;
                self.forward = open.forward;
                return Some(next);
            }
            let body = self.raw.get(open.body..end).unwrap_or_default();
            let place = Place { alternative: None, forward: open.forward };
            let content = Content::default();
            self.tree.parts.push(Part { content, body, whole: !self.cut, leftover: true, place });
        }
        self.open.truncate(level);
        None
    }

    /// Remembers the first line that could be the boundary of the innermost multipart.
    fn note_guess(&mut self, text: &[u8], at: usize, next: usize) {
        let raw = self.raw;
        if let Some(open) = self.open.last_mut()
            && !open.started
            && open.guess.is_none()
            && boundary::guess(text, header::line(raw, next).0).is_some()
        {
            open.guess = Some(at);
        }
    }
}

#[cfg(test)]
mod tests;
