//! Whether a program sent a mail, or it goes round: then nobody is alerted of it, so that no alert is
//! ever about an alert, an answer to one, or a bounce of one (RFC 3834 §2).

use super::header::Header;

/// More servers than this pass a mail on only when it goes round; Postfix and Exim stop there, too.
const MOST_HOPS: usize = 50;

/// Why nobody may be alerted of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Automatic {
    /// A triaged wrote it.
    OwnAlert,
    /// `Auto-Submitted` says other than "no" (RFC 3834 §5).
    AutoSubmitted,
    /// `Precedence` says bulk, junk or list.
    Bulk,
    /// Its sender wants no answer: the return path is empty, as that of a bounce (RFC 5321 §4.5.5).
    NullReturnPath,
    /// It was passed on more often than any mail that arrives.
    ManyHops,
}

impl Automatic {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::OwnAlert, Self::AutoSubmitted, Self::Bulk, Self::NullReturnPath, Self::ManyHops];

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnAlert => "own-alert",
            Self::AutoSubmitted => "auto-submitted",
            Self::Bulk => "bulk",
            Self::NullReturnPath => "null-return-path",
            Self::ManyHops => "many-hops",
        }
    }
}

/// What a header says of it; the first reason that holds.
pub(super) fn automatic(header: &Header<'_>) -> Option<Automatic> {
    let says = |name| header.guard(name).map(word);
    let bulk = |word: &String| matches!(word.as_str(), "bulk" | "junk" | "list");
    if header.guard("x-triaged-alert").is_some() {
        Some(Automatic::OwnAlert)
    } else if says("auto-submitted").is_some_and(|word| word != "no") {
        Some(Automatic::AutoSubmitted)
    } else if says("precedence").as_ref().is_some_and(bulk) {
        Some(Automatic::Bulk)
    } else if header.guard("return-path").is_some_and(is_null) {
        Some(Automatic::NullReturnPath)
    } else if header.hops() > MOST_HOPS {
        Some(Automatic::ManyHops)
    } else {
        None
    }
}

/// The first word of a value in lower case, before parameters and comments.
fn word(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '(');
    text.trim().split(ends).next().unwrap_or_default().to_ascii_lowercase()
}

/// Whether nothing stands between the brackets.
fn is_null(value: &[u8]) -> bool {
    let text: String =
        String::from_utf8_lossy(value).chars().filter(|c| !c.is_whitespace()).collect();
    matches!(text.as_str(), "<>" | "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::parse;

    fn reason(header: &str) -> Option<Automatic> {
        let raw = format!("From: a@b.example\r\n{header}Subject: x\r\n\r\nhello\r\n");
        parse(raw.as_bytes(), raw.len() as u64).automatic
    }

    #[test]
    fn mail_of_programs_is_known_by_its_header() {
        use Automatic::{AutoSubmitted, Bulk, ManyHops, NullReturnPath, OwnAlert};
        let hops = |count: usize| "Received: from x by y; now\r\n".repeat(count);
        for (header, expected) in [
            ("", None),
            ("Auto-Submitted: no\r\n", None),
            ("auto-submitted:\r\n NO (a person) ; x=y\r\n", None),
            ("Auto-Submitted: auto-generated\r\n", Some(AutoSubmitted)),
            ("AUTO-SUBMITTED: auto-replied; owner-email=\"x\"\r\n", Some(AutoSubmitted)),
            ("Auto-Submitted:\r\n", Some(AutoSubmitted)),
            ("Precedence: first-class\r\n", None),
            ("Precedence: Bulk\r\n", Some(Bulk)),
            ("Precedence: junk\r\n", Some(Bulk)),
            ("precedence: list\r\n", Some(Bulk)),
            ("Return-Path: <a@b.example>\r\n", None),
            ("Return-Path: <>\r\n", Some(NullReturnPath)),
            ("Return-Path: < >\r\n", Some(NullReturnPath)),
            ("Return-Path: <>\r\nReturn-Path: <a@b.example>\r\n", Some(NullReturnPath)),
            ("Return-Path: <a@b.example>\r\nReturn-Path: <>\r\n", None),
            ("X-Triaged-Alert: escalate\r\n", Some(OwnAlert)),
            (&hops(50), None),
            (&hops(51), Some(ManyHops)),
        ] {
            assert_eq!(reason(header), expected, "{header:?}");
        }
    }

    #[test]
    fn what_stands_in_the_text_is_no_header() {
        assert_eq!(reason("\r\nX-Triaged-Alert: x\r\nPrecedence: bulk\r\n"), None);
    }
}
