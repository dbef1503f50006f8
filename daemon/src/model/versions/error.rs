//! Why a version of the model can not be found, used or made.

use std::io;
use std::path::{Path, PathBuf};

use triaged_core::config::Problems;

use crate::model::error::ModelError;

/// What is wrong, where, and how to mend it. The version that serves is never concerned.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// There is no version of that name.
    #[error("there is no version {name:?} of the model; there is: {}", .have.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is, the installed one first.
        have: Vec<String>,
    },
    /// No version served before the one that serves.
    #[error("{current} is the first version of the model here; there is nothing to go back to")]
    NothingBefore {
        /// The version that serves.
        current: String,
    },
    /// The bundle is refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Its labels and the configuration do not go together.
    #[error("the labels of {version} do not fit the configuration:\n{problems}")]
    Keywords {
        /// Its name and version.
        version: String,
        /// What must be changed in the configuration.
        problems: Problems,
    },
    /// History would name another model than the one that answered.
    #[error("{} calls itself {calls_itself}: a version lies in a folder of its own name", folder.display())]
    Misnamed {
        /// The folder.
        folder: PathBuf,
        /// What its manifest says.
        calls_itself: String,
    },
    /// A link, or something else that is no folder.
    #[error("{} is no folder of its own; a version must be one, not a link", path.display())]
    NotAFolder {
        /// What it is called.
        path: PathBuf,
    },
    /// `active.json` is not what this program writes.
    #[error(
        "{}: {problem}; `triaged model activate` with the name of a version writes it anew",
        path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A version of that name came in meanwhile.
    #[error("there is a version in {} already; it is left as it is", path.display())]
    Taken {
        /// Its folder.
        path: PathBuf,
    },
    /// Names that no folder may have.
    #[error("{name:?} can not be the name of a model: at most 64 letters, digits, '.', '_', '-'")]
    Name {
        /// What was asked for.
        name: String,
    },
    /// A file or a folder can not be read, written, locked.
    #[error("can not {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What a failed call of the system becomes.
pub(super) fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VersionError {
    move |source| VersionError::Io { verb, path: path.to_owned(), source }
}
