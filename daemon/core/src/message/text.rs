//! Which parts of a mail are its text, and what they say.
//!
//! It deliberately reads no attachment, whatever its name, and takes plain text over HTML where
//! a mail offers both.

use std::fmt::Write as _;

use super::charset;
use super::clean;
use super::defect::{Defect, Defects};
use super::fields::{self, File, Lines};
use super::flowed;
use super::html;
use super::mime::{Part, Tree};
use super::transfer;

/// More than this of one part is read by nobody; encodings and markup included, in bytes.
const LONGEST_PART: usize = 512 * 1024;
/// Parts whose text is joined: a list server's footer and a mail program's cut-up text are parts.
const MOST_TEXTS: usize = 16;
/// Letters up to which plain text beside HTML may be no more than an excuse.
const STUB_LETTERS: usize = 160;
/// Hidden letters from which on HTML hides something: fewer are spacers and counters.
const MANY_HIDDEN_LETTERS: usize = 8;

/// The text of a mail with that of the mails within it, and whether all of it is there.
pub(super) struct Body {
    pub(super) text: String,
    pub(super) whole: bool,
}

/// Reads the text of a mail.
pub(super) fn body(tree: &Tree<'_>, defects: &mut Defects) -> Body {
    let mut body = joined(tree, None, is_text, defects);
    if !has_letters(&body.text) {
        let named = joined(tree, None, may_be_text, defects);
        body =
            if has_letters(&named.text) { named } else { leftovers(tree, defects).unwrap_or(body) };
    }
    if !tree.is_report {
        for (at, header) in tree.forwards.iter().enumerate() {
            let within = joined(tree, Some(at), is_text, defects);
            if !has_letters(&within.text) {
                continue;
            }
            let from = fields::sender(header, defects);
            let subject = fields::subject(header, defects);
            body.text.push_str("\n\n---------- Forwarded message ----------\n");
            let _ = writeln!(body.text, "From: {} @ {}", from.name, from.domain);
            let _ = writeln!(
                body.text,
                "Subject: {subject}
"
            );
            body.text.push_str(&within.text);
            body.whole &= within.whole;
        }
    }
    body
}

/// The texts of one mail in their order, of each alternative the best.
fn joined(
    tree: &Tree<'_>,
    forward: Option<usize>,
    is_text: fn(&Part<'_>) -> bool,
    defects: &mut Defects,
) -> Body {
    let texts: Vec<&Part<'_>> = tree
        .parts
        .iter()
        .filter(|part| part.place.forward == forward && !part.leftover && is_text(part))
        .collect();
    let mut body = Body { text: String::new(), whole: true };
    let mut done = Vec::new();
    for part in texts.iter().take(MOST_TEXTS) {
        let chosen = match part.place.alternative {
            Some(group) if done.contains(&group) => continue,
            Some(group) => {
                done.push(group);
                let members: Vec<&Part<'_>> = texts
                    .iter()
                    .copied()
                    .filter(|it| it.place.alternative == Some(group))
                    .collect();
                best(&members, defects)
            }
            None => read_all(&[part], defects),
        };
        body.whole &= chosen.whole;
        if !body.text.is_empty() {
            body.text.push_str("\n\n");
        }
        body.text.push_str(chosen.text.trim_end());
    }
    body
}

/// The plain text of an alternative, unless it says little where the HTML says more.
fn best(members: &[&Part<'_>], defects: &mut Defects) -> Body {
    let (rich, plain): (Vec<&Part<'_>>, Vec<&Part<'_>>) =
        members.iter().copied().partition(|part| part.content.kind == "text/html");
    let said = read_all(&plain, defects);
    let letters = said.text.chars().filter(|c| c.is_alphanumeric()).take(STUB_LETTERS + 1).count();
    if rich.is_empty() || letters > STUB_LETTERS {
        return said;
    }
    let mut of_html = Defects::default();
    let shown = read_all(&rich, &mut of_html);
    let more = shown.text.chars().filter(|c| c.is_alphanumeric()).count();
    let excuse = letters < 8 || (said.text.to_lowercase().contains("html") && more > letters);
    if more > 0 && (excuse || more > 4 * letters) {
        of_html.into_vec().into_iter().for_each(|defect| defects.add(defect));
        return shown;
    }
    said
}

fn read_all(parts: &[&Part<'_>], defects: &mut Defects) -> Body {
    let texts: Vec<String> =
        parts.iter().take(MOST_TEXTS).map(|part| read(part, defects)).collect();
    Body { text: texts.join("\n\n"), whole: parts.iter().all(|part| part.whole) }
}

/// The text of a multipart whose boundary never came.
fn leftovers(tree: &Tree<'_>, defects: &mut Defects) -> Option<Body> {
    let part = tree.parts.iter().find(|part| part.leftover && part.place.forward.is_none())?;
    let text = read(part, defects);
    has_letters(&text).then_some(Body { text, whole: part.whole })
}

/// The text of one part.
fn read(part: &Part<'_>, defects: &mut Defects) -> String {
    let body = part.body.get(..LONGEST_PART).unwrap_or(part.body);
    defects.add_if(body.len() < part.body.len(), Defect::TooLong);
    let bytes = transfer::decode(body, &part.content.encoding, defects);
    let text = charset::decode(&bytes, part.content.charset.as_deref(), defects);
    if part.content.kind == "text/html" || looks_like_html(&text) {
        let seen = html::to_text(&text);
        defects.add_if(seen.hidden >= MANY_HIDDEN_LETTERS, Defect::HiddenText);
        return seen.text;
    }
    match part.content.lines {
        Lines::Fixed => text,
        Lines::Flowed => flowed::unwrapped(&text, false),
        Lines::FlowedWithoutBlank => flowed::unwrapped(&text, true),
    }
}

/// Whether the part is text that its writer meant to be read as the mail.
fn is_text(part: &Part<'_>) -> bool {
    let known = ["", "text/plain", "text/html", "text/enriched", "text/richtext", "text/markdown"];
    part.content.file == File::No && known.contains(&part.content.kind.as_str())
}

/// Whether the part may be the mail's text where no other is.
fn may_be_text(part: &Part<'_>) -> bool {
    let data =
        ["text/calendar", "text/css", "text/csv", "text/vcard", "text/x-vcard", "text/directory"];
    let kind = part.content.kind.as_str();
    let text = kind.is_empty() || kind.starts_with("text/") && !data.contains(&kind);
    text && part.content.file != File::Attached
}

fn looks_like_html(text: &str) -> bool {
    let start = text.trim_start().get(..14).unwrap_or_default().to_ascii_lowercase();
    start.starts_with("<html") || start.starts_with("<!doctype html")
}

fn has_letters(text: &str) -> bool {
    text.contains(clean::is_letter)
}
