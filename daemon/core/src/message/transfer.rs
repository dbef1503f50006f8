//! Content-Transfer-Encoding: base64 and quoted-printable, however damaged.
//!
//! It deliberately decodes what can be decoded and leaves out the rest; it never gives up.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;

use super::defect::{Defect, Defects};

/// Decodes the body of a part.
pub(super) fn decode<'a>(body: &'a [u8], encoding: &str, defects: &mut Defects) -> Cow<'a, [u8]> {
    match encoding {
        "" | "7bit" | "8bit" | "binary" => Cow::Borrowed(body),
        "base64" => base64(body, defects).map_or(Cow::Borrowed(body), Cow::Owned),
        "quoted-printable" => Cow::Owned(quoted_printable(body, false, defects)),
        _ => {
            defects.add(Defect::BadEncoding);
            Cow::Borrowed(body)
        }
    }
}

/// Decodes base64 line by line, so that a list server's footer below it does not spoil it.
/// `None` where most lines are no base64: then the label lies.
fn base64(body: &[u8], defects: &mut Defects) -> Option<Vec<u8>> {
    let mut letters = Vec::with_capacity(body.len());
    let (mut good, mut bad) = (0usize, 0usize);
    for line in body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.iter().all(|&byte| is_base64(byte)) {
            good += line.len();
            letters.extend_from_slice(line);
        } else {
            bad += line.len();
        }
    }
    defects.add_if(bad > 0, Defect::BadEncoding);
    if bad > 4 * good {
        return None;
    }
    let decoded = base64_decode(&letters);
    defects.add_if(decoded.is_none(), Defect::BadEncoding);
    decoded
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Decodes quoted-printable (RFC 2045, section 6.7; with `word`, the Q encoding of RFC 2047).
/// An equals sign before anything else than two hexadecimal digits stands for itself.
pub(super) fn quoted_printable(body: &[u8], word: bool, defects: &mut Defects) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'=' => rest = escape(tail, &mut out, defects),
            b'_' if word => out.push(b' '),
            b'\n' => {
                let kept = out.trim_ascii_end().len();
                let line = out.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                out.truncate(kept.max(line));
                out.push(b'\n');
            }
            _ => out.push(byte),
        }
    }
    out
}

/// What follows an equals sign: a byte in hexadecimal, or the end of a line that goes on.
fn escape<'a>(tail: &'a [u8], out: &mut Vec<u8>, defects: &mut Defects) -> &'a [u8] {
    if let [high, low, after @ ..] = tail
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        out.push(high << 4 | low);
        return after;
    }
    let blanks = tail.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match tail.get(blanks..) {
        None | Some([]) => &[],
        Some([b'\n', after @ ..]) => after,
        _ => {
            defects.add(Defect::BadEncoding);
            out.push(b'=');
            tail
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_encodings_give_what_is_left() {
        fn check(body: &str, encoding: &str, expected: &str, bad: bool) {
            let mut defects = Defects::default();
            let decoded = decode(body.as_bytes(), encoding, &mut defects);
            assert_eq!(String::from_utf8_lossy(&decoded), expected, "{body:?}");
            assert_eq!(!defects.into_vec().is_empty(), bad, "{body:?}");
        }
        check("caf=C3=A9 =3d 1=\n2  \n3", "quoted-printable", "café = 12\n3", false);
        check("100=% of = it=ZZ", "quoted-printable", "100=% of = it=ZZ", true);
        check("end=", "quoted-printable", "end", false);
        check("aGVs\nbG8=", "base64", "hello", false);
        check("aGVs\nbG8=\n_____\nlist footer", "base64", "hello", true);
        check("this is no base64 at all.", "base64", "this is no base64 at all.", true);
        check("aGVsbG8", "base64", "hello", false);
        check("", "base64", "", false);
        check("as it is", "x-uuencode", "as it is", true);
    }
}
