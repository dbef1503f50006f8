//! Bundles that a test makes out of one that is there, to spoil them or to have a second version.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The default bundle of the repository.
pub(crate) const DEFAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/default");
/// The small one that is made for tests.
pub(crate) const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/bundles/good");

/// What the default bundle calls itself.
pub(crate) static SHIPPED: LazyLock<String> = LazyLock::new(|| {
    let manifest = fs::read(Path::new(DEFAULT).join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let part = |key: &str| manifest[key].as_str().unwrap().to_owned();
    format!("{}-{}", part("name"), part("version"))
});

/// A bundle in a folder that a test may change.
pub(crate) struct Bundle {
    folder: PathBuf,
}

impl Bundle {
    /// A copy of the bundle `from` in `folder`, which is made.
    pub(crate) fn copy(from: &str, folder: &Path) -> Bundle {
        fs::create_dir_all(folder).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        Bundle { folder: folder.to_owned() }
    }

    /// A version beside others: a copy of `from` in `<state>/models/NAME`, that calls itself so.
    pub(crate) fn version(from: &str, state: &Path, name: &str) -> Bundle {
        Bundle::copy(from, &state.join("models").join(name)).called(name)
    }

    /// Lets it call itself so: name, hyphen, version.
    pub(crate) fn called(self, full_name: &str) -> Bundle {
        let (name, version) = full_name.rsplit_once('-').unwrap();
        self.manifest(|manifest| {
            manifest["name"] = json!(name);
            manifest["version"] = json!(version);
        })
    }

    /// Changes its manifest.
    pub(crate) fn manifest(self, change: impl FnOnce(&mut Value)) -> Bundle {
        let path = self.path("manifest.json");
        let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut manifest);
        fs::write(path, manifest.to_string()).unwrap();
        self
    }

    /// Puts another file in the place of one, and its hash into the manifest.
    pub(crate) fn replace(self, file: &str, content: &[u8]) -> Bundle {
        fs::write(self.path(file), content).unwrap();
        let hash = sha256(content);
        self.manifest(|manifest| manifest["files"][file] = json!(hash))
    }

    /// One of its files.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Where it lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// SHA-256 in hexadecimal.
fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
