//! `triaged model show`: what a bundle says about itself, after its hashes have been verified.
//!
//! The model is not run and ONNX Runtime is not needed.

use std::path::Path;

use anyhow::anyhow;
use serde_json::{Value, json};
use triaged::model::{Manifest, ModelBundle, Reading, Versions};
use triaged_core::label::Head;

use super::change::failure;
use crate::cli::{Exit, Failure, OrExit, bundle};

/// The bundle in a folder, or a version, or the one that serves.
pub(super) fn find(
    config: &Path,
    folder: Option<&Path>,
    version: Option<&str>,
) -> Result<ModelBundle, Failure> {
    let Some(version) = version else { return Ok(bundle::find(config, folder)?.0) };
    let config = crate::cli::load(config)?;
    let versions = Versions::open(&config).map_err(failure)?;
    let folder = versions.place(version).map_err(failure)?;
    versions.bundle(&folder).map_err(failure)
}

/// What is printed about it.
pub(super) fn text(bundle: &ModelBundle, json: bool, card: bool) -> Result<String, Failure> {
    if card {
        let card = bundle.card().or_exit(Exit::Config)?;
        let none = || anyhow!("{} has no model card (card.md)", bundle.folder().display());
        return card.map(|card| printable(&card)).ok_or_else(none).or_exit(Exit::Config);
    }
    Ok(if json { format!("{:#}\n", as_json(bundle)) } else { as_lines(bundle) })
}

/// A card without what could steer a terminal; it may come from elsewhere.
fn printable(card: &str) -> String {
    card.replace(|c: char| c.is_control() && c != '\n' && c != '\t', " ")
}

fn as_lines(bundle: &ModelBundle) -> String {
    let manifest = bundle.manifest();
    let long = manifest.long_text();
    let mut lines = vec![
        format!("bundle     {} of {}", bundle.version(), manifest.created()),
        format!("folder     {}", bundle.folder().display()),
        format!("signature  {}", bundle.signature_line()),
        format!(
            "reads      {} tokens; of a longer text the first {} and the last {}{}",
            manifest.max_tokens(),
            long.head,
            long.tail,
            long.very_long.map_or_else(String::new, |more| format!(
                "; of more than {} the first {}",
                more.tokens, more.head
            ))
        ),
        format!("embedding  {} numbers", manifest.embedding_size()),
    ];
    lines.extend(manifest.parent().map(|parent| format!("parent     {parent}")));
    lines.extend(answers(manifest).map(|which| format!("answers    {which}")));
    lines.extend(manifest.readings().map(|(head, reading)| {
        let own = reading.thresholds.labels.iter();
        let labels = head.labels.iter().zip(own).map(|(label, own)| match own {
            Some(own) => format!("{} (from {own:.2})", label.name),
            None => label.name.clone(),
        });
        let labels: Vec<_> = labels.collect();
        format!(
            "head       {}: {} (written from {:.2}; temperature {:.3})",
            head.name,
            labels.join(", "),
            reading.thresholds.head,
            reading.temperature
        )
    }));
    lines.extend(manifest.files().iter().map(|(name, hash)| format!("file       {hash}  {name}")));
    lines.join("\n") + "\n"
}

fn as_json(bundle: &ModelBundle) -> Value {
    let manifest = bundle.manifest();
    let long = manifest.long_text();
    json!({
        "bundle": bundle.version(),
        "folder": bundle.folder(),
        "name": manifest.name(),
        "version": manifest.version(),
        "created": manifest.created(),
        "parent": manifest.parent(),
        "signed": bundle.signed(),
        "hashes_verified": true,
        "heads": heads(manifest),
        "embedding_size": manifest.embedding_size(),
        "languages": manifest.languages(),
        "least_words": manifest.least_words(),
        "max_tokens": manifest.max_tokens(),
        "long_text": {
            "rule": "head_tail",
            "head": long.head,
            "tail": long.tail,
            "very_long": long.very_long.map(|more| json!({ "tokens": more.tokens, "head": more.head })),
        },
        "files": manifest.files(),
    })
}

/// What kinds of mail it leaves without an answer, if it says so.
fn answers(manifest: &Manifest) -> Option<String> {
    let languages = (!manifest.languages().is_empty())
        .then(|| format!("in {}", manifest.languages().join(", ")));
    let words = (manifest.least_words() > 0)
        .then(|| format!("with at least {} words", manifest.least_words()));
    let parts: Vec<_> = languages.into_iter().chain(words).collect();
    (!parts.is_empty()).then(|| format!("mail {}", parts.join(", ")))
}

fn heads(manifest: &Manifest) -> Vec<Value> {
    let heads = manifest.readings();
    heads
        .map(|(head, reading)| {
            json!({
                "name": head.name,
                "temperature": reading.temperature,
                "threshold": reading.thresholds.head,
                "labels": labels(head, reading),
            })
        })
        .collect()
}

fn labels(head: &Head, reading: &Reading) -> Vec<Value> {
    let labels = head.labels.iter().zip(&reading.thresholds.labels);
    labels
        .map(|(label, own)| {
            json!({ "name": label.name, "keyword": label.keyword, "threshold": own })
        })
        .collect()
}
