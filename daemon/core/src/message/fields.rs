//! What the fields of a header mean: sender, subject, identity, and what a part holds.
//!
//! It deliberately trusts none of them: a value that makes no sense counts as missing.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use super::address::Sender;
use super::charset;
use super::clean;
use super::defect::Defects;
use super::guarded;
use super::header::Header;
use super::words;

/// Parameters of a content type are few and short; mail-parser compares each with all before it.
const LONGEST_CONTENT_TYPE: usize = 1024;
/// RFC 2046 allows 70 characters.
const LONGEST_BOUNDARY: usize = 200;
/// RFC 5322 allows 998 characters in a line.
const LONGEST_ID: usize = 998;

/// What a part says that it holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// `text/plain`, in lower case; empty where the part does not say.
    pub(super) kind: String,
    pub(super) boundary: String,
    pub(super) charset: Option<String>,
    /// In lower case; empty where the part does not say.
    pub(super) encoding: String,
    pub(super) file: File,
    pub(super) lines: Lines,
}

/// Whether a part is a file rather than text to be read at once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    #[default]
    No,
    /// It has the name of one, as some programs also give to the mail's own text.
    Named,
    /// It says so.
    Attached,
}

/// How the lines of a text were broken (RFC 3676).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// As the writer broke them.
    #[default]
    Fixed,
    /// A line that ends in a blank goes on.
    Flowed,
    /// The same, and that blank is not part of the text.
    FlowedWithoutBlank,
}

impl Content {
    /// Whether the part is a mail that can be read where it stands.
    pub(super) fn is_mail(&self) -> bool {
        matches!(self.kind.as_str(), "message/rfc822" | "message/global")
            && matches!(self.encoding.as_str(), "" | "7bit" | "8bit" | "binary")
    }
}

/// Who the mail is from.
pub(super) fn sender(header: &Header<'_>, defects: &mut Defects) -> Sender {
    let Some(field) = header.get("from").or_else(|| header.get("sender")) else {
        return Sender::default();
    };
    let plain = decoded(header, field, true, defects);
    let line = format!("{}\n", clean::line(&plain));
    let parsed = guarded(defects, || {
        let HeaderValue::Address(address) = MessageStream::new(line.as_bytes()).parse_address()
        else {
            return None;
        };
        let first = address.first()?;
        let name = first.name().unwrap_or_default().to_owned();
        Some((name, first.address().unwrap_or_default().to_owned()))
    });
    match parsed.flatten() {
        Some((name, address)) if address.contains('@') => Sender::new(&name, &address),
        Some((name, _)) if name.contains('@') => Sender::parse(&name),
        _ => {
            let line = clean::line(&decoded(header, field, false, defects));
            Sender::parse(line.trim_end_matches([':', ';', ',']))
        }
    }
}

/// The subject on one line.
pub(super) fn subject(header: &Header<'_>, defects: &mut Defects) -> String {
    let field = header.get("subject").unwrap_or_default();
    clean::line(&decoded(header, field, false, defects))
}

/// The text of a field. Bytes that are neither ASCII nor UTF-8 are in the mail's own character set,
/// as programs of the last century wrote them.
fn decoded(header: &Header<'_>, field: &[u8], quoted: bool, defects: &mut Defects) -> String {
    if std::str::from_utf8(field).is_ok() {
        return words::decode(field, quoted, defects);
    }
    let charset = content(header, defects).charset;
    words::decode(charset::decode(field, charset.as_deref(), defects).as_bytes(), quoted, defects)
}

/// The message's identity, without angle brackets.
pub(super) fn message_id(header: &Header<'_>) -> Option<String> {
    let field = String::from_utf8_lossy(header.get("message-id")?).replace(['\r', '\n', '\0'], "");
    let inside = field.split_once('<').map_or(field.as_str(), |(_, rest)| rest);
    let id = inside.split_once('>').map_or(inside, |(id, _)| id).trim();
    (!id.is_empty() && id.len() <= LONGEST_ID).then(|| id.to_owned())
}

/// What the part holds.
pub(super) fn content(header: &Header<'_>, defects: &mut Defects) -> Content {
    let mut content = Content::default();
    if let Some(field) = header.get("content-type") {
        read_type(field, &mut content, defects);
    }
    if let Some(field) = header.get("content-transfer-encoding") {
        content.encoding = token(field);
    }
    if let Some(field) = header.get("content-disposition") {
        let named = field.to_ascii_lowercase().windows(8).any(|word| word == b"filename");
        if token(field) == "attachment" {
            content.file = File::Attached;
        } else if named {
            content.file = File::Named;
        }
    }
    content
}

/// Reads `type/subtype; name=value; ...` with the folding and encodings of RFC 2231.
fn read_type(field: &[u8], content: &mut Content, defects: &mut Defects) {
    let field = field.get(..LONGEST_CONTENT_TYPE).unwrap_or(field);
    let line =
        format!("{}\n", String::from_utf8_lossy(field).replace(['\r', '\n', '\0'], " ").trim());
    let parsed =
        guarded(defects, || match MessageStream::new(line.as_bytes()).parse_content_type() {
            HeaderValue::ContentType(parsed) => Some(parsed),
            _ => None,
        });
    let Some(parsed) = parsed.flatten() else { return };
    let subtype = parsed.subtype().unwrap_or_default();
    content.kind = format!("{}/{subtype}", parsed.ctype()).to_ascii_lowercase();
    let value = |name| parsed.attribute(name).map(str::to_owned);
    content.boundary = value("boundary")
        .map(|boundary| boundary.trim_end().to_owned())
        .filter(|boundary| boundary.len() <= LONGEST_BOUNDARY)
        .unwrap_or_default();
    content.charset = value("charset");
    if parsed.has_attribute("name") {
        content.file = File::Named;
    }
    let says = |name, wanted| {
        parsed.attribute(name).is_some_and(|it: &str| it.eq_ignore_ascii_case(wanted))
    };
    content.lines = match (says("format", "flowed"), says("delsp", "yes")) {
        (false, _) => Lines::Fixed,
        (true, false) => Lines::Flowed,
        (true, true) => Lines::FlowedWithoutBlank,
    };
}

/// The first word of a field, in lower case.
fn token(field: &[u8]) -> String {
    let end = |c: char| c.is_whitespace() || matches!(c, ';' | '(');
    let text = String::from_utf8_lossy(field);
    text.trim().split(end).next().unwrap_or_default().trim_matches('"').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::header;
    use super::*;

    fn read<T>(raw: &str, what: impl FnOnce(&Header<'_>, &mut Defects) -> T) -> T {
        let mut defects = Defects::default();
        let (header, _) = header::read(raw.as_bytes(), 0, &mut defects);
        what(&header, &mut defects)
    }

    #[test]
    fn the_sender_is_read_from_what_programs_write() {
        fn check(raw: &str, name: &str, domain: &str) {
            let sender = read(raw, sender);
            assert_eq!((sender.name.as_str(), sender.domain.as_str()), (name, domain), "{raw}");
        }
        check("From: Ada King <ada@Engine.example>", "Ada King", "engine.example");
        check(
            "From: \"King, Ada\" <ada@engine.example>, bob@b.example",
            "King, Ada",
            "engine.example",
        );
        check("From: =?utf-8?q?King=2C_Ad=C3=A4?= <a@b.example>", "King, Adä", "b.example");
        check("From: =?utf-8?q?Ada_=3Ca=40b.example=3E?=", "Ada", "b.example");
        check("From: Ada =?utf-8?q?K=C3=AFng?= <a@b.example>", "Ada Kïng", "b.example");
        check("From: =?utf-8?q?Ad=C3=A4?= King <a@b.example>", "Adä King", "b.example");
        check("From: ada@engine.example (Ada King)", "Ada King", "engine.example");
        check("From: ada@engine.example", "ada", "engine.example");
        check("From: Ada\n King\n <ada@engine.example>", "Ada King", "engine.example");
        check("From: undisclosed:;\nSender: x@y.example", "undisclosed", "");
        check("Sender: x@y.example", "x", "y.example");
        check("From: Ada King", "Ada King", "");
        check("From: <>", "", "");
        check("From:", "", "");
    }

    #[test]
    fn the_identity_stands_between_brackets() {
        fn check(raw: &str, expected: Option<&str>) {
            assert_eq!(read(raw, |header, _| message_id(header)).as_deref(), expected);
        }
        check("Message-ID: <a@b>", Some("a@b"));
        check("Message-ID:\n <a@b> (x)", Some("a@b"));
        check("Message-ID: a@b", Some("a@b"));
        check("Message-ID: <>", None);
        check("Subject: x", None);
    }

    #[test]
    fn a_part_says_what_it_holds() {
        let plain = read(
            "Content-Type: Text/Plain; charset=\"utf-8\"; format=flowed; delsp=yes\n\
             Content-Transfer-Encoding: Quoted-Printable\n\
             Content-Disposition: ATTACHMENT; filename*=utf-8''x.txt\n",
            content,
        );
        assert_eq!(
            plain,
            Content {
                kind: "text/plain".into(),
                charset: Some("utf-8".into()),
                encoding: "quoted-printable".into(),
                file: File::Attached,
                lines: Lines::FlowedWithoutBlank,
                ..Content::default()
            }
        );
        let mixed =
            read("Content-Type: multipart/mixed;\n boundary*0=\"a b\";\n boundary*1=c\n", content);
        assert_eq!((mixed.kind.as_str(), mixed.boundary.as_str()), ("multipart/mixed", "a bc"));
        assert_eq!(read("Content-Type: ;;;=\n", content).boundary, "");
        assert_eq!(read("Subject: x\n", content), Content::default());
    }
}
