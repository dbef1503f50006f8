//! `triaged backfill`: older mail gets its labels, too.
//!
//! The daemon does the work, behind new mail, on the connection that the account has; this command
//! writes down what is wanted and shows how far it is. `--dry-run` asks the server itself.

mod count;
mod follow;

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use triaged::clock::Clock;
use triaged::store::{Backfills, History, Location};
use triaged_core::config::{AccountConfig, Config};

use super::{Exit, Failure, OrExit, moment};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The running daemon does it, the newest first and always behind new mail, and goes on after a restart.
Mail that was decided before is left alone. In shadow mode nothing is written, as for new mail. Asked
again, a request takes on the new pace, and the longer time. Ctrl-C leaves it going; --cancel ends it.")]
pub(super) struct Args {
    /// The account, as the configuration names it, or SERVER/USER
    #[arg(long, value_name = "NAME")]
    account: String,
    /// One of its watched mailboxes; all of them where it is not given
    #[arg(long, value_name = "NAME")]
    mailbox: Option<String>,
    /// Mail received since then: a date or time like 2026-11-21 or 2026-11-21T08:00Z, or a span like
    /// 2h, 7d, 4w before now
    #[arg(long, value_name = "TIME", required_unless_present = "cancel")]
    since: Option<String>,
    /// Most messages a minute
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    per_minute: u32,
    /// Only count what there is
    #[arg(long)]
    dry_run: bool,
    /// Write the request down and do not wait for its end
    #[arg(long, conflicts_with = "dry_run")]
    no_wait: bool,
    /// End the account's open requests; what is labelled stays
    #[arg(long, conflicts_with_all = ["dry_run", "no_wait", "since", "mailbox"])]
    cancel: bool,
}

/// Asks for older mail and follows it.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let config = super::load(config)?;
    let account = &account(&config, &args.account)?;
    if args.cancel {
        return super::block_on(cancel(&super::database(&config)?, account))?;
    }
    let text = args.since.as_deref().unwrap_or_default();
    let since =
        moment::since(text, Clock.now()).map_err(anyhow::Error::msg).or_exit(Exit::Usage)?;
    let name = args.mailbox.as_deref();
    let at = super::database(&config)?;
    let mailboxes = super::block_on(mailboxes(&at, account, name))??;
    if args.dry_run {
        return super::block_on(count::run(&config, &at, account, &mailboxes, since))?;
    }
    super::block_on(ask(&at, account, &mailboxes, since, args))?
}

fn account(config: &Config, name: &str) -> Result<AccountConfig, Failure> {
    config.account(name).ok_or_else(|| {
        let accounts = config.accounts.iter().map(|one| one.name.clone());
        let servers = config.servers.iter().map(|one| format!("{}/USER", one.name));
        let known = accounts.chain(servers).collect::<Vec<_>>().join(", ");
        Failure {
            exit: Exit::Usage,
            error: anyhow::anyhow!("--account {name:?}: the configuration has {known}"),
        }
    })
}

/// The mailbox of that name, or all that are watched: those that are named, and those that were found
/// by the daemon.
async fn mailboxes(
    at: &Location,
    account: &AccountConfig,
    name: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let choice = &account.mailboxes;
    let mut all: Vec<String> = choice.names().map(str::to_owned).collect();
    let Some(name) = name else {
        let history = History::open(at.clone(), Timestamp::MIN).await;
        if let (true, Ok(history)) = (choice.is_open(), history) {
            let found = history.mailboxes(&account.name).await.map_err(super::unserved)?;
            all.extend(found.into_iter().filter(|one| choice.finds(one)));
        }
        return Ok(all);
    };
    if choice.may_have(name) {
        return Ok(vec![name.to_owned()]);
    }
    Err(Failure {
        exit: Exit::Usage,
        error: anyhow::anyhow!(
            "--mailbox {name:?}: account {:?} watches {choice}; add it to `mailboxes` first",
            account.name,
        ),
    })
}

async fn ask(
    at: &Location,
    account: &AccountConfig,
    mailboxes: &[String],
    since: Timestamp,
    args: &Args,
) -> Result<Exit, Failure> {
    let mut workers = super::workers(at).await?;
    let requests = Backfills::open(at.clone()).await.map_err(super::unserved)?;
    let mut ids = Vec::with_capacity(mailboxes.len());
    for mailbox in mailboxes {
        let asked = requests.ask(&account.name, mailbox, since, args.per_minute, Clock.now());
        ids.push(asked.await.map_err(super::unserved)?);
    }
    if args.no_wait {
        say("asked for; the daemon begins within seconds");
        return Ok(Exit::Ok);
    }
    follow::run(&requests, &ids, &mut workers).await
}

async fn cancel(at: &Location, account: &AccountConfig) -> Result<Exit, Failure> {
    let requests = Backfills::open(at.clone()).await.map_err(super::unserved)?;
    let ended = requests.cancel(&account.name).await.map_err(super::unserved)?;
    say(&match ended {
        0 => "there was no open request".to_owned(),
        count => format!("requests ended: {count}; what is labelled stays"),
    });
    Ok(Exit::Ok)
}

fn say(line: &str) {
    // A reader that went away has seen what it wanted.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
