//! The exact text that the model reads, in training and in service.
//!
//! It deliberately does not count tokens: how a long text is cut for the model is the bundle's
//! rule. Whatever changes the rendering of an ordinary mail must raise [`RENDERING`].

mod history;
mod language;
mod marks;
mod prose;
mod scope;
mod signature;
mod vocabulary;

use std::fmt::Write as _;

use crate::message::{Message, Sender, shorten};
pub use scope::{Prose, abstention};

/// The version of the rendering; a bundle names the one that it was trained on.
pub const RENDERING: u32 = 1;
/// No document is longer, in bytes: a tokenizer reads it, and keeps a few hundred words at most.
pub const LONGEST_DOCUMENT: usize = 64 * 1024;
/// Of a text that is longer, this much of the beginning and of the end stays, in bytes.
const LONGEST_HEAD: usize = 40 * 1024;
const LONGEST_TAIL: usize = 16 * 1024;
/// What is longer is no name and no subject.
const LONGEST_LINE: usize = 2 * 1024;

/// Renders a message: `From: name @ domain`, `Subject: subject`, a blank line, and the newest
/// text. A line or a part of which nothing is known is left out.
pub fn render(message: &Message) -> String {
    let mut head = String::new();
    if let Some(sender) = sender(&message.from) {
        let _ = writeln!(head, "From: {}", bounded(&sender));
    }
    if !message.subject.is_empty() {
        let _ = writeln!(head, "Subject: {}", bounded(&message.subject));
    }
    let (newest, _) = shorten(newest(&message.subject, &message.body), LONGEST_HEAD, LONGEST_TAIL);
    let gap = if head.is_empty() || newest.is_empty() { "" } else { "\n" };
    format!("{head}{gap}{newest}").trim_end().to_owned()
}

/// What the writer wrote now, without quoted history and signature; the whole text where that
/// would leave nothing.
fn newest(subject: &str, body: &str) -> String {
    let written = history::without(subject, body);
    let signed_off = signature::without(&written);
    [signed_off, written]
        .into_iter()
        .find(|text| text.contains(char::is_alphanumeric))
        .unwrap_or_else(|| body.trim().to_owned())
}

fn bounded(line: &str) -> &str {
    line.get(..line.floor_char_boundary(LONGEST_LINE)).unwrap_or(line)
}

fn sender(from: &Sender) -> Option<String> {
    match (from.name.as_str(), from.domain.as_str()) {
        ("", "") => None,
        ("", one) | (one, "") => Some(one.to_owned()),
        (name, domain) => Some(format!("{name} @ {domain}")),
    }
}

#[cfg(test)]
mod tests;
