//! `[database]`: what the store is kept in. A file is for one daemon, a server for several.
//!
//! A server's URL holds a password, so only where it is kept stands here; whoever opens it looks at it.

use std::path::PathBuf;

use super::login::SecretSource;
use super::problem::{Fault, Problems, one_of};
use super::raw::Section;
use super::settings::path;
use super::values::{account_name, credential_name};

/// What the store is kept in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DatabaseConfig {
    /// A file in the state folder.
    #[default]
    Sqlite,
    /// A PostgreSQL server.
    Postgresql(DatabaseServer),
}

/// A database on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseServer {
    /// Where its URL is kept.
    pub url: SecretSource,
    /// What this daemon is called among those that share it; `None`: as its machine.
    pub instance: Option<String>,
}

impl DatabaseConfig {
    /// The files that it names and that may be relative.
    pub(super) fn path(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Postgresql(DatabaseServer { url: SecretSource::File(file), .. }) => Some(file),
            Self::Postgresql(_) | Self::Sqlite => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Sqlite,
    Postgresql,
}

const KINDS: [(&str, Kind); 2] = [("sqlite", Kind::Sqlite), ("postgresql", Kind::Postgresql)];
/// What only a server has.
const OF_SERVERS: [&str; 3] = ["url_file", "url_credential", "instance"];
const URL: &str = "write url_file = \"/a/path\" or url_credential = \"name\"";

pub(super) fn read(mut section: Section<'_>, problems: &mut Problems) -> DatabaseConfig {
    let kind = section.take::<String>("kind", problems);
    let kind = kind.map(|word| word.check(problems, |word| one_of(&word, &KINDS)));
    let inline = Fault::new("it holds a password, and those are never in this file", URL);
    section.refuse("url", inline, problems);
    let place = section.place.clone();
    let given: Vec<&str> = OF_SERVERS.into_iter().filter(|key| section.has(key)).collect();
    let file = path(&mut section, "url_file", problems).map(SecretSource::File);
    let credential = section.take::<String>("url_credential", problems);
    let credential = credential.and_then(|name| name.check(problems, credential_name));
    let instance = section.take::<String>("instance", problems);
    let instance = instance.and_then(|name| name.check(problems, account_name));
    section.finish(problems);
    match (kind, given.as_slice()) {
        // What is wrong with it was said.
        (Some(None), _) => {}
        (Some(Some(Kind::Postgresql)), given) => {
            if given.starts_with(&["url_file", "url_credential"]) {
                let what = "has both url_file and url_credential";
                problems.add(&place, Fault::new(what, "keep one of the two"));
            } else if !given.iter().any(|key| key.starts_with("url_")) {
                problems.add(&place, Fault::new("says nowhere where its URL is", URL));
            }
        }
        (_, [first, ..]) => {
            let what = format!("has {first}, which a file has not");
            let mend = "write kind = \"postgresql\", or leave that line out";
            problems.add(&place, Fault::new(what, mend));
        }
        (_, []) => {}
    }
    match file.or(credential) {
        Some(url) => DatabaseConfig::Postgresql(DatabaseServer { url, instance }),
        None => DatabaseConfig::Sqlite,
    }
}
