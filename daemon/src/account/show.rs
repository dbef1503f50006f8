//! What an account's flow tells of itself: to the boards of `readiness` and `standing`, to metrics and
//! to the log. It decides nothing.

use std::time::Duration;

use jiff::Timestamp;

use super::{Life, Watcher, door};
use crate::imap::{ImapError, Surveyed};
use crate::pipeline::{Caught, FlowError, OpenMailbox};
use crate::readiness::AccountState;
use crate::standing::{MailboxStanding, WatchMode, Watching};

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
            let is_watched = |name: &String| watched.iter().any(|one| one.name == *name);
            standing.mailboxes.retain(|name, _| is_watched(name));
            for one in watched.iter().filter(|one| one.state.is_some()) {
                standing.mailboxes.entry(one.name.clone()).or_default();
            }
        });
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
        let retry_at = later(self.pipeline.clock.now(), delay);
        self.show(AccountState::Waiting { reason: error.to_string(), retry_at });
    }

    /// Watching, if every mailbox could be read.
    pub(super) fn standing(&self, life: &Life<'_>) -> AccountState {
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
        self.standings.note(&self.config.name, |standing| standing.watching = Some(watching));
    }

    /// What a mailbox lets us do, after it was looked at.
    pub(super) fn show_mailbox(&self, name: &str, mailbox: &OpenMailbox, caught: Caught) {
        let disabled = mailbox.disabled_keywords();
        let shown = MailboxStanding {
            unreadable: None,
            read_only: mailbox.read_only(),
            keeps_all: mailbox.keeps_all().filter(|_| self.moves()).map(str::to_owned),
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
