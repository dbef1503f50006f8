//! Older mail that somebody asked for: the same way as new mail, in small steps, the newest first.
//!
//! The caller looks at new mail between two steps. What was decided before is passed over, so a step
//! that was cut off may be done again.

use std::time::Duration;

use triaged_core::mailbox::UidSet;

use super::{FlowError, Mail, OpenMailbox, Pace, Pipeline};
use crate::imap::{Listed, Session};
use crate::store::{Backfill, BackfillState};

/// Most messages of one step: a chunk, after which new mail comes first again.
const LARGEST: usize = 100;
/// Fewest: below, each command would be for next to nothing.
const SMALLEST: usize = 10;
/// How long new mail may wait for a step: a third of what it may wait in all.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait before a step is taken again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What is left of a request, and how much of it a step takes.
#[derive(Debug)]
pub struct Rest {
    /// The messages; `None` until the server was asked.
    uids: Option<UidSet>,
    size: usize,
}

impl Default for Rest {
    fn default() -> Self {
        Self { uids: None, size: LARGEST }
    }
}

impl Rest {
    /// A step took so long: the next one is smaller where that was too long, and larger again where
    /// it was short.
    pub fn learn(&mut self, took: Duration) {
        self.size = match took {
            _ if took > PATIENCE => (self.size / 2).max(SMALLEST),
            _ if took < PATIENCE / 3 => (self.size * 2).min(LARGEST),
            _ => self.size,
        };
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many messages went through the pipe, and there may be more.
    Read(usize),
    /// The request is at its end, one way or the other.
    Ended,
    /// A stop was heard, or nothing more may be received today.
    Stopped,
    /// It met an error, and is taken again.
    Failed,
}

impl Pipeline {
    /// Takes the next older messages of a selected mailbox through the pipe, of those that are left.
    pub async fn backfill(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        request: &Backfill,
        left: &mut Rest,
        pace: &Pace<'_>,
    ) -> Result<Step, FlowError> {
        let validity = mailbox.stored.cursor.uid_validity;
        if request.progress.is_some_and(|progress| progress.uid_validity != validity) {
            return self.give_up(request, "the mailbox was made anew meanwhile").await;
        }
        let uids = match left.uids.take() {
            Some(uids) => uids,
            None => self.find(session, mailbox, request).await?,
        };
        if uids.is_empty() {
            self.store.end_backfill(request, BackfillState::Done, None).await?;
            tracing::info!(mailbox = request.mailbox, "the backfill is done");
            return Ok(Step::Ended);
        }
        let (rest, newest) = uids.split_at(uids.len().saturating_sub(left.size));
        let listed = self.old_mail(session, mailbox, request, &newest).await?;
        if !self.chunks(session, mailbox, &listed, pace, Mail::Old).await? {
            return Ok(Step::Stopped);
        }
        if let Some(below) = newest.first() {
            self.store.advance_backfill(request.id, below, newest.len() as u64).await?;
        }
        left.uids = Some(rest);
        Ok(Step::Read(listed.len()))
    }

    /// The messages of a request that are still to be looked at.
    async fn find(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        request: &Backfill,
    ) -> Result<UidSet, FlowError> {
        let cursor = mailbox.stored.cursor;
        let below = request.progress.map_or(cursor.next, |progress| progress.below);
        let found = session.search_since(request.since, below).await?;
        if request.progress.is_none() {
            let count = found.len() as u64;
            self.store.begin_backfill(request, cursor.uid_validity, below, count).await?;
            tracing::info!(mailbox = request.mailbox, messages = count, "a backfill begins");
        }
        Ok(found)
    }

    /// Those of the messages that concern the request and are not decided yet.
    async fn old_mail(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        request: &Backfill,
        uids: &UidSet,
    ) -> Result<Vec<Listed>, FlowError> {
        let (Some(first), Some(last)) = (uids.first(), uids.iter().last()) else {
            return Ok(Vec::new());
        };
        let decided = self.store.decided_between(&mailbox.stored, first, last).await?;
        let mut listed = session.fetch_listed(uids).await?;
        listed.retain(|listed| {
            let old = listed.received.is_some_and(|received| received < request.since);
            let deleted = listed.flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Deleted"));
            !old && !deleted && !decided.contains(&listed.uid)
        });
        Ok(listed)
    }

    async fn give_up(&self, request: &Backfill, reason: &str) -> Result<Step, FlowError> {
        self.store.end_backfill(request, BackfillState::Failed, Some(reason)).await?;
        tracing::warn!(mailbox = request.mailbox, reason, "a backfill can not be done");
        Ok(Step::Ended)
    }
}

impl Step {
    /// How long to wait after a step that took so long, so that no more than `per_minute` messages
    /// are read.
    pub fn pause(self, per_minute: u32, took: Duration) -> Duration {
        let messages = match self {
            Self::Read(messages) => messages,
            Self::Failed => return AFTER_FAILURE,
            Self::Ended | Self::Stopped => return Duration::ZERO,
        };
        let due = Duration::from_millis(messages as u64 * 60_000 / u64::from(per_minute.max(1)));
        due.saturating_sub(took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_as_large_as_new_mail_can_wait_for() {
        let mut rest = Rest::default();
        let mut sizes = |took| {
            rest.learn(Duration::from_millis(took));
            rest.size
        };
        assert_eq!(
            [2_000, 2_000, 900, 2_000, 2_000, 2_000].map(&mut sizes),
            [50, 25, 25, 12, 10, 10]
        );
        assert_eq!([300, 300, 300, 300].map(&mut sizes), [20, 40, 80, 100]);
    }

    #[test]
    fn the_pause_keeps_the_rate_and_counts_the_work() {
        let pause =
            |messages, took| Step::Read(messages).pause(600, Duration::from_secs(took)).as_secs();
        assert_eq!((pause(100, 0), pause(100, 4), pause(100, 60), pause(0, 0)), (10, 6, 0, 0));
    }
}
