//! `triaged model list`: every version of the model, and which one serves.
//!
//! Manifests are read, nothing else: no hash is verified, so that it stays quick.

use std::path::Path;

use serde_json::{Value, json};
use triaged::model::{Manifest, Version, Versions};

use super::change::failure;
use crate::cli::Failure;

/// What is printed.
pub(super) fn run(config: &Path, json: bool) -> Result<String, Failure> {
    let config = crate::cli::load(config)?;
    let versions = Versions::open(&config).and_then(|versions| versions.list()).map_err(failure)?;
    Ok(if json { as_json(&versions) } else { as_rows(&versions) })
}

fn as_rows(versions: &[Version]) -> String {
    let longest = versions.iter().map(|version| version.name.len()).max().unwrap_or(0);
    let width = longest.max("installed".len());
    let mut rows =
        vec![format!("  {:width$}  {:10}  {:width$}  labels", "version", "made", "from")];
    rows.extend(versions.iter().map(|version| {
        let star = if version.active { '*' } else { ' ' };
        let rest = match &version.manifest {
            Err(error) => format!("can not be used: {error}"),
            Ok(manifest) => {
                let parent = manifest.parent().unwrap_or("-");
                let from = if version.installed { "installed" } else { parent };
                format!("{:10}  {from:width$}  {}", manifest.created(), labels(manifest))
            }
        };
        format!("{star} {:width$}  {rest}", version.name)
    }));
    rows.join("\n") + "\n"
}

/// "sentiment 3, urgency 3".
fn labels(manifest: &Manifest) -> String {
    let heads = manifest.heads().iter();
    let counts = heads.map(|head| format!("{} {}", head.name, head.labels.len()));
    counts.collect::<Vec<_>>().join(", ")
}

fn as_json(versions: &[Version]) -> String {
    let objects: Vec<Value> = versions.iter().map(object).collect();
    format!("{:#}\n", Value::from(objects))
}

fn object(version: &Version) -> Value {
    let manifest = version.manifest.as_ref();
    let said = |of: fn(&Manifest) -> Value| manifest.map_or(Value::Null, of);
    json!({
        "version": version.name,
        "folder": version.folder,
        "active": version.active,
        "installed": version.installed,
        "created": said(|manifest| json!(manifest.created())),
        "parent": said(|manifest| json!(manifest.parent())),
        "heads": said(|manifest| json!(manifest.heads())),
        "problem": manifest.err().map(ToString::to_string),
    })
}
