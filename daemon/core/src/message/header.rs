//! Header blocks: finds the few fields that are read, in one pass and in bounded memory.
//!
//! It deliberately decodes nothing and keeps nothing else: a header of a hundred thousand fields
//! costs no more than its bytes.

use super::defect::{Defect, Defects};

/// The fields that are read; all others are passed over.
const WANTED: [&str; 7] = [
    "from",
    "sender",
    "subject",
    "message-id",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
];
/// Fields that tell whether a program sent the mail; one that occurs twice is nothing odd.
const GUARDS: [&str; 4] = ["auto-submitted", "precedence", "return-path", "x-triaged-alert"];
/// Nobody writes longer fields by hand; whatever is beyond is not read.
const LONGEST_FIELD: usize = 8 * 1024;

/// The wanted fields of one header block, as they stand in the mail, folds included.
#[derive(Debug, Default)]
pub(super) struct Header<'a> {
    fields: Vec<(&'static str, &'a [u8])>,
    guards: Vec<(&'static str, &'a [u8])>,
    hops: usize,
}

impl<'a> Header<'a> {
    /// Whether none of the wanted fields is there.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first field of this name, which must be one of the wanted ones.
    pub(super) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The first field of this name that tells whether a program sent the mail.
    pub(super) fn guard(&self, name: &str) -> Option<&'a [u8]> {
        self.guards.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// How many servers say that they passed it on.
    pub(super) fn hops(&self) -> usize {
        self.hops
    }
}

/// One line of `raw` from `at`, without its end, and where the next one begins. Lines end in `\n`.
pub(super) fn line(raw: &[u8], at: usize) -> (&[u8], usize) {
    let rest = raw.get(at..).unwrap_or_default();
    let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    (rest.get(..length).unwrap_or_default(), at + length + 1)
}

/// Reads the header block that begins at `from`; returns it and where the body begins.
pub(super) fn read<'a>(raw: &'a [u8], from: usize, defects: &mut Defects) -> (Header<'a>, usize) {
    let mut header = Header::default();
    let mut any = false;
    let mut at = from;
    while at < raw.len() {
        let (text, next) = line(raw, at);
        if text.is_empty() {
            return (header, next);
        }
        let Some(colon) = field_name(text) else {
            let envelope = at == from && is_envelope(text);
            if envelope || (any && is_continued(raw, next)) {
                defects.add_if(!envelope, Defect::BadHeader);
                at = next;
                continue;
            }
            defects.add_if(any, Defect::BadHeader);
            return (header, at);
        };
        any = true;
        let end = folded_end(raw, next);
        header.keep(raw.get(at..end).unwrap_or_default(), colon, defects);
        at = end;
    }
    (header, at.min(raw.len()))
}

impl<'a> Header<'a> {
    fn keep(&mut self, field: &'a [u8], colon: usize, defects: &mut Defects) {
        let (name, value) = field.split_at_checked(colon).unwrap_or_default();
        let name = name.trim_ascii_end();
        self.hops += usize::from(name.eq_ignore_ascii_case(b"received"));
        let is_it = |known: &&&str| known.as_bytes().eq_ignore_ascii_case(name);
        if let Some(known) = GUARDS.iter().find(is_it)
            && self.guard(known).is_none()
        {
            let value = value.get(1..LONGEST_FIELD).or(value.get(1..)).unwrap_or_default();
            self.guards.push((known, value));
        }
        let Some(known) = WANTED.iter().find(is_it) else { return };
        if self.get(known).is_some() {
            defects.add(Defect::BadHeader);
            return;
        }
        let value = value.get(1..).unwrap_or_default();
        defects.add_if(value.len() > LONGEST_FIELD, Defect::BadHeader);
        self.fields.push((known, value.get(..LONGEST_FIELD).unwrap_or(value)));
    }
}

/// Where the colon of a field stands: after printable characters without blanks (a blank right
/// before the colon is an old habit).
fn field_name(line: &[u8]) -> Option<usize> {
    let colon = line.iter().take(128).position(|&byte| byte == b':')?;
    let name = line.get(..colon)?.trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(colon)
}

/// The line that mailboxes of the old kind put before a mail.
fn is_envelope(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

/// Whether the header goes on after a line that is no field: the next one is.
fn is_continued(raw: &[u8], at: usize) -> bool {
    let (text, _) = line(raw, at);
    field_name(text).is_some_and(|colon| text.get(colon + 1).is_none_or(|&byte| byte == b' '))
}

/// Where the lines that continue a field end: the next one does not begin with a blank.
pub(super) fn folded_end(raw: &[u8], mut at: usize) -> usize {
    while matches!(raw.get(at), Some(b' ' | b'\t')) {
        let (text, next) = line(raw, at);
        // A line of nothing but blanks ends the header as an empty one does.
        if text.iter().all(|&byte| matches!(byte, b' ' | b'\t')) {
            break;
        }
        at = next;
    }
    at.min(raw.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_folded_and_in_any_case() {
        let raw = b"From: a@b.example\nSUBJECT : one\n two\nX-Other: y\n\nbody";
        let mut defects = Defects::default();
        let (header, body) = read(raw, 0, &mut defects);
        assert_eq!(header.get("from"), Some(b" a@b.example\n".as_slice()));
        assert_eq!(header.get("subject"), Some(b" one\n two\n".as_slice()));
        assert_eq!(raw.get(body..), Some(b"body".as_slice()));
        assert_eq!(defects.into_vec(), []);
    }

    #[test]
    fn a_header_ends_where_it_stops_looking_like_one() {
        fn check(raw: &str, body: &str, expected: &[Defect]) {
            let mut defects = Defects::default();
            let (_, at) = read(raw.as_bytes(), 0, &mut defects);
            assert_eq!(raw.get(at..).unwrap_or_default(), body, "{raw:?}");
            assert_eq!(defects.into_vec(), expected, "{raw:?}");
        }
        check("Hello Bob\nhow are you", "Hello Bob\nhow are you", &[]);
        check("From a@b Mon\nFrom: a@b\n\nx", "x", &[]);
        check("From: a@b\nHello Bob\nhow are you", "Hello Bob\nhow are you", &[Defect::BadHeader]);
        check("Subject: a\nbroken fold\nFrom: a@b\n\nx", "x", &[Defect::BadHeader]);
        check("Subject: a\nSubject: b\n\nx", "x", &[Defect::BadHeader]);
        check("Subject: a", "", &[]);
        check("\nx", "x", &[]);
    }
}
