//! `manifest.json`: what a bundle says about its model. `models/README.md` is the format.
//!
//! Reading has two steps: exactly the JSON (`Raw`, unknown keys refused), then a check of every
//! value that reports all problems at once. Only valid manifests exist as `Manifest`.

mod checks;
mod raw;

pub(super) use checks::is_version_name;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use triaged_core::document::RENDERING;
use triaged_core::label::Head;
use triaged_core::score::Thresholds;

use super::error::ModelError;

/// The bundle format that this program reads.
pub(super) const FORMAT: u32 = 1;

/// What a bundle says about its model.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    name: String,
    version: String,
    created: String,
    ids_input: String,
    embedding_output: String,
    embedding_size: usize,
    heads: Vec<Head>,
    readings: Vec<Reading>,
    max_tokens: usize,
    long_text: LongText,
    files: BTreeMap<String, String>,
    signature: Option<String>,
    languages: Vec<String>,
    least_words: usize,
    parent: Option<String>,
}

/// How the numbers of one head are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Name of the model's output that holds the logits, shape `[1, labels]`.
    pub output: String,
    /// Divides the logits before the softmax; above 0.
    pub temperature: f32,
    /// Which label is the answer, and under which confidence nothing is written.
    pub thresholds: Thresholds,
}

/// What is read of a text of more than `max_tokens` tokens: its first and its last ones.
/// Counted with the tokens that open and close every text; `head` and `tail` sum to `max_tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongText {
    /// So many from the start.
    pub head: usize,
    /// So many from the end.
    pub tail: usize,
    /// What is read of a text that is longer still.
    pub very_long: Option<VeryLong>,
}

/// Of a text of more than `tokens` tokens fewer are read from the start, so that its end weighs
/// more beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VeryLong {
    /// Longer than this.
    pub tokens: usize,
    /// So many from the start.
    pub head: usize,
}

/// All that is wrong with a manifest: pairs of the place and the problem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestProblems(pub Vec<(String, String)>);

impl Manifest {
    /// Reads the bytes of the manifest at `path`.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        let broken = |problems| ModelError::Manifest { path: path.to_owned(), problems };
        let versions: raw::Versions = serde_json::from_slice(bytes)
            .map_err(|error| broken(ManifestProblems::one("manifest.json", error)))?;
        // First of all: a later format may hold keys that this program does not know.
        if versions.format != FORMAT {
            let (found, ours) = (versions.format, FORMAT);
            return Err(ModelError::Format { path: path.to_owned(), found, ours });
        }
        if versions.rendering != RENDERING {
            let (found, ours) = (versions.rendering, RENDERING);
            return Err(ModelError::Rendering { path: path.to_owned(), found, ours });
        }
        let raw: raw::Raw = serde_json::from_slice(bytes)
            .map_err(|error| broken(ManifestProblems::one("manifest.json", error)))?;
        let problems = checks::problems(&raw);
        if problems.0.is_empty() { Ok(raw.into_manifest()) } else { Err(broken(problems)) }
    }

    /// Name of the bundle, for example `default`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version of the bundle, for example `1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Name and version as one word, for example `default-1`: what stands beside each decision.
    pub fn full_name(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// The day it was made, as the manifest writes it (`2026-11-21`).
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Name of the model's input: token ids, int64, shape `[1, tokens]`.
    pub fn ids_input(&self) -> &str {
        &self.ids_input
    }

    /// Name of the model's output with the text's embedding, float32, shape `[1, embedding_size]`.
    pub fn embedding_output(&self) -> &str {
        &self.embedding_output
    }

    /// Length of the embedding.
    pub fn embedding_size(&self) -> usize {
        self.embedding_size
    }

    /// The questions that the model answers, with their labels in the order of the logits.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Each head with the way its numbers are read.
    pub fn readings(&self) -> impl Iterator<Item = (&Head, &Reading)> {
        self.heads.iter().zip(&self.readings)
    }

    /// The most tokens of one text that the model reads.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// What is read of a longer text.
    pub fn long_text(&self) -> LongText {
        self.long_text
    }

    /// File names of the bundle with their SHA-256 in hexadecimal.
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// The languages that the model reads, by ISO 639-1 (`en`); empty where the bundle does not
    /// say. A mail that is reliably in another one gets no answer.
    pub fn languages(&self) -> &[String] {
        &self.languages
    }

    /// How many words of letters subject and newest text must have together for an answer; 0 where
    /// the bundle does not say.
    pub fn least_words(&self) -> usize {
        self.least_words
    }

    /// Name and version of the bundle that this one was trained from, for example `default-1`.
    pub fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }

    /// The signature over the manifest, which is not verified yet.
    pub fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }
}

impl ManifestProblems {
    fn one(place: &str, problem: impl fmt::Display) -> Self {
        Self(vec![(place.to_owned(), problem.to_string())])
    }

    fn add(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.0.push((place.into(), problem.into()));
    }
}

impl fmt::Display for ManifestProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (place, problem)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{place}: {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
