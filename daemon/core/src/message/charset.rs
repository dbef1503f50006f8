//! Bytes to text, whatever the mail says its character set is.
//!
//! It deliberately never fails: what is no text in the declared set is read as UTF-8, and where it
//! is not that either, as Windows-1252, in which every byte stands for something.

use mail_parser::decoders::charsets::map::charset_decoder;

use super::defect::{Defect, Defects};
use super::guarded;

/// Character sets that say nothing about bytes above 127.
const ASCII: [&str; 4] = ["us-ascii", "ascii", "ansi_x3.4-1968", "iso646-us"];
/// Sets in which every byte is a letter: bytes that are UTF-8 were labelled wrongly.
const ONE_BYTE: [&str; 6] =
    ["iso-8859-1", "iso-8859-15", "latin1", "windows-1252", "cp1252", "x-unknown"];

/// Decodes text in the character set of that name.
pub(super) fn decode(bytes: &[u8], declared: Option<&str>, defects: &mut Defects) -> String {
    let declared = declared.map(|name| name.trim().trim_matches(['"', '\'']).to_ascii_lowercase());
    let declared = declared.as_deref().filter(|name| !name.is_empty());
    if let Some(text) = utf16(bytes, declared) {
        return text;
    }
    match declared {
        None | Some("utf-8" | "utf8") => guess(bytes, declared.is_some(), defects),
        Some(name) if ASCII.contains(&name) => guess(bytes, !bytes.is_ascii(), defects),
        Some(name) => {
            let mistaken = ONE_BYTE.contains(&name) && is_multibyte_utf8(bytes);
            let known = charset_decoder(name.as_bytes()).filter(|_| !mistaken);
            match known.and_then(|decode| guarded(defects, || decode(bytes))) {
                Some(text) if !text.contains(char::REPLACEMENT_CHARACTER) => text,
                Some(text) if std::str::from_utf8(bytes).is_err() || text.contains('\u{1b}') => {
                    defects.add(Defect::BadCharset);
                    text
                }
                _ => {
                    defects.add(Defect::BadCharset);
                    guess(bytes, false, defects)
                }
            }
        }
    }
}

/// UTF-8 where the bytes are that, Windows-1252 where not; the latter is a defect if `declared`.
fn guess(bytes: &[u8], declared: bool, defects: &mut Defects) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(error) if is_cut(error, bytes) => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            String::from_utf8_lossy(whole).into_owned()
        }
        Err(_) => {
            defects.add_if(declared, Defect::BadCharset);
            if mostly_utf8(bytes) {
                return String::from_utf8_lossy(bytes).into_owned();
            }
            charset_decoder(b"windows-1252")
                .map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), |decode| decode(bytes))
        }
    }
}

/// Whether the only thing wrong is a last character that was cut, of a text that has others.
fn is_cut(error: std::str::Utf8Error, bytes: &[u8]) -> bool {
    let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
    error.error_len().is_none() && !whole.is_ascii()
}

/// Whether a few bytes are damaged in what is UTF-8 otherwise.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > 4 * bad
}

fn is_multibyte_utf8(bytes: &[u8]) -> bool {
    !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok()
}

/// UTF-16, which shows itself by its mark, or by zeros in every second place.
fn utf16(bytes: &[u8], declared: Option<&str>) -> Option<String> {
    let (bytes, big) = match (bytes, declared) {
        ([0xfe, 0xff, rest @ ..], _) => (rest, true),
        ([0xff, 0xfe, rest @ ..], _) => (rest, false),
        (_, Some("utf-16be")) => (bytes, true),
        (_, Some("utf-16le")) => (bytes, false),
        (_, declared) => (
            bytes,
            zeros(bytes, 0, declared) || {
                if !zeros(bytes, 1, declared) {
                    return None;
                }
                false
            },
        ),
    };
    let units = bytes.chunks_exact(2).map(|pair| match *pair {
        [high, low] if big => u16::from_be_bytes([high, low]),
        [low, high] => u16::from_le_bytes([low, high]),
        _ => 0,
    });
    Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// Whether at least a third of the bytes at even (0) or odd (1) places is zero, and few of the
/// others: Latin text in UTF-16. Text that is declared as something else must be all so.
fn zeros(bytes: &[u8], place: usize, declared: Option<&str>) -> bool {
    let count = |place| bytes.iter().skip(place).step_by(2).filter(|&&byte| byte == 0).count();
    let (here, there) = (count(place), count(1 - place));
    let enough = if declared == Some("utf-16") { bytes.len() / 6 } else { bytes.len() / 3 };
    here > 1 && here >= enough && there * 8 < here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_whatever_its_label_says() {
        fn check(bytes: &[u8], declared: Option<&str>, expected: &str, bad: bool) {
            let mut defects = Defects::default();
            assert_eq!(decode(bytes, declared, &mut defects), expected, "{declared:?}");
            assert_eq!(defects.into_vec() == [Defect::BadCharset], bad, "{declared:?} {expected}");
        }
        check("é".as_bytes(), None, "é", false);
        check(b"caf\xe9", None, "café", false);
        check(b"caf\xe9", Some("utf-8"), "café", true);
        check(b"caf\xe9", Some("us-ascii"), "café", true);
        check(b"caf\xe9", Some("\"ISO-8859-1\""), "café", false);
        check("café".as_bytes(), Some("iso-8859-1"), "café", true);
        check("café".as_bytes(), Some("x-martian"), "café", true);
        check(b"\x93hi\x94", Some("iso-8859-1"), "“hi”", false);
        check(b"\xf0\xd2\xc9\xd7\xc5\xd4", Some("koi8-r"), "Привет", false);
        check(b"\x83n\x83\x8D\x81[", Some("shift_jis"), "ハロー", false);
        check(b"\xc4\xe3\xba\xc3", Some("gb18030"), "你好", false);
        check(b"\x1b$B%O%m!<\x1b(B", Some("iso-2022-jp"), "ハロー", false);
        check(b"\xff\xfeh\0i\0", Some("utf-8"), "hi", false);
        check(b"h\0e\0l\0l\0o\0", None, "hello", false);
        check(b"\0h\0i\0!", Some("utf-16"), "hi!", false);
        check("你好".as_bytes(), Some("gb2312-broken"), "你好", true);
        check(b"", Some("utf-8"), "", false);
    }
}
