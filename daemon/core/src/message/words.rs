//! Encoded words in header fields (RFC 2047), as mail programs really write them.
//!
//! It deliberately joins neighbouring words before it reads them as text: many programs cut
//! characters of several bytes in two.

use mail_parser::decoders::base64::base64_decode;

use super::charset;
use super::defect::Defects;
use super::transfer;

/// Encoded words are at most 75 characters by the rule; nobody keeps to it.
const LONGEST_WORD: usize = 1024;
const LONGEST_CHARSET: usize = 64;

/// An encoded word as found.
struct Word<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
}

/// The field as text: unfolded, encoded words decoded. With `quoted`, decoded text is put between
/// quotation marks, so that an address parser takes it as one name.
pub(super) fn decode(field: &[u8], quoted: bool, defects: &mut Defects) -> String {
    let field = charset::decode(field, None, defects).replace('\n', " ");
    let mut out = String::with_capacity(field.len());
    let mut rest = field.as_str();
    let mut in_quotes = false;
    while let Some(at) = rest.find("=?") {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        in_quotes ^= before.matches('"').count() % 2 == 1;
        let (decoded, after) = run(found, defects);
        match decoded {
            Some(text) if quoted && !in_quotes => {
                // The address parser forgets the blank between a word and a quotation mark.
                out.push_str(if out.ends_with(' ') { "\" " } else { "\"" });
                out.push_str(&text.replace('\\', "\\\\").replace('"', "\\\""));
                out.push_str("\" ");
            }
            Some(text) if quoted => out.push_str(&text.replace(['"', '\\'], "'")),
            Some(text) => out.push_str(&text),
            None => out.push_str("=?"),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Decodes the encoded words that follow each other from here; returns the text after them.
fn run<'a>(mut rest: &'a str, defects: &mut Defects) -> (Option<String>, &'a str) {
    let mut text = String::new();
    let mut pending: Option<Word<'a>> = None;
    let mut any = false;
    while let Some((word, after)) = word(rest.trim_start(), defects) {
        any = true;
        rest = after;
        match &mut pending {
            Some(last) if last.charset.eq_ignore_ascii_case(word.charset) => {
                last.bytes.extend_from_slice(&word.bytes);
            }
            _ => {
                if let Some(last) = pending.replace(word) {
                    text.push_str(&charset::decode(&last.bytes, Some(last.charset), defects));
                }
            }
        }
    }
    if let Some(last) = pending {
        text.push_str(&charset::decode(&last.bytes, Some(last.charset), defects));
    }
    if any { (Some(text), rest) } else { (None, rest.get(2..).unwrap_or_default()) }
}

/// One encoded word at the start of the text, and what follows it. A missing end is forgiven.
fn word<'a>(text: &'a str, defects: &mut Defects) -> Option<(Word<'a>, &'a str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    if charset.is_empty() || charset.len() > LONGEST_CHARSET || charset.contains(' ') {
        return None;
    }
    let charset = charset.split_once('*').map_or(charset, |(name, _language)| name);
    let (encoding, data) = rest.split_once('?')?;
    let end = data.find("?=").filter(|&end| end <= LONGEST_WORD);
    let (data, after) = match end {
        Some(end) => (data.get(..end)?, data.get(end + 2..)?),
        None => data.split_at(data.find(' ').unwrap_or(data.len())),
    };
    let bytes = match encoding {
        "q" | "Q" => transfer::quoted_printable(data.as_bytes(), true, defects),
        "b" | "B" => {
            let letters: Vec<u8> =
                data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            base64_decode(&letters)?
        }
        _ => return None,
    };
    Some((Word { charset, bytes }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded_however_they_are_broken() {
        fn check(field: &str, expected: &str) {
            assert_eq!(
                decode(field.as_bytes(), false, &mut Defects::default()),
                expected,
                "{field}"
            );
        }
        check("plain = ? text", "plain = ? text");
        check("=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait");
        check("a =?UTF-8?B?w6k=?= b", "a é b");
        check("=?utf-8?b?w6k=?= =?utf-8?b?w6k=?=", "éé");
        check("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é");
        check("=?iso-8859-1*de?Q?=E4?=", "ä");
        check("=?utf-8?q?with spaces?=", "with spaces");
        check("=?utf-8?q?no_end", "no end");
        check("=?utf-8?x?what?=", "=?utf-8?x?what?=");
        check("=?x-martian?q?hi?=", "hi");
        check("=?=?=?", "=?=?=?");
        check("=?utf-8?b?***?=", "=?utf-8?b?***?=");
    }

    #[test]
    fn decoded_names_are_quoted_for_the_address_parser() {
        fn check(field: &str, expected: &str) {
            assert_eq!(
                decode(field.as_bytes(), true, &mut Defects::default()),
                expected,
                "{field}"
            );
        }
        check("=?utf-8?q?Ada=2C_King?= <a@b>", "\"Ada, King\"  <a@b>");
        check("\"=?utf-8?q?Ada_=22x=22?=\" <a@b>", "\"Ada 'x'\" <a@b>");
    }
}
