//! `triaged status`: how each account of the running daemon stands, how it is watched, and what is
//! left out, with the reason.
//!
//! It asks the daemon on loopback; the database and the servers are not touched.

mod choice;
mod sharing;

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use triaged::http::{self, AccountStatus, Status};
use triaged::readiness::{AccountState, OutboxStanding};
use triaged::standing::{BackfillStanding, MailboxStanding, TrafficStanding, WatchMode, Watching};

use super::{Exit, Failure, OrExit};
use choice::Choice;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the daemon answered, however its accounts stand; 69 no daemon answers; 78 the
configuration. --schema explains each key of the JSON object.")]
pub(super) struct Args {
    /// One JSON object, with every account
    #[arg(long)]
    json: bool,
    /// Every account; without it, of more than 20 only those in trouble
    #[arg(long, conflicts_with = "account")]
    all: bool,
    /// Only this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Print the JSON schema of that object, and ask nobody
    #[arg(long, conflicts_with_all = ["json", "all", "account"])]
    schema: bool,
}

/// What `--json` prints, for programs; a test validates every state against it.
const SCHEMA: &str = include_str!("../../status.schema.json");

/// Prints how the daemon stands.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    if args.schema {
        print(SCHEMA);
        return Ok(Exit::Ok);
    }
    let config = super::load(config)?;
    let status = super::block_on(http::ask(config.http.listen))?.or_exit(Exit::Unavailable)?;
    let text = if args.json {
        serde_json::to_string_pretty(&status).or_exit(Exit::Software)? + "\n"
    } else {
        let choice = Choice { all: args.all, account: args.account.as_deref() };
        as_text(&status, choice, &TimeZone::system())
    };
    print(&text);
    Ok(Exit::Ok)
}

fn print(text: &str) {
    // A reader that went away has seen what it wanted.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn as_text(status: &Status, choice: Choice<'_>, zone: &TimeZone) -> String {
    let watched = status.accounts.values().filter(|one| one.state == AccountState::Watching);
    let mut lines = vec![format!(
        "triaged {}, model {}; {} of {} accounts are watched",
        status.version,
        status.model.serves,
        watched.count(),
        status.accounts.len()
    )];
    if let Some(refused) = &status.model.refused {
        lines.push(format!("  another version of the model shall serve and does not: {refused}"));
    }
    lines.extend(status.sharing.iter().flat_map(sharing::lines));
    if let Some(reason) = &status.database {
        lines.push(format!("  nothing is done to mail until the database does its work: {reason}"));
    }
    lines.extend(status.outbox.iter().flat_map(|outbox| outbox_lines(outbox, zone)));
    lines.extend(choice::totals(status));
    lines.extend(status.lists.iter().flat_map(|(server, list)| choice::list(server, list, zone)));
    let (shown, left_out) = choice.of(status);
    for (name, account) in shown {
        lines.extend(account_lines(name, account, zone));
    }
    lines.extend(left_out);
    lines.join("\n") + "\n"
}

/// How alerts get out.
fn outbox_lines(outbox: &OutboxStanding, zone: &TimeZone) -> Vec<String> {
    let oldest = outbox.oldest.map(|oldest| format!(", the oldest since {}", at(oldest, zone)));
    let oldest = oldest.unwrap_or_default();
    let mut lines = vec![format!("alerts: {} to be sent{oldest}", outbox.waiting)];
    lines.extend(outbox.problem.iter().map(|problem| format!("  none can be sent: {problem}")));
    if outbox.failed > 0 {
        let last = outbox.last_failure.as_deref().unwrap_or("no reason is known");
        lines.push(format!("  given up in seven days: {}; the last: {last}", outbox.failed));
    }
    lines
}

fn account_lines(name: &str, account: &AccountStatus, zone: &TimeZone) -> Vec<String> {
    let standing = &account.standing;
    let mut lines = vec![format!(
        "\n{name}: {} since {}",
        account.state.name().replace('_', " "),
        at(account.since, zone)
    )];
    if let Some(reason) = account.state.reason() {
        let next = account.state.retry_at();
        let next = next.map(|next| format!("; next attempt {}", at(next, zone)));
        lines.push(format!("  {reason}{}", next.unwrap_or_default()));
    }
    if account.state == AccountState::Elsewhere {
        lines.push(sharing::whose(standing.owner.as_deref()));
        return lines;
    }
    if let Some(watching) = &standing.watching {
        lines.push(format!("  {}", watched_how(watching, zone)));
    }
    let last = standing.last_mail.map_or("none since the start".to_owned(), |last| at(last, zone));
    lines.push(format!("  last mail {last}; backlog {}", standing.backlog));
    lines.extend(standing.traffic.and_then(traffic_line));
    lines.extend(standing.backfill.as_ref().map(backfill_line));
    for (mailbox, found) in &standing.mailboxes {
        lines.extend(mailbox_lines(found).into_iter().map(|line| format!("  {mailbox}: {line}")));
    }
    lines
}

fn watched_how(watching: &Watching, zone: &TimeZone) -> String {
    if watching.mode == WatchMode::Turns {
        return "in turns: there are more accounts than places ([connections])".to_owned();
    }
    if watching.mode == WatchMode::Poll {
        return "polled: the server has no IDLE, or refuses it".to_owned();
    }
    let announced = watching.announced.map(|last| at(last, zone));
    let last = announced
        .map_or("no mail announced yet".to_owned(), |last| format!("mail last announced {last}"));
    match watching.withheld {
        0 => format!("by IDLE, push {}; {last}", watching.push),
        times => format!(
            "by IDLE, push {}; {last}; {times} times mail had come unannounced",
            watching.push
        ),
    }
}

/// How much came today; nothing where there is no limit.
fn traffic_line(traffic: TrafficStanding) -> Option<String> {
    const MEBIBYTE: u64 = 1024 * 1024;
    let (received, limit) = (traffic.received_today / MEBIBYTE, traffic.limit? / MEBIBYTE);
    Some(format!("  received today {received} MiB, of at most {limit}"))
}

fn backfill_line(backfill: &BackfillStanding) -> String {
    let found = backfill.found.map_or("not counted yet".to_owned(), |found| found.to_string());
    let held = backfill.held.as_ref().map(|held| format!("; {held}")).unwrap_or_default();
    format!(
        "  backfill of {}: {} of {found} messages looked at{held}",
        backfill.mailbox, backfill.looked_at
    )
}

/// What a mailbox does not let us do; nothing where all is well.
fn mailbox_lines(found: &MailboxStanding) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(reason) = &found.unreadable {
        lines.push(format!("can not be read: {reason}"));
    }
    if found.read_only {
        lines.push("read-only for this login: no keyword is written".to_owned());
    }
    if let Some(reason) = &found.keeps_all {
        lines.push(format!("nothing is moved out of it: {reason}"));
    }
    let disabled = found.disabled_moves.iter();
    lines
        .extend(disabled.map(|(target, reason)| format!("nothing is moved to {target}: {reason}")));
    if found.quarantined > 0 {
        lines.push(format!(
            "{} can not be read and left alone: `triaged retry` tries again",
            found.quarantined
        ));
    }
    let disabled = found.disabled_keywords.iter();
    lines.extend(disabled.map(|(keyword, reason)| format!("{keyword} is not written: {reason}")));
    lines
}

fn at(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_said_with_its_reason() {
        let json = r#"{
            "version": "0.1.0", "ready": false, "model": {"serves": "default-1"},
            "outbox": {"waiting": 3, "oldest": "2026-11-21T10:01:00Z", "failed": 1,
                "last_failure": "escalate: at the recipient (RCPT TO): the server refuses: 550",
                "problem": "at the login: the server refuses: 535 5.7.8"},
            "accounts": {
                "anna": {"state": "watching", "since": "2026-11-21T10:00:00Z", "backlog": 0,
                    "watching": {"mode": "idle", "push": "failing", "withheld": 2,
                        "announced": "2026-11-21T10:05:00Z"},
                    "last_mail": "2026-11-21T10:09:00Z",
                    "mailboxes": {"INBOX": {"read_only": false,
                        "disabled_keywords": {"triaged-urgent": "its table may be full"}},
                        "Lists": {"read_only": true, "quarantined": 2,
                            "disabled_moves": {"Urgent": "the mailbox does not exist"},
                            "keeps_all": "it is read-only for this login"}}},
                "carl": {"state": "over_budget", "since": "2026-11-21T10:00:00Z", "backlog": 7,
                    "reason": "1200 MiB came today", "retry_at": "2026-11-22T00:00:00Z",
                    "traffic": {"received_today": 1258291200, "limit": 1258291200},
                    "backfill": {"mailbox": "INBOX", "since": "2026-10-21T10:00:00Z",
                        "found": 900, "looked_at": 100, "held": "it goes on tomorrow"},
                    "mailboxes": {}},
                "bert": {"state": "waiting", "since": "2026-11-21T10:00:00Z", "backlog": 3,
                    "reason": "the server refused the login", "retry_at": "2026-11-21T10:10:00Z",
                    "mailboxes": {}}
            }
        }"#;
        let status: Status = serde_json::from_str(json).expect("a status");
        insta::assert_snapshot!(as_text(&status, Choice::default(), &TimeZone::UTC), @r"
        triaged 0.1.0, model default-1; 1 of 3 accounts are watched
        alerts: 3 to be sent, the oldest since 2026-11-21 10:01:00
          none can be sent: at the login: the server refuses: 535 5.7.8
          given up in seven days: 1; the last: escalate: at the recipient (RCPT TO): the server refuses: 550

        anna: watching since 2026-11-21 10:00:00
          by IDLE, push failing; mail last announced 2026-11-21 10:05:00; 2 times mail had come unannounced
          last mail 2026-11-21 10:09:00; backlog 0
          INBOX: triaged-urgent is not written: its table may be full
          Lists: read-only for this login: no keyword is written
          Lists: nothing is moved out of it: it is read-only for this login
          Lists: nothing is moved to Urgent: the mailbox does not exist
          Lists: 2 can not be read and left alone: `triaged retry` tries again

        bert: waiting since 2026-11-21 10:00:00
          the server refused the login; next attempt 2026-11-21 10:10:00
          last mail none since the start; backlog 3

        carl: over budget since 2026-11-21 10:00:00
          1200 MiB came today; next attempt 2026-11-22 00:00:00
          last mail none since the start; backlog 7
          received today 1200 MiB, of at most 1200
          backfill of INBOX: 100 of 900 messages looked at; it goes on tomorrow
        ");
    }
}
