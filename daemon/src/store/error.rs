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
        "the database {database} was written by a newer triaged ({found}): install that version again, or restore a backup"
    )]
    Newer {
        /// The file, or the server.
        database: String,
        /// Which migration is unknown here.
        found: String,
    },
    /// What the file with the URL holds is of no use; not a word of it is in here.
    #[error(
        "the URL of the database {0}; its form is postgresql://user:password@host:port/database?sslmode=verify-full"
    )]
    Url(String),
    /// The server, or the way to it, is not there now.
    #[error(
        "the database {database} can not be reached: {source}; is the server up, and are host, port and its certificate right?"
    )]
    Away {
        /// The server.
        database: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The server does not let us in, or not do what we have to.
    #[error(
        "the database {database} does not let triaged in: {source}; mend the user, password or database of the URL, or grant the user what is missing"
    )]
    Shut {
        /// The server.
        database: String,
        /// What it said.
        source: sqlx::Error,
    },
    /// A database of something else.
    #[error("the database {database} can not be used: {found}; give triaged a database of its own")]
    Unfit {
        /// The server.
        database: String,
        /// What is wrong with it.
        found: String,
    },
    /// Nobody has run with this database yet.
    #[error("the database {database} is empty: `triaged run` fills it at its first start")]
    Empty {
        /// The server.
        database: String,
    },
    /// A database that is to be filled from a file has something in it.
    #[error(
        "the database {database} {found}, and nothing was taken over: make an empty one to import into, and let no daemon work on it"
    )]
    InUse {
        /// The server.
        database: String,
        /// What it has.
        found: String,
    },
    /// It was filled from a file while this daemon had it open.
    #[error(
        "the database was filled by `triaged import` after this daemon had begun: start the daemon again"
    )]
    Exchanged,
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
    /// Another daemon has the account now, or nobody has: what was to be written was not.
    #[error("the account is not this daemon's any more: nothing was written")]
    Fenced,
    /// A row holds a value that this program never writes.
    #[error("the database holds {0}, which triaged never writes")]
    Row(String),
    /// A server had no connection for us for ten seconds: it is away, or has far too much to do.
    #[error("the database did not answer for too long: is its server up?")]
    TimedOut,
    /// Anything else that it says: a full disk, an I/O error, a lost connection.
    #[error("the database refused: {0}")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// A migration that this version does not know.
    pub(super) fn newer(database: &str, version: i64) -> Self {
        let found = format!("migration {version} is not known here");
        Self::Newer { database: database.to_owned(), found }
    }

    /// Whether it is about the whole database, and not about what was asked of it.
    pub fn is_of_the_whole(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                is_trouble(&error.code().unwrap_or_default())
            }
            Self::Database(error) => !is_about_a_row(error),
            other => matches!(other, Self::Away { .. } | Self::TimedOut),
        }
    }

    /// Whether it may be about what was written: a value that the database does not take, or does not give
    /// back as it was. All else may pass, and says nothing about the mail in hand.
    pub fn is_about_a_value(&self) -> bool {
        match self {
            Self::Row(_) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                is_of_a_value(&error.code().unwrap_or_default())
            }
            Self::Database(error) => is_about_a_row(error),
            _ => false,
        }
    }

    /// Whether it may pass by itself: starting again is right.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Away { .. } | Self::TimedOut | Self::Exchanged)
    }
}

/// Whether a code means the database: of SQLite ("Result Codes", the lowest byte) what is locked,
/// damaged, full or can not be read or written; of PostgreSQL ("Error Codes", the class) a connection,
/// resources, an operator, the system, what is damaged, and a server that is read-only.
fn is_trouble(code: &str) -> bool {
    let (class, _) = code.split_at_checked(2).unwrap_or((code, ""));
    match code.parse::<u32>() {
        // SQLSTATE has five characters; SQLite's largest code has four.
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6 | 8 | 10 | 11 | 13 | 14 | 26),
        _ => matches!(class, "08" | "53" | "57" | "58" | "XX") || code == "25006",
    }
}

/// Whether a code means a value: of SQLite what is too big, breaks a rule or is of another type; of
/// PostgreSQL bad data, a broken rule, and a limit of the program.
fn is_of_a_value(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 18..=20),
        _ => ["22", "23", "54"].iter().any(|class| code.starts_with(class)),
    }
}

fn is_about_a_row(error: &sqlx::Error) -> bool {
    use sqlx::Error::{ColumnDecode, ColumnNotFound, Decode, Encode, RowNotFound};
    matches!(error, ColumnDecode { .. } | ColumnNotFound(_) | Decode(_) | Encode(_) | RowNotFound)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::TimedOut,
            other => Self::Database(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_a_database_in_trouble_from_a_question_that_was_wrong() {
        for trouble in ["13", "10", "778", "2826", "5", "08006", "53100", "57P01", "XX001", "25006"]
        {
            assert!(is_trouble(trouble), "{trouble}");
        }
        for question in ["1", "19", "2067", "22021", "23505", "40P01", ""] {
            assert!(!is_trouble(question), "{question}");
        }
        for value in ["19", "2067", "18", "22021", "23505", "54000"] {
            assert!(is_of_a_value(value), "{value}");
        }
        for passing in ["13", "5", "40P01", "55P03", "25P03", "08006", ""] {
            assert!(!is_of_a_value(passing), "{passing}");
        }
        assert!(!StoreError::from(sqlx::Error::RowNotFound).is_of_the_whole());
        assert!(StoreError::from(sqlx::Error::PoolTimedOut).is_of_the_whole());
        assert!(StoreError::from(sqlx::Error::WorkerCrashed).is_of_the_whole());
    }
}
