//! `triaged retry`: lets messages that could not be read be tried again.
//!
//! The daemon does it; this command only takes them out of quarantine in the database.

use std::io::{self, Write};
use std::path::Path;

use triaged::store::{Quarantine, Workers};

use super::{Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A message is in quarantine (outcome `quarantined` in `triaged history`, keyword `triaged-unreadable`)
when reading it has failed three times with no other message beside it. Tried again and read, it gets
its labels and loses that keyword; else it comes back.
Exit codes: 0 done, also where there was none; 64 no such account; 78 the configuration or the database.")]
pub(super) struct Args {
    /// Only mail of this account, as the configuration names it
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

/// Takes messages out of quarantine.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let config = super::load(config)?;
    if let Some(name) = &args.account
        && config.accounts.iter().all(|account| account.name != *name)
    {
        let known: Vec<&str> = config.accounts.iter().map(|one| one.name.as_str()).collect();
        let known = known.join(", ");
        let error = anyhow::anyhow!("--account {name:?}: the configuration has {known}");
        return Err(Failure { exit: Exit::Usage, error });
    }
    let at = super::database(&config)?;
    let (released, is_worked_on) = super::block_on(async {
        let quarantine = Quarantine::open(at.clone()).await?;
        let released = quarantine.release(args.account.as_deref()).await?;
        Ok((released, Workers::at(&at).is_any().await?))
    })?
    .map_err(super::unserved)?;
    let when = if is_worked_on {
        "the daemon tries them within seconds"
    } else {
        "the daemon tries them when it is started"
    };
    let said = match released {
        0 => "no message is in quarantine".to_owned(),
        count => format!("messages taken out of quarantine: {count}; {when}"),
    };
    // A reader that went away has seen what it wanted.
    let _ = writeln!(io::stdout().lock(), "{said}");
    Ok(Exit::Ok)
}
