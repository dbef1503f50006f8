//! The life of one account: connect, catch up, watch, and come back after every failure.
//!
//! One task owns the account's only connection. Whatever goes wrong ends the connection, never
//! the task: it waits, longer each time, and begins anew from the cursor.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use triaged_core::backoff;
use triaged_core::config::AccountConfig;
use triaged_core::sync::MailboxStatus;

use crate::clock::jitter;
use crate::imap::{Endpoint, ImapError, Session, Woken};
use crate::lifecycle::Heartbeat;
use crate::pipeline::{FlowError, OpenMailbox, Pipeline};
use crate::readiness::{AccountState, Readiness};
use crate::secret;
use crate::store::Account;

/// A server or a router may drop a connection that says nothing for longer (IMAP.md: 4 to 9
/// minutes); each renewal also looks at the mailbox, so that a push that died is made up for.
const LONGEST_IDLE: Duration = Duration::from_secs(4 * 60);

/// One account with all that its flow needs.
pub struct Watcher {
    /// What the configuration says of it.
    pub config: AccountConfig,
    /// Its row in the store.
    pub account: Account,
    /// The way of its messages.
    pub pipeline: Pipeline,
    /// Where its state is shown.
    pub readiness: Readiness,
    /// Beats whenever the flow goes round.
    pub heartbeat: Heartbeat,
}

/// Why a connection's life ended without an error.
enum Ended {
    Stopped,
}

impl Watcher {
    /// Watches until `stop`; every failure on the way is reported, counted and tried again.
    pub async fn run(self, stop: CancellationToken) {
        let mut attempt: u32 = 0;
        while !stop.is_cancelled() {
            self.show(AccountState::Starting);
            let error = match self.connection(&stop, &mut attempt).await {
                Ok(Ended::Stopped) => break,
                Err(error) => error,
            };
            attempt = attempt.saturating_add(1);
            let delay = backoff::delay(attempt, jitter());
            self.report(&error, attempt, delay);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(delay) => {}
            }
        }
        self.show(AccountState::Stopped);
    }

    /// One connection from its beginning to its end. `attempt` goes back to zero once the account
    /// has been caught up.
    async fn connection(
        &self,
        stop: &CancellationToken,
        attempt: &mut u32,
    ) -> Result<Ended, FlowError> {
        let mut session = tokio::select! {
            () = stop.cancelled() => return Ok(Ended::Stopped),
            session = self.connect() => session?,
        };
        let ended = self.watch(&mut session, stop, attempt).await;
        if ended.is_ok() {
            session.logout().await;
        }
        ended
    }

    async fn connect(&self) -> Result<Session, FlowError> {
        let password = secret::read(&self.config.secret)?;
        let endpoint = Endpoint::of(&self.config);
        Ok(Session::connect(&endpoint, &self.config.user, &password).await?)
    }

    async fn watch(
        &self,
        session: &mut Session,
        stop: &CancellationToken,
        attempt: &mut u32,
    ) -> Result<Ended, FlowError> {
        let Some((main, others)) = self.config.mailboxes.split_first() else {
            return Ok(Ended::Stopped);
        };
        let mut seen: Vec<Option<MailboxStatus>> = vec![None; others.len()];
        let mut open: Option<OpenMailbox> = None;
        loop {
            for (name, seen) in others.iter().zip(&mut seen) {
                if self.visit(session, name, seen, stop).await? {
                    open = None;
                }
            }
            let mailbox = match &mut open {
                Some(mailbox) => mailbox,
                None => open.insert(self.open(session, main).await?),
            };
            self.pipeline.catch_up(session, mailbox, stop).await?;
            if stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            *attempt = 0;
            self.show(watching(mailbox));
            if self.wait(session, stop).await? == Woken::Stopped {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Takes a mailbox that is not the main one through the pipe, if anything in it is new;
    /// `true` when it was selected for that.
    async fn visit(
        &self,
        session: &mut Session,
        name: &str,
        seen: &mut Option<MailboxStatus>,
        stop: &CancellationToken,
    ) -> Result<bool, FlowError> {
        let status = match session.status(name).await {
            Err(error) if error.concerns_mailbox_only() => {
                self.passed_over(name, &error);
                return Ok(false);
            }
            status => status?,
        };
        if *seen == Some(status) && status.uid_next.is_some() {
            return Ok(false);
        }
        match self.open(session, name).await {
            Err(FlowError::Imap(error)) if error.concerns_mailbox_only() => {
                self.passed_over(name, &error);
            }
            mailbox => self.pipeline.catch_up(session, &mut mailbox?, stop).await?,
        }
        *seen = Some(status);
        Ok(true)
    }

    async fn open(&self, session: &mut Session, name: &str) -> Result<OpenMailbox, FlowError> {
        let AccountConfig { backfill, mode, .. } = self.config;
        let mailbox = self.pipeline.open(session, self.account, name, backfill, mode).await?;
        if mailbox.read_only() {
            tracing::warn!(account = %self.config.name, mailbox = name, "the mailbox is read-only for this login: its mail is classified and gets no keywords; grant the right to set flags (ACL `w` and `s`)");
        }
        Ok(mailbox)
    }

    /// Waits for new mail: by IDLE where the server has it and nothing else is to be looked at
    /// sooner, else by asking again.
    async fn wait(&self, session: &mut Session, stop: &CancellationToken) -> Result<Woken, FlowError> {
        self.heartbeat.beat();
        let alone = self.config.mailboxes.len() == 1;
        if session.capabilities().has("IDLE") {
            let longest = if alone { LONGEST_IDLE } else { self.config.poll.min(LONGEST_IDLE) };
            return Ok(session.idle(longest, stop).await?);
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(Woken::Stopped),
            () = tokio::time::sleep(self.config.poll) => {}
        }
        session.noop().await?;
        Ok(Woken::Timeout)
    }

    fn passed_over(&self, mailbox: &str, error: &ImapError) {
        self.pipeline.metrics.imap_error(error.kind());
        tracing::warn!(account = %self.config.name, mailbox, %error, "a mailbox can not be read and is passed over until the next look");
    }

    fn report(&self, error: &FlowError, attempt: u32, delay: Duration) {
        if let FlowError::Imap(error) = error {
            self.pipeline.metrics.imap_error(error.kind());
        }
        tracing::warn!(account = %self.config.name, %error, attempt, retry_in_seconds = delay.as_secs_f64(), "the account is not watched for now");
        self.show(AccountState::Waiting {
            reason: error.to_string(),
            retry_at: self.pipeline.clock.now() + delay,
        });
    }

    fn show(&self, state: AccountState) {
        self.readiness.set(&self.config.name, state, self.pipeline.clock.now());
    }
}

fn watching(mailbox: &OpenMailbox) -> AccountState {
    if mailbox.read_only() { AccountState::ReadOnly } else { AccountState::Watching }
}
