//! A mail as the field knows it: who sent it, its subject, its text, and what was odd about it.
//!
//! It deliberately holds no recipient, no date and no attachment: nothing downstream reads them.
//! Reading goes one way: `header` and `mime` find the pieces, `transfer`, `charset` and `words`
//! decode them, `html` and `flowed` make them lines, `clean` makes those what a person sees.

mod address;
mod automatic;
mod boundary;
mod charset;
mod clean;
mod defect;
mod fields;
mod flowed;
mod header;
mod homoglyph;
mod html;
mod links;
mod mime;
mod text;
mod transfer;
mod words;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use address::Sender;
pub use automatic::Automatic;
pub use defect::Defect;
use defect::Defects;
pub use links::{Links, address, links};

/// More of a mail is never looked at, in bytes.
pub const LONGEST_MAIL: usize = 1024 * 1024;
/// A body keeps this much of its beginning and of its end, in bytes.
const LONGEST_BODY_HEAD: usize = 192 * 1024;
const LONGEST_BODY_TAIL: usize = 64 * 1024;
/// What stands where the middle of a long text was left out.
const GAP: &str = "\n[...]\n";

/// One mail, decoded; its text still holds quoted history and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who wrote it, as far as the `From` field says.
    pub from: Sender,
    /// The decoded subject on one line; empty where there is none.
    pub subject: String,
    /// The decoded text: lines end in `\n`, no control or invisible characters.
    pub body: String,
    /// The `Message-ID` without its angle brackets.
    pub message_id: Option<String>,
    /// What was odd, in the order found, each once.
    pub defects: Vec<Defect>,
    /// Why nobody may be alerted of it: a program sent it, or it goes round.
    pub automatic: Option<Automatic>,
}

/// Reads a mail, or the beginning of one: `full_size` is the size of the whole in bytes.
///
/// Never fails and never panics; whatever is odd is a defect. Time and memory are bounded by
/// [`LONGEST_MAIL`].
pub fn parse(raw: &[u8], full_size: u64) -> Message {
    let mut defects = Defects::default();
    let begun = raw.get(..LONGEST_MAIL).unwrap_or(raw);
    let cut = u64::try_from(begun.len()).is_ok_and(|size| size < full_size);
    let begun = with_plain_line_ends(begun);
    let tree = mime::walk(&begun, cut, &mut defects);
    defects.add_if(tree.header.is_empty(), Defect::NoHeader);
    defects.add_if(tree.is_encrypted, Defect::Encrypted);
    let mut body = text::body(&tree, &mut defects);
    let has_text = body.text.contains(clean::is_letter);
    defects.add_if(cut && !(body.whole && has_text), Defect::Truncated);
    body.text = shortened(body.text, LONGEST_BODY_HEAD, LONGEST_BODY_TAIL, &mut defects);
    Message {
        from: fields::sender(&tree.header, &mut defects),
        subject: fields::subject(&tree.header, &mut defects),
        body: seen(&body.text, &mut defects),
        message_id: fields::message_id(&tree.header),
        automatic: automatic::automatic(&tree.header),
        defects: defects.into_vec(),
    }
}

impl Message {
    /// A message from fields that are decoded already, such as a line of training data.
    ///
    /// `from` reads as in a mail: `Name <local@domain>`, or an address, or a name.
    pub fn from_fields(from: &str, subject: &str, body: &str) -> Self {
        let mut defects = Defects::default();
        let body = shortened(body.to_owned(), LONGEST_BODY_HEAD, LONGEST_BODY_TAIL, &mut defects);
        Self {
            from: Sender::parse(&clean::line(from)),
            subject: clean::line(subject),
            body: seen(&body, &mut defects),
            message_id: None,
            automatic: None,
            defects: defects.into_vec(),
        }
    }
}

/// The text as a person sees it.
fn seen(text: &str, defects: &mut Defects) -> String {
    let cleaned = clean::text(text);
    defects.add_if(cleaned.hides(), Defect::HiddenText);
    defects.add_if(!cleaned.text.contains(clean::is_letter), Defect::NoText);
    cleaned.text
}

/// Lines that end in `\n` whatever they ended in.
fn with_plain_line_ends(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\r') {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        let ends = byte == b'\r';
        out.push(if ends { b'\n' } else { byte });
        rest = if ends { tail.strip_prefix(b"\n").unwrap_or(tail) } else { tail };
    }
    Cow::Owned(out)
}

/// Leaves out the middle of a text of more than `head` and `tail` bytes together.
pub(crate) fn shorten(text: String, head: usize, tail: usize) -> (String, bool) {
    if text.len() <= head + tail {
        return (text, false);
    }
    let end = text.floor_char_boundary(head);
    let begin = text.ceil_char_boundary(text.len() - tail);
    let kept = |range: Option<&str>| range.unwrap_or_default().to_owned();
    (kept(text.get(..end)) + GAP + &kept(text.get(begin..)), true)
}

fn shortened(text: String, head: usize, tail: usize, defects: &mut Defects) -> String {
    let (text, cut) = shorten(text, head, tail);
    defects.add_if(cut, Defect::TooLong);
    text
}

/// Runs a piece of a foreign parser: a panic in it costs that piece, and is a defect.
fn guarded<T>(defects: &mut Defects, parse: impl FnOnce() -> T) -> Option<T> {
    let parsed = catch_unwind(AssertUnwindSafe(parse)).ok();
    defects.add_if(parsed.is_none(), Defect::Unreadable);
    parsed
}

#[cfg(test)]
mod tests;
