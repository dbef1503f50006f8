//! Where one response of a server ends, and whether it stays within bounds.
//!
//! Pure: it sees bytes and says lengths. A frame is one whole response, its literals included
//! (RFC 9051 §4.3). Whether a frame makes sense is the guard's question.

/// Longest literal, in bytes. What is asked for is at most 256 KiB at once; async-imap would
/// allocate whatever is announced.
pub(super) const MAX_LITERAL: usize = 1024 * 1024;
/// Longest line, in bytes: a `SEARCH` answer with 100,000 UIDs fits. The parser below starts
/// again with every piece of a line, which costs seconds on longer ones.
pub(super) const MAX_LINE: usize = 1024 * 1024;
/// Longest response, in bytes.
pub(super) const MAX_FRAME: usize = 2 * 1024 * 1024;
/// Deepest nesting of parentheses. imap-proto recurses; Dovecot nests 100 deep, which ends a
/// debug build, but only in answers that are never asked for.
pub(super) const MAX_DEPTH: usize = 64;

/// imap-proto panics on it, and what a panic prints is not in our hands.
const UNDATED: &[u8] = b"INTERNALDATE NIL";

/// A response that is too large to be read; there is no way to go on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooLarge {
    Literal,
    Line,
    Frame,
}

impl TooLarge {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Literal => "a literal is larger than one mebibyte",
            Self::Line => "a line is longer than one mebibyte",
            Self::Frame => "a response is larger than two mebibytes",
        }
    }
}

/// A complete response at the start of the bytes that were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its length in bytes, line end included.
    pub(super) len: usize,
    /// Whether imap-proto can be given it at all: not too deep, and without [`UNDATED`].
    pub(super) safe: bool,
}

/// Finds the end of the first response in bytes that arrive bit by bit; each byte is read once.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// Start of the line that is not complete yet.
    line: usize,
    /// Up to where it was searched for its end.
    searched: usize,
    depth: usize,
    unsafe_to_parse: bool,
}

impl Framer {
    /// `held` starts with the response and only grows between two calls. After a frame was found
    /// the framer is at the start of the next one.
    pub(super) fn find(&mut self, held: &[u8]) -> Result<Option<Frame>, TooLarge> {
        loop {
            let Some(end) = self.line_end(held)? else { return Ok(None) };
            let line = held.get(self.line..end).unwrap_or_default();
            let literal = if self.line == 0 && is_status(line) { None } else { self.read(line) };
            let Some(literal) = literal else {
                let frame = Frame { len: end, safe: !self.unsafe_to_parse };
                *self = Self::default();
                return Ok(Some(frame));
            };
            if literal > MAX_LITERAL {
                return Err(TooLarge::Literal);
            }
            self.line = end + literal;
            self.searched = self.line;
            if self.line > MAX_FRAME {
                return Err(TooLarge::Frame);
            }
        }
    }

    fn line_end(&mut self, held: &[u8]) -> Result<Option<usize>, TooLarge> {
        let Some(unread) = held.get(self.searched..) else { return Ok(None) };
        let end = unread.iter().position(|&byte| byte == b'\n').map(|at| self.searched + at + 1);
        let reached = end.unwrap_or(held.len());
        self.searched = reached;
        if reached - self.line > MAX_LINE {
            return Err(TooLarge::Line);
        }
        if reached > MAX_FRAME {
            return Err(TooLarge::Frame);
        }
        Ok(end)
    }

    /// Looks for what harms the parser; the length of the literal that the line announces.
    fn read(&mut self, line: &[u8]) -> Option<usize> {
        let mut quoted = false;
        let mut escaped = false;
        for (at, &byte) in line.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'(' if !quoted => self.depth += 1,
                b')' if !quoted => self.depth = self.depth.saturating_sub(1),
                b'I' | b'i' if !quoted && begins(line.get(at..), UNDATED) => {
                    self.unsafe_to_parse = true;
                }
                _ => {}
            }
            self.unsafe_to_parse |= self.depth > MAX_DEPTH;
        }
        if quoted { None } else { announced(line) }
    }
}

fn begins(text: Option<&[u8]>, word: &[u8]) -> bool {
    text.and_then(|text| text.get(..word.len())).is_some_and(|text| text.eq_ignore_ascii_case(word))
}

/// `{123}` before the line end. A number that does not fit is as good as the largest.
pub(super) fn announced(line: &[u8]) -> Option<usize> {
    let body = line.strip_suffix(b"}\r\n")?;
    let open = body.iter().rposition(|&byte| byte == b'{')?;
    let digits = body.get(open + 1..)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(std::str::from_utf8(digits).ok()?.parse().unwrap_or(usize::MAX).min(usize::MAX / 2))
}

/// Whether the first line of a response is a status or a continuation: free text follows, in
/// which neither braces nor parentheses nor quotes mean anything.
pub(super) fn is_status(line: &[u8]) -> bool {
    if line.starts_with(b"+") {
        return true;
    }
    let mut words = line.split(|byte| b" \r\n".contains(byte));
    let _tag = words.next();
    let word = words.next().unwrap_or_default();
    let statuses: [&[u8]; 5] = [b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"];
    statuses.iter().any(|status| word.eq_ignore_ascii_case(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Vec<usize> {
        let mut framer = Framer::default();
        let mut rest = bytes;
        let mut lengths = Vec::new();
        while let Some(frame) = framer.find(rest).expect("within bounds") {
            lengths.push(frame.len);
            rest = &rest[frame.len..];
        }
        lengths
    }

    #[test]
    fn a_response_ends_behind_its_last_literal() {
        let fetch = b"* 1 FETCH (UID 7 BODY[HEADER] {4}\r\na\r\nb BODY[TEXT] {0}\r\n)\r\n";
        assert_eq!(frames(&[&fetch[..], b"* 2 EXISTS\r\n"].concat()), [fetch.len(), 12]);
        assert!(frames(b"* 1 FETCH (BODY[] {10}\r\nabc").is_empty());
    }

    #[test]
    fn bytes_may_arrive_one_by_one() {
        let all = b"* 1 FETCH (BODY[] {3}\r\n)\r\n FLAGS ())\r\n";
        let mut framer = Framer::default();
        for end in 0..all.len() {
            assert_eq!(framer.find(&all[..end]), Ok(None), "at {end}");
        }
        assert_eq!(framer.find(all), Ok(Some(Frame { len: all.len(), safe: true })));
    }

    #[test]
    fn the_text_of_a_status_is_free() {
        assert_eq!(frames(b"* OK see {99}\r\na1 NO don't (say \" {9}\r\n+ {5}\r\n"), [15, 24, 7]);
        assert_eq!(frames(b"* LIST () \"/\" \"{5}\"\r\n"), [21]);
    }

    #[test]
    fn what_is_too_large_is_refused_at_its_announcement() {
        let find = |bytes: &[u8]| Framer::default().find(bytes);
        assert_eq!(find(b"* 1 FETCH (BODY[] {500000000}\r\n"), Err(TooLarge::Literal));
        assert_eq!(find(b"* 1 FETCH (BODY[] {99999999999999999999}\r\n"), Err(TooLarge::Literal));
        assert_eq!(find(b"* 1 FETCH (BODY[] {1048576}\r\n"), Ok(None));
        assert_eq!(find(&vec![b'x'; MAX_LINE + 1]), Err(TooLarge::Line));
        let piece = [b"* 1 FETCH (A {1048576}\r\n".to_vec(), vec![b'x'; MAX_LITERAL]].concat();
        let two = [&piece[..], b" B {1048576}\r\n"].concat();
        assert_eq!(find(&two), Err(TooLarge::Frame));
    }

    #[test]
    fn what_harms_the_parser_is_seen_outside_of_strings() {
        let safe = |text: &str| {
            let frame = Framer::default().find(text.as_bytes()).expect("within bounds");
            frame.expect("it is whole").safe
        };
        let nested = |depth: usize| format!("{}{}", "(".repeat(depth), ")".repeat(depth));
        assert!(safe(&format!("* 1 FETCH {}\r\n", nested(MAX_DEPTH))));
        assert!(!safe(&format!("* 1 FETCH {}\r\n", nested(MAX_DEPTH + 1))));
        assert!(safe(&format!("* X \"{0}\\\"{0}\" {{130}}\r\n{0} ()\r\n", "(".repeat(130))));
        assert!(!safe("* 1 FETCH (InternalDate nil)\r\n"));
        assert!(safe("* 1 FETCH (BODY[TEXT] \"INTERNALDATE NIL\")\r\n"));
        assert!(safe("* 1 FETCH (BODY[TEXT] {16}\r\nINTERNALDATE NIL)\r\n"));
    }
}
