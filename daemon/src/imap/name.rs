//! Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3) in a quoted string.
//!
//! Names are only encoded, for a configuration is written in UTF-8; nobody here shows a name
//! that a server sent.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

use super::command::quoted;
use super::error::ImapError;

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// A configured mailbox name as an argument of a command.
///
/// # Errors
/// [`ImapError::BadName`] for an empty name and for control characters, which would end the line.
pub(super) fn argument(name: &str) -> Result<String, ImapError> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(ImapError::BadName);
    }
    quoted(&modified_utf7(name)).ok_or(ImapError::BadName)
}

fn modified_utf7(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut foreign: Vec<u8> = Vec::new();
    for character in name.chars() {
        if matches!(character, ' '..='~') {
            end_foreign(&mut encoded, &mut foreign);
            encoded.push(character);
            if character == '&' {
                encoded.push('-');
            }
        } else {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units);
            foreign.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    end_foreign(&mut encoded, &mut foreign);
    encoded
}

fn end_foreign(encoded: &mut String, foreign: &mut Vec<u8>) {
    if !foreign.is_empty() {
        encoded.push('&');
        BASE64.encode_string(&foreign, encoded);
        encoded.push('-');
        foreign.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_the_rfc_shows() {
        let cases = [
            ("INBOX", "\"INBOX\""),
            ("Entwürfe", "\"Entw&APw-rfe\""),
            ("~peter/mail/台北/日本語", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\""),
            ("R&D", "\"R&-D\""),
            ("say \"hi\"\\now", "\"say \\\"hi\\\"\\\\now\""),
            ("😀", "\"&2D3eAA-\""),
        ];
        for (name, wire) in cases {
            assert_eq!(argument(name).as_deref(), Ok(wire), "{name}");
        }
    }

    #[test]
    fn a_name_that_would_end_the_line_is_refused() {
        for name in ["", "a\rb", "a\nb", "a\0b", "a\u{85}b"] {
            assert_eq!(argument(name), Err(ImapError::BadName), "{name:?}");
        }
    }
}
