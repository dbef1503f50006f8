//! The life of one account: connect, catch up, watch, and come back after every failure.
//!
//! One task owns the account's only connection. Whatever goes wrong ends the connection, never
//! the task: it waits, longer each time, and begins anew from the cursor.

mod door;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use triaged_core::backoff;
use triaged_core::config::AccountConfig;
use triaged_core::sync::MailboxStatus;

use crate::clock::jitter;
use crate::imap::{ImapError, Session, Woken};
use crate::metrics::{Backlog, Connection, ConnectionState};
use crate::pipeline::{Caution, FlowError, OpenMailbox, Pace, Pipeline};
use crate::pulse::Heart;
use crate::readiness::{AccountState, Readiness};
use crate::store::Account;

pub use self::door::Door;

/// A server or a router may drop a connection that says nothing for longer (4 to 9 minutes are
/// safe); each renewal also looks at the mailbox, so that a push that has died is made up for.
const LONGEST_IDLE: Duration = Duration::from_mins(4);

/// How long a step may take that is not a chunk: a login, a SELECT, a wait, each with room.
pub const STEP: Duration = Duration::from_mins(15);

/// A connection that lasted this long was of use.
const OF_USE: Duration = Duration::from_mins(1);

/// After a server said that it was too much.
const SHORT_PAUSE: Duration = Duration::from_mins(1);
/// No server may send us away for longer.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// One account with all that its flow needs.
pub struct Watcher {
    /// What it logs in with, and whether it may.
    pub door: Door,
    /// What the configuration says of it.
    pub config: AccountConfig,
    /// Its row in the store.
    pub account: Account,
    /// The way of its messages.
    pub pipeline: Pipeline,
    /// Where its state is shown.
    pub readiness: Readiness,
    /// Beats whenever the flow goes round.
    pub heart: Heart,
    /// Which listings earlier connections died of.
    pub listing: Caution,
    /// Which messages earlier connections died of.
    pub reading: Caution,
}

/// One connection, from login to its end.
struct Life<'a> {
    session: Session,
    gauge: Connection,
    backlog: Backlog,
    stop: &'a CancellationToken,
    /// The main mailbox, while it is selected.
    main: Option<OpenMailbox>,
    /// What the server said of the other mailboxes when they were looked at last.
    seen: Vec<Option<MailboxStatus>>,
    /// Whether the server tells of new mail by itself.
    idles: bool,
    /// The mailboxes that could not be read at the last look, each with the reason.
    passed_over: Vec<String>,
    /// What was said of mailboxes already, so that each look does not say it again.
    said: BTreeSet<(String, &'static str)>,
}

impl Watcher {
    /// Watches until `stop`; every failure on the way is reported, counted and tried again.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut attempt: u32 = 0;
        while !stop.is_cancelled() {
            self.heart.beat(STEP);
            let began = self.pipeline.clock.monotonic();
            let Err(error) = self.connection(&stop).await else { break };
            if self.door.shuts_after(&error) {
                self.report_shut(&error);
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.door.opened(&self.heart) => attempt = 0,
                }
                tracing::info!(account = %self.config.name, "the login is tried again");
                continue;
            }
            // A connection that was of use for a while begins the count anew; one that only ever
            // logs in and is thrown out does not.
            let lasted = self.pipeline.clock.monotonic().duration_since(began) > OF_USE;
            attempt = if lasted { 1 } else { attempt.saturating_add(1) };
            let delay = backoff::delay(attempt, jitter()).max(pause(&error));
            self.report(&error, attempt, delay);
            self.heart.beat(STEP + delay);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(delay) => self.pipeline.metrics.reconnected(),
            }
        }
        self.show(AccountState::Stopped);
    }

    /// One connection from its beginning to its end; `Ok` when it ended because of `stop`.
    async fn connection(&mut self, stop: &CancellationToken) -> Result<(), FlowError> {
        let gauge = self.pipeline.metrics.connection(ConnectionState::Connecting);
        let session = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            session = self.door.enter(&self.config) => session?,
        };
        tracing::info!(account = %self.config.name, "logged in");
        self.show(AccountState::CatchingUp);
        let backlog = self.pipeline.metrics.backlog();
        let seen = vec![None; self.config.mailboxes.len()];
        let idles = session.capabilities().has("IDLE");
        let mut life = Life {
            session,
            gauge,
            backlog,
            stop,
            main: None,
            seen,
            idles,
            passed_over: Vec::new(),
            said: BTreeSet::new(),
        };
        loop {
            life.gauge.becomes(ConnectionState::Working);
            self.look_at_all(&mut life).await?;
            if stop.is_cancelled() {
                break;
            }
            self.show(self.standing(&life));
            life.gauge.becomes(ConnectionState::Waiting);
            self.heart.beat(STEP + self.config.poll);
            if self.wait(&mut life).await? == Woken::Stopped {
                break;
            }
        }
        life.session.logout().await;
        Ok(())
    }

    /// Takes every mailbox with new mail through the pipe; the main one last, so that it stays
    /// selected and IDLE watches it.
    async fn look_at_all(&self, life: &mut Life<'_>) -> Result<(), FlowError> {
        let Some((main, others)) = self.config.mailboxes.split_first() else { return Ok(()) };
        life.passed_over.clear();
        for (position, name) in others.iter().enumerate() {
            self.look_at(life, position, name).await?;
        }
        if life.main.is_none() {
            life.main = Some(self.open(life, main).await?);
        }
        match &mut life.main {
            Some(mailbox) => {
                let pace = self.pace(life.stop, &life.backlog);
                self.pipeline.catch_up(&mut life.session, mailbox, &pace).await
            }
            None => Ok(()),
        }
    }

    /// Takes a mailbox that is not the main one through the pipe, if anything in it is new. One
    /// that can not be read is reported and does not cost the others.
    async fn look_at(
        &self,
        life: &mut Life<'_>,
        position: usize,
        name: &str,
    ) -> Result<(), FlowError> {
        let status = match life.session.status(name).await {
            Err(error) if concerns_mailbox_only(&error) => {
                self.passed_over(life, name, &error);
                return Ok(());
            }
            status => status?,
        };
        if life.seen.get(position) == Some(&Some(status)) && status.uid_next.is_some() {
            return Ok(());
        }
        life.main = None;
        match self.open(life, name).await {
            Err(FlowError::Imap(error)) if concerns_mailbox_only(&error) => {
                self.passed_over(life, name, &error);
                return Ok(());
            }
            mailbox => {
                let pace = self.pace(life.stop, &life.backlog);
                let mut mailbox = mailbox?;
                let done = self.pipeline.catch_up(&mut life.session, &mut mailbox, &pace).await;
                match done {
                    Err(FlowError::Imap(error)) if concerns_mailbox_only(&error) => {
                        self.passed_over(life, name, &error);
                        return Ok(());
                    }
                    done => done?,
                }
            }
        }
        if let Some(seen) = life.seen.get_mut(position) {
            *seen = Some(status);
        }
        Ok(())
    }

    fn pace<'a>(&'a self, stop: &'a CancellationToken, backlog: &'a Backlog) -> Pace<'a> {
        let Self { heart, listing, reading, .. } = self;
        Pace { stop, heart, backlog, listing, reading }
    }

    async fn open(&self, life: &mut Life<'_>, name: &str) -> Result<OpenMailbox, FlowError> {
        self.heart.beat(STEP);
        let AccountConfig { backfill, mode, .. } = self.config;
        let session = &mut life.session;
        let mailbox = self.pipeline.open(session, self.account, name, backfill, mode).await?;
        if mailbox.read_only() && life.said.insert((name.to_owned(), "read-only")) {
            tracing::warn!(account = %self.config.name, mailbox = name, "the mailbox is read-only for this login: its mail is classified and gets no keywords; grant the right to set flags (the ACL rights s and w)");
        }
        Ok(mailbox)
    }

    /// Waits for new mail: by IDLE where the server has it, but not past the next look at the
    /// other mailboxes; else by asking again.
    async fn wait(&self, life: &mut Life<'_>) -> Result<Woken, FlowError> {
        if life.idles {
            let alone = self.config.mailboxes.len() == 1;
            let longest = if alone { LONGEST_IDLE } else { self.config.poll.min(LONGEST_IDLE) };
            match life.session.idle(longest, life.stop).await {
                Err(error) if !error.ends_connection() => {
                    tracing::warn!(account = %self.config.name, %error, poll_seconds = self.config.poll.as_secs(), "the server offers IDLE and refuses it: polling instead");
                    life.idles = false;
                }
                woken => return Ok(woken?),
            }
        }
        tokio::select! {
            () = life.stop.cancelled() => return Ok(Woken::Stopped),
            () = tokio::time::sleep(self.config.poll) => {}
        }
        life.session.noop().await?;
        Ok(Woken::Timeout)
    }

    fn passed_over(&self, life: &mut Life<'_>, mailbox: &str, error: &ImapError) {
        self.pipeline.metrics.imap_error(error.kind());
        life.passed_over.push(format!("{mailbox}: {error}"));
        if life.said.insert((mailbox.to_owned(), error.kind())) {
            tracing::warn!(account = %self.config.name, mailbox, %error, "a mailbox can not be read and is passed over; it is looked at again with each poll");
        }
    }

    fn count(&self, error: &FlowError) {
        match error {
            FlowError::Imap(error) => self.pipeline.metrics.imap_error(error.kind()),
            FlowError::Credential(_) => self.pipeline.metrics.imap_error("credential"),
            _ => {}
        }
        if door::is_refusal(error) {
            self.pipeline.metrics.login_refused();
        }
    }

    /// Says that nothing is tried any more, and what to do.
    fn report_shut(&self, error: &FlowError) {
        self.count(error);
        let reason = self.door.reason(error);
        tracing::error!(account = %self.config.name, reason, "the account is not watched until somebody has done something");
        self.show(AccountState::Refused { reason });
    }

    fn report(&self, error: &FlowError, attempt: u32, delay: Duration) {
        self.count(error);
        tracing::warn!(account = %self.config.name, %error, attempt, retry_in_seconds = delay.as_secs_f64(), "the account is not watched for now");
        let retry_at = later(self.pipeline.clock.now(), delay);
        self.show(AccountState::Waiting { reason: error.to_string(), retry_at });
    }

    /// Watching, if every mailbox could be read.
    fn standing(&self, life: &Life<'_>) -> AccountState {
        if life.passed_over.is_empty() {
            return AccountState::Watching;
        }
        AccountState::Waiting {
            reason: life.passed_over.join("; "),
            retry_at: later(self.pipeline.clock.now(), self.config.poll),
        }
    }

    fn show(&self, state: AccountState) {
        self.readiness.set(&self.config.name, state, self.pipeline.clock.now());
    }
}

/// The least pause before the next attempt: what the server asked for, within reason, and more
/// after it said that it was too much.
fn pause(error: &FlowError) -> Duration {
    let (asked, least) = match error {
        FlowError::Imap(error @ ImapError::Throttled(_)) => (error.retry_after(), SHORT_PAUSE),
        FlowError::Imap(error) => (error.retry_after(), Duration::ZERO),
        FlowError::Credential(error) => (error.retry_after(), Duration::ZERO),
        _ => (None, Duration::ZERO),
    };
    asked.unwrap_or_default().min(LONGEST_PAUSE).max(least)
}

fn later(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// Whether an error is about one mailbox, so that the connection can go on with the others.
fn concerns_mailbox_only(error: &ImapError) -> bool {
    !error.ends_connection()
        && !matches!(error, ImapError::Throttled(_) | ImapError::Unavailable(_))
}
