//! `active.json`: which version serves, and which ones served before it.
//!
//! `{"active": "default-3", "before": ["installed", "default-2"]}`; as `active`, `null` or no file
//! at all is the installed bundle. The file is replaced as a whole and is on disk before the change counts, so a crash
//! leaves the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::VersionError;
use crate::model::error::ModelError;
use crate::model::files;
use crate::model::manifest::is_version_name;

/// The name of the file.
const FILE: &str = "active.json";
/// Under this name it is written; one that is left after a crash is overwritten by the next.
const WRITING: &str = ".active.json.new";
/// Far more than the most names take.
const LARGEST: u64 = 1 << 16;
/// So many steps can be gone back; nobody remembers what was before them.
const MOST_BEFORE: usize = 20;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// `None`: the installed bundle.
    pub(super) active: Option<String>,
    /// What served before, the last one last; the installed bundle by that word, because another
    /// one may be installed by then.
    #[serde(default)]
    pub(super) before: Vec<String>,
}

impl Record {
    /// Reads the file in `folder`; where there is none, nobody has chosen yet.
    pub(super) fn read(folder: &Path) -> Result<Self, VersionError> {
        let path = folder.join(FILE);
        let bytes = match files::read(&path, LARGEST) {
            Ok(bytes) => bytes,
            Err(ModelError::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error.into()),
        };
        let broken = |problem| VersionError::Record { path: path.clone(), problem };
        let record: Self =
            serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
        let names = record.active.iter().chain(&record.before);
        match names.into_iter().find(|name| !is_version_name(name) && *name != super::INSTALLED) {
            Some(name) => Err(broken(format!("{name:?} is not the name of a version"))),
            None => Ok(record),
        }
    }

    /// What served before, once the version that serves has ended to.
    pub(super) fn before_this(&self) -> Vec<String> {
        let mut before = self.before.clone();
        let current = self.active.as_deref().unwrap_or(super::INSTALLED);
        if before.last().map(String::as_str) != Some(current) {
            before.push(current.to_owned());
        }
        before.split_off(before.len().saturating_sub(MOST_BEFORE))
    }

    /// Puts it into `folder`, on disk when this returns.
    pub(super) fn write(&self, folder: &Path) -> Result<(), VersionError> {
        let path = folder.join(FILE);
        let written = || -> io::Result<()> {
            let new = folder.join(WRITING);
            let _ = fs::remove_file(&new);
            // Readable for the daemon's user where root changes it; the state folder is private.
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
            let mut text = serde_json::to_vec(self)?;
            text.push(b'\n');
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(folder)?.sync_all()
        };
        written().map_err(super::error::io("write", &path))
    }
}
