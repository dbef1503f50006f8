//! What can go wrong with the database, in words that say how to mend it.

use std::path::PathBuf;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state folder can not be made or written.
    #[error(
        "the state folder {path} can not be used: {source}; make it, owned by the user that runs triaged, or set `state` to another folder"
    )]
    Folder {
        /// The folder of the configuration.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the lock file.
    #[error(
        "another triaged holds {path}: stop it first, or give this one a `state` folder of its own"
    )]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// There is no database yet.
    #[error("there is no database at {path} yet: `triaged run` makes it at its first start")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is not a sound database.
    #[error(
        "the database {path} is damaged: {found}; nothing was changed. Stop triaged, keep a copy, then restore a backup, or move the file away to begin anew (mail that is already in the mailboxes stays as it is)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found.
        found: String,
    },
    /// Written by a newer triaged.
    #[error(
        "the database {path} was written by a newer triaged ({found}): install that version again, or restore a backup"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Which migration is unknown here.
        found: String,
    },
    /// A setting that durability rests on did not take.
    #[error(
        "the database {path} does not keep {setting} ({found}): is the state folder on a network file system? It needs a local one"
    )]
    NotDurable {
        /// The file.
        path: PathBuf,
        /// The setting.
        setting: &'static str,
        /// What was read back.
        found: String,
    },
    /// A row holds a value that this program never writes.
    #[error("the database holds {0}, which triaged never writes")]
    Row(String),
    /// Anything else that SQLite says: a full disk, an I/O error.
    #[error("the database refused: {0}")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}
