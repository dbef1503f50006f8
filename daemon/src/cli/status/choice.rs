//! Which accounts `triaged status` shows: all of a few; of many those in trouble, the worst first, for
//! nobody reads ten thousand lines. And what is said of all of them together.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use triaged::http::{AccountStatus, Status};
use triaged::readiness::{AccountState, ListStanding};

/// What was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choice<'a> {
    /// Every account.
    pub(super) all: bool,
    /// Only this one.
    pub(super) account: Option<&'a str>,
}

/// So many accounts are all shown: they fit on a screen or two.
const FEW: usize = 20;
/// Of more, so many in trouble are.
const MOST: usize = 50;

/// A name and how it stands.
pub(super) type Shown<'s> = (&'s str, &'s AccountStatus);

impl Choice<'_> {
    /// The accounts to show, and a line about those that are not shown.
    pub(super) fn of(self, status: &Status) -> (Vec<Shown<'_>>, Option<String>) {
        let accounts = status.accounts.iter().map(|(name, one)| (name.as_str(), one));
        if let Some(wanted) = self.account {
            let shown: Vec<_> = accounts.filter(|(name, _)| *name == wanted).collect();
            let nobody = shown.is_empty().then(|| format!("\nno account is called {wanted:?}"));
            return (shown, nobody);
        }
        if self.all || status.accounts.len() <= FEW {
            return (accounts.collect(), None);
        }
        let mut shown: Vec<_> = accounts.filter(|(_, one)| trouble(one) > 0).collect();
        shown.sort_by_key(|(name, one)| (std::cmp::Reverse(trouble(one)), *name));
        let troubled = shown.len();
        shown.truncate(MOST);
        let line = match troubled {
            0 => "\nnone of them is in trouble; --all shows each".to_owned(),
            _ if troubled > MOST => {
                format!("\n{} more in trouble; --all shows each account", troubled - MOST)
            }
            _ => "\nthe others are well; --all shows each account".to_owned(),
        };
        (shown, Some(line))
    }
}

/// How much an account needs somebody: 3 nothing is tried, 2 something is in the way, 1 a part of it
/// is left out, 0 all is well or about to be.
fn trouble(account: &AccountStatus) -> u8 {
    let standing = &account.standing;
    let is_partial = standing.mailboxes.values().any(|mailbox| {
        mailbox.read_only
            || mailbox.unreadable.is_some()
            || mailbox.keeps_all.is_some()
            || !mailbox.disabled_moves.is_empty()
            || mailbox.quarantined > 0
            || !mailbox.disabled_keywords.is_empty()
    });
    let withholds = standing.watching.as_ref().is_some_and(|one| one.push == "failing");
    match account.state {
        AccountState::Refused { .. } => 3,
        AccountState::Waiting { .. } => 2,
        _ => u8::from(is_partial || withholds),
    }
}

/// How many accounts are in which state, where there are more than a few.
pub(super) fn totals(status: &Status) -> Option<String> {
    if status.accounts.len() <= FEW {
        return None;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for account in status.accounts.values() {
        *counts.entry(account.state.name()).or_default() += 1;
    }
    let counts = counts.iter().map(|(name, count)| format!("{} {count}", name.replace('_', " ")));
    let backlog: i64 = status.accounts.values().map(|one| one.standing.backlog).sum();
    Some(format!("  {}; backlog {backlog}", counts.collect::<Vec<_>>().join(", ")))
}

/// How the list of a server's users stands.
pub(super) fn list(server: &str, list: &ListStanding, zone: &TimeZone) -> Vec<String> {
    let read = list.read.map_or("not read yet".to_owned(), |read| {
        let users = if list.listed == 1 { "user" } else { "users" };
        let counts = format!("{} of {} {users} chosen", list.chosen, list.listed);
        format!("{counts}, list read {}", super::at(read, zone))
    });
    let problem = list.problem.as_ref();
    let problem = problem.map(|problem| format!("  it can not be renewed: {problem}"));
    [format!("{server}: {read}")].into_iter().chain(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many accounts, which all are watched, some otherwise.
    fn status(count: usize, others: &[(usize, &str)]) -> Status {
        let account = |n: usize| {
            let other = others.iter().find(|(at, _)| *at == n);
            let state = other.map_or(r#""state": "watching""#, |(_, state)| state);
            format!(
                r#""mail/u{n:04}": {{{state}, "since": "2026-11-21T10:00:00Z", "backlog": 1,
                    "mailboxes": {{}}}}"#
            )
        };
        let accounts: Vec<String> = (0..count).map(account).collect();
        let json = format!(
            r#"{{"version": "0.1.0", "ready": false, "model": {{"serves": "default-1"}},
                "accounts": {{{}}}, "lists": {{"mail": {{"listed": 31, "chosen": 30,
                "read": "2026-11-21T10:00:00Z", "problem": "no such socket"}}}}}}"#,
            accounts.join(",")
        );
        serde_json::from_str(&json).expect("a status")
    }

    const WAITING: &str =
        r#""state": "waiting", "reason": "no route", "retry_at": "2026-11-21T10:10:00Z""#;
    const REFUSED: &str = r#""state": "refused", "reason": "wrong password""#;

    #[test]
    fn of_many_accounts_those_in_trouble_come_first_and_the_others_are_counted() {
        let status = status(30, &[(3, WAITING), (7, REFUSED)]);
        let text = super::super::as_text(&status, Choice::default(), &TimeZone::UTC);
        insta::assert_snapshot!(text, @r"
        triaged 0.1.0, model default-1; 28 of 30 accounts are watched
          refused 1, waiting 1, watching 28; backlog 30
        mail: 30 of 31 users chosen, list read 2026-11-21 10:00:00
          it can not be renewed: no such socket

        mail/u0007: refused since 2026-11-21 10:00:00
          wrong password
          last mail none since the start; backlog 1

        mail/u0003: waiting since 2026-11-21 10:00:00
          no route; next attempt 2026-11-21 10:10:00
          last mail none since the start; backlog 1

        the others are well; --all shows each account
        ");
    }

    #[test]
    fn ten_thousand_accounts_are_a_screen_and_each_can_be_asked_for() {
        let troubled: Vec<(usize, &str)> = (0..200).map(|n| (n, WAITING)).collect();
        let status = status(10_000, &troubled);
        let (shown, left_out) = Choice::default().of(&status);
        assert_eq!(shown.len(), MOST);
        assert_eq!(left_out.as_deref(), Some("\n150 more in trouble; --all shows each account"));
        assert_eq!(Choice { all: true, account: None }.of(&status).0.len(), 10_000);
        let one = Choice { all: false, account: Some("mail/u9999") };
        assert_eq!(one.of(&status).0.len(), 1);
        let nobody = Choice { all: false, account: Some("anna") };
        assert!(nobody.of(&status).1.is_some_and(|line| line.contains("\"anna\"")));
    }
}
