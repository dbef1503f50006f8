//! The versions of the model: the installed bundle, and those in `<state>/models` that were trained
//! here. Which one serves, going back, and how a new one comes in.
//!
//! A version in `<state>/models/NAME-VERSION` is complete when it is there: it is made under
//! another name and renamed. Which one serves stands in `active.json` beside them (see `record`).
//! Every change holds the lock of the folder, is on disk before it counts, and is made only after
//! the version that shall serve was loaded and tried; what serves now is not touched by it.
//!
//! Deliberately absent: the running daemon, which notices by itself, and deleting versions.

mod candidate;
mod choice;
mod error;
mod lock;
mod record;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use triaged_core::config::{
    Config, KeywordsConfig, Problems, RuleConfig, keyword_map_among, rules_fit,
};
use triaged_core::label::{Head, KeywordMap};

use super::bundle::ModelBundle;
use super::engine::ModelOptions;
use super::manifest::{Manifest, is_version_name};
pub use candidate::Candidate;
pub use choice::Change;
pub use error::VersionError;
use error::io;
use record::Record;

/// The other name of the installed bundle, which no version can have: it has no hyphen.
const INSTALLED: &str = "installed";

/// The versions that one configuration can serve. Nothing is read before it is asked for.
#[derive(Debug, Clone)]
pub struct Versions {
    folder: PathBuf,
    installed: PathBuf,
    options: ModelOptions,
    keywords: KeywordsConfig,
    rules: Vec<RuleConfig>,
}

/// One of them, as `triaged model list` shows it.
#[derive(Debug)]
pub struct Version {
    /// `default-2`; of an installed bundle that can not be read, `installed`.
    pub name: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// Whether it is the installed one.
    pub installed: bool,
    /// Whether it is the one that serves, or shall.
    pub active: bool,
    /// What it says about itself, or why it can not be used. Its other files are not looked at.
    pub manifest: Result<Manifest, VersionError>,
}

impl Versions {
    /// The versions for a configuration: its `[model] bundle` (or one of the usual places) and
    /// those in its state folder.
    pub fn open(config: &Config) -> Result<Self, VersionError> {
        Ok(Self {
            folder: config.state.join("models"),
            installed: ModelBundle::place(config.model.bundle.as_deref())?,
            options: ModelOptions::from(&config.model),
            keywords: config.keywords.clone(),
            rules: config.rules.clone(),
        })
    }

    /// The folder with the versions that were trained here; it may not be there yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes that folder where it is missing, and the state folder, which is private.
    pub fn make_folder(&self) -> Result<(), VersionError> {
        let make = |folder: &Path, mode| {
            let made = DirBuilder::new().recursive(true).mode(mode).create(folder);
            made.map_err(io("make", folder))
        };
        self.folder.parent().map_or(Ok(()), |state| make(state, 0o700))?;
        make(&self.folder, 0o755)
    }

    /// Every version: the installed one, then the others by name and number.
    pub fn list(&self) -> Result<Vec<Version>, VersionError> {
        let active = self.record()?.active;
        let installed = ModelBundle::manifest_in(&self.installed).map_err(VersionError::from);
        let mut versions = vec![Version {
            name: installed.as_ref().map_or_else(|_| INSTALLED.to_owned(), Manifest::full_name),
            folder: self.installed.clone(),
            installed: true,
            active: active.is_none(),
            manifest: installed,
        }];
        versions.extend(self.names()?.into_iter().map(|name| Version {
            folder: self.folder.join(&name),
            installed: false,
            active: active.as_ref() == Some(&name),
            manifest: self.manifest(&name),
            name,
        }));
        Ok(versions)
    }

    /// The folder of the version that serves, or shall; the installed one where nobody chose.
    pub fn active(&self) -> Result<PathBuf, VersionError> {
        match self.record()?.active {
            None => Ok(self.installed.clone()),
            Some(name) => self.place(&name),
        }
    }

    /// The folder of the installed bundle.
    pub fn installed(&self) -> &Path {
        &self.installed
    }

    /// The folder of a version by its name; `installed` always means the installed one, and a
    /// version in the state folder comes before an installed one of the same name.
    pub fn place(&self, name: &str) -> Result<PathBuf, VersionError> {
        Ok(match self.find(name)? {
            None => self.installed.clone(),
            Some(name) => self.folder.join(name),
        })
    }

    /// Loads the bundle in a folder of these versions. One in the state folder must call itself
    /// what its folder is called.
    pub fn bundle(&self, folder: &Path) -> Result<ModelBundle, VersionError> {
        if folder != self.installed {
            plain_folder(folder)?;
        }
        let bundle = ModelBundle::load(folder)?;
        if folder != self.installed && !folder.ends_with(bundle.version()) {
            let calls_itself = bundle.version();
            return Err(VersionError::Misnamed { folder: folder.to_owned(), calls_itself });
        }
        Ok(bundle)
    }

    /// The keywords of a version's labels by the configuration, which may also say something about
    /// labels that only other versions have; what its rules say must fit, too.
    pub fn keywords(&self, manifest: &Manifest) -> Result<KeywordMap, Problems> {
        let (heads, others) = (manifest.heads(), self.all_heads());
        let map = keyword_map_among(&self.keywords, heads, &others)?;
        rules_fit(&self.rules, heads, &others, &map, self.keywords.unreadable())?;
        Ok(map)
    }

    /// Both: what a version needs to serve.
    pub fn load(&self, folder: &Path) -> Result<(ModelBundle, KeywordMap), VersionError> {
        let bundle = self.bundle(folder)?;
        match self.keywords(bundle.manifest()) {
            Ok(keywords) => Ok((bundle, keywords)),
            Err(problems) => Err(VersionError::Keywords { version: bundle.version(), problems }),
        }
    }

    /// `None` for the installed bundle, the name of a folder for another one.
    fn find(&self, name: &str) -> Result<Option<String>, VersionError> {
        let names = self.names()?;
        if names.iter().any(|one| one == name) {
            return Ok(Some(name.to_owned()));
        }
        let installed = self.installed_name();
        if name == INSTALLED || name == installed {
            return Ok(None);
        }
        let have = [vec![installed], names].concat();
        Err(VersionError::Unknown { name: name.to_owned(), have })
    }

    /// The names of the folders that look like versions, by name and number.
    fn names(&self) -> Result<Vec<String>, VersionError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("read", &self.folder)(error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| is_version_name(name)).collect();
        names.sort_by_key(|name| {
            let (stem, number) = numbered(name).unwrap_or((name, 0));
            (stem.to_owned(), number)
        });
        Ok(names)
    }

    fn manifest(&self, name: &str) -> Result<Manifest, VersionError> {
        let folder = self.folder.join(name);
        plain_folder(&folder)?;
        let manifest = ModelBundle::manifest_in(&folder)?;
        let calls_itself = manifest.full_name();
        if calls_itself == name {
            Ok(manifest)
        } else {
            Err(VersionError::Misnamed { folder, calls_itself })
        }
    }

    /// The labels of every version that can be read: what the configuration says about them is no
    /// mistake.
    fn all_heads(&self) -> Vec<Head> {
        let names = self.names().unwrap_or_default();
        let manifests = names.iter().filter_map(|name| self.manifest(name).ok());
        let installed = ModelBundle::manifest_in(&self.installed).ok();
        manifests.chain(installed).flat_map(|manifest| manifest.heads().to_vec()).collect()
    }

    fn record(&self) -> Result<Record, VersionError> {
        Record::read(&self.folder)
    }

    fn installed_name(&self) -> String {
        let manifest = ModelBundle::manifest_in(&self.installed);
        manifest.map_or_else(|_| INSTALLED.to_owned(), |manifest| manifest.full_name())
    }
}

/// A link could lead out of the folder that nobody else may write to.
fn plain_folder(folder: &Path) -> Result<(), VersionError> {
    let found = fs::symlink_metadata(folder).map_err(io("read", folder))?;
    if found.is_dir() {
        return Ok(());
    }
    Err(VersionError::NotAFolder { path: folder.to_owned() })
}

/// `("default", 2)` of `default-2`; `None` where no number ends the name.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let (stem, number) = name.rsplit_once('-')?;
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| Some((stem, number.parse().ok()?)))?
}
