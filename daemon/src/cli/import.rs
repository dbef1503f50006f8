//! `triaged import`: the database of one daemon, in a file, goes to a server that several can share.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use triaged::store::{Kind, Store, StoreError};

use super::{Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
All that the file knows goes into the empty PostgreSQL database of the configuration, at once or not at
all: the daemon goes on where it was, and what it has done can still be taken back. Stop it first; name
the server under [database]; import; start it again. The file gets the name triaged.sqlite.imported.
Exit codes: 0 done; 69 the server can not be reached; 75 a daemon is still running; 78 the configuration,
no or a damaged file, or a database that has accounts already.")]
pub(super) struct Args {
    /// The state folder with the file, where it is not the one of the configuration
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// Takes the file over into the server's database.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let config = super::load(config)?;
    let into = super::database(&config)?;
    if into.kind() != Kind::Postgresql {
        let error = anyhow::anyhow!(
            "the configuration names no server: add [database] with kind = \"postgresql\" and its url_file \
             first, and then import the file {into}"
        );
        return Err(Failure { exit: Exit::Config, error });
    }
    let from = args.from.as_deref().unwrap_or_else(|| into.state());
    let imported = super::block_on(Store::import(from, &into))?.map_err(refused)?;
    let rows = |table: &str| {
        imported.rows.iter().find(|(name, _)| *name == table).map_or(0, |(_, count)| *count)
    };
    let file = match &imported.file {
        Ok(file) => format!("the file is {} now", file.display()),
        Err(error) => format!(
            "the file in {} could not be given another name ({error}): move it away, what it knows is out of \
             date from now on",
            from.display()
        ),
    };
    // A reader that went away has seen what it wanted.
    let _ = writeln!(
        io::stdout().lock(),
        "taken over into {into}: {} accounts, {} mailboxes, {} messages, {} effects, {} alerts; {file}",
        rows("account"),
        rows("mailbox"),
        rows("message"),
        rows("effect"),
        rows("outbox"),
    );
    Ok(Exit::Ok)
}

fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Busy { .. } => Failure { exit: Exit::Busy, error: error.into() },
        StoreError::Missing { path } => {
            let error = anyhow::anyhow!(
                "there is no file {}: was it taken over already ({}.imported)? One of another state folder is \
                 named by --from DIR",
                path.display(),
                path.display()
            );
            Failure { exit: Exit::Config, error }
        }
        lost if lost.is_of_the_whole() => Failure { exit: Exit::Unavailable, error: lost.into() },
        other => super::unserved(other),
    }
}
