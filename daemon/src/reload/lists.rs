//! The lists of servers' users: read at the start, when their file changes, every few minutes, and at
//! SIGHUP; what is new in one goes to the supervisor.
//!
//! A list that can not be read, or has nobody in it, changes nothing: the last good one holds, and
//! log, /readyz and status say so. Deliberately absent: what a list means, which is the core's.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use notify::RecommendedWatcher;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use triaged_core::config::{AccountConfig, ServerConfig, UserSource};
use triaged_core::roster::{Listing, Roster};

use super::{settled, watch_folder};
use crate::clock::Clock;
use crate::pulse::Heart;
use crate::readiness::{ListStanding, Readiness};
use crate::roster;
use crate::supervisor::{Entrance, Roll};

/// How soon a list is tried again that could not be read, unless it is renewed sooner anyway.
const AGAIN: Duration = Duration::from_secs(30);
/// Longer than a program that prints a list may take.
const READING: Duration = Duration::from_mins(5);

/// Whose mailbox on which server: by it, accounts of the configuration are recognised in a list.
pub type Whose = (String, u16, String);

/// Whose mailbox an account is.
pub fn whose(account: &AccountConfig) -> Whose {
    let user = account.authorize_as.as_ref().unwrap_or(&account.user);
    (account.host.to_ascii_lowercase(), account.port, user.to_lowercase())
}

/// The list of one server.
pub struct UserList {
    /// The server.
    pub server: ServerConfig,
    /// How its accounts get in.
    pub entrance: Entrance,
    /// Mailboxes that have an account of their own in the configuration.
    pub own: BTreeSet<Whose>,
    /// Where a new list goes.
    pub rolls: mpsc::Sender<Roll>,
    /// Where it is shown how the list stands.
    pub readiness: Readiness,
    /// The time.
    pub clock: Clock,
    /// Changes at SIGHUP.
    pub hangup: watch::Receiver<u32>,
    /// Beats whenever the list was looked at.
    pub heart: Heart,
}

/// What the last look left.
#[derive(Default)]
struct Last {
    users: Vec<String>,
    standing: ListStanding,
}

impl UserList {
    /// Reads the list again and again until `stop`.
    ///
    /// # Errors
    /// Never: a list that can not be read is a state of the server.
    pub async fn keep_up(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        let (changed, mut word) = mpsc::channel(1);
        let _watcher = self.watch(changed);
        let mut last = Last::default();
        self.readiness.set_list(&self.server.name, last.standing.clone());
        loop {
            self.heart.beat(READING);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.look(&mut last) => {}
            }
            let pause = match last.standing.problem {
                Some(_) => self.server.renew.min(AGAIN),
                None => self.server.renew,
            };
            self.heart.beat(pause + READING);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Ok(()) = self.hangup.changed() => {}
                Some(()) = word.recv() => settled(&mut word, &stop).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends word of each change in the folder of the file, which editors replace by rename. Where
    /// that can not be, the list is renewed in its time all the same.
    fn watch(&self, changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
        let UserSource::File(path) = &self.server.source else { return None };
        let folder = path.parent()?;
        let watched = watch_folder(folder, changed);
        watched.map_err(|error| {
            tracing::warn!(server = self.server.name, folder = %folder.display(), %error, "the folder of the list of users can not be watched; the list is read again every `renew_minutes`, and at SIGHUP");
        }).ok()
    }

    /// Reads the list; a new one is told.
    async fn look(&self, last: &mut Last) {
        match roster::read(&self.server.source).await {
            Ok(listing) => {
                last.standing.read = Some(self.clock.now());
                last.standing.problem = None;
                if listing.users != last.users {
                    self.tell(listing, last).await;
                }
            }
            Err(error) => {
                let problem = error.to_string();
                if last.standing.problem.as_ref() != Some(&problem) {
                    tracing::error!(server = self.server.name, %error, watched = last.standing.chosen, "the list of users can not be renewed; the one before holds");
                }
                last.standing.problem = Some(problem);
            }
        }
        self.readiness.set_list(&self.server.name, last.standing.clone());
    }

    async fn tell(&self, listing: Listing, last: &mut Last) {
        let mut roster = self.server.roster(&listing.users);
        let all = roster.accounts.len();
        roster.accounts.retain(|account| !self.own.contains(&whose(account)));
        self.say(&listing, &roster, all - roster.accounts.len());
        last.standing.listed = roster.listed;
        last.standing.chosen = roster.accounts.len();
        last.users = listing.users;
        let (server, entrance) = (self.server.name.clone(), self.entrance.clone());
        // Who does not listen any more is ending.
        let _ = self.rolls.send(Roll { server, entrance, accounts: roster.accounts }).await;
    }

    /// What an administrator may want to know of a list, each in a line.
    fn say(&self, listing: &Listing, roster: &Roster, own: usize) {
        let server = self.server.name.as_str();
        tracing::info!(
            server,
            users = roster.listed,
            chosen = roster.accounts.len(),
            listed_twice = listing.twice,
            with_an_account_of_their_own = own,
            "the list of users was read"
        );
        if let Some((line, what)) = listing.wrong.first() {
            let lines = listing.wrong.len();
            tracing::warn!(server, line, what, lines, "lines of the list of users name nobody");
        }
        if roster.ambiguous > 0 {
            let users = roster.ambiguous;
            tracing::warn!(
                server,
                users,
                "users with the separator in their name can not be opened by it; without `separator` they can"
            );
        }
        if !roster.nobody.is_empty() {
            let count = roster.nobody.len();
            tracing::warn!(
                server,
                count,
                "`only`, `except` or [[server.user]] names users that are not in the list; `triaged check` says which"
            );
        }
    }
}
