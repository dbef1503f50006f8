//! The way of a message: list, fetch, read, classify, decide, plan, apply, verify, settle.
//!
//! The order of the steps stands here and in no other place. The unit of work is one chunk of
//! UIDs of one mailbox; a stop is heard between two chunks. Nothing here knows a protocol, a
//! database or a model: those are behind `imap`, `store` and `model`.

mod allowance;
mod backfill;
mod caution;
mod decide;
mod error;
mod groups;
mod known;
mod landed;
mod list;
mod mark;
mod moves;
mod open;
mod read;
mod refused;
mod removal;
mod turn;
mod undo;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use triaged_core::budget::Mail;
use triaged_core::config::{HistoryText, Mode, WithoutKeywords};
use triaged_core::decision::{Flag, Judge};
use triaged_core::label::Keyword;
use triaged_core::mailbox::{Uid, UidSet};
use triaged_core::sync::Backfill;

use crate::clock::Clock;
use crate::imap::{ImapError, Listed, Session};
use crate::metrics::{Backlog, Metrics, Stage};
use crate::model::Classifier;
use crate::pulse::Heart;
use crate::store::{Store, StoredMailbox};

pub use allowance::{Allowance, Traffic};
pub use backfill::{Rest, Step};
pub use caution::Caution;
pub use error::FlowError;
use groups::{Group, Manner, groups};
use list::WINDOW;
use moves::Source;
use read::Draft;
use refused::Refused;
pub use turn::TURNS;
use turn::give_way;

/// What every account's flow works with; clones are cheap.
#[derive(Clone)]
pub struct Pipeline {
    /// Where decisions are written down.
    pub store: Store,
    /// The model's queue; its answers name the model that gave them, with its keywords.
    pub classifier: Classifier,
    /// Who decides what follows from the model's answers.
    pub judge: Arc<dyn Judge>,
    /// What is put on a message that can not be read.
    pub unreadable: Keyword,
    /// Whether subjects may be stored.
    pub history_text: HistoryText,
    /// What is counted and timed.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Told when somebody is to be alerted.
    pub outbox: Arc<Notify>,
    /// How many chunks may be in hand at the same time, of all accounts together.
    pub turns: Arc<Semaphore>,
}

/// A mailbox that the session has selected.
pub struct OpenMailbox {
    source: Source,
    stored: StoredMailbox,
    mode: Mode,
    without_keywords: WithoutKeywords,
    refused: Refused,
    /// Messages in it that can not be read.
    quarantined: u64,
    /// When triaged first ran with its account.
    first_start: Timestamp,
}

/// What is to be done in a mailbox.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// How much older mail is classified at the first start.
    pub backfill: Backfill,
    /// Whether decisions are written.
    pub mode: Mode,
    /// What is done where it stores no keywords.
    pub without_keywords: WithoutKeywords,
}

/// What a catch-up found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caught {
    /// New messages that concern us.
    pub messages: usize,
    /// When the server received the oldest of them, where it says so.
    pub oldest: Option<Timestamp>,
}

/// What steers a catch-up from outside, and who hears that it is alive.
pub struct Pace<'a> {
    /// Heard between two chunks.
    pub stop: &'a CancellationToken,
    /// Beats before each chunk.
    pub heart: &'a Heart,
    /// The account's share of the messages that wait.
    pub backlog: &'a Backlog,
    /// Which listings earlier connections died of.
    pub listing: &'a Caution,
    /// How much may still be received today.
    pub allowance: &'a Allowance,
}

/// How long one chunk may take: its commands at their deadlines, and the model on a busy machine.
const CHUNK_TIME: Duration = Duration::from_mins(15);

/// Mail that came so shortly before the first start is no older mail, whatever the server's clock says.
const SHORTLY: SignedDuration = SignedDuration::from_mins(10);

impl OpenMailbox {
    /// Whether a message was there for some time when triaged first ran. What the server does not date
    /// may have come now.
    fn is_older(&self, received: Option<Timestamp>) -> bool {
        received.is_some_and(|received| self.first_start.duration_since(received) > SHORTLY)
    }

    /// Whether the server lets us change nothing in it.
    pub fn read_only(&self) -> bool {
        self.source.selected.read_only
    }

    /// Mailboxes that took no message out of it at the last attempt, with the reason.
    pub fn disabled_moves(&self) -> &BTreeMap<String, String> {
        &self.source.no_way_to
    }

    /// How many messages in it can not be read, as of the last look.
    pub fn quarantined(&self) -> u64 {
        self.quarantined
    }

    /// The keywords that are not written to it for now, with the reason.
    pub fn disabled_keywords(&self) -> impl Iterator<Item = (&Flag, &'static str)> {
        self.refused.all()
    }
}

impl Caught {
    fn add(&mut self, listed: &[Listed]) {
        self.messages += listed.len();
        let received = listed.iter().filter_map(|listed| listed.received);
        self.oldest = received.chain(self.oldest).min();
    }
}

impl Pipeline {
    /// Takes all new messages of a selected mailbox through the pipe, or as many as are done when
    /// a stop is heard or nothing more may be received today.
    pub async fn catch_up(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        pace: &Pace<'_>,
    ) -> Result<Caught, FlowError> {
        let decided = self.store.decided_uids(&mailbox.stored).await?;
        let mut caught = Caught::default();
        let mut window = WINDOW;
        if !self.take_up(session, mailbox, pace).await? {
            return Ok(caught);
        }
        loop {
            pace.heart.beat(CHUNK_TIME);
            let range = self.list(session, mailbox, &decided, window, pace).await?;
            window = range.window_after(window);
            caught.add(&range.listed);
            if let Some(given_up) = &range.given_up {
                let drafts = vec![self.given_up(given_up)];
                self.chunk(session, mailbox, &[], &given_up.uid.into(), drafts, Mail::New).await?;
            }
            if !self.chunks(session, mailbox, &range.listed, pace, Mail::New).await? {
                return Ok(caught);
            }
            let Some(next) = range.next else {
                self.pass_over(mailbox, range.end).await?;
                mailbox.quarantined = self.store.quarantined(&mailbox.stored).await?;
                return Ok(caught);
            };
            if pace.stop.is_cancelled() {
                return Ok(caught);
            }
            self.store.settle(&mut mailbox.stored, next, &[], self.clock.now()).await?;
        }
    }

    /// What was listed and does not concern us, behind the last chunk, is not listed again: in a mailbox
    /// that only we move mail to there is never a chunk.
    async fn pass_over(
        &self,
        mailbox: &mut OpenMailbox,
        end: Option<Uid>,
    ) -> Result<(), FlowError> {
        if let Some(end) = end.filter(|end| *end > mailbox.stored.cursor.next) {
            self.store.settle(&mut mailbox.stored, end, &[], self.clock.now()).await?;
        }
        Ok(())
    }

    /// Takes the listed messages through the pipe, chunk by chunk; `false` when a stop was heard, or
    /// nothing more may be received today.
    async fn chunks(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        listed: &[Listed],
        pace: &Pace<'_>,
        mail: Mail,
    ) -> Result<bool, FlowError> {
        if listed.is_empty() {
            return Ok(true);
        }
        let attempts = self.store.attempts(&mailbox.stored).await?;
        let sizes = listed.iter().map(|listed| (listed.uid, listed.fetch_size()));
        let mut waiting = listed.len();
        for group in groups(sizes, &attempts) {
            pace.backlog.set(waiting);
            if pace.allowance.spent(mail, self.clock.now()).is_some() {
                return Ok(false);
            }
            waiting = waiting.saturating_sub(group.uids.len());
            if !self.group(session, mailbox, Some(listed), &group, pace, mail).await? {
                return Ok(false);
            }
            self.count_traffic(pace.allowance, mailbox.stored.account).await?;
            session.heed()?;
        }
        pace.backlog.set(0);
        Ok(true)
    }

    /// Takes up what lies behind the cursor and is not decided: messages that failed and let others
    /// go first, and those from quarantine that somebody wants to be tried again.
    async fn take_up(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        pace: &Pace<'_>,
    ) -> Result<bool, FlowError> {
        let mut attempts = self.store.attempts(&mailbox.stored).await?;
        attempts.retain(|uid, _| *uid < mailbox.stored.cursor.next);
        // Their sizes are not known, and a listing may be what they fail at.
        for group in groups(attempts.keys().map(|uid| (*uid, 0)), &attempts) {
            if !self.group(session, mailbox, None, &group, pace, Mail::Old).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes messages through the pipe that are read together; `listed` where they were listed
    /// already. `false` when a stop was heard.
    async fn group(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        listed: Option<&[Listed]>,
        group: &Group,
        pace: &Pace<'_>,
        mail: Mail,
    ) -> Result<bool, FlowError> {
        let Some(turn) = self.turn(pace).await else { return Ok(false) };
        if group.manner != Manner::GiveUp {
            let timer = self.metrics.stage(Stage::Attempt);
            self.store.begin_reading(&mailbox.stored, &group.uids).await?;
            timer.done(group.uids.len());
        }
        let listed = match listed {
            Some(listed) => listed.to_vec(),
            None if group.manner == Manner::GiveUp => {
                group.uids.iter().map(Listed::unseen).collect()
            }
            None => session.fetch_listed(&group.uids).await?,
        };
        let drafts = self.drafts(session, &listed, group);
        let (drafts, kept) = give_way(drafts, turn).await;
        if let Err(FlowError::Imap(ImapError::Throttled(_) | ImapError::Unavailable(_))) = &drafts {
            // A server that is not well says nothing about a message.
            self.store.take_back(&mailbox.stored, &group.uids).await?;
        }
        let drafts = drafts?;
        let Some(_turn) = self.again(kept, pace).await else { return Ok(false) };
        let read: UidSet = drafts.iter().map(|draft| draft.uid).collect();
        let decided = self.chunk(session, mailbox, &listed, &group.uids, drafts, mail).await;
        if let Err(FlowError::Store(error)) = &decided
            && !error.is_about_a_value()
            && group.manner != Manner::GiveUp
        {
            // Nor does a database that is full. It may have room for this little.
            let _ = self.store.take_back(&mailbox.stored, &group.uids).await;
        }
        decided?;
        let gone: UidSet = group.uids.iter().filter(|uid| !read.contains(*uid)).collect();
        if !gone.is_empty() {
            self.store.forget_attempts(&mailbox.stored, &gone).await?;
        }
        Ok(true)
    }

    /// Fetches and reads messages, unless they are given up. Of those that the server does not give
    /// the header is asked for; who has not even that is given up.
    async fn drafts(
        &self,
        session: &mut Session,
        listed: &[Listed],
        group: &Group,
    ) -> Result<Vec<Draft>, FlowError> {
        let of_group = |uids: &UidSet| -> Vec<Listed> {
            listed.iter().filter(|listed| uids.contains(listed.uid)).cloned().collect()
        };
        if group.manner == Manner::GiveUp {
            return Ok(of_group(&group.uids).iter().map(|listed| self.given_up(listed)).collect());
        }
        let timer = self.metrics.stage(Stage::Fetch);
        let (mut fetched, without_text) = if group.manner == Manner::HeaderOnly {
            (Vec::new(), group.uids.clone())
        } else {
            let all = session.fetch_messages(&group.uids).await?;
            let (whole, refused): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|fetched| fetched.content.is_ok());
            (whole, refused.iter().map(|fetched| fetched.uid).collect())
        };
        if !without_text.is_empty() {
            fetched.extend(session.fetch_headers(&without_text).await?);
            fetched.sort_by_key(|fetched| fetched.uid);
        }
        timer.done(fetched.len());
        self.read(listed, fetched, without_text).await
    }
}
