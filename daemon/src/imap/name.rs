//! Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3) in a quoted string.
//!
//! Outside of this adapter a name is what people read. One that a server sent and that is no modified
//! UTF-7 is shown as it came, behind a mark, and goes back to the server byte by byte.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

use super::command::quoted;
use super::error::ImapError;

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// In front of a name that is shown as it stands on the wire: the sign for what can not be read.
const AS_SENT: char = '\u{fffd}';

/// A mailbox name as an argument of a command.
///
/// # Errors
/// [`ImapError::BadName`] for an empty name and for control characters, which would end the line.
pub(super) fn argument(name: &str) -> Result<String, ImapError> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(ImapError::BadName);
    }
    let wire = match name.strip_prefix(AS_SENT) {
        Some(wire) => quoted(wire),
        None => quoted(&modified_utf7(name)),
    };
    wire.ok_or(ImapError::BadName)
}

/// A pattern as an argument of LIST. Where it has characters that are encoded together with their
/// neighbours, a wider one: whoever asks has to choose among the answers.
pub(super) fn pattern(pattern: &str) -> Result<String, ImapError> {
    match pattern.find(|c: char| !matches!(c, ' '..='~')) {
        None => argument(pattern),
        Some(end) => argument(&format!("{}*", pattern.get(..end).unwrap_or_default())),
    }
}

/// A name as it came in a response, as people read it; `None` for what no command could carry back.
/// A quoted string still has its escapes (imap-proto leaves them), an atom can have none.
pub(super) fn shown(said: &str) -> Option<String> {
    let wire = unescaped(said);
    if wire.is_empty() || !wire.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return None;
    }
    let readable = decoded(&wire).filter(|name| {
        let plain = !name.starts_with(AS_SENT) && !name.chars().any(char::is_control);
        plain && modified_utf7(name) == wire
    });
    Some(readable.unwrap_or_else(|| format!("{AS_SENT}{wire}")))
}

fn unescaped(said: &str) -> String {
    let mut plain = String::with_capacity(said.len());
    let mut characters = said.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

/// Modified UTF-7 as text; `None` where it is none.
fn decoded(wire: &str) -> Option<String> {
    let mut pieces = wire.split('&');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (code, plain) = piece.split_once('-')?;
        if code.is_empty() {
            name.push('&');
        } else {
            let bytes = BASE64.decode(code).ok()?;
            let units: Vec<u16> = bytes
                .chunks(2)
                .map(|pair| <[u8; 2]>::try_from(pair).map(u16::from_be_bytes))
                .collect::<Result<_, _>>()
                .ok()?;
            name.push_str(&String::from_utf16(&units).ok()?);
        }
        name.push_str(plain);
    }
    Some(name)
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
    fn names_that_servers_send_come_back_as_they_were() {
        let cases = [
            ("Entw&APw-rfe", "Entwürfe"),
            ("R&-D", "R&D"),
            ("&2D3eAA-", "😀"),
            (r#"say \"hi\"\\now"#, r#"say "hi"\now"#),
            ("R&D", "\u{fffd}R&D"),
            ("&AAA-", "\u{fffd}&AAA-"),
            ("&AEE-", "\u{fffd}&AEE-"),
            ("&,,0-", "\u{fffd}&,,0-"),
            ("&", "\u{fffd}&"),
        ];
        for (said, name) in cases {
            let back = shown(said).expect("it can be carried back");
            assert_eq!(back, name, "{said}");
            assert_eq!(argument(&back), Ok(format!("\"{said}\"")), "{said}");
        }
        for said in ["", "é", "a\u{1}"] {
            assert_eq!(shown(said), None, "{said:?}");
        }
    }

    #[test]
    fn a_pattern_is_wide_enough_for_what_it_means() {
        for (written, wire) in
            [("Lists/*", "\"Lists/*\""), ("R&*", "\"R&-*\""), ("Kü*", "\"K*\""), ("ü%", "\"*\"")]
        {
            assert_eq!(pattern(written).as_deref(), Ok(wire), "{written}");
        }
    }

    #[test]
    fn a_name_that_would_end_the_line_is_refused() {
        for name in ["", "a\rb", "a\nb", "a\0b", "a\u{85}b"] {
            assert_eq!(argument(name), Err(ImapError::BadName), "{name:?}");
        }
    }
}
