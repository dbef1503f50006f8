//! The life of one account: connect, catch up, watch, and come back after every failure.
//!
//! One task owns the account's only connection. Whatever goes wrong ends the connection, never
//! the task: it waits, longer each time, and begins anew from the cursor.

mod again;
mod backfill;
mod door;
mod gate;
mod look;
mod master;
mod pause;
mod place;
mod show;
mod undo;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use triaged_core::budget::Mail;
use triaged_core::config::AccountConfig;
use triaged_core::push::PushRecord;
use triaged_core::rate::Rate;
use triaged_core::sync::MailboxState;

use crate::clock::Jumps;
use crate::imap::{Session, Woken};
use crate::metrics::{Backlog, Connection, ConnectionState};
use crate::pipeline::{Allowance, Caution, FlowError, OpenMailbox, Pipeline};
use crate::pulse::Heart;
use crate::readiness::{AccountState, Readiness};
use crate::standing::Standings;
use crate::storage::Storage;
use crate::store::Account;
use crate::trusted::Trust;

pub use self::door::Door;
pub use gate::Gate;
pub use master::Master;
use pause::Patience;
pub use place::{Budget, Place, Places};

/// How long a step may take that is not a chunk: a login, a SELECT, a wait, each with room.
pub const STEP: Duration = Duration::from_mins(15);

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
    /// Whether what is done can be written down.
    pub storage: Storage,
    /// Which listings earlier connections died of.
    pub listing: Caution,
    /// How much it may receive today.
    pub allowance: Allowance,
    /// While it holds, the account is this daemon's.
    pub trust: Trust,
}

/// Why a connection ended in order.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The daemon stops, or does not watch this account any more.
    Stopped,
    /// Another account needed the place.
    GaveWay,
    /// All was done, and no connection is to be kept.
    Visited,
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
        let (mut patience, mut lasting) = (Patience::default(), Lasting::default());
        let mut jumps = self.jumps.clone();
        while !stop.is_cancelled() {
            let Some(place) = self.place(&stop).await else { break };
            let began = self.pipeline.clock.monotonic();
            // In a box: an account that waits for its turn or for a server holds no more memory
            // than it needs for that.
            let connection = Box::pin(self.connection(&place, &stop, &patience, &mut lasting));
            let ended = tokio::select! {
                ended = connection => ended,
                () = jumps.next() => Err(FlowError::ClockJumped),
            };
            drop(place);
            self.door.listen();
            self.tell_alerts();
            let now = self.pipeline.clock.monotonic();
            let away = match ended {
                Ok(Ended::Stopped) => break,
                Ok(Ended::GaveWay) => {
                    if !self.rest(&stop).await {
                        break;
                    }
                    patience.begin_anew();
                    continue;
                }
                Ok(Ended::Visited) => {
                    let away = patience.between_visits(self.config.poll, now).unwrap_or_default();
                    self.report_visit(away);
                    away
                }
                Err(error) if self.door.shuts_after(&error) => {
                    self.report_shut(&error);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = self.door.opened(&self.heart) => patience.begin_anew(),
                    }
                    tracing::info!(account = %self.config.name, "the login is tried again");
                    continue;
                }
                Err(error) => {
                    if let FlowError::Store(error) = &error {
                        self.storage.failed(error);
                    }
                    let away = patience.after(&error, began, now);
                    self.report(&error, patience.attempt(), away);
                    away
                }
            };
            self.heart.beat(STEP + away);
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.door.called() => {}
                () = tokio::time::sleep(away) => {}
                // What was waited for may be long over.
                () = jumps.next() => patience.begin_anew(),
            }
            self.pipeline.metrics.reconnected();
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
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = self.heart.through(STEP, self.storage.well()) => {}
        }
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
        patience: &Patience,
        lasting: &mut Lasting,
    ) -> Result<Ended, FlowError> {
        self.heart.beat(STEP);
        let gauge = self.pipeline.metrics.connection(ConnectionState::Connecting);
        let mut session = tokio::select! {
            () = stop.cancelled() => return Ok(Ended::Stopped),
            session = self.door.enter(&self.config, &self.heart, self.allowance.meter()) => session?,
        };
        session.only_while(self.trust.clone());
        if self.gave_way {
            tracing::debug!(account = %self.config.name, "logged in for a turn");
        } else {
            tracing::info!(account = %self.config.name, "logged in");
            self.show(AccountState::CatchingUp);
        }
        self.begin_allowance(session.capabilities().has("X-GM-EXT-1")).await?;
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
        let ended = self.live(&mut life, patience).await?;
        life.session.logout().await;
        Ok(ended)
    }

    /// Looks and waits, in turn.
    async fn live(&mut self, life: &mut Life<'_>, patience: &Patience) -> Result<Ended, FlowError> {
        loop {
            life.gauge.becomes(ConnectionState::Working);
            self.look_at_all(life).await?;
            if life.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            self.try_again(life).await?;
            let worked = self.take_back(life).await?;
            let pause = self.backfill(life).await?;
            let pause = if worked { Some(Duration::ZERO) } else { pause };
            self.show(self.standing(life));
            self.show_watching(life);
            self.tell_alerts();
            self.pipeline.count_traffic(&self.allowance, self.account.id).await?;
            life.session.heed()?;
            let now = self.pipeline.clock.monotonic();
            let visit = patience.between_visits(self.config.poll, now).is_some();
            if visit && pause != Some(Duration::ZERO) {
                return Ok(Ended::Visited);
            }
            life.gauge.becomes(ConnectionState::Waiting);
            self.heart.beat(STEP + self.config.poll);
            let spent = self.spent();
            let woken = self.wait(life, pause).await?;
            if woken == Woken::Stopped {
                return Ok(Ended::Stopped);
            }
            if matches!(woken, Woken::Asked | Woken::Timeout) && life.place.give_way() {
                return Ok(Ended::GaveWay);
            }
            // It could stay for as long as it may: there is room again.
            self.gave_way &= woken != Woken::Timeout;
            // What had to wait for another day was not withheld.
            let ended = self.pipeline.clock.now();
            life.woken = spent.is_none().then_some((woken, ended));
            let now = self.pipeline.clock.monotonic().duration_since(life.began);
            if !pass(life.looks.take(now), life.stop).await {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Finds out how much may still be received today, from a Gmail or from another server.
    async fn begin_allowance(&self, gmail: bool) -> Result<(), FlowError> {
        let Pipeline { store, clock, .. } = &*self.pipeline;
        Ok(self.allowance.begin(store, self.account.id, gmail, clock.now()).await?)
    }

    /// Whether all that may be received today was; then until when.
    fn spent(&self) -> Option<Timestamp> {
        self.allowance.spent(Mail::New, self.pipeline.clock.now())
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
