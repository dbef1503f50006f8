//! The multiparts that are open while a mail is read, and the lines that part them.
//!
//! It deliberately knows nothing about headers: `mime` reads those.

/// A boundary that is missing is guessed only from lines that could be one.
const SHORTEST_GUESS: usize = 4;

/// A multipart whose end has not come.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) boundary: Vec<u8>,
    pub(super) is_digest: bool,
    /// The outermost multipart/alternative that its parts belong to.
    pub(super) alternative: Option<usize>,
    /// The mail within the mail that it belongs to.
    pub(super) forward: Option<usize>,
    /// Where its content begins.
    pub(super) body: usize,
    /// Whether its boundary has come at least once.
    pub(super) started: bool,
    /// A line that looks like its boundary, for when the real one never comes.
    pub(super) guess: Option<usize>,
}

/// A line that parts: of which open multipart, and whether it is that one's last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delimiter {
    pub(super) level: usize,
    pub(super) closes: bool,
}

/// Reads a line as a delimiter of one of the open multiparts, the innermost first.
pub(super) fn delimiter(open: &[Open], line: &[u8]) -> Option<Delimiter> {
    let text = line.strip_prefix(b"--")?.trim_ascii_end();
    let closing = text.strip_suffix(b"--").map(<[u8]>::trim_ascii_end);
    open.iter().enumerate().rev().find_map(|(level, open)| {
        let boundary = open.boundary.as_slice();
        if boundary.is_empty() {
            return None;
        }
        if text == boundary {
            return Some(Delimiter { level, closes: false });
        }
        (closing == Some(boundary)).then_some(Delimiter { level, closes: true })
    })
}

/// The boundary that a line would be, if the line below it begins a part.
pub(super) fn guess<'a>(line: &'a [u8], below: &[u8]) -> Option<&'a [u8]> {
    let text = line.strip_prefix(b"--")?.trim_ascii_end();
    let begins = below.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"content-"));
    (begins && text.len() >= SHORTEST_GUESS).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(boundary: &str) -> Open {
        Open {
            boundary: boundary.as_bytes().to_vec(),
            is_digest: false,
            alternative: None,
            forward: None,
            body: 0,
            started: false,
            guess: None,
        }
    }

    #[test]
    fn a_delimiter_belongs_to_the_innermost_multipart_of_that_boundary() {
        let stack = [open("a"), open("b--"), open(""), open("a b")];
        let check = |line: &str, expected: Option<(usize, bool)>| {
            let found = delimiter(&stack, line.as_bytes());
            assert_eq!(found.map(|found| (found.level, found.closes)), expected, "{line:?}");
        };
        check("--a", Some((0, false)));
        check("--a-- ", Some((0, true)));
        check("--b--", Some((1, false)));
        check("--a b\t", Some((3, false)));
        check("--ab", None);
        check("--", None);
        check("----", None);
        check("a", None);
    }

    #[test]
    fn a_boundary_is_guessed_from_what_stands_below() {
        assert_eq!(guess(b"--wrong", b"Content-Type: text/plain"), Some(b"wrong".as_slice()));
        assert_eq!(guess(b"--wrong", b"Hello"), None);
        assert_eq!(guess(b"-- ", b"content-type: x"), None);
    }
}
