//! What an account's flow tells of itself: to the boards of `readiness` and `standing`, to metrics and
//! to the log. It decides nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{Life, Watcher, door, pause};
use crate::imap::{ImapError, Surveyed};
use crate::metrics::Fence;
use crate::pipeline::{Caught, FlowError, OpenMailbox, Traffic};
use crate::readiness::AccountState;
use crate::standing::{BackfillStanding, MailboxStanding, TrafficStanding, WatchMode, Watching};
use crate::store::{Backfill, StoreError};

impl Watcher {
    /// A mailbox could not be read, and the others are. One that only a pattern had found is no
    /// reason to call the account waiting.
    pub(super) fn passed_over(&self, life: &mut Life<'_>, mailbox: &Surveyed, error: &ImapError) {
        let Surveyed { name: mailbox, named, .. } = mailbox;
        if !named && matches!(error, ImapError::MailboxGone(_)) {
            // Deleted since it was listed: the next look does not find it.
            return;
        }
        self.pipeline.metrics.imap_error(error.kind());
        if *named {
            life.passed_over.push(format!("{mailbox}: {error}"));
        }
        self.standings.note(&self.config.name, |standing| {
            standing.mailboxes.entry(mailbox.clone()).or_default().unreadable =
                Some(error.to_string());
        });
        if life.said.insert((mailbox.clone(), error.kind())) {
            tracing::warn!(account = %self.config.name, mailbox, %error, "a mailbox can not be read and is passed over; it is looked at again with each poll");
        }
    }

    /// A mailbox stands well, whether or not it was opened.
    pub(super) fn show_readable(&self, mailbox: &str) {
        self.standings.note(&self.config.name, |standing| {
            standing.mailboxes.entry(mailbox.to_owned()).or_default().unreadable = None;
        });
    }

    /// No mailbox of the server is meant by the configuration.
    pub(super) fn nothing_to_watch(&self, life: &mut Life<'_>) {
        const REASON: &str = "no mailbox of the server is among those of `mailboxes`";
        life.passed_over.push(REASON.to_owned());
        if life.said.insert((String::new(), REASON)) {
            tracing::warn!(account = %self.config.name, "{REASON}; it is asked again with each poll");
        }
    }

    /// Which mailboxes are watched, and which are not any more.
    pub(super) fn show_watched(&self, watched: &[Surveyed], gone: &[String]) {
        for mailbox in gone {
            tracing::info!(account = %self.config.name, mailbox, "the mailbox is not there any more");
        }
        self.standings.note(&self.config.name, |standing| {
            let watched: BTreeSet<&String> = watched.iter().map(|one| &one.name).collect();
            standing.mailboxes.retain(|name, _| watched.contains(name));
        });
    }

    fn count(&self, error: &FlowError) {
        match error {
            FlowError::Imap(error) => self.pipeline.metrics.imap_error(error.kind()),
            FlowError::Credential(_) => self.pipeline.metrics.imap_error("credential"),
            _ => {}
        }
        if matches!(error, FlowError::Store(StoreError::Fenced)) {
            self.pipeline.metrics.fenced(Fence::Write);
        }
        if door::is_refusal(error) {
            self.pipeline.metrics.login_refused();
        }
    }

    /// Says that nothing is tried any more, and what to do.
    pub(super) fn report_shut(&self, error: &FlowError) {
        self.count(error);
        let reason = self.door.reason(error);
        // Those who were not tried are not said one by one: there may be thousands.
        if !matches!(error, FlowError::MasterShut) {
            tracing::error!(account = %self.config.name, reason, "the account is not watched until somebody has done something");
        }
        self.show(AccountState::Refused { reason });
    }

    /// A connection has ended by an error; the next one comes after `delay`.
    pub(super) fn report(&self, error: &FlowError, attempt: u32, delay: Duration) {
        self.count(error);
        tracing::warn!(account = %self.config.name, %error, attempt, retry_in_seconds = delay.as_secs_f64(), "the account is not watched for now");
        let (reason, retry_at) = (error.to_string(), later(self.pipeline.clock.now(), delay));
        self.show(if pause::trouble(error).is_too_much() {
            AccountState::Throttled { reason, retry_at }
        } else {
            AccountState::Waiting { reason, retry_at }
        });
    }

    /// All was looked at, and the connection was given up for others; the next one comes after
    /// `away`.
    pub(super) fn report_visit(&self, away: Duration) {
        let retry_at = later(self.pipeline.clock.now(), away);
        tracing::info!(account = %self.config.name, next_in_seconds = away.as_secs(), "the server had no room for another connection within the last hour: mail is looked at now and then, and no connection is kept");
        let reason = "the server had no room for another connection within the last hour (LIMIT): \
                      mail is looked at now and then, and no connection is kept; close others, or \
                      raise the server's limit for a user and address";
        self.show(AccountState::Throttled { reason: reason.to_owned(), retry_at });
    }

    /// Shows what servers wish to be shown.
    pub(super) fn tell_alerts(&self) {
        for alert in self.allowance.meter().take_alerts() {
            tracing::warn!(account = %self.config.name, alert, "the server has something to say");
        }
    }

    /// Watching, if every mailbox could be read, and more may be read today.
    pub(super) fn standing(&self, life: &mut Life<'_>) -> AccountState {
        if let Some(retry_at) = self.spent() {
            let reason = self.why_spent();
            if life.said.insert((retry_at.to_string(), "over budget")) {
                tracing::warn!(account = %self.config.name, reason, "no more mail is read today");
            }
            return AccountState::OverBudget { reason, retry_at };
        }
        if life.passed_over.is_empty() {
            return AccountState::Watching;
        }
        AccountState::Waiting {
            reason: life.passed_over.join("; "),
            retry_at: later(self.pipeline.clock.now(), self.config.poll),
        }
    }

    /// There are more accounts than places: this one comes back in its turn.
    pub(super) fn show_turns(&self) {
        self.standings.note(&self.config.name, |standing| {
            if let Some(watching) = &mut standing.watching {
                watching.mode = WatchMode::Turns;
            }
        });
    }

    /// How new mail is noticed now.
    pub(super) fn show_watching(&self, life: &Life<'_>) {
        let watching = Watching {
            mode: match life.idles {
                _ if self.gave_way => WatchMode::Turns,
                true => WatchMode::Idle,
                false => WatchMode::Poll,
            },
            push: life.push.push.as_str().to_owned(),
            announced: life.push.announced,
            withheld: life.push.withheld,
        };
        let Traffic { received, limit } = self.allowance.traffic(self.pipeline.clock.now());
        self.standings.note(&self.config.name, |standing| {
            standing.watching = Some(watching);
            standing.traffic = Some(TrafficStanding { received_today: received, limit });
        });
    }

    fn why_spent(&self) -> String {
        let Traffic { received, limit } = self.allowance.traffic(self.pipeline.clock.now());
        let mebibytes = |bytes: u64| bytes / (1024 * 1024);
        format!(
            "{} MiB came from the server today, and the limit is {} (daily_mebibytes): new mail waits \
             for the next day in UTC",
            mebibytes(received),
            mebibytes(limit.unwrap_or_default())
        )
    }

    /// The request for older mail that is next, and whether it has to wait for another day.
    pub(super) fn show_backfill(&self, request: Option<&Backfill>, until: Option<Timestamp>) {
        let held = until.map(|until| {
            format!("most of what may come from the server in a day did: it goes on at {until}")
        });
        let shown = request.map(|request| BackfillStanding {
            mailbox: request.mailbox.clone(),
            since: request.since,
            found: request.progress.map(|progress| progress.found),
            looked_at: request.looked_at,
            held,
        });
        self.standings.note(&self.config.name, |standing| standing.backfill = shown);
    }

    /// What a mailbox lets us do, after it was looked at.
    pub(super) fn show_mailbox(&self, name: &str, mailbox: &OpenMailbox, caught: Caught) {
        let disabled = mailbox.disabled_keywords();
        let shown = MailboxStanding {
            unreadable: None,
            read_only: mailbox.read_only(),
            keeps_all: mailbox.keeps_all().filter(|_| self.moves()).map(str::to_owned),
            disabled_moves: mailbox.disabled_moves().clone(),
            quarantined: mailbox.quarantined(),
            disabled_keywords: disabled
                .map(|(keyword, reason)| (keyword.to_string(), reason.to_owned()))
                .collect(),
        };
        let now = self.pipeline.clock.now();
        self.standings.note(&self.config.name, |standing| {
            standing.mailboxes.insert(name.to_owned(), shown);
            if caught.messages > 0 {
                standing.last_mail = Some(now);
            }
        });
    }

    /// Whether any message may be to be moved.
    fn moves(&self) -> bool {
        self.pipeline.judge.moves() || self.config.without_keywords.moves()
    }

    /// The state that /readyz and systemd show.
    pub(super) fn show(&self, state: AccountState) {
        self.readiness.set(&self.config.name, state, self.pipeline.clock.now());
    }
}

fn later(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}
