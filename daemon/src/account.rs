//! The life of one account: connect, catch up, watch, and come back after every failure.
//!
//! One task owns the account's only connection. Whatever goes wrong ends the connection, never
//! the task: it waits, longer each time, and begins anew from the cursor.

mod again;
mod backfill;
mod door;
mod gate;
mod pause;
mod show;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use triaged_core::backoff;
use triaged_core::config::AccountConfig;
use triaged_core::push::PushRecord;
use triaged_core::rate::Rate;
use triaged_core::sync::MailboxStatus;

use crate::clock::jitter;
use crate::imap::{ImapError, Session, Woken};
use crate::metrics::{Backlog, Connection, ConnectionState};
use crate::pipeline::{Caught, Caution, FlowError, OpenMailbox, Pace, Pipeline, Terms};
use crate::pulse::Heart;
use crate::readiness::{AccountState, Readiness};
use crate::standing::Standings;
use crate::store::Account;

pub use self::door::Door;
pub use gate::Gate;

/// A server or a router may drop a connection that says nothing for longer (4 to 9 minutes are
/// safe); each renewal also looks at the mailbox, so that a push that has died is made up for.
const LONGEST_IDLE: Duration = Duration::from_mins(4);

/// How long a step may take that is not a chunk: a login, a SELECT, a wait, each with room.
pub const STEP: Duration = Duration::from_mins(15);

/// A connection that lasted this long was of use.
const OF_USE: Duration = Duration::from_mins(1);

/// How often an account's server is looked at because it says that there is news: five times a
/// second in the long run, which delays nobody's mail by more than that, and bounds what a server
/// costs that always has news and never mail.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// Looks that are free of that after a time of quiet.
const LOOKS_AT_ONCE: u32 = 50;

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
    /// Where it is shown in detail.
    pub standings: Standings,
    /// Beats whenever the flow goes round.
    pub heart: Heart,
    /// Told when somebody has asked for older mail.
    pub asked: Arc<Notify>,
    /// What all accounts' connections go through.
    pub gate: Gate,
    /// Which listings earlier connections died of.
    pub listing: Caution,
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
    /// How far that can be relied on.
    push: &'a mut PushRecord,
    /// How the last wait ended, and when; until the main mailbox was looked at.
    woken: Option<(Woken, Timestamp)>,
    /// What is left of a request for older mail.
    left: backfill::Left,
    /// When it began, and how often it may look.
    began: Instant,
    looks: Rate,
    /// The mailboxes that could not be read at the last look, each with the reason.
    passed_over: Vec<String>,
    /// What was said of mailboxes already, so that each look does not say it again.
    said: BTreeSet<(String, &'static str)>,
}

impl Watcher {
    /// Watches until `stop`; every failure on the way is reported, counted and tried again.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut attempt: u32 = 0;
        let mut push = PushRecord::default();
        while !stop.is_cancelled() {
            self.heart.beat(STEP);
            let began = self.pipeline.clock.monotonic();
            let Err(error) = self.connection(&stop, &mut push).await else { break };
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
            let delay = backoff::delay(attempt, jitter()).max(pause::least(&error));
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
    async fn connection(
        &mut self,
        stop: &CancellationToken,
        push: &mut PushRecord,
    ) -> Result<(), FlowError> {
        let turn = self.gate.take();
        self.heart.beat(STEP + turn);
        if !pass(turn, stop).await {
            return Ok(());
        }
        let gauge = self.pipeline.metrics.connection(ConnectionState::Connecting);
        let session = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            session = self.door.enter(&self.config) => session?,
        };
        tracing::info!(account = %self.config.name, "logged in");
        self.show(AccountState::CatchingUp);
        let backlog = self.pipeline.metrics.backlog();
        self.standings.count_backlog(&self.config.name, backlog.share());
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
            push,
            woken: None,
            left: backfill::Left::default(),
            began: self.pipeline.clock.monotonic(),
            looks: Rate::new(BETWEEN_LOOKS, LOOKS_AT_ONCE),
            passed_over: Vec::new(),
            said: BTreeSet::new(),
        };
        loop {
            life.gauge.becomes(ConnectionState::Working);
            self.look_at_all(&mut life).await?;
            if stop.is_cancelled() {
                break;
            }
            self.try_again(&mut life).await?;
            let pause = self.backfill(&mut life).await?;
            self.show(self.standing(&life));
            self.show_watching(&life);
            life.gauge.becomes(ConnectionState::Waiting);
            self.heart.beat(STEP + self.config.poll);
            let woken = self.wait(&mut life, pause).await?;
            if woken == Woken::Stopped {
                break;
            }
            life.woken = Some((woken, self.pipeline.clock.now()));
            let now = self.pipeline.clock.monotonic().duration_since(life.began);
            if !pass(life.looks.take(now), stop).await {
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
        let Some(mailbox) = &mut life.main else { return Ok(()) };
        let pace = self.pace(life.stop, &life.backlog);
        let caught = self.pipeline.catch_up(&mut life.session, mailbox, &pace).await?;
        self.show_mailbox(main, mailbox, caught);
        self.judge_push(life, caught);
        Ok(())
    }

    /// Compares what the server announced with what was found.
    fn judge_push(&self, life: &mut Life<'_>, caught: Caught) {
        let Some((woken, ended)) = life.woken.take().filter(|_| life.idles) else { return };
        match woken {
            Woken::NewMail => life.push.announced(ended),
            Woken::Timeout | Woken::Unannounced => {
                if caught.oldest.is_some_and(|oldest| life.push.found(oldest, ended)) {
                    self.pipeline.metrics.push_withheld();
                    tracing::warn!(account = %self.config.name, messages = caught.messages, "mail had come and the server had not announced it: until it does, it is asked more often");
                }
            }
            Woken::FlagsChanged | Woken::Asked | Woken::Stopped => {}
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
                match self.pipeline.catch_up(&mut life.session, &mut mailbox, &pace).await {
                    Err(FlowError::Imap(error)) if concerns_mailbox_only(&error) => {
                        self.passed_over(life, name, &error);
                        return Ok(());
                    }
                    caught => self.show_mailbox(name, &mailbox, caught?),
                }
            }
        }
        if let Some(seen) = life.seen.get_mut(position) {
            *seen = Some(status);
        }
        Ok(())
    }

    fn pace<'a>(&'a self, stop: &'a CancellationToken, backlog: &'a Backlog) -> Pace<'a> {
        Pace { stop, heart: &self.heart, backlog, listing: &self.listing }
    }

    async fn open(&self, life: &mut Life<'_>, name: &str) -> Result<OpenMailbox, FlowError> {
        self.heart.beat(STEP);
        let AccountConfig { backfill, mode, without_keywords, .. } = self.config.clone();
        let terms = Terms { backfill, mode, without_keywords };
        let session = &mut life.session;
        let mailbox = self.pipeline.open(session, self.account, name, &terms).await?;
        if mailbox.read_only() && life.said.insert((name.to_owned(), "read-only")) {
            tracing::warn!(account = %self.config.name, mailbox = name, "the mailbox is read-only for this login: its mail is classified and gets no keywords; grant the right to set flags (the ACL rights s and w)");
        }
        Ok(mailbox)
    }

    /// Waits for new mail: by IDLE where the server has it, but not past the next look at the
    /// other mailboxes; else by asking again.
    async fn wait(&self, life: &mut Life<'_>, pause: Option<Duration>) -> Result<Woken, FlowError> {
        // Older mail goes on at once: nobody waited, so what has come meanwhile was not withheld.
        if pause == Some(Duration::ZERO) || (pause.is_some() && life.main.is_none()) {
            return Ok(Woken::Asked);
        }
        if life.idles {
            let alone = self.config.mailboxes.len() == 1;
            let longest = if alone { LONGEST_IDLE } else { self.config.poll.min(LONGEST_IDLE) };
            let longest = life.push.wait(longest, self.config.poll);
            let longest = pause.map_or(longest, |pause| pause.min(longest));
            let wake = life.stop.child_token();
            let asked = async {
                self.asked.notified().await;
                wake.cancel();
                std::future::pending::<Result<Woken, ImapError>>().await
            };
            let woken = tokio::select! {
                woken = life.session.idle(longest, &wake) => woken,
                never = asked => never,
            };
            match woken {
                Ok(Woken::Stopped) if !life.stop.is_cancelled() => return Ok(Woken::Asked),
                Err(error) if !error.ends_connection() => {
                    tracing::warn!(account = %self.config.name, %error, poll_seconds = self.config.poll.as_secs(), "the server offers IDLE and refuses it: polling instead");
                    life.idles = false;
                }
                woken => return Ok(woken?),
            }
        }
        tokio::select! {
            () = life.stop.cancelled() => return Ok(Woken::Stopped),
            () = self.asked.notified() => return Ok(Woken::Asked),
            () = tokio::time::sleep(pause.unwrap_or(self.config.poll).min(self.config.poll)) => {}
        }
        life.session.noop().await?;
        Ok(Woken::Timeout)
    }
}

/// Lets so much time pass; `false` when the stop came first.
async fn pass(wait: Duration, stop: &CancellationToken) -> bool {
    if wait.is_zero() {
        return true;
    }
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(wait) => true,
    }
}

/// Whether an error is about one mailbox, so that the connection can go on with the others.
fn concerns_mailbox_only(error: &ImapError) -> bool {
    !error.ends_connection()
        && !matches!(error, ImapError::Throttled(_) | ImapError::Unavailable(_))
}
