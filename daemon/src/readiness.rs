//! What state each account is in: told by the flows, asked by /readyz, systemd and the metrics.
//!
//! Deliberately absent: a decision about anything. A state here changes no behaviour.

mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use state::AccountState;

/// The state of one account and when it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Standing {
    #[serde(flatten)]
    state: AccountState,
    since: Timestamp,
}

/// The list of a server's users: who is watched, and whether the list is the newest one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListStanding {
    /// How many users there are.
    pub listed: usize,
    /// How many of them are chosen to be watched.
    pub chosen: usize,
    /// When it was last read; absent before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Timestamp>,
    /// Why it could not be read the last time; what was read before holds on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Which model serves, and whether it is the one that shall.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStanding {
    /// Its name and version, for example `default-1`.
    pub serves: String,
    /// Why the version that shall serve does not, while another one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// How the outbox stands: mails of alerts that wait, and what is in their way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxStanding {
    /// Mails that wait, digests of this hour included.
    pub waiting: u64,
    /// Since when the oldest of them could have been sent; absent where none could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// Mails of the last seven days that were given up.
    pub failed: u64,
    /// The rule of the last of these, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// Why nothing can be sent now; absent where it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The board on which every account's state stands, and the model's; clones share it.
#[derive(Debug, Clone)]
pub struct Readiness {
    board: Arc<watch::Sender<Board>>,
    model: Arc<Mutex<ModelStanding>>,
    outbox: Arc<Mutex<Option<OutboxStanding>>>,
}

/// What stands on it.
#[derive(Debug, Clone, Default)]
struct Board {
    accounts: BTreeMap<String, Standing>,
    /// By the name of the server.
    lists: BTreeMap<String, ListStanding>,
    /// Why the database does not do its work; `None` while it does.
    database: Option<String>,
}

/// So many accounts in trouble tell enough about a start: a server that is down refuses ten thousand
/// for longer than anybody waits.
const ENOUGH: usize = 20;

impl Board {
    /// Whether every account of every list is watched, by this daemon or another one, and what is done
    /// can be written down.
    fn is_ready(&self) -> bool {
        let is_well =
            |one: &Standing| matches!(one.state, AccountState::Watching | AccountState::Elsewhere);
        self.database.is_none()
            && self.accounts.values().all(is_well)
            && self.lists.values().all(|list| list.read.is_some())
    }

    /// Whether somebody is logged in, or it is known why nobody is.
    fn is_settled(&self) -> bool {
        let logged_in = [AccountState::CatchingUp, AccountState::Watching];
        let starting = self.accounts.values().filter(|one| one.state == AccountState::Starting);
        let known = self.accounts.len() - starting.count();
        let read = |list: &ListStanding| list.read.is_some() || list.problem.is_some();
        self.accounts.values().any(|one| logged_in.contains(&one.state))
            || known >= ENOUGH
            || (known == self.accounts.len() && self.lists.values().all(read))
    }
}

/// All accounts, the database, the model and the outbox as they stand, for /readyz. A refused model is
/// no reason not to be ready: the one before serves. Nor are alerts that can not be sent: mail gets
/// its labels.
#[derive(Debug, Serialize)]
pub struct Report {
    ready: bool,
    model: ModelStanding,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    accounts: BTreeMap<String, Standing>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<String, ListStanding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outbox: Option<OutboxStanding>,
}

impl Report {
    /// Whether every account is watched.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Each account's state, with the moment since which it is in it.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, &AccountState, Timestamp)> {
        self.accounts.iter().map(|(name, one)| (name.as_str(), &one.state, one.since))
    }

    /// The lists of servers' users, by the name of the server.
    pub fn lists(&self) -> &BTreeMap<String, ListStanding> {
        &self.lists
    }

    /// Why the database does not do its work; `None` while it does.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The names of the states with the number of accounts in each, in a fixed order.
    pub fn counts(&self) -> [(&'static str, usize); AccountState::NAMES.len()] {
        AccountState::NAMES.map(|name| {
            (name, self.accounts.values().filter(|account| account.state.name() == name).count())
        })
    }
}

impl fmt::Display for Report {
    /// One line for `systemctl status`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watching =
            self.accounts.values().filter(|one| one.state == AccountState::Watching).count();
        write!(f, "watching {watching} of {} accounts", self.accounts.len())?;
        let elsewhere =
            self.accounts.values().filter(|one| one.state == AccountState::Elsewhere).count();
        if elsewhere > 0 {
            write!(f, ", {elsewhere} are with other daemons")?;
        }
        let waiting =
            self.accounts.iter().find_map(|(name, one)| Some((name, one.state.reason()?)));
        let unread =
            self.lists.iter().find_map(|(name, list)| Some((name, list.problem.as_deref()?)));
        let database = self.database().map(|reason| ("database", reason));
        let unread = unread.map(|(name, reason)| (name.as_str(), reason));
        let waiting = waiting.map(|(name, reason)| (name.as_str(), reason));
        let trouble = database.or(unread).or(waiting);
        trouble.map_or(Ok(()), |(name, reason)| write!(f, "; {name}: {reason}"))
    }
}

impl Readiness {
    /// A board on which all `accounts` (their configured names) are starting.
    pub fn new(accounts: impl IntoIterator<Item = String>, now: Timestamp) -> Self {
        let starting = Standing { state: AccountState::Starting, since: now };
        let accounts = accounts.into_iter().map(|name| (name, starting.clone())).collect();
        let board = Board { accounts, ..Board::default() };
        Self {
            board: Arc::new(watch::Sender::new(board)),
            model: Arc::default(),
            outbox: Arc::default(),
        }
    }

    /// Writes down which model serves.
    pub fn set_model(&self, model: ModelStanding) {
        *self.model.lock().unwrap_or_else(PoisonError::into_inner) = model;
    }

    /// Which model serves, as it was written down last.
    pub fn model(&self) -> ModelStanding {
        self.model.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down how the outbox stands.
    pub fn set_outbox(&self, standing: OutboxStanding) {
        *self.outbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing);
    }

    /// How the outbox stands; `None` where there are no alerts.
    pub fn outbox(&self) -> Option<OutboxStanding> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down that `account` is in `state` at `now`. Saying the same again changes nothing;
    /// a new reason or time of retry keeps the moment since which the account waits.
    pub fn set(&self, account: &str, state: AccountState, now: Timestamp) {
        self.board.send_if_modified(|board| match board.accounts.get_mut(account) {
            Some(standing) if standing.state == state => false,
            Some(standing) if standing.state.name() == state.name() => {
                standing.state = state;
                true
            }
            _ => {
                board.accounts.insert(account.to_owned(), Standing { state, since: now });
                true
            }
        });
    }

    /// Takes an account that is not watched any more off the board.
    pub fn forget(&self, account: &str) {
        self.board.send_if_modified(|board| board.accounts.remove(account).is_some());
    }

    /// Writes down how the list of a server's users stands.
    pub fn set_list(&self, server: &str, standing: ListStanding) {
        self.board.send_modify(|board| {
            board.lists.insert(server.to_owned(), standing);
        });
    }

    /// Writes down why the database does not do its work; `None` where it does.
    pub fn set_database(&self, problem: Option<String>) {
        self.board.send_if_modified(|board| {
            let is_news = board.database != problem;
            board.database = problem;
            is_news
        });
    }

    /// How all accounts stand now.
    pub fn report(&self) -> Report {
        let (ready, Board { accounts, lists, database }) = {
            let board = self.board.borrow();
            (board.is_ready(), board.clone())
        };
        let outbox = self.outbox();
        Report { ready, model: self.model(), database, accounts, lists, outbox }
    }

    /// Waits until the first account is logged in, or until it is known why none is.
    pub async fn settled(&self) {
        let mut changes = self.board.subscribe();
        // The sender lives in `self`, so waiting can not fail.
        let _ = changes.wait_for(Board::is_settled).await;
    }

    /// A new reader of changes, who is told of those that come after this call.
    pub fn changes(&self) -> Changes {
        Changes { board: self.board.subscribe() }
    }
}

/// Tells when the board changed.
#[derive(Debug)]
pub struct Changes {
    board: watch::Receiver<Board>,
}

impl Changes {
    /// Waits for the next change; for ever when there can be none.
    pub async fn next(&mut self) {
        if self.board.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests;
