//! The transcripts as they are written down: where a server departs from what is usual, what it
//! says there, and what must become of the account.
//!
//! ```text
//! == a title, which is a sentence
//! at TEXT            when a line with this text comes in (`<greeting>`: before any, `<credentials>`:
//! before TEXT        the line behind AUTHENTICATE), instead of or ahead of the usual answer:
//! S: text            a line
//! S| text            the same without a line end
//! TIMES n text       a line, n times
//! FILL n text        text without a line end, n times
//! ENDLESS text       a line again and again, about a megabyte a second, until the client goes
//! SLOW ms text       a line, one byte each so many milliseconds
//! HANG               nothing any more, until the client goes
//! END                the connection
//! => says TEXT       what the log says of the account
//! => outcome WORD    what the history says of its mail
//! => reaches TEXT    a command that comes in
//! => calm n          at the end no more than n commands have come in
//! => no secret       no credential was sent
//! ```
//! `%t` is the tag of the command, `\r`, `\n`, `\\` and `\xHH` are bytes.

/// One transcript.
pub(super) struct Transcript {
    pub(super) title: &'static str,
    pub(super) turns: Vec<Turn>,
    pub(super) expected: Vec<Expected>,
}

/// What the server does when a line comes in.
pub(super) struct Turn {
    pub(super) trigger: &'static str,
    /// Whether the usual answer follows.
    pub(super) usual: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Copy)]
pub(super) enum Step {
    Line(&'static str),
    Bytes(&'static str),
    Times(usize, &'static str),
    Fill(usize, &'static str),
    Endless(&'static str),
    Slow(u64, &'static str),
    Hang,
    End,
}

#[derive(Clone, Copy)]
pub(super) enum Expected {
    Says(&'static str),
    Outcome(&'static str),
    Reaches(&'static str),
    Calm(u64),
    NoSecret,
}

/// All transcripts of the file of this name.
pub(super) fn of(topic: &str) -> Vec<Transcript> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/it/hostile");
    let text = std::fs::read_to_string(format!("{folder}/{topic}.txt")).expect(topic);
    // They live as long as the test.
    read(text.leak())
}

fn read(text: &'static str) -> Vec<Transcript> {
    let mut all: Vec<Transcript> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            all.push(Transcript { title, turns: Vec::new(), expected: Vec::new() });
            continue;
        }
        let transcript = all.last_mut().expect("a title comes first");
        if let Some(expected) = line.strip_prefix("=> ") {
            transcript.expected.push(expectation(expected));
        } else if let Some(trigger) = line.strip_prefix("at ") {
            transcript.turns.push(Turn { trigger, usual: false, steps: Vec::new() });
        } else if let Some(trigger) = line.strip_prefix("before ") {
            transcript.turns.push(Turn { trigger, usual: true, steps: Vec::new() });
        } else {
            let turn = transcript.turns.last_mut().expect("a moment comes before what is said");
            turn.steps.push(step(line));
        }
    }
    for Transcript { title, expected, .. } in &all {
        assert!(!expected.is_empty(), "nothing is expected of: {title}");
    }
    all
}

fn expectation(text: &'static str) -> Expected {
    match text.split_once(' ') {
        Some(("says", text)) => Expected::Says(text),
        Some(("outcome", word)) => Expected::Outcome(word),
        Some(("reaches", text)) => Expected::Reaches(text),
        Some(("calm", number)) => Expected::Calm(number.parse().expect("a number")),
        Some(("no", "secret")) => Expected::NoSecret,
        _ => panic!("no such expectation: {text}"),
    }
}

fn step(line: &'static str) -> Step {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let counted = || {
        let (count, text) = rest.split_once(' ').expect("a number and a text");
        (count.parse().expect("a number"), text)
    };
    match word {
        "S:" => Step::Line(rest),
        "S|" => Step::Bytes(rest),
        "TIMES" => Step::Times(counted().0, counted().1),
        "FILL" => Step::Fill(counted().0, counted().1),
        "ENDLESS" => Step::Endless(rest),
        "SLOW" => Step::Slow(counted().0 as u64, counted().1),
        "HANG" => Step::Hang,
        "END" => Step::End,
        _ => panic!("no such step: {line}"),
    }
}

/// A text of a transcript as the bytes that it stands for.
pub(super) fn bytes(text: &str, tag: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let text = text.replace("%t", tag);
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (&escaped, behind) = rest.split_first().expect("something is escaped");
        rest = behind;
        bytes.push(match escaped {
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let (digits, behind) = rest.split_at(2);
                rest = behind;
                u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    bytes
}
