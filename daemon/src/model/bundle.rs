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
const CARD: &str = "card.md";

/// Limits in bytes, far above the default bundle (23 MB in all) and far under what would hurt.
const LARGEST_MANIFEST: u64 = 1 << 20;
const LARGEST_TOKENIZER: u64 = 64 << 20;
const LARGEST_MODEL: u64 = 1 << 30;
const LARGEST_GOLDEN: u64 = 16 << 20;
const LARGEST_OTHER: u64 = 64 << 20;

/// A bundle whose manifest makes sense and whose files are those that it was written for.
#[derive(Debug)]
pub struct ModelBundle {
    folder: PathBuf,
    manifest: Manifest,
    tokens: Tokens,
    model: Vec<u8>,
    golden: Vec<u8>,
    fingerprint: String,
}

impl ModelBundle {
    /// Loads the bundle in `named`, or where nobody names one that of the usual places: beside
    /// the program as a package installs it (`../share/triaged/models/default`), the system's
    /// (`/usr/share`), the repository of a build tree.
    pub fn find(named: Option<&Path>) -> Result<Self, ModelError> {
        Self::load(&Self::place(named)?)
    }

    /// The folder of that bundle, which is not looked into.
    pub fn place(named: Option<&Path>) -> Result<PathBuf, ModelError> {
        if let Some(folder) = named {
            return Ok(folder.to_owned());
        }
        let mut tried = places(std::env::current_exe().ok().as_deref());
        match tried.iter().position(|folder| folder.join(MANIFEST).exists()) {
            Some(found) => Ok(tried.swap_remove(found)),
            None => Err(ModelError::NoBundle { tried }),
        }
    }

    /// Reads and verifies the bundle in `folder`: manifest, format, rendering, the SHA-256 of
    /// every file, the tokenizer. The model itself is first run by `Classifier::start`.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(MANIFEST);
        let bytes = files::read(&path, LARGEST_MANIFEST)?;
        let fingerprint = files::hash_bytes(&bytes);
        let manifest = Manifest::parse(&path, &bytes)?;
        let (mut model, mut tokenizer, mut golden) = (Vec::new(), Vec::new(), Vec::new());
        for (name, expected) in manifest.files() {
            let path = folder.join(name);
            // What is used is what was hashed: these are not read from the disk again.
            let found = match name.as_str() {
                MODEL => keep(&mut model, files::read(&path, LARGEST_MODEL)?),
                TOKENIZER => keep(&mut tokenizer, files::read(&path, LARGEST_TOKENIZER)?),
                GOLDEN => keep(&mut golden, files::read(&path, LARGEST_GOLDEN)?),
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
        Ok(Self { folder: folder.to_owned(), manifest, tokens, model, golden, fingerprint })
    }

    /// What the bundle in `folder` says about itself, its other files unseen.
    pub fn manifest_in(folder: &Path) -> Result<Manifest, ModelError> {
        let path = folder.join(MANIFEST);
        Manifest::parse(&path, &files::read(&path, LARGEST_MANIFEST)?)
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
        self.manifest.full_name()
    }

    /// The model card as it stands in the bundle, if it has one.
    pub fn card(&self) -> Result<Option<String>, ModelError> {
        if !self.manifest.files().contains_key(CARD) {
            return Ok(None);
        }
        let bytes = files::read(&self.folder.join(CARD), LARGEST_OTHER)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// SHA-256 of the manifest, which names that of every file.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
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

    pub(super) fn golden_path(&self) -> PathBuf {
        self.folder.join(GOLDEN)
    }

    pub(super) fn golden(&self) -> &[u8] {
        &self.golden
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
