//! `triaged model show`: what a bundle says about itself, after its hashes have been verified.
//!
//! The model is not run and ONNX Runtime is not needed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use triaged::model::{Manifest, ModelBundle};

use super::{Exit, Failure, bundle};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Verify a bundle and print its manifest
    Show {
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// The model bundle, instead of the configuration's or the default one
        #[arg(long, value_name = "DIR")]
        bundle: Option<PathBuf>,
    },
}

/// Runs one of the sub-commands for bundles.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let Command::Show { json, bundle } = &args.command;
    let (bundle, _) = bundle::find(config, bundle.as_deref())?;
    let text = if *json { format!("{:#}\n", as_json(&bundle)) } else { as_lines(&bundle) };
    // A reader that went away has seen what it wanted.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Ok)
}

fn as_lines(bundle: &ModelBundle) -> String {
    let manifest = bundle.manifest();
    let long = manifest.long_text();
    let mut lines = vec![
        format!("bundle     {} of {}", bundle.version(), manifest.created()),
        format!("folder     {}", bundle.folder().display()),
        format!("signature  {}", bundle.signature_line()),
        format!(
            "reads      {} tokens; of a longer text the first {} and the last {}",
            manifest.max_tokens(),
            long.head,
            long.tail
        ),
        format!("embedding  {} numbers", manifest.embedding_size()),
    ];
    lines.extend(manifest.readings().map(|(head, reading)| {
        let labels: Vec<_> = head.labels.iter().map(|label| label.name.as_str()).collect();
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
        "signed": bundle.signed(),
        "hashes_verified": true,
        "heads": heads(manifest),
        "embedding_size": manifest.embedding_size(),
        "max_tokens": manifest.max_tokens(),
        "long_text": { "rule": "head_tail", "head": long.head, "tail": long.tail },
        "files": manifest.files(),
    })
}

fn heads(manifest: &Manifest) -> Vec<Value> {
    let heads = manifest.readings();
    heads
        .map(|(head, reading)| {
            json!({
                "name": head.name,
                "temperature": reading.temperature,
                "threshold": reading.thresholds.head,
                "labels": head.labels,
            })
        })
        .collect()
}
