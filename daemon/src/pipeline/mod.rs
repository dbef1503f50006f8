//! The way of a message: list, fetch, read, classify, decide, plan, apply, verify, settle.
//!
//! The order of the steps stands here and in no other place. The unit of work is one chunk of
//! UIDs of one mailbox; a stop is heard between two chunks. Nothing here knows a protocol, a
//! database or a model: those are behind `imap`, `store` and `model`.

mod allowance;
mod backfill;
mod caution;
mod error;
mod known;
mod list;
mod open;
mod read;
mod refused;
mod turn;
mod write;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use triaged_core::budget::Mail;
use triaged_core::config::{HistoryText, Mode};
use triaged_core::decision::decide;
use triaged_core::label::Keyword;
use triaged_core::mailbox::UidSet;
use triaged_core::outcome::Outcome;
use triaged_core::score::Prediction;
use triaged_core::sync;

use crate::clock::Clock;
use crate::imap::{Listed, Selected, Session};
use crate::metrics::{Backlog, Metrics, Stage};
use crate::model::{Answers, Classifier, ServedModel};
use crate::pulse::Heart;
use crate::store::{Action, PlannedMessage, Store, StoredMailbox};

pub use allowance::{Allowance, Traffic};
pub use backfill::{Rest, Step};
use caution::Attempt;
pub use caution::Caution;
pub use error::FlowError;
use list::WINDOW;
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
    /// Whether subjects may be stored.
    pub history_text: HistoryText,
    /// What is counted and timed.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// How many chunks may be in hand at the same time, of all accounts together.
    pub turns: Arc<Semaphore>,
}

/// A mailbox that the session has selected.
pub struct OpenMailbox {
    stored: StoredMailbox,
    selected: Selected,
    mode: Mode,
    refused: Refused,
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
    /// Which messages earlier connections died of.
    pub reading: &'a Caution,
    /// How much may still be received today.
    pub allowance: &'a Allowance,
}

/// Why a message was given up.
const GIVEN_UP: &str = "each attempt to read it ended the connection";

/// How long one chunk may take: its commands at their deadlines, and the model on a busy machine.
const CHUNK_TIME: Duration = Duration::from_mins(15);

impl OpenMailbox {
    /// Whether the server lets us change nothing in it.
    pub fn read_only(&self) -> bool {
        self.selected.read_only
    }

    /// The keywords that are not written to it for now, with the reason.
    pub fn disabled_keywords(&self) -> impl Iterator<Item = (&Keyword, &'static str)> {
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
        loop {
            pace.heart.beat(CHUNK_TIME);
            let range = self.list(session, mailbox, &decided, window, pace).await?;
            window = range.window_after(window);
            caught.add(&range.listed);
            if let Some(given_up) = &range.given_up {
                let drafts = vec![read::unreadable(given_up, &GIVEN_UP)];
                self.chunk(session, mailbox, &[], &given_up.uid.into(), drafts, Mail::New).await?;
            }
            if !self.chunks(session, mailbox, &range.listed, pace, Mail::New).await? {
                return Ok(caught);
            }
            let Some(next) = range.next else { return Ok(caught) };
            if pace.stop.is_cancelled() {
                return Ok(caught);
            }
            self.store.settle(&mut mailbox.stored, next, &[], self.clock.now()).await?;
        }
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
        let mut waiting = listed.len();
        for chunk in sync::chunks(listed.iter().map(|listed| (listed.uid, listed.fetch_size()))) {
            let mut rest = chunk;
            while let Some(first) = rest.first() {
                pace.backlog.set(waiting);
                if pace.allowance.spent(mail, self.clock.now()).is_some() {
                    return Ok(false);
                }
                let Some(turn) = self.turn(pace).await else { return Ok(false) };
                let Some(attempt) = pace.reading.begin(mailbox.stored.id, first, rest.len()) else {
                    break;
                };
                let (uids, later) = rest.split_at(attempt.most());
                let drafts = self.drafts(session, listed, &uids, attempt);
                let (drafts, kept) = give_way(drafts, turn).await;
                let drafts = drafts?;
                pace.reading.came_through();
                let Some(_turn) = self.again(kept, pace).await else { return Ok(false) };
                self.chunk(session, mailbox, listed, &uids, drafts, mail).await?;
                self.count_traffic(pace.allowance, mailbox.stored.account).await?;
                session.heed()?;
                waiting = waiting.saturating_sub(uids.len());
                rest = later;
            }
        }
        pace.backlog.set(0);
        Ok(true)
    }

    /// Fetches and reads messages, unless they were given up.
    async fn drafts(
        &self,
        session: &mut Session,
        listed: &[Listed],
        uids: &UidSet,
        attempt: Attempt,
    ) -> Result<Vec<Draft>, FlowError> {
        if attempt == Attempt::GiveUpFirst {
            let given_up = listed.iter().filter(|listed| uids.contains(listed.uid));
            return Ok(given_up.map(|listed| read::unreadable(listed, &GIVEN_UP)).collect());
        }
        let timer = self.metrics.stage(Stage::Fetch);
        let fetched = session.fetch_messages(uids).await?;
        timer.done(fetched.len());
        self.read(listed, fetched).await
    }

    /// Decides about messages, writes the decisions down, and does and settles what follows.
    async fn chunk(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        listed: &[Listed],
        uids: &UidSet,
        drafts: Vec<Draft>,
        mail: Mail,
    ) -> Result<(), FlowError> {
        let known = self.known(session, mailbox, &drafts).await?;
        let (model, predictions) = self.classify(&drafts, &known).await?;
        let planned: Vec<PlannedMessage> = drafts
            .into_iter()
            .zip(predictions)
            .map(|(draft, prediction)| {
                self.planned(draft, prediction, &model, &known, mailbox.mode)
            })
            .collect();
        let timer = self.metrics.stage(Stage::Plan);
        let effects = self.store.plan(&mailbox.stored, &planned, self.clock.now()).await?;
        timer.done(planned.len());
        self.count_planned(&planned);
        let Some(last) = uids.iter().last() else { return Ok(()) };
        // The cursor tells how far new mail is settled; older mail lies behind it. Nor does it say
        // how quick we are.
        let (next, fresh) = match mail {
            Mail::New => (last.next(), listed),
            Mail::Old => (mailbox.stored.cursor.next, &[][..]),
        };
        self.write(session, mailbox, effects, next, fresh, &model).await
    }

    /// The model's answers for the drafts that are not known, in the order of the drafts; and the
    /// model that gave all of them.
    async fn classify(
        &self,
        drafts: &[Draft],
        known: &UidSet,
    ) -> Result<(Arc<ServedModel>, Vec<Option<Prediction>>), FlowError> {
        let asked = |draft: &&Draft| !known.contains(draft.uid);
        let texts: Vec<String> =
            drafts.iter().filter(asked).filter_map(|draft| draft.text.clone()).collect();
        let timer = self.metrics.stage(Stage::Classify);
        let _waiting = self.metrics.waiting_for_model(texts.len());
        let Answers { model, answers } = self.classifier.classify(texts).await?;
        timer.done(answers.len());
        let mut answers = answers.into_iter();
        let predictions = drafts
            .iter()
            .map(|draft| {
                if known.contains(draft.uid) || draft.text.is_none() {
                    return None;
                }
                answers
                    .next()?
                    .inspect_err(|error| {
                        tracing::warn!(uid = draft.uid.get(), %error, "a message got no answer from the model");
                    })
                    .ok()
            })
            .collect();
        Ok((model, predictions))
    }

    fn planned(
        &self,
        draft: Draft,
        prediction: Option<Prediction>,
        model: &ServedModel,
        known: &UidSet,
        mode: Mode,
    ) -> PlannedMessage {
        let action = match mode {
            _ if known.contains(draft.uid) => Action::Skip,
            Mode::Label => Action::Label,
            Mode::Shadow => Action::Shadow,
        };
        let add = prediction
            .as_ref()
            .map(|prediction| decide(draft.uid, prediction, &model.keywords, &draft.flags).add)
            .unwrap_or_default();
        PlannedMessage {
            uid: draft.uid,
            identity: draft.identity,
            email: draft.email,
            subject: (self.history_text == HistoryText::Subject).then_some(draft.subject),
            action,
            model: prediction.is_some().then(|| model.version.clone()),
            prediction,
            defects: draft.defects,
            add,
        }
    }

    fn count_planned(&self, planned: &[PlannedMessage]) {
        for message in planned {
            for defect in &message.defects {
                self.metrics.defect(defect);
            }
            for head in message.prediction.iter().flat_map(|prediction| &prediction.heads) {
                self.metrics.answered(&head.head, &head.label, head.abstained);
            }
            if message.outcome() != Outcome::Pending {
                self.metrics.message(message.outcome());
            }
        }
    }
}
