//! The life of one account: connect, catch up, watch, and come back after every failure.
//!
//! One task owns the account's only connection. Whatever goes wrong ends the connection, never
//! the task: it waits, longer each time, and begins anew from the cursor.

mod backfill;
mod door;
mod gate;
mod look;
mod master;
mod pause;
mod place;
mod show;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use triaged_core::backoff;
use triaged_core::config::AccountConfig;
use triaged_core::push::PushRecord;
use triaged_core::rate::Rate;
use triaged_core::sync::MailboxState;

use crate::clock::{Jumps, jitter};
use crate::imap::{Session, Woken};
use crate::metrics::{Backlog, Connection, ConnectionState};
use crate::pipeline::{Caution, FlowError, OpenMailbox, Pipeline};
use crate::pulse::Heart;
use crate::readiness::{AccountState, Readiness};
use crate::standing::Standings;
use crate::store::Account;

pub use self::door::Door;
pub use gate::Gate;
pub use master::Master;
pub use place::{Budget, Place, Places};

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
    pub pipeline: Arc<Pipeline>,
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
    /// Where it gets a place for its connection.
    pub places: Places,
    /// Whether it had to give its place up: then it is watched in turns with others.
    pub gave_way: bool,
    /// Hears when the machine slept.
    pub jumps: Jumps,
    /// Which listings earlier connections died of.
    pub listing: Caution,
    /// Which messages earlier connections died of.
    pub reading: Caution,
}

/// Why a connection ended in order.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The daemon stops, or does not watch this account any more.
    Stopped,
    /// Another account needed the place.
    GaveWay,
}

/// One connection, from login to its end.
struct Life<'a> {
    session: Session,
    gauge: Connection,
    backlog: Backlog,
    stop: &'a CancellationToken,
    place: &'a Place,
    /// The main mailbox, while it is selected.
    main: Option<OpenMailbox>,
    /// Which mailbox that is; `None` where there is none that can be read.
    main_name: Option<String>,
    /// How the other mailboxes stood when they were looked at last.
    seen: BTreeMap<String, MailboxState>,
    /// The mailboxes that there were at the last look of this account.
    there: &'a mut Option<There>,
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

/// What outlives connections.
#[derive(Default)]
struct Lasting {
    push: PushRecord,
    there: Option<There>,
}

/// The mailboxes that there were at some moment.
struct There {
    at: Timestamp,
    names: BTreeSet<String>,
}

impl Watcher {
    /// Watches until `stop`; every failure on the way is reported, counted and tried again.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut attempt: u32 = 0;
        let mut lasting = Lasting::default();
        let mut jumps = self.jumps.clone();
        while !stop.is_cancelled() {
            let Some(place) = self.place(&stop).await else { break };
            let began = self.pipeline.clock.monotonic();
            // In a box: an account that waits for its turn or for a server holds no more memory
            // than it needs for that.
            let connection = Box::pin(self.connection(&place, &stop, &mut lasting));
            let ended = tokio::select! {
                ended = connection => ended,
                () = jumps.next() => Err(FlowError::ClockJumped),
            };
            drop(place);
            let error = match ended {
                Ok(Ended::Stopped) => break,
                Ok(Ended::GaveWay) => {
                    if !self.rest(&stop).await {
                        break;
                    }
                    attempt = 0;
                    continue;
                }
                Err(error) => error,
            };
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
                // What was waited for may be long over.
                () = jumps.next() => attempt = 0,
            }
        }
        self.show(AccountState::Stopped);
    }

    /// Waits for a place, and for its turn at the gate; `None` when the stop came first.
    async fn place(&self, stop: &CancellationToken) -> Option<Place> {
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            place = self.heart.through(STEP, self.places.take()) => place,
        };
        let turn = self.gate.take();
        self.heart.beat(STEP + turn);
        pass(turn, stop).await.then_some(place)
    }

    /// After the place was given up: waits as long as between two polls, or until older mail is
    /// asked for; `false` when the stop came first.
    async fn rest(&mut self, stop: &CancellationToken) -> bool {
        self.gave_way = true;
        self.show_turns();
        self.heart.beat(STEP + self.config.poll);
        tokio::select! {
            () = stop.cancelled() => false,
            () = self.asked.notified() => true,
            () = tokio::time::sleep(self.config.poll) => true,
        }
    }

    /// One connection from its beginning to its end; `Ok` when it ended in order.
    async fn connection(
        &mut self,
        place: &Place,
        stop: &CancellationToken,
        lasting: &mut Lasting,
    ) -> Result<Ended, FlowError> {
        self.heart.beat(STEP);
        let gauge = self.pipeline.metrics.connection(ConnectionState::Connecting);
        let mut session = tokio::select! {
            () = stop.cancelled() => return Ok(Ended::Stopped),
            session = self.door.enter(&self.config, &self.heart) => session?,
        };
        if self.gave_way {
            tracing::debug!(account = %self.config.name, "logged in for a turn");
        } else {
            tracing::info!(account = %self.config.name, "logged in");
            self.show(AccountState::CatchingUp);
        }
        let backlog = self.pipeline.metrics.backlog();
        self.standings.count_backlog(&self.config.name, backlog.share());
        let idles = session.capabilities().has("IDLE");
        if self.config.mailboxes.only().is_none() && session.notify().await? {
            tracing::debug!(account = %self.config.name, "the server tells of mail in all mailboxes");
        }
        let mut life = Life {
            session,
            gauge,
            backlog,
            stop,
            place,
            main: None,
            main_name: None,
            seen: BTreeMap::new(),
            there: &mut lasting.there,
            idles,
            push: &mut lasting.push,
            woken: None,
            left: backfill::Left::default(),
            began: self.pipeline.clock.monotonic(),
            looks: Rate::new(BETWEEN_LOOKS, LOOKS_AT_ONCE),
            passed_over: Vec::new(),
            said: BTreeSet::new(),
        };
        let ended = loop {
            life.gauge.becomes(ConnectionState::Working);
            self.look_at_all(&mut life).await?;
            if stop.is_cancelled() {
                break Ended::Stopped;
            }
            let pause = self.backfill(&mut life).await?;
            self.show(self.standing(&life));
            self.show_watching(&life);
            life.gauge.becomes(ConnectionState::Waiting);
            self.heart.beat(STEP + self.config.poll);
            let woken = self.wait(&mut life, pause).await?;
            if woken == Woken::Stopped {
                break Ended::Stopped;
            }
            if matches!(woken, Woken::Asked | Woken::Timeout) && place.give_way() {
                break Ended::GaveWay;
            }
            // It could stay for as long as it may: there is room again.
            self.gave_way &= woken != Woken::Timeout;
            life.woken = Some((woken, self.pipeline.clock.now()));
            let now = self.pipeline.clock.monotonic().duration_since(life.began);
            if !pass(life.looks.take(now), stop).await {
                break Ended::Stopped;
            }
        };
        life.session.logout().await;
        Ok(ended)
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
