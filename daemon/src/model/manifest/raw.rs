//! Exactly the JSON of `manifest.json`, without judging its values.

use std::collections::BTreeMap;

use serde::Deserialize;
use triaged_core::label::{Head, Label};
use triaged_core::score::Thresholds;

use super::{LongText, Manifest, Reading, VeryLong};

/// The two numbers that decide whether the rest can be read at all.
#[derive(Debug, Deserialize)]
pub(super) struct Versions {
    pub(super) format: u32,
    pub(super) rendering: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[expect(dead_code, reason = "read and checked as `Versions`; named here as a known key")]
    pub(super) format: u32,
    #[expect(dead_code, reason = "read and checked as `Versions`; named here as a known key")]
    pub(super) rendering: u32,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) created: String,
    pub(super) inputs: RawInputs,
    pub(super) outputs: RawOutputs,
    pub(super) heads: Vec<RawHead>,
    pub(super) embedding_size: usize,
    pub(super) max_tokens: usize,
    pub(super) long_text: RawLongText,
    pub(super) files: BTreeMap<String, String>,
    pub(super) signature: Option<String>,
    pub(super) languages: Option<Vec<String>>,
    pub(super) least_words: Option<usize>,
    pub(super) parent: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInputs {
    pub(super) ids: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutputs {
    pub(super) embedding: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHead {
    pub(super) name: String,
    pub(super) output: String,
    pub(super) temperature: f32,
    pub(super) threshold: f32,
    pub(super) labels: Vec<RawLabel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLabel {
    pub(super) name: String,
    pub(super) keyword: Option<String>,
    pub(super) threshold: Option<f32>,
}

/// One variant a rule, so that a rule that this program does not know is refused.
#[derive(Debug, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RawLongText {
    HeadTail { head: usize, tail: usize, very_long: Option<RawVeryLong> },
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVeryLong {
    pub(super) tokens: usize,
    pub(super) head: usize,
}

impl Raw {
    /// The same in the types that the program works with; call only after the checks.
    pub(super) fn into_manifest(self) -> Manifest {
        let RawLongText::HeadTail { head, tail, very_long } = self.long_text;
        let very_long = very_long.map(|raw| VeryLong { tokens: raw.tokens, head: raw.head });
        let (heads, readings) = self.heads.into_iter().map(RawHead::into_parts).unzip();
        Manifest {
            name: self.name,
            version: self.version,
            created: self.created,
            ids_input: self.inputs.ids,
            embedding_output: self.outputs.embedding,
            embedding_size: self.embedding_size,
            heads,
            readings,
            max_tokens: self.max_tokens,
            long_text: LongText { head, tail, very_long },
            files: self.files,
            signature: self.signature,
            languages: self.languages.unwrap_or_default(),
            least_words: self.least_words.unwrap_or_default(),
            parent: self.parent,
        }
    }
}

impl RawHead {
    fn into_parts(self) -> (Head, Reading) {
        let own = self.labels.iter().map(|label| label.threshold).collect();
        let labels = self.labels.into_iter();
        let labels = labels.map(|RawLabel { name, keyword, .. }| Label { name, keyword }).collect();
        let reading = Reading {
            output: self.output,
            temperature: self.temperature,
            thresholds: Thresholds { head: self.threshold, labels: own },
        };
        (Head { name: self.name, labels }, reading)
    }
}
