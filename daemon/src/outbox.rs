//! The task that sends what lies in the outbox: it wakes at once when something is put there, tries
//! again what could not be sent, and gives up only what the server refuses for good, or has not taken
//! for days.
//!
//! A mail is claimed, sent and ended; a daemon that dies in between sends it again, under the same
//! Message-ID. Deliberately absent: more than one conversation at a time. Alerts are few.

mod pace;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use triaged_core::alert::{self, Text};
use triaged_core::config::SmtpConfig;
use triaged_core::lease::{self, InstanceId};

use crate::clock::{self, Clock};
use crate::metrics::{LetterState, Metrics};
use crate::ownership::Word;
use crate::pulse::Heart;
use crate::readiness::{OutboxStanding, Readiness};
use crate::secret::{CredentialError, Credentials};
use crate::smtp::{Connection, Mail, SmtpError};
use crate::store::{Content, Letter, LetterEnd, Outbox, Store, StoreError};
use pace::{Pace, letter_delay};

/// How long a mail is tried for (RFC 5321 §4.5.4.1: four to five days).
const PATIENCE: SignedDuration = SignedDuration::from_hours(5 * 24);
/// And how often at least: a calendar that jumps by years must not end it.
const ATTEMPTS: u32 = 100;
/// A lease is over after one TTL of silence: who was frozen for less than three is back before this is over.
const FROZEN: Duration = lease::TTL.saturating_mul(2);
/// Nothing was said for so long: somebody else may have put something there, or died.
const LOOK: Duration = Duration::from_secs(15);
/// Between two attempts to write down what became of a mail, two looks at what is not ours to send, and
/// two at an outbox that can not be read.
const AGAIN: Duration = Duration::from_secs(1);

/// All that it needs.
pub struct Sender {
    /// Where the mails lie.
    pub store: Store,
    /// The server that takes them.
    pub server: SmtpConfig,
    /// What it wants to see at the login.
    pub credentials: Option<Credentials>,
    /// Told when a mail is put there.
    pub wake: Arc<Notify>,
    /// SIGHUP ends the waiting.
    pub hangup: watch::Receiver<u32>,
    /// Whether this daemon may send now; asked before each text. With several daemons, no longer than
    /// its lease is trusted, and in its present life.
    pub word: Word,
    /// What is counted.
    pub metrics: Metrics,
    /// Where it is said how the outbox stands.
    pub readiness: Readiness,
    /// That it is alive.
    pub heart: Heart,
    /// The time.
    pub clock: Clock,
}

/// What keeps everything from being sent.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Smtp(#[from] SmtpError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

impl Trouble {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Smtp(error) if error.is_refusal())
    }
}

impl Sender {
    /// Sends until the stop, and then the mail that is in hand.
    ///
    /// # Errors
    /// Never: what is in the way is waited for.
    pub async fn keep_up(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut pace = Pace::default();
        let mut retaken = false;
        while !stop.is_cancelled() {
            self.beat();
            let round = async {
                let owner = self.owner();
                if !self.word.holds() {
                    return Ok(());
                }
                // Others that share the outbox may end at any time.
                if !retaken || owner.is_some() {
                    let mails =
                        self.store.retake_letters(owner.as_deref(), self.in_doubt()).await?;
                    if mails > 0 {
                        tracing::info!(
                            mails,
                            "mails that were being sent when a daemon ended will be sent again"
                        );
                    }
                    retaken = true;
                }
                self.send_due(&stop).await
            };
            let problem = round.await.err();
            // What became of a mail may not be written down: it waits again when the database is back.
            retaken &= !matches!(problem, Some(Trouble::Store(_)));
            if let Some(error) = &problem
                && pace.is_news(error)
            {
                tracing::warn!(%error, "alerts can not be sent; they are kept and tried again");
            }
            if problem.is_none() && pace.is_over() {
                tracing::info!("alerts can be sent again");
            }
            let next = self.show(problem.as_ref()).await;
            self.wait(&mut pace, problem.as_ref(), next, &stop).await;
        }
        Ok(())
    }

    /// When a mail is sent again that another daemon had in hand when its lease was over. It may be with the
    /// server already: one that was only frozen comes back and says so, or ends what it has begun.
    fn in_doubt(&self) -> Timestamp {
        after(self.clock.now(), FROZEN)
    }

    /// By what the others that share the outbox know whose a mail is that is being sent.
    fn owner(&self) -> Option<String> {
        self.word.life().map(|InstanceId(id)| id.to_string())
    }

    /// Sends all that is due, in one conversation.
    async fn send_due(&self, stop: &CancellationToken) -> Result<(), Trouble> {
        let due = self.store.outbox(self.clock.now()).await?.next_due;
        if due.is_none_or(|due| due > self.clock.now()) {
            return Ok(());
        }
        let mut connection = Some(self.connect().await?);
        while !stop.is_cancelled() {
            self.beat();
            let now = self.clock.now();
            if !self.word.holds() {
                break;
            }
            let owner = self.owner();
            let claimed = self.store.claim_letter(owner.as_deref(), now).await?;
            let Some(letter) = claimed else { break };
            let open = match connection.take() {
                Some(open) => Ok(open),
                None => self.connect().await,
            };
            let sent = match open {
                Ok(open) => self.send(open, &letter).await,
                Err(error) => (None, Err(error)),
            };
            connection = sent.0;
            self.settle(&letter, sent.1).await?;
        }
        if let Some(connection) = connection {
            connection.quit().await;
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let password = match &self.credentials {
            Some(credentials) => Some(credentials.read().await?),
            None => None,
        };
        Ok(Connection::open(&self.server, password.as_ref()).await?)
    }

    /// Sends one mail; what comes back is the conversation, where it can go on.
    async fn send(
        &self,
        mut connection: Connection,
        letter: &Letter,
    ) -> (Option<Connection>, Result<(), Trouble>) {
        let Text { subject, body } = text(letter);
        let mail = Mail {
            from: &self.server.from,
            to: &letter.recipient,
            subject: &subject,
            body: &body,
            message_id: &letter.message_id,
            date: letter.created,
            rule: &letter.rule,
        };
        match connection.send(&mail, &|| self.word.holds()).await {
            Ok(()) => (Some(connection), Ok(())),
            Err(error) => {
                let goes_on = error.is_about_the_mail() && connection.reset().await.is_ok();
                (goes_on.then_some(connection), Err(error.into()))
            }
        }
    }

    /// Writes down what became of a mail; an error is one that all mails meet.
    async fn settle(&self, letter: &Letter, sent: Result<(), Trouble>) -> Result<(), Trouble> {
        let error = match sent {
            Ok(()) => {
                self.end(letter, LetterEnd::Sent, None).await;
                return Ok(());
            }
            Err(error) => error,
        };
        let about_the_mail = matches!(&error, Trouble::Smtp(error) if error.is_about_the_mail());
        let refused = matches!(&error, Trouble::Smtp(error) if error.is_final());
        let now = self.clock.now();
        let reason = error.to_string();
        let old = now.duration_since(letter.created) > PATIENCE && letter.attempts >= ATTEMPTS;
        if refused || old {
            tracing::warn!(rule = %letter.rule, attempts = letter.attempts, reason, "an alert is given up");
            self.end(letter, LetterEnd::Failed, Some(&reason)).await;
        } else {
            let due = after(now, letter_delay(about_the_mail, letter.attempts, clock::jitter()));
            if !self.store.postpone_letter(letter, due, &reason).await? {
                tracing::debug!(rule = %letter.rule, "another daemon has this alert by now");
            } else if about_the_mail && letter.attempts == 1 {
                tracing::warn!(rule = %letter.rule, reason, "an alert is not taken; it is kept and tried again");
            }
        }
        if about_the_mail { Ok(()) } else { Err(error) }
    }

    /// A mail that is gone must not be forgotten to be gone: this is tried until it is written.
    async fn end(&self, letter: &Letter, end: LetterEnd, reason: Option<&str>) {
        let ours = loop {
            match self.store.end_letter(letter, end, reason, self.clock.now()).await {
                Ok(ours) => break ours,
                Err(error) => tracing::warn!(
                    %error,
                    "what became of an alert can not be written down; it is tried again"
                ),
            }
            self.beat();
            tokio::time::sleep(AGAIN).await;
        };
        if !ours {
            tracing::debug!(rule = %letter.rule, "another daemon has this alert by now");
            return;
        }
        let state = match end {
            LetterEnd::Sent => LetterState::Sent,
            LetterEnd::Failed => LetterState::Failed,
        };
        self.metrics.alert(&letter.rule, state);
    }

    /// Says how the outbox stands; when something in it is due next, or may be.
    async fn show(&self, problem: Option<&Trouble>) -> Option<Timestamp> {
        if let Some(Trouble::Smtp(error)) = problem {
            self.metrics.smtp_error(error.kind());
        }
        let Ok(outbox) = self.store.outbox(self.clock.now()).await else {
            return Some(after(self.clock.now(), AGAIN));
        };
        self.metrics.outbox(outbox.waiting, outbox.failed, outbox.oldest);
        let Outbox { waiting, next_due, oldest, failed, last_failure } = outbox;
        self.readiness.set_outbox(OutboxStanding {
            waiting,
            oldest,
            failed,
            last_failure: last_failure.map(|(rule, reason)| format!("{rule}: {reason}")),
            problem: problem.map(ToString::to_string),
        });
        next_due
    }

    async fn wait(
        &mut self,
        pace: &mut Pace,
        problem: Option<&Trouble>,
        next: Option<Timestamp>,
        stop: &CancellationToken,
    ) {
        let pause = if let Some(error) = problem {
            pace.after(error, clock::jitter())
        } else {
            let rest = next.map(|due| due.duration_since(self.clock.now()));
            let rest = rest.map(|rest| Duration::try_from(rest).unwrap_or_default());
            // What is due and is not ours to send is looked at now and then.
            let least = if self.word.holds() { Duration::ZERO } else { AGAIN };
            rest.unwrap_or(LOOK).clamp(least, LOOK)
        };
        self.heart.beat(pause + LOOK);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            // A server that can not be used now can not be used for another mail either.
            () = self.wake.notified(), if problem.is_none() => {}
            Ok(()) = self.hangup.changed() => {}
        }
    }

    /// The next word comes when a conversation has met all of its deadlines, at the latest.
    fn beat(&self) {
        self.heart.beat(self.server.timeout * 8 + self.server.acceptance + LOOK);
    }
}

fn text(letter: &Letter) -> Text {
    match &letter.content {
        Content::Mail(facts) => alert::of_mail(&letter.rule, facts),
        Content::Digest { count, per_hour } => {
            alert::of_many(&letter.rule, *count, *per_hour, letter.created)
        }
    }
}

fn after(now: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|span| now.checked_add(span).ok()).unwrap_or(now)
}
