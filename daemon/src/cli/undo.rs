//! `triaged undo`: takes back what triaged has done to messages, where nobody has changed it since.
//!
//! The daemon does the work, on the connection that the account has; this command writes down what is
//! wanted and shows what became of it. `--dry-run` asks the database alone.

mod follow;

use std::io::{self, Write};
use std::path::Path;

use triaged::clock::Clock;
use triaged::store::{Expected, Location, MessageName, Selection, Undos};
use triaged_core::config::Config;
use triaged_core::mailbox::AccountId;

use super::{Exit, Failure, OrExit, moment};

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).multiple(true)
        .args(["message", "since", "rule", "model", "cancel"]),
    after_help = "\
Keywords and stars come off, and moved messages go back to where they were. What of a message is asked
for is taken back as a whole, or, where somebody has changed any of it since, not at all. What is given
together must hold together. It is done in shadow mode, too, and triaged does not label these messages
again. The running daemon does it, and goes on after a restart; Ctrl-C leaves it going.
Counts: undone; kept, somebody has changed it since; gone, somebody has moved it on or deleted it;
refused, with the reason: also where its mailbox has another name by now.
Exit codes: 0 all was done that may be; 64 no such account; 69 no daemon works; 70 something was
refused; 78 the configuration or the database."
)]
pub(super) struct Args {
    /// A message: its number in `triaged history`, or its Message-ID
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// What was decided since then: a date or time like 2026-11-21 or 2026-11-21T08:00Z, or a span like
    /// 2h, 7d, 4w before now
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// What a rule of the configuration asked for, by the name that it had then
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// What was decided with a version of the model, as `triaged history` names it
    #[arg(long, value_name = "VERSION")]
    model: Option<String>,
    /// Only in this account, as the configuration names it, or SERVER/USER
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only say what would be taken back
    #[arg(long)]
    dry_run: bool,
    /// Write the request down and do not wait for its end
    #[arg(long, conflicts_with = "dry_run")]
    no_wait: bool,
    /// Let go of all messages of open requests of which nothing was taken back yet
    #[arg(long, conflicts_with_all = ["message", "since", "rule", "model", "account", "dry_run", "no_wait"])]
    cancel: bool,
}

/// Asks for something to be taken back, and follows it.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let config = super::load(config)?;
    let since = args.since.as_deref().map(|text| moment::since(text, Clock.now()));
    let selection = Selection {
        message: args.message.as_deref().map(message_name),
        since: since.transpose().map_err(anyhow::Error::msg).or_exit(Exit::Usage)?,
        rule: args.rule.clone(),
        model: args.model.clone(),
        ..Selection::default()
    };
    let at = super::database(&config)?;
    super::block_on(ask(&config, &at, selection, args))?
}

async fn ask(
    config: &Config,
    at: &Location,
    selection: Selection,
    args: &Args,
) -> Result<Exit, Failure> {
    let undos = Undos::open(at.clone()).await.map_err(super::unserved)?;
    if args.cancel {
        let ended = undos.cancel().await.map_err(super::unserved)?;
        say(&format!("messages that are left as they are: {ended}"));
        return Ok(Exit::Ok);
    }
    let accounts = accounts(config, &undos, args.account.as_deref()).await?;
    let ids = accounts.iter().map(|(id, _)| *id).collect();
    let selection = Selection { accounts: ids, ..selection };
    if args.dry_run {
        let (expected, messages) = undos.expect(&selection).await.map_err(super::unserved)?;
        tell(&expected, messages);
        return Ok(Exit::Ok);
    }
    let mut workers = super::workers(at).await?;
    let asked = undos.ask(&selection, Clock.now()).await;
    let (request, messages) = asked.map_err(super::unserved)?;
    if messages == 0 {
        say(NOTHING);
        return Ok(Exit::Ok);
    }
    if args.no_wait {
        say(&format!("asked for: {messages} messages; the daemon begins within seconds"));
        return Ok(Exit::Ok);
    }
    follow::undo(&undos, request, &mut workers).await
}

const NOTHING: &str = "nothing of that is on a server: `triaged history` has the numbers of messages, and the rules and the model of each";

/// The accounts of the store that are in the configuration, or the one of this name.
pub(super) async fn accounts(
    config: &Config,
    undos: &Undos,
    name: Option<&str>,
) -> Result<Vec<(AccountId, String)>, Failure> {
    let mut known = undos.accounts().await.map_err(super::unserved)?;
    known.retain(|(_, known)| config.account(known).is_some());
    let Some(name) = name else { return Ok(known) };
    let names: Vec<String> = known.iter().map(|(_, name)| name.clone()).collect();
    known.retain(|(_, known)| known == name);
    if known.is_empty() {
        let names = names.join(", ");
        let error = anyhow::anyhow!(
            "--account {name:?}: the accounts that are configured and have been watched are {names}"
        );
        return Err(Failure { exit: Exit::Usage, error });
    }
    Ok(known)
}

/// A number is one of the history's; anything else is a Message-ID, in angle brackets or not.
fn message_name(text: &str) -> MessageName {
    let text = text.trim();
    match text.strip_prefix('#').unwrap_or(text).parse() {
        Ok(number) => MessageName::Number(number),
        Err(_) => MessageName::Id(text.trim_matches(['<', '>']).to_owned()),
    }
}

/// Says what would be taken back, as far as the database knows.
fn tell(expected: &[Expected], messages: u64) {
    for Expected { account, mailbox, argument, back_to, messages } in expected {
        say(&match back_to {
            Some(back_to) => format!("{account}: {mailbox}: {messages} go back to {back_to}"),
            None => format!("{account}: {mailbox}: {messages} lose {argument}"),
        });
    }
    say(&match messages {
        0 => NOTHING.to_owned(),
        messages => format!(
            "{messages} messages, as far as the database knows. Which of them somebody has changed, \
             moved on or deleted since, only the server can tell: those will be left as they are"
        ),
    });
}

pub(super) fn say(line: &str) {
    // A reader that went away has seen what it wanted.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

pub(super) use follow::removal as follow_removal;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_named_by_its_number_or_its_message_id() {
        let id = |text: &str| MessageName::Id(text.to_owned());
        assert_eq!(message_name("17"), MessageName::Number(17));
        assert_eq!(message_name("#17"), MessageName::Number(17));
        assert_eq!(message_name("<a@b>"), id("a@b"));
        assert_eq!(message_name(" 17@b "), id("17@b"));
    }
}
