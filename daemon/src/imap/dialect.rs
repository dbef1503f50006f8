//! What servers say and imap-proto does not understand, put into words that it does.
//!
//! Two things, each in frames that are whole already: names of mailboxes that come as literals become
//! quoted strings, so that a backslash in a name always is an escape; and Dovecot's `X-GUID` becomes
//! the `EMAILID` of RFC 8474, which has the same meaning. What does not look as expected is left as
//! it is.

use super::command::quoted;
use super::frame::announced;

/// The frame, with other words where that is needed.
pub(super) fn translated(frame: Vec<u8>) -> Vec<u8> {
    let other = if is_about_names(&frame) {
        without_literals(&frame)
    } else if is_fetch(&frame) {
        with_email_id(&frame)
    } else {
        None
    };
    other.unwrap_or(frame)
}

fn is_about_names(frame: &[u8]) -> bool {
    let responses: [&[u8]; 3] = [b"* LIST ", b"* STATUS ", b"* LSUB "];
    responses.iter().any(|start| begins(frame, start))
}

/// A FETCH response without a literal: nothing in it is text of a mail.
fn is_fetch(frame: &[u8]) -> bool {
    let Some(rest) = frame.strip_prefix(b"* ") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = frame.iter().position(|&byte| byte == b'\n');
    let one_line = end.is_some_and(|end| end + 1 == frame.len());
    digits > 0 && one_line && rest.get(digits..).is_some_and(|rest| begins(rest, b" FETCH ("))
}

fn begins(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}

/// The frame with quoted strings for its literals; `None` where it has none, or one that a quoted
/// string can not carry.
fn without_literals(frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(frame.len());
    let mut rest = frame;
    let mut found = false;
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')? + 1;
        let (line, behind) = rest.split_at_checked(end)?;
        let Some(length) = announced(line) else {
            out.extend_from_slice(line);
            return (found && behind.is_empty()).then_some(out);
        };
        found = true;
        let open = line.iter().rposition(|&byte| byte == b'{')?;
        out.extend_from_slice(line.get(..open)?);
        let (literal, behind) = behind.split_at_checked(length)?;
        out.extend_from_slice(quoted(str::from_utf8(literal).ok()?)?.as_bytes());
        rest = behind;
    }
}

const X_GUID: &[u8] = b"X-GUID ";

/// The frame with `EMAILID (x)` for `X-GUID x`; `None` where there is none.
fn with_email_id(frame: &[u8]) -> Option<Vec<u8>> {
    let at = outside_of_strings(frame, X_GUID)?;
    let (before, from) = frame.split_at_checked(at)?;
    let value = from.get(X_GUID.len()..)?;
    // In Maildir it is the name of a file.
    let plain = |byte: &&u8| byte.is_ascii_graphic() && !b"()\"\\{%*]".contains(byte);
    let length = value.iter().take_while(plain).count();
    let (value, behind) = value.split_at_checked(length)?;
    let ended = behind.first().is_some_and(|byte| b" )".contains(byte));
    (length > 0 && ended).then(|| [before, b"EMAILID (", value, b")", behind].concat())
}

/// Where `word` begins as a word of its own.
fn outside_of_strings(frame: &[u8], word: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped, mut last) = (false, false, b' ');
    for (at, &byte) in frame.iter().enumerate() {
        let free = !quoted && b" (".contains(&last);
        if free && frame.get(at..).is_some_and(|rest| begins(rest, word)) {
            return Some(at);
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        last = byte;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(frame: &str) -> String {
        String::from_utf8(translated(frame.as_bytes().to_vec())).expect("UTF-8")
    }

    #[test]
    fn names_that_are_literals_become_quoted_strings() {
        assert_eq!(
            said("* LIST () \"/\" {5}\r\na\"b\\c\r\n"),
            "* LIST () \"/\" \"a\\\"b\\\\c\"\r\n"
        );
        assert_eq!(said("* STATUS {3}\r\na b (UIDNEXT 5)\r\n"), "* STATUS \"a b\" (UIDNEXT 5)\r\n");
        for same in [
            "* LIST () \"/\" \"{5}\"\r\n",
            "* LIST () NIL {2}\r\n\u{e9}\r\n",
            "* 1 FETCH (BODY[HEADER] {3}\r\na\"b)\r\n",
            "* LIST () \"/\" {9999}\r\nshort\r\n",
        ] {
            assert_eq!(said(same), same);
        }
    }

    #[test]
    fn dovecots_identifier_becomes_that_of_the_standard() {
        assert_eq!(
            said("* 2 FETCH (UID 9 X-GUID 5e884898da28 FLAGS ())\r\n"),
            "* 2 FETCH (UID 9 EMAILID (5e884898da28) FLAGS ())\r\n"
        );
        assert_eq!(
            said("* 2 FETCH (x-guid 1763774417.M12P3.host,S=4)\r\n"),
            "* 2 FETCH (EMAILID (1763774417.M12P3.host,S=4))\r\n"
        );
        for same in [
            "* 1 FETCH (INTERNALDATE \" X-GUID a \" UID 1)\r\n",
            "* 1 FETCH (UID 1 X-GUID \"\")\r\n",
            "* 1 FETCH (BODY[TEXT] {11}\r\n X-GUID abc )\r\n",
            "* 1 FETCH (X-GUID \r\n",
            "* OK X-GUID a\r\n",
        ] {
            assert_eq!(said(same), same);
        }
    }
}
