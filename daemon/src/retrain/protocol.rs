//! The lines that go to the training process and come from it; one JSON object each.
//!
//! What comes is not trusted: a line has a largest length, an unknown type is refused, and texts
//! are shortened and cleaned before they are shown. What goes is the only place where the text of
//! a mail leaves this process, into a pipe.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use triaged_core::label::Head;
use triaged_core::retrain::{LabelNames, LabelledMail, Labels, SEED};

/// No line that comes is longer, in bytes.
pub(super) const LONGEST_LINE: usize = 64 * 1024;
/// Of a text for people, so many characters are shown.
const LONGEST_TEXT: usize = 300;

/// A line to the training process.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Outgoing<'a> {
    /// The first one.
    Settings {
        /// The number of the new version.
        version: String,
        /// Each head's labels, new ones last.
        labels: BTreeMap<&'a str, Vec<&'a str>>,
        /// The labels that the base does not have, with their keywords.
        own: BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
        /// SHA-256 of each of the person's texts: no base mail may repeat one.
        judged: &'a [String],
        seed: u64,
    },
    /// A mail to learn from: a prepared row of the training package.
    Mail {
        id: String,
        file: &'static str,
        group: String,
        fold: Option<&'static str>,
        text: &'a str,
        labels: &'a Labels,
        weight: f32,
        source: &'static str,
    },
    /// There is no more.
    End,
}

impl<'a> Outgoing<'a> {
    pub(super) fn settings(version: u64, names: &'a LabelNames, judged: &'a [String]) -> Self {
        let labels = |head: &'a Head| {
            let labels = head.labels.iter().map(|label| label.name.as_str());
            (head.name.as_str(), labels.collect())
        };
        Self::Settings {
            version: version.to_string(),
            labels: names.heads().iter().map(labels).collect(),
            own: names.own(),
            judged,
            seed: SEED,
        }
    }

    pub(super) fn mail(at: usize, group: usize, mail: &'a LabelledMail) -> Self {
        Self::Mail {
            id: format!("user-{at}"),
            file: "user",
            group: format!("user-{group}"),
            fold: None,
            text: &mail.text,
            labels: &mail.labels,
            weight: 1.0,
            source: "user",
        }
    }
}

/// A line from the training process.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Incoming {
    /// How far it is.
    Progress { stage: String, done: u64, of: u64 },
    /// Something that people should know.
    Note { text: String },
    /// It gives up.
    Failed { why: String },
    /// The candidate is there.
    Done { bundle: String },
}

impl Incoming {
    /// Reads a line; `None` for anything else than one of these.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(line).ok()?;
        Some(match read {
            Self::Progress { stage, done, of } => {
                Self::Progress { stage: presentable(&stage), done, of }
            }
            Self::Note { text } => Self::Note { text: presentable(&text) },
            Self::Failed { why } => Self::Failed { why: presentable(&why) },
            done @ Self::Done { .. } => done,
        })
    }
}

/// A text that does no harm to a terminal or a log.
fn presentable(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LONGEST_TEXT).collect()
}

/// What may be said of a line on the training process's standard error; `None`: nothing.
///
/// Python quotes values in the messages of its errors, and a value may be a mail. So only what
/// has the form of a place in the code, and the kind of an error, gets through.
pub(super) fn harmless(line: &str) -> Option<String> {
    let trimmed = line.trim();
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._<>".contains(c))
    };
    let is_path = |text: &str| text.starts_with('/') && text.len() < 500 && !text.contains(' ');
    if let Some((place, name)) = trimmed.rsplit_once(" in ") {
        let place = place.trim_start_matches("File ").trim_end_matches(',').trim_start_matches('"');
        let line = place.split_once(".py:").or_else(|| place.split_once(".py\", line "));
        let is_place = |(path, number): (&str, &str)| {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            is_path(path) && digits
        };
        return (is_name(name) && line.is_some_and(is_place)).then(|| presentable(trimmed));
    }
    if let Some((before, module)) = trimmed.rsplit_once(": No module named ") {
        let module_is = is_name(module.trim_matches('\''));
        return (module_is && !before.contains(' ')).then(|| presentable(trimmed));
    }
    let kind = trimmed.split([':', ',', ' ']).next().unwrap_or_default();
    let is_kind = is_name(kind) && (kind.ends_with("Error") || kind.ends_with("Exception"));
    is_kind.then(|| presentable(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_lines_are_read() {
        let progress = Incoming::read(br#"{"type":"progress","stage":"train","done":3,"of":9}"#);
        let expected = Incoming::Progress { stage: "train".to_owned(), done: 3, of: 9 };
        assert_eq!(progress, Some(expected));
        let note = Incoming::read(b"{\"type\":\"note\",\"text\":\"a\\u001b[31m\\nb\"}");
        assert_eq!(note, Some(Incoming::Note { text: "a [31m b".to_owned() }));
        for other in [
            &b"hello"[..],
            b"",
            b"[]",
            br#"{"type":"exec","text":"x"}"#,
            br#"{"type":"note","text":"x","more":1}"#,
            br#"{"type":"progress","stage":"train","done":-1,"of":2}"#,
        ] {
            assert_eq!(Incoming::read(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn of_an_error_only_place_and_kind_are_said() {
        for (line, said) in [
            ("  /opt/training/retrain.py:17 in work", Some("/opt/training/retrain.py:17 in work")),
            (
                "  File \"/opt/t.py\", line 17, in <module>",
                Some("File \"/opt/t.py\", line 17, in <module>"),
            ),
            ("ValueError: no JSON: 'Dear Mr Secret'", Some("ValueError")),
            ("KeyError, most recent call last:", Some("KeyError")),
            (
                "/usr/bin/python3: No module named training.retrain",
                Some("/usr/bin/python3: No module named training.retrain"),
            ),
            ("Dear Mr Secret, we met in Berlin", None),
            ("the rent is due in 17 days in advance", None),
            ("/me paid Mr Secret 17 in advance", None),
            ("/opt/t.py:17 and Mr Secret paid 17 in advance", None),
            ("    text = 'Dear Mr Secret'", None),
            ("", None),
        ] {
            let said = said.map(str::to_owned);
            assert_eq!(harmless(line), said, "{line}");
        }
    }
}
