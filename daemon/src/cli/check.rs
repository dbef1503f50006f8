//! `triaged check`: whether everything that `run` needs is there, in lines that say what to do.
//!
//! Goes on after each failure, changes nothing, and may be used beside a running daemon. Without
//! `--online` no server is asked.

mod alerts;
mod lists;
mod local;
mod online;
mod report;

use std::io;
use std::path::Path;

use triaged::configuration;

use super::{Exit, Failure};
use report::{Line, Report};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also log in to each account's server, open its mailboxes, and see whether they take keywords; and
    /// to the server that takes alerts
    #[arg(long)]
    online: bool,
}

/// Checks everything; ends with the code of the worst failure.
pub(super) fn run(path: &Path, args: &Args) -> Result<Exit, Failure> {
    let mut report = Report::new(io::stdout().lock(), report::likes_colour());
    let config = match configuration::load(path) {
        Ok(config) => config,
        Err(error) => {
            report.line(&Line::fail(Exit::Config, "configuration", error));
            let rest = "model, library, database: not checked, the configuration names them";
            report.line(&Line::warn("the rest", rest));
            return Ok(report.finish());
        }
    };
    let mut what = report::counted(config.accounts.len(), "account");
    if !config.servers.is_empty() {
        let servers = report::counted(config.servers.len(), "server");
        what = format!("{what}, {servers} with all users");
    }
    let what = format!("{}: {what}", path.display());
    report.line(&Line::ok("configuration", what));
    local::passwords(&config, &mut report);
    alerts::password(&config, &mut report);
    let keywords = local::model(path, &config, &mut report);
    super::block_on(async {
        lists::users(&config, &mut report).await;
        local::database(&config, &mut report).await;
        if args.online {
            online::accounts(&config, keywords.as_ref(), &mut report).await;
            alerts::server(&config, &mut report).await;
        }
    })?;
    Ok(report.finish())
}
