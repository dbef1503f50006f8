//! How a new version comes in: a number is reserved with a folder to make it in, and the finished
//! bundle is taken over under its own name.
//!
//! The folder is locked by the process that makes the version; one that nobody has locked is what
//! a dead process left, and is removed. It may hold text of mails while it is in the making, so
//! nobody else can look into it, and nothing but the files of the bundle is taken over.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use super::error::io;
use super::lock;
use super::{VersionError, Versions, numbered};
use crate::model::bundle::{MANIFEST, ModelBundle};
use crate::model::manifest::{Manifest, is_version_name};

/// What the folders of candidates begin with; after it come a process and a version.
const PREFIX: &str = ".candidate-";

/// A version in the making. Dropped without [`Versions::adopt`], it is removed.
#[derive(Debug)]
pub struct Candidate {
    name: String,
    number: u64,
    folder: PathBuf,
    _lock: File,
}

impl Candidate {
    /// Where the bundle is made, the manifest last.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number that its manifest must have as `version`.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Name and version that its manifest must have: `default-2`.
    pub fn full_name(&self) -> String {
        format!("{}-{}", self.name, self.number)
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // Adopted, it is not there any more; else the next start tries again.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Versions {
    /// The next number for bundles of this name, with an empty folder to make it in; nobody else
    /// gets the same number while the candidate lives.
    pub fn reserve(&self, name: &str) -> Result<Candidate, VersionError> {
        self.make_folder()?;
        let _alone = lock::wait(&self.folder)?;
        if !is_version_name(&format!("{name}-1")) {
            return Err(VersionError::Name { name: name.to_owned() });
        }
        let made =
            self.names()?.into_iter().chain([self.installed_name()]).chain(self.candidates()?);
        let numbers = made.filter_map(|one| {
            numbered(&one).filter(|(stem, _)| *stem == name).map(|(_, number)| number)
        });
        let number = numbers.max().unwrap_or(0) + 1;
        let folder = self.folder.join(format!("{PREFIX}{}-{name}-{number}", process::id()));
        let made = || {
            DirBuilder::new().mode(0o700).create(&folder)?;
            let lock = File::open(&folder)?;
            lock.lock()?;
            Ok(lock)
        };
        let lock = made().map_err(io("make", &folder))?;
        Ok(Candidate { name: name.to_owned(), number, folder, _lock: lock })
    }

    /// Takes the finished bundle over as a version, which serves once it is activated. All files
    /// are verified and on disk before it has its name; what else is in the folder is removed.
    #[expect(clippy::needless_pass_by_value, reason = "it is over with the candidate, either way")]
    pub fn adopt(&self, candidate: Candidate) -> Result<String, VersionError> {
        self.make_folder()?;
        let _alone = lock::wait(&self.folder)?;
        let bundle = ModelBundle::load(&candidate.folder)?;
        let name = candidate.full_name();
        if bundle.version() != name {
            let (folder, calls_itself) = (self.folder.join(name), bundle.version());
            return Err(VersionError::Misnamed { folder, calls_itself });
        }
        let place = self.folder.join(&name);
        if place.symlink_metadata().is_ok() {
            return Err(VersionError::Taken { path: place });
        }
        settle(&candidate.folder, bundle.manifest())
            .and_then(|()| fs::rename(&candidate.folder, &place))
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(io("make", &place))?;
        Ok(name)
    }

    /// Removes what processes left that died while they made a version; how many there were.
    /// While somebody else changes something here, nothing is done.
    pub fn remove_strays(&self) -> Result<usize, VersionError> {
        self.make_folder()?;
        let Some(_alone) = lock::attempt(&self.folder)? else { return Ok(0) };
        let mut removed = 0;
        for folder in self.candidate_folders()? {
            let has_owner = File::open(&folder).is_ok_and(|file| file.try_lock().is_err());
            if !has_owner {
                fs::remove_dir_all(&folder).map_err(io("remove", &folder))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The versions in the making, as `default-2`.
    fn candidates(&self) -> Result<Vec<String>, VersionError> {
        let folders = self.candidate_folders()?;
        let names = folders.iter().filter_map(|folder| {
            let (_process, name) =
                folder.file_name()?.to_str()?.strip_prefix(PREFIX)?.split_once('-')?;
            Some(name.to_owned())
        });
        Ok(names.collect())
    }

    fn candidate_folders(&self) -> Result<Vec<PathBuf>, VersionError> {
        let entries = fs::read_dir(&self.folder).map_err(io("read", &self.folder))?;
        let entries = entries.filter_map(Result::ok);
        let candidates = entries.filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
        });
        Ok(candidates.map(|entry| entry.path()).collect())
    }
}

/// Leaves only the files of the bundle, readable for the daemon's user whoever made them, and on
/// disk.
fn settle(folder: &Path, manifest: &Manifest) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let belongs = |name: &str| name == MANIFEST || manifest.files().contains_key(name);
        if name.to_str().is_some_and(belongs) {
            let file = File::open(entry.path())?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.sync_all()?;
        } else if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    let folder = File::open(folder)?;
    folder.set_permissions(Permissions::from_mode(0o755))?;
    folder.sync_all()
}
