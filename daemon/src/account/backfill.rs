//! Older mail, behind the new: one step at a time, between two looks at the mailboxes.

use std::time::{Duration, Instant};

use triaged_core::mailbox::UidSet;

use super::look::concerns_mailbox_only;
use super::{Life, Watcher};
use crate::metrics::ConnectionState;
use crate::pipeline::{FlowError, Step};
use crate::store::{Backfill, BackfillState};

/// What is left of the request in work, as the server said on this connection.
#[derive(Debug, Default)]
pub(super) struct Left {
    request: i64,
    uids: Option<UidSet>,
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
        let Some(request) = self.pipeline.store.next_backfill(self.account.id).await? else {
            return Ok(None);
        };
        let clock = self.pipeline.clock;
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
            Err(FlowError::Imap(error)) if concerns_mailbox_only(&error) => {
                let reason = error.to_string();
                let store = &self.pipeline.store;
                store.end_backfill(request.id, BackfillState::Failed, Some(&reason)).await?;
                tracing::warn!(account = %self.config.name, mailbox = request.mailbox, %error, "a backfill can not be done");
                Step::Ended
            }
            step => step?,
        };
        let pause = step.pause(request.per_minute, clock.monotonic().duration_since(began));
        life.left.due = Some(clock.monotonic() + pause);
        Ok(Some(pause))
    }

    async fn step(&self, life: &mut Life<'_>, request: &Backfill) -> Result<Step, FlowError> {
        let mut other = None;
        if life.main_name.as_ref() != Some(&request.mailbox) || life.main.is_none() {
            life.main = None;
            other = Some(self.open(life, &request.mailbox).await?);
        }
        let Some(mailbox) = other.as_mut().or(life.main.as_mut()) else { return Ok(Step::Stopped) };
        let pace = self.pace(life.stop, &life.backlog);
        let uids = &mut life.left.uids;
        self.pipeline.backfill(&mut life.session, mailbox, request, uids, &pace).await
    }
}
