//! `triaged remove-labels`: takes every keyword of triaged off an account, wherever it is.
//!
//! The daemon does the work; this command writes down what is wanted and shows what became of it.

use std::path::Path;

use triaged::clock::Clock;
use triaged::store::{Location, Undos};
use triaged_core::config::{Config, Mode};
use triaged_core::mailbox::AccountId;

use super::undo::{accounts, follow_removal, say};
use super::{Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("whose").required(true).args(["account", "all"]),
    after_help = "\
In every mailbox that the server lists or triaged remembers, each keyword is searched for that triaged
has ever written in the account or that configuration and model have now, taken off, and searched for
again. A keyword counts as triaged's by its name, whoever has put it there. A star comes off where
triaged has put it and nobody has taken it off or moved the message since. No other flag is touched, and
no message is moved: see `triaged undo`.
What was decided is not labelled again. New mail is, as long as the account's mode is \"label\": set
mode = \"shadow\" and restart the daemon first, or remove the account afterwards.
The running daemon does it, and goes on after a restart; Ctrl-C leaves it going, and --cancel ends it:
what was taken off by then stays off.
Exit codes: 0 no keyword is left; 64 no such account; 69 no daemon works; 70 a mailbox could not be
cleared, or somebody has cancelled it; 78 the configuration or the database."
)]
pub(super) struct Args {
    /// This account, as the configuration names it, or SERVER/USER
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// All accounts of the configuration that have been watched
    #[arg(long)]
    all: bool,
    /// Only say which keywords are on how many messages, as far as the database knows
    #[arg(long)]
    dry_run: bool,
    /// End what was asked for and is not done
    #[arg(long, conflicts_with = "dry_run")]
    cancel: bool,
}

/// Asks for everything to be taken off, and follows it.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let config = super::load(config)?;
    let at = super::database(&config)?;
    super::block_on(remove(&config, &at, args))?
}

async fn remove(config: &Config, at: &Location, args: &Args) -> Result<Exit, Failure> {
    let undos = Undos::open(at.clone()).await.map_err(super::unserved)?;
    let accounts = accounts(config, &undos, args.account.as_deref()).await?;
    if args.dry_run {
        return tell(&undos, &accounts).await;
    }
    if args.cancel {
        return cancel(&undos, &accounts).await;
    }
    let mut workers = super::workers(at).await?;
    let mut asked = Vec::with_capacity(accounts.len());
    for (id, name) in &accounts {
        let numbers = undos.ask_removal(*id, Clock.now()).await.map_err(super::unserved)?;
        asked.push((name, numbers));
    }
    let mut exit = Exit::Ok;
    for (name, numbers) in asked {
        match follow_removal(&undos, name, numbers, &mut workers).await? {
            Exit::Ok => {}
            Exit::Unavailable => return Ok(Exit::Unavailable),
            other => exit = other,
        }
        let labels = |account: &triaged_core::config::AccountConfig| account.mode == Mode::Label;
        if config.account(name).as_ref().is_some_and(labels) {
            say(&format!("{name}: its mode is \"label\": new mail gets labels as before"));
        }
    }
    Ok(exit)
}

async fn cancel(undos: &Undos, accounts: &[(AccountId, String)]) -> Result<Exit, Failure> {
    for (id, name) in accounts {
        let was_open = undos.cancel_removal(*id).await.map_err(super::unserved)?;
        say(&format!("{name}: {}", if was_open { "cancelled" } else { "nothing is asked for" }));
    }
    Ok(Exit::Ok)
}

async fn tell(undos: &Undos, accounts: &[(AccountId, String)]) -> Result<Exit, Failure> {
    for (id, name) in accounts {
        let written = undos.written(*id).await.map_err(super::unserved)?;
        for one in &written {
            say(&format!("{name}: {} on {} messages", one.keyword, one.messages));
        }
        if written.is_empty() {
            say(&format!("{name}: nothing"));
        }
    }
    say(
        "That is what the database knows. Where these keywords are by now, and who else has put one \
         of them on a message, only the server can tell: it will be searched for each of them",
    );
    Ok(Exit::Ok)
}
