//! Older mail, behind the new: one step at a time, between two looks at the mailboxes.

use std::time::{Duration, Instant};

use triaged_core::budget::Mail;

use super::{Life, Watcher};
use crate::imap::ImapError;
use crate::metrics::ConnectionState;
use crate::pipeline::{FlowError, Rest, Step};
use crate::store::{Backfill, BackfillState};

/// How often in a row a step may fail before the request is given up. A message on which the server
/// hangs up is found, and passed over, within ten connections.
const MOST_ATTEMPTS: u64 = 20;
/// Where a day is about to begin, it has begun after this.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// What is left of the request in work, as the server said on this connection.
#[derive(Debug, Default)]
pub(super) struct Left {
    request: i64,
    rest: Rest,
    /// When the next step may be taken.
    due: Option<Instant>,
}

impl Watcher {
    /// Does the next step of the oldest request, if there is one. What comes back is how long to
    /// wait before the next step; `None` where nothing is asked for.
    pub(super) async fn backfill(
        &self,
        life: &mut Life<'_>,
    ) -> Result<Option<Duration>, FlowError> {
        let request = self.pipeline.store.next_backfill(self.account.id).await?;
        let clock = self.pipeline.clock;
        let spent = self.allowance.spent(Mail::Old, clock.now());
        self.show_backfill(request.as_ref(), spent);
        let Some(request) = request else { return Ok(None) };
        if let Some(until) = spent {
            let rest = until.duration_since(clock.now());
            return Ok(Some(Duration::try_from(rest).unwrap_or_default().max(LEAST_PAUSE)));
        }
        let began = clock.monotonic();
        // New mail or another request has cut the pause short.
        if let Some(rest) = life.left.due.and_then(|due| due.checked_duration_since(began)) {
            return Ok(Some(rest));
        }
        if life.left.request != request.id || request.progress.is_none() {
            life.left = Left { request: request.id, ..Left::default() };
        }
        life.gauge.becomes(ConnectionState::Working);
        let step = match self.step(life, &request).await {
            Err(FlowError::Imap(error)) => self.failed(&request, error).await?,
            step => step?,
        };
        let took = clock.monotonic().duration_since(began);
        life.left.rest.learn(took);
        let pause = step.pause(request.per_minute, took);
        life.left.due = Some(clock.monotonic() + pause);
        Ok(Some(pause))
    }

    /// A step met an error. One that can not pass, or did not time and again, ends the request; else
    /// the step is taken again, on another connection where this one has ended.
    async fn failed(&self, request: &Backfill, error: ImapError) -> Result<Step, FlowError> {
        let later = matches!(
            error,
            ImapError::Throttled(_) | ImapError::Unavailable(_) | ImapError::Bye(_)
        );
        let never = matches!(
            error,
            ImapError::MailboxGone(_) | ImapError::NotPermitted(_) | ImapError::BadName
        );
        let store = &self.pipeline.store;
        if !later && (never || store.count_attempt(request.id).await? >= MOST_ATTEMPTS) {
            let reason = error.to_string();
            store.end_backfill(request, BackfillState::Failed, Some(&reason)).await?;
            tracing::warn!(account = %self.config.name, mailbox = request.mailbox, reason, "a backfill can not be done");
        }
        if later || error.ends_connection() { Err(error.into()) } else { Ok(Step::Failed) }
    }

    async fn step(&self, life: &mut Life<'_>, request: &Backfill) -> Result<Step, FlowError> {
        let mut other = None;
        if life.main_name.as_ref() != Some(&request.mailbox) || life.main.is_none() {
            life.main = None;
            other = Some(self.open(life, &request.mailbox).await?);
        }
        let Some(mailbox) = other.as_mut().or(life.main.as_mut()) else { return Ok(Step::Stopped) };
        let pace = self.pace(life.stop, &life.backlog);
        let rest = &mut life.left.rest;
        self.pipeline.backfill(&mut life.session, mailbox, request, rest, &pace).await
    }
}
