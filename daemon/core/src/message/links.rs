//! What ties a mail to others: who sent it, and which mails its header names.
//!
//! Read only where mails are sorted into those that teach a model and those that judge it; the
//! daemon's own way needs none of this, and the model never sees it.

use super::header::{folded_end, line};
use super::with_plain_line_ends;

/// More of a mail is not searched for the end of its header, in bytes.
const LONGEST_HEADER: usize = 256 * 1024;
/// A long thread names its whole past; the newest and the oldest ends tie it just as well.
const MOST_IDS: usize = 64;

/// What the header of a mail says about its neighbours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// The address in `From`, in lower case; empty where there is none.
    pub address: String,
    /// Its own `Message-ID` and those in `References` and `In-Reply-To`, without brackets.
    pub ids: Vec<String>,
}

/// Reads the header of a mail; whatever makes no sense in it ties to nothing.
pub fn links(raw: &[u8]) -> Links {
    let begun = raw.get(..LONGEST_HEADER).unwrap_or(raw);
    let plain = with_plain_line_ends(begun);
    let mut links = Links::default();
    let mut at = 0;
    while at < plain.len() {
        let (text, next) = line(&plain, at);
        if text.is_empty() {
            break;
        }
        let end = folded_end(&plain, next);
        let field = String::from_utf8_lossy(plain.get(at..end).unwrap_or_default());
        if let Some((name, value)) = field.split_once(':') {
            links.take(name.trim_end(), value);
        }
        at = end;
    }
    links
}

impl Links {
    fn take(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case("from") && self.address.is_empty() {
            self.address = address(value);
        }
        let names = ["message-id", "references", "in-reply-to"];
        if names.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            let room = MOST_IDS.saturating_sub(self.ids.len());
            self.ids.extend(bracketed(value).take(room).map(str::to_owned));
        }
    }
}

/// The address in a sender field, in lower case: `Name <local@domain>` or `local@domain`. A lone
/// "@", as in a sender that was rendered, is none: it would tie all of them together.
pub fn address(field: &str) -> String {
    let inside = field.rsplit_once('<').map(|(_, rest)| rest.split('>').next().unwrap_or(rest));
    let bare = field.split_whitespace().find(|word| word.trim_matches('@').contains('@'));
    inside.or(bare).unwrap_or_default().trim().to_lowercase()
}

/// What stands in angle brackets.
fn bracketed(value: &str) -> impl Iterator<Item = &str> {
    value
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>').map(|(inside, _)| inside.trim()))
        .filter(|inside| !inside.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_its_sender_and_its_thread() {
        let raw = b"From: \"A, B\" <Ada@Engine.example>\r\nSubject: x\r\nMessage-ID: <3@x>\r\n\
            References: <1@x>\r\n <2@x>\r\nIn-Reply-To: <2@x>\r\n\r\nFrom: <not@this.example>\r\n";
        let found = links(raw);
        assert_eq!(found.address, "ada@engine.example");
        assert_eq!(found.ids, ["3@x", "1@x", "2@x", "2@x"]);
    }

    #[test]
    fn a_header_of_nonsense_ties_to_nothing() {
        for raw in [&b""[..], b"\n\n", b"From\nReferences: none, <>\n\n", b"\xff\xfe:\x00"] {
            assert_eq!(links(raw), Links::default(), "{raw:?}");
        }
    }

    #[test]
    fn an_address_is_found_in_every_usual_form() {
        for (field, expected) in [
            ("Ada <ADA@x.example>", "ada@x.example"),
            ("ada@x.example", "ada@x.example"),
            ("ada@x.example (Ada)", "ada@x.example"),
            ("Ada", ""),
            ("Ada King @ x.example", ""),
            ("Ada <ada@x.example", "ada@x.example"),
        ] {
            assert_eq!(address(field), expected, "{field}");
        }
    }
}
