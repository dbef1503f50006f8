//! RELIABILITY S2: whatever stands in a mail that we alert of, ours is one message, and nothing in it
//! ends it, begins another field or another mail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use triaged_core::alert::{self, Facts, Said};

use super::*;

/// How many random texts go through each of the fields.
const TEXTS: usize = 100_000;

/// Pieces of which hostile texts are made.
const PIECES: [&str; 38] = [
    "\r",
    "\n",
    "\r\n",
    ".",
    "\r\n.\r\n",
    "\n.\n",
    "\r.\r",
    "\n.\r\n",
    "\r\n.\n",
    "..",
    "\0",
    "\t",
    " ",
    "a",
    "MAIL FROM:<x@y.example>",
    "Bcc: x@y.example",
    "QUIT",
    "DATA",
    "=?utf-8?q?=0D=0ABcc:_x?=",
    "=?",
    "?=",
    "=\r\n",
    "<",
    ">",
    "@",
    ",",
    "\"",
    "\\",
    ";",
    ":",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "ü",
    "🔥",
    "\u{1b}[2J",
    "--b",
    "Content-Type: text/html",
];

/// Chance that is the same each time (xorshift64*, Vigna 2016).
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("31 bits") % below
    }

    fn text(&mut self, pieces: usize) -> String {
        (0..=self.next(pieces)).map(|_| PIECES[self.next(PIECES.len())]).collect()
    }
}

/// A server that takes all it is given, and keeps the bytes between DATA and the next command as they
/// came over the wire.
async fn server(stream: DuplexStream, taken: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 here\r\n").await.expect("written");
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if !line.starts_with(b"DATA") {
            stream.write_all(b"250 fine\r\n").await.expect("written");
            continue;
        }
        stream.write_all(b"354 go on\r\n").await.expect("written");
        let mut mail = Vec::new();
        while !mail.ends_with(b"\r\n.\r\n") {
            let read = stream.read_until(b'\n', &mut mail).await.expect("the whole mail");
            assert!(read > 0, "it has an end");
        }
        taken.lock().expect("whole").push(mail);
        stream.write_all(b"250 taken\r\n").await.expect("written");
    }
}

#[expect(clippy::disallowed_methods, reason = "it ends with the test")]
async fn conversation() -> (Connection, Arc<Mutex<Vec<Vec<u8>>>>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let taken = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(server(theirs, Arc::clone(&taken)));
    let stream = line::of_memory(ours);
    let hello = ClientId::Domain("here.example".to_owned());
    let server =
        AsyncSmtpConnection::connect_with_transport(stream, &hello).await.expect("greeted");
    let from = address("triaged@example.org").expect("an address");
    let minute = Duration::from_mins(1);
    (Connection { server, from, step: minute, acceptance: minute }, taken)
}

/// The fields of a header by name, in lower case; each occurs once.
fn fields(header: &str) -> BTreeMap<String, String> {
    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
    let mut fields = BTreeMap::new();
    for line in unfolded.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no field"));
        let before = fields.insert(name.to_ascii_lowercase(), value.to_owned());
        assert_eq!(before, None, "{name} twice");
    }
    fields
}

const FIELDS: [&str; 12] = [
    "auto-submitted",
    "content-transfer-encoding",
    "content-type",
    "date",
    "from",
    "message-id",
    "mime-version",
    "precedence",
    "subject",
    "to",
    "x-auto-response-suppress",
    "x-triaged-alert",
];

/// One mail as it came over the wire, for a strict and for a lenient reader.
fn check(wire: &[u8], body: &str) {
    let text = str::from_utf8(wire).expect("ASCII");
    assert!(text.is_ascii());
    let bare = text.replace("\r\n", "");
    assert!(!bare.contains(['\r', '\n', '\0']), "{text:?}");
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "{text:?}");
    let inside = text.strip_suffix("\r\n.\r\n").expect("a dot ends it");
    for end in ["\r\n.\r\n", "\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\n.\r"] {
        assert!(!format!("{inside}\r\n").contains(end), "{end:?} in {text:?}");
    }
    let (header, encoded) = inside.split_once("\r\n\r\n").expect("a header and a body");
    let fields = fields(header);
    assert_eq!(fields.keys().map(String::as_str).collect::<Vec<_>>(), FIELDS, "{header}");
    assert_eq!(fields["from"], "triaged <triaged@example.org>");
    assert_eq!(fields["to"], "oncall@example.org");
    assert!(!encoded.trim_end_matches("\r\n").contains("\r\n\r\n"), "one part: {encoded}");
    let decoded = STANDARD.decode(encoded.replace("\r\n", "")).expect("base64");
    // Lines of text end in CR LF in the mail (RFC 2045 §6.8), whatever they ended in before.
    let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
    assert_eq!(lines(str::from_utf8(&decoded).expect("UTF-8")), lines(body));
}

/// The same as our own reader has it, which takes its time unoptimised.
fn read(wire: &[u8]) {
    let read = triaged_core::message::parse(wire, wire.len() as u64);
    assert!(read.automatic.is_some(), "it is known as ours");
    assert!(!read.subject.chars().any(char::is_control), "{:?}", read.subject);
}

fn mail<'a>(subject: &'a str, body: &'a str) -> Mail<'a> {
    Mail {
        from: "triaged@example.org",
        to: "oncall@example.org",
        subject,
        body,
        message_id: "<1.triaged@example.org>",
        date: Timestamp::UNIX_EPOCH,
        rule: "escalate",
    }
}

#[tokio::test]
async fn a_hundred_thousand_random_texts_make_one_mail_each() {
    let mut chance = Chance(0x7472_6961_6765_6421);
    let (mut connection, taken) = conversation().await;
    for count in 0..TEXTS {
        // Half of them as they come, half as the text of an alert.
        let (subject, body) = if count % 2 == 0 {
            (chance.text(12), chance.text(30))
        } else {
            let label = chance.text(3);
            let facts = Facts {
                account: chance.text(3),
                mailbox: chance.text(4),
                goes_to: Some(chance.text(4)),
                labels: vec![Said { head: label.clone(), label, confidence: 0.5 }],
                subject: Some(chance.text(12)),
                from: Some(chance.text(12)),
                message_id: Some(chance.text(5)),
                ..Facts::default()
            };
            let text = alert::of_mail("escalate", &facts);
            assert!(!text.subject.chars().any(char::is_control));
            (text.subject, text.body)
        };
        connection.send(&mail(&subject, &body), || true).await.expect("taken");
        let wire = taken.lock().expect("whole").pop().expect("one mail");
        assert!(taken.lock().expect("whole").is_empty(), "and no other");
        check(&wire, &body);
        if count % 20 == 0 {
            read(&wire);
        }
    }
}

#[test]
fn a_hundred_thousand_random_addresses_are_refused_or_stay_one_address() {
    let mut chance = Chance(42);
    let mut fine = 0;
    for _ in 0..TEXTS {
        let text = format!("a{}@b.example", chance.text(3));
        for at_from in [true, false] {
            let plain = mail("x", "y");
            let odd =
                if at_from { Mail { from: &text, ..plain } } else { Mail { to: &text, ..plain } };
            let Ok(bytes) = odd.bytes() else { continue };
            fine += 1;
            let bytes = String::from_utf8(bytes).expect("text");
            let bare = bytes.replace("\r\n", "");
            assert!(!bare.contains(['\r', '\n', '\0']), "{bytes:?}");
            let (header, _) = bytes.split_once("\r\n\r\n").expect("a header and a body");
            assert_eq!(fields(header).len(), FIELDS.len(), "{header}");
        }
    }
    assert!(fine > 100, "some are addresses: {fine}");
}

#[tokio::test]
async fn who_may_not_send_any_more_says_so_before_the_text() {
    let (mut connection, taken) = conversation().await;
    let error = connection.send(&mail("x", "y"), || false).await.expect_err("not ours");
    assert_eq!((error.step, error.why.clone()), (Step::Data, Why::NotOurs));
    assert!(!error.is_final() && !error.is_about_the_mail());
    assert!(taken.lock().expect("whole").is_empty());
}
