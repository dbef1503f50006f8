//! A model bundle: a folder with a manifest, the model, its tokenizer and golden examples.
//!
//! Loading verifies everything that can be verified without running the model. Deliberately
//! absent: signatures (the manifest has room for one, nothing verifies it yet).

use std::path::{Path, PathBuf};

use super::error::ModelError;
use super::external::has_external_data;
use super::files;
use super::manifest::Manifest;
use super::tokens::Tokens;

/// The manifest is written last: a folder without one is not a bundle (yet).
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const MODEL: &str = "model.onnx";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const GOLDEN: &str = "golden.jsonl";

/// Limits in bytes, far above the default bundle (23 MB in all) and far under what would hurt.
const LARGEST_MANIFEST: u64 = 1 << 20;
const LARGEST_TOKENIZER: u64 = 64 << 20;
const LARGEST_MODEL: u64 = 1 << 30;
const LARGEST_OTHER: u64 = 64 << 20;

/// A bundle whose manifest makes sense and whose files are those that it was written for.
#[derive(Debug)]
pub struct ModelBundle {
    folder: PathBuf,
    manifest: Manifest,
    tokens: Tokens,
    model: Vec<u8>,
}

impl ModelBundle {
    /// Loads the bundle in `named`, or where nobody names one that of the usual places: beside
    /// the program as a package installs it (`../share/triaged/models/default`), the system's
    /// (`/usr/share`), the repository of a build tree.
    pub fn find(named: Option<&Path>) -> Result<Self, ModelError> {
        if let Some(folder) = named {
            return Self::load(folder);
        }
        let tried = places(std::env::current_exe().ok().as_deref());
        match tried.iter().find(|folder| folder.join(MANIFEST).exists()) {
            Some(folder) => Self::load(folder),
            None => Err(ModelError::NoBundle { tried }),
        }
    }

    /// Reads and verifies the bundle in `folder`: manifest, format, rendering, the SHA-256 of
    /// every file, the tokenizer. The model itself is first run by `Classifier::start`.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(MANIFEST);
        let manifest = Manifest::parse(&path, &files::read(&path, LARGEST_MANIFEST)?)?;
        let mut model = Vec::new();
        let mut tokenizer = Vec::new();
        for (name, expected) in manifest.files() {
            let path = folder.join(name);
            // What is used is what was hashed: these two are not read from the disk again.
            let found = match name.as_str() {
                MODEL => keep(&mut model, files::read(&path, LARGEST_MODEL)?),
                TOKENIZER => keep(&mut tokenizer, files::read(&path, LARGEST_TOKENIZER)?),
                _ => files::hash(&path, LARGEST_OTHER)?,
            };
            if found != *expected {
                return Err(ModelError::Hash { path, expected: expected.clone(), found });
            }
        }
        if has_external_data(&model) {
            return Err(ModelError::ExternalData { path: folder.join(MODEL) });
        }
        let tokens = Tokens::parse(&tokenizer, manifest.max_tokens(), manifest.long_text())
            .map_err(|problem| ModelError::Tokenizer { path: folder.join(TOKENIZER), problem })?;
        Ok(Self { folder: folder.to_owned(), manifest, tokens, model })
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder that it was read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Name and version as they are stored beside each decision, for example `default-1`.
    pub fn version(&self) -> String {
        format!("{}-{}", self.manifest.name(), self.manifest.version())
    }

    /// Whether the manifest carries a signature. It is not verified yet.
    pub fn signed(&self) -> bool {
        self.manifest.signature().is_some()
    }

    /// One line about the signature for `check` and `model show`.
    pub fn signature_line(&self) -> &'static str {
        if self.signed() {
            "signed, but this version of triaged can not verify signatures; the hashes are right"
        } else {
            "not signed; the hashes of its files are right"
        }
    }

    pub(super) fn model_path(&self) -> PathBuf {
        self.folder.join(MODEL)
    }

    pub(super) fn model(&self) -> &[u8] {
        &self.model
    }

    pub(super) fn into_parts(self) -> (Manifest, Tokens) {
        (self.manifest, self.tokens)
    }
}

/// Puts `bytes` into `place` and gives their SHA-256.
fn keep(place: &mut Vec<u8>, bytes: Vec<u8>) -> String {
    *place = bytes;
    files::hash_bytes(place)
}

/// Where a bundle may be that nobody named.
fn places(program: Option<&Path>) -> Vec<PathBuf> {
    let prefix = program.and_then(Path::parent).and_then(Path::parent);
    let installed = prefix.map(|prefix| prefix.join("share/triaged/models/default"));
    let system = PathBuf::from("/usr/share/triaged/models/default");
    let built = program.and_then(super::library::build_tree).map(|top| top.join("models/default"));
    let mut places: Vec<_> = installed.into_iter().chain([system]).chain(built).collect();
    places.dedup();
    places
}
