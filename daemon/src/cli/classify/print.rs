//! The two forms of what `triaged classify` prints: rows for people, JSON lines for programs.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use triaged::model::ServedModel;
use triaged_core::message::Defect;
use triaged_core::score::{Abstention, HeadPrediction, Prediction};

/// How messages are printed.
pub(super) enum Format<'a> {
    /// One object a line.
    Json {
        /// Version of the model, for example `default-1`.
        model: &'a str,
    },
    /// One row a message under a row of titles: title and width of each head's column.
    Rows(Vec<(&'a str, usize)>),
}

/// Beside the label a cell holds a space, `0.00` and perhaps `?`.
const FIGURES: usize = 6;

impl<'a> Format<'a> {
    pub(super) fn json(model: &'a ServedModel) -> Self {
        Self::Json { model: &model.version }
    }

    pub(super) fn rows(model: &'a ServedModel) -> Self {
        let heads = model.manifest.heads().iter();
        let columns = heads.map(|head| {
            let longest = head.labels.iter().map(|label| label.name.len()).max().unwrap_or(0);
            (head.name.as_str(), head.name.len().max(longest + FIGURES))
        });
        Self::Rows(columns.collect())
    }

    /// The row of titles; nothing in JSON.
    pub(super) fn head(&self, out: &mut impl Write) -> io::Result<()> {
        let Self::Rows(columns) = self else { return Ok(()) };
        for (title, width) in columns {
            write!(out, "{title:width$}  ")?;
        }
        writeln!(out, "file")
    }

    /// One message.
    pub(super) fn message(
        &self,
        out: &mut impl Write,
        file: &str,
        prediction: &Prediction,
        defects: &[Defect],
    ) -> io::Result<()> {
        match self {
            Self::Json { model } => {
                serde_json::to_writer(&mut *out, &Line { file, prediction, model, defects })?;
                writeln!(out)
            }
            Self::Rows(columns) => {
                for ((_, width), head) in columns.iter().zip(&prediction.heads) {
                    let doubt = if head.abstained.is_some() { "?" } else { "" };
                    let cell = format!("{} {:.2}{doubt}", head.label, head.confidence);
                    write!(out, "{cell:width$}  ")?;
                }
                writeln!(out, "{}", tail(file, prediction.left_alone(), defects))
            }
        }
    }
}

/// The name of the file, harmless on a terminal, why the mail was left alone, and what was odd
/// about it.
fn tail(file: &str, left_alone: Option<Abstention>, defects: &[Defect]) -> String {
    let mut tail: String = file
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if let Some(reason) = left_alone {
        tail = format!("{tail} ({})", reason.as_str());
    }
    if !defects.is_empty() {
        let defects: Vec<_> = defects.iter().map(|defect| defect.as_str()).collect();
        tail = format!("{tail} [{}]", defects.join(", "));
    }
    tail
}

/// Tells the person at the terminal about one message that has no row.
#[expect(clippy::print_stderr, reason = "the command line's own output")]
pub(super) fn complain(problem: &str) {
    eprintln!("triaged: {problem}");
}

/// One message in JSON; serialised by hand because the heads' names are the model's.
struct Line<'a> {
    file: &'a str,
    prediction: &'a Prediction,
    model: &'a str,
    defects: &'a [Defect],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("file", self.file)?;
        for head in &self.prediction.heads {
            map.serialize_entry(&head.head, &Head(head))?;
        }
        map.serialize_entry("model", self.model)?;
        map.serialize_entry("defects", self.defects)?;
        map.end()
    }
}

struct Head<'a>(&'a HeadPrediction);

impl Serialize for Head<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("label", &self.0.label)?;
        map.serialize_entry("confidence", &self.0.confidence)?;
        map.serialize_entry("abstained", &self.0.abstained.is_some())?;
        if let Some(reason) = self.0.abstained {
            map.serialize_entry("reason", reason.as_str())?;
        }
        map.serialize_entry("scores", &Scores(&self.0.scores))?;
        map.end()
    }
}

struct Scores<'a>(&'a [(String, f32)]);

impl Serialize for Scores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(label, score)| (label, score)))
    }
}
