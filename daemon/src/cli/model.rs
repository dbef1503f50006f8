//! `triaged model`: the versions of the model, which one serves, and what each says about itself.
//!
//! A running daemon notices a change by itself; nothing here speaks to it.

pub(super) mod change;
mod list;
mod show;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Versions that were trained here lie in the folder models of the state; the \
    installed bundle is the one of the configuration. Ends with 64 where there is no such version, \
    and with 78 where one is refused; then the version that serves goes on serving."
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the versions of the model; a star is before the one that serves
    List {
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Verify a bundle and print its manifest
    Show {
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// Print its model card instead
        #[arg(long, conflicts_with = "json")]
        card: bool,
        /// A model bundle anywhere, instead of a version
        #[arg(long, value_name = "DIR", conflicts_with = "version")]
        bundle: Option<PathBuf>,
        /// A version by its name, instead of the one that serves
        version: Option<String>,
    },
    /// Try a version on its golden mails and let it serve from now on
    Activate {
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// Its name, for example default-2; or "installed"
        version: String,
    },
    /// Let the version serve again that served before
    Rollback {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Runs one of the sub-commands for versions of the model.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let text = match &args.command {
        Command::List { json } => list::run(config, *json)?,
        Command::Show { json, card, bundle, version } => {
            let bundle = show::find(config, bundle.as_deref(), version.as_deref())?;
            show::text(&bundle, *json, *card)?
        }
        Command::Activate { json, version } => change::activate(config, version, *json)?,
        Command::Rollback { json } => change::rollback(config, *json)?,
    };
    // A reader that went away has seen what it wanted.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Ok)
}
