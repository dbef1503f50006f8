//! What each account does now, in detail: told by the flows, asked by `triaged status`.
//!
//! Whether an account is watched at all stands in `readiness`; here stands how, and what of its
//! mailboxes is left out. Deliberately absent: a decision about anything, and any text of a mail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How an account is watched and what its mailboxes refuse.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How new mail is noticed; absent before the first wait of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watching: Option<Watching>,
    /// Messages that are known and not settled yet.
    pub backlog: i64,
    /// When mail last went through the pipe; absent before the first since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_mail: Option<Timestamp>,
    /// The mailboxes that were opened or could not be, by name.
    pub mailboxes: BTreeMap<String, MailboxStanding>,
    /// What came from its server; absent before the first wait of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficStanding>,
    /// The request for older mail that is worked on, or is next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillStanding>,
    /// What the daemon is called that has the account; absent where nobody shares, or nobody has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// How this daemon shares the accounts with others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharingStanding {
    /// What this daemon is called.
    pub instance: String,
    /// All that share the database, by name.
    pub instances: Vec<InstanceStanding>,
    /// Why the lease can not be renewed now; what is above was so before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// One of the daemons that share a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStanding {
    /// What its configuration calls it.
    pub name: String,
    /// Whether it is the one that answers.
    pub this: bool,
    /// Of the shards in which there are accounts here, how many it has.
    pub shards: usize,
    /// For how long it was not seen to renew its lease.
    pub silent_seconds: u64,
}

/// What came from an account's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficStanding {
    /// Bytes on this day in UTC, after TLS.
    pub received_today: u64,
    /// The most that there may be in a day; absent where there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// How a request for older mail stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillStanding {
    /// Of this mailbox.
    pub mailbox: String,
    /// Mail that was received earlier is left alone.
    pub since: Timestamp,
    /// Messages in all; absent before the server was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// Of these, looked at.
    pub looked_at: u64,
    /// Why it does not go on for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// How new mail is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// `idle`: the server announces it in the main mailbox; `poll`: it is asked; `turns`: it is asked
    /// by one connection after the other, because there are more accounts than places.
    pub mode: WatchMode,
    /// Whether its announcements can be relied on: unproven, verified, failing.
    pub push: String,
    /// When it last announced mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced: Option<Timestamp>,
    /// How often mail had come and nothing was said.
    pub withheld: u64,
}

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchMode {
    /// The server does.
    Idle,
    /// We do.
    Poll,
    /// We do, in turns with other accounts.
    Turns,
}

/// What a mailbox lets us do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxStanding {
    /// Why it can not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Whether the server lets us change nothing in it.
    pub read_only: bool,
    /// Why no message can be moved out of it, where any is to be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keeps_all: Option<String>,
    /// Mailboxes that took no message out of it at the last attempt, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub disabled_moves: BTreeMap<String, String>,
    /// Messages in it that can not be read, and are left alone until `triaged retry`.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub quarantined: u64,
    /// Keywords that are not written to it for now, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub disabled_keywords: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it in so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The board of all accounts; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    board: Arc<Mutex<BTreeMap<String, Entry>>>,
    sharing: Arc<Mutex<Option<SharingStanding>>>,
}

#[derive(Debug, Default)]
struct Entry {
    standing: Standing,
    backlog: Arc<AtomicI64>,
}

impl Standings {
    /// Changes what stands there of an account.
    pub fn note(&self, account: &str, change: impl FnOnce(&mut Standing)) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut board.entry(account.to_owned()).or_default().standing);
    }

    /// Takes the backlog of an account from where its flow counts it.
    pub fn count_backlog(&self, account: &str, backlog: Arc<AtomicI64>) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.entry(account.to_owned()).or_default().backlog = backlog;
    }

    /// Takes an account that is not watched any more off the board.
    pub fn forget(&self, account: &str) {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }

    /// Changes what stands there of those who share the accounts.
    pub fn share(&self, change: impl FnOnce(&mut Option<SharingStanding>)) {
        change(&mut self.sharing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Who shares the accounts, if anybody does.
    pub fn sharing(&self) -> Option<SharingStanding> {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What stands there of all accounts.
    pub fn all(&self) -> BTreeMap<String, Standing> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let now = |Entry { standing, backlog }: &Entry| Standing {
            backlog: backlog.load(Ordering::Relaxed),
            ..standing.clone()
        };
        board.iter().map(|(account, entry)| (account.clone(), now(entry))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_told_and_comes_back_from_json() {
        let standings = Standings::default();
        standings.clone().note("anna", |standing| {
            let disabled = ("triaged-urgent".to_owned(), "it was refused".to_owned());
            standing.mailboxes.insert(
                "INBOX".to_owned(),
                MailboxStanding {
                    disabled_keywords: [disabled].into(),
                    ..MailboxStanding::default()
                },
            );
            standing.watching = Some(Watching {
                mode: WatchMode::Idle,
                push: "unproven".to_owned(),
                announced: None,
                withheld: 0,
            });
        });
        let all = standings.all();
        let json = serde_json::to_string(&all).expect("serialises");
        insta::assert_snapshot!(json, @r#"{"anna":{"watching":{"mode":"idle","push":"unproven","withheld":0},"backlog":0,"mailboxes":{"INBOX":{"read_only":false,"disabled_keywords":{"triaged-urgent":"it was refused"}}}}}"#);
        let again: BTreeMap<String, Standing> = serde_json::from_str(&json).expect("parses");
        assert_eq!(again, all);
    }
}
