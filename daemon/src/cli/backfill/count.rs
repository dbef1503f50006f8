//! `triaged backfill --dry-run`: how many messages there are, asked of the server, changing nothing.

use jiff::Timestamp;
use triaged::imap::{Endpoint, ImapError, Login, Session};
use triaged::secret::Credentials;
use triaged::store::{History, Location};
use triaged_core::config::{AccountConfig, Config};
use triaged_core::mailbox::Uid;

use super::say;
use crate::cli::{Exit, Failure, OrExit};

/// Counts in each mailbox.
pub(super) async fn run(
    config: &Config,
    at: &Location,
    account: &AccountConfig,
    mailboxes: &[String],
    since: Timestamp,
) -> Result<Exit, Failure> {
    let secret = Credentials::of(account, &config.state).read().await.or_exit(Exit::Config)?;
    let connected = Session::connect(&Endpoint::of(account), &Login::of(account, &secret)).await;
    let mut session = connected.map_err(failure)?;
    for mailbox in mailboxes {
        session.select(mailbox).await.map_err(failure)?;
        let found = session.search_since(since, Uid::LAST).await.map_err(failure)?;
        let listed = session.fetch_listed(&found).await.map_err(failure)?;
        let wanted = listed.iter().filter(|one| one.received.is_none_or(|at| at >= since));
        let uids: Vec<Uid> = wanted.map(|one| one.uid).collect();
        let decided = decided(at, &account.name, mailbox, &uids).await?;
        say(&format!(
            "{mailbox}: {} messages since {since}, {decided} of them decided before",
            uids.len()
        ));
    }
    session.logout().await;
    Ok(Exit::Ok)
}

/// How many of them are in the history; none where there is no history yet.
async fn decided(
    at: &Location,
    account: &str,
    mailbox: &str,
    uids: &[Uid],
) -> Result<usize, Failure> {
    let Ok(history) = History::open(at.clone(), Timestamp::MIN).await else { return Ok(0) };
    let known = history.decided(account, mailbox).await.map_err(crate::cli::unserved)?;
    Ok(uids.iter().filter(|uid| known.contains(uid)).count())
}

fn failure(error: ImapError) -> Failure {
    let exit = match error {
        ImapError::LoginRefused(_) => Exit::LoginRefused,
        ImapError::MailboxGone(_) | ImapError::NotPermitted(_) => Exit::Config,
        _ => Exit::Unavailable,
    };
    Failure { exit, error: error.into() }
}
