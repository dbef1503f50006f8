//! What an administrator can count: the verbs by which the daemon reports on itself, and the text
//! that Prometheus reads.
//!
//! Deliberately absent: a label with the name of an account, a mailbox or a sender. The number of
//! series must not grow with the number of mailboxes, and no label value comes from mail.

mod families;
mod gauges;
mod names;
mod process;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{HistogramTimer, TextEncoder};
use triaged_core::outcome::Outcome;
use triaged_core::score::Abstention;

use families::Families;
pub use gauges::{Backlog, Connection};
pub use names::{ConnectionState, Fence, LetterState, ModelReload, Stage};

/// The counters of this process; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    families: Arc<Families>,
}

/// The metrics cannot begin: a name is wrong or given twice, which is a mistake of this code.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot begin: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Counters that all stand at zero, of a process that started at `started`.
    pub fn new(started: Timestamp) -> Result<Self, MetricsError> {
        let families = Families::register()?;
        families.process.started.set(started.as_duration().as_secs_f64());
        Ok(Self { families: Arc::new(families) })
    }

    /// Begins to time one run of a stage; the timer's `done` counts it.
    pub fn stage(&self, stage: Stage) -> StageTimer {
        let name = stage.name();
        StageTimer {
            timer: Some(self.families.pipe.stage_seconds.with_label_values(&[name]).start_timer()),
            families: self.families.clone(),
            stage: name,
        }
    }

    /// A message has come to the end of the pipe.
    pub fn message(&self, outcome: Outcome) {
        self.families.pipe.messages.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Something was to be taken back of a message, and this became of it.
    pub fn taken_back(&self, result: &'static str) {
        self.families.pipe.taken_back.with_label_values(&[result]).inc();
    }

    /// The model answered `label` for `head`, or abstained.
    pub fn answered(&self, head: &str, label: &str, abstained: Option<Abstention>) {
        self.families.model.answers.with_label_values(&[head, label]).inc();
        if let Some(reason) = abstained {
            let values = [head, reason.as_str()];
            self.families.model.abstentions.with_label_values(&values).inc();
        }
    }

    /// A rule was for a message.
    pub fn rule_applied(&self, rule: &str, dry_run: bool) {
        let dry_run = if dry_run { "yes" } else { "no" };
        self.families.model.rules.with_label_values(&[rule, dry_run]).inc();
    }

    /// The keyword of a label was written and seen on the server afterwards.
    pub fn label_written(&self, head: &str, label: &str) {
        self.families.model.labels_written.with_label_values(&[head, label]).inc();
    }

    /// A message had an oddity; `kind` is the name of a `Defect`.
    pub fn defect(&self, kind: &'static str) {
        self.families.pipe.defects.with_label_values(&[kind]).inc();
    }

    /// Time from the moment the server received a message to the moment its keywords were seen on
    /// the server. A server whose clock is ahead counts as no time.
    pub fn delivered_to_labelled(&self, received: Timestamp, labelled: Timestamp) {
        let seconds = labelled.duration_since(received).as_secs_f64().max(0.0);
        self.families.pipe.delivery_seconds.observe(seconds);
    }

    /// The last moment at which a chunk was settled.
    pub fn succeeded(&self, now: Timestamp) {
        self.families.pipe.last_success.set(now.as_duration().as_secs_f64());
    }

    /// A connection that begins; it is counted until it is dropped.
    pub fn connection(&self, state: ConnectionState) -> Connection {
        Connection::begin(self.families.servers.connections.clone(), state)
    }

    /// One account's share of the messages that are known and not settled yet.
    pub fn backlog(&self) -> Backlog {
        Backlog::begin(self.families.pipe.backlog.clone())
    }

    /// A server or the way to it failed us; `kind` is `ImapError::kind`.
    pub fn imap_error(&self, kind: &'static str) {
        self.families.servers.errors.with_label_values(&[kind]).inc();
    }

    /// A server refused the login.
    pub fn login_refused(&self) {
        self.families.servers.login_failures.inc();
    }

    /// Mail had come, and the server had said nothing of it.
    pub fn push_withheld(&self) {
        self.families.servers.withheld.inc();
    }

    /// So many bytes came from servers.
    pub fn received(&self, bytes: u64) {
        self.families.servers.received.inc_by(bytes);
    }

    /// A connection that was lost or closed is made again.
    pub fn reconnected(&self) {
        self.families.servers.reconnects.inc();
    }

    /// How many accounts are in each state.
    pub fn accounts<const N: usize>(&self, counts: [(&'static str, usize); N]) {
        for (state, count) in counts {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.families.servers.accounts.with_label_values(&[state]).set(count);
        }
    }

    /// Whether the database does its work.
    pub fn database_up(&self, up: bool) {
        self.families.process.database_up.set(i64::from(up));
    }

    /// So many lists of users could not be read the last time.
    pub fn stale_lists(&self, count: usize) {
        self.families.servers.stale_lists.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// So many shards of accounts are this daemon's.
    pub fn shards_owned(&self, count: usize) {
        self.families.sharing.shards.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// So many daemons share the accounts, this one included.
    pub fn instances(&self, count: usize) {
        self.families.sharing.instances.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The lease of another daemon was over, and this one has ended it.
    pub fn took_over(&self) {
        self.families.sharing.takeovers.inc();
    }

    /// Something was refused because it is not this daemon's any more.
    pub fn fenced(&self, what: Fence) {
        self.families.sharing.fenced.with_label_values(&[what.name()]).inc();
    }

    /// So many messages wait for the model, until the answer is there and the share is dropped.
    pub fn waiting_for_model(&self, messages: usize) -> Backlog {
        let share = Backlog::begin(self.families.model.queue.clone());
        share.set(messages);
        share
    }

    /// Which model serves now, and on what (`cpu`, `cuda`, `coreml`); the one before is forgotten.
    pub fn model(&self, name: &str, version: &str, provider: &str) {
        self.families.model.info.reset();
        self.families.model.info.with_label_values(&[name, version, provider]).set(1);
    }

    /// Another version of the model was to be taken, and was or was not.
    pub fn model_reload(&self, reload: ModelReload) {
        self.families.model.reloads.with_label_values(&[reload.name()]).inc();
    }

    /// A rule that alerts: its counters begin at zero.
    pub fn alerts_of(&self, rule: &str) {
        for state in LetterState::ALL {
            self.families.outbox.alerts.with_label_values(&[rule, state.name()]);
        }
    }

    /// A mail of an alert has come to its end.
    pub fn alert(&self, rule: &str, state: LetterState) {
        self.families.outbox.alerts.with_label_values(&[rule, state.name()]).inc();
    }

    /// Nobody was alerted of a mail because of what it is; `reason` is the name of an `Automatic`, or
    /// `OLDER_MAIL`.
    pub fn alert_withheld(&self, reason: &'static str) {
        self.families.outbox.withheld.with_label_values(&[reason]).inc();
    }

    /// So many mails wait, so many were given up, and since when the oldest could have been sent.
    pub fn outbox(&self, waiting: u64, failed: u64, oldest: Option<Timestamp>) {
        for (state, count) in [("waiting", waiting), ("failed", failed)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.families.outbox.letters.with_label_values(&[state]).set(count);
        }
        let oldest = oldest.map_or(0.0, |oldest| oldest.as_duration().as_secs_f64());
        self.families.outbox.oldest.set(oldest);
    }

    /// The SMTP server or the way to it failed us; `kind` is `SmtpError::kind`.
    pub fn smtp_error(&self, kind: &'static str) {
        self.families.outbox.errors.with_label_values(&[kind]).inc();
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub fn encode(&self) -> Result<String, MetricsError> {
        if let Some(bytes) = process::resident_bytes() {
            self.families.process.resident.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        Ok(TextEncoder::new().encode_to_string(&self.families.registry.gather())?)
    }
}

/// One run of a stage. Dropped without `done`, it counts as a failure and its time is forgotten.
#[derive(Debug)]
#[must_use = "a timer that is dropped counts a failure"]
pub struct StageTimer {
    timer: Option<HistogramTimer>,
    families: Arc<Families>,
    stage: &'static str,
}

impl StageTimer {
    /// The stage did its work on so many messages; gives back how long it took.
    pub fn done(mut self, messages: usize) -> Duration {
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        self.families.pipe.stage_messages.with_label_values(&[self.stage]).inc_by(messages);
        let seconds = self.timer.take().map_or(0.0, HistogramTimer::stop_and_record);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

impl Drop for StageTimer {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.stop_and_discard();
            self.families.pipe.stage_failures.with_label_values(&[self.stage]).inc();
        }
    }
}

#[cfg(test)]
mod tests;
