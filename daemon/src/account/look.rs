//! Looking at the mailboxes: which there are, which of them have news, and taking that through the
//! pipe.
//!
//! It does not wait and does not come back from failures of the connection.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use triaged_core::choice::canonical;
use triaged_core::config::AccountConfig;
use triaged_core::sync::{Backfill, MailboxState};

use super::{Life, STEP, There, Watcher};
use crate::imap::{ImapError, Survey, Surveyed, Woken};
use crate::metrics::Backlog;
use crate::pipeline::{Caught, FlowError, OpenMailbox, Pace, Terms};

/// Mail of a mailbox that has just appeared is taken from so long before the look at which it was
/// not there: clocks differ, and what is older was moved there.
const BEFORE: SignedDuration = SignedDuration::from_hours(1);

impl Watcher {
    /// Takes every mailbox with new mail through the pipe; the main one last, so that it stays
    /// selected and IDLE watches it. Where nothing more may be received today, the main one is only
    /// opened, to wait in it.
    pub(super) async fn look_at_all(&self, life: &mut Life<'_>) -> Result<(), FlowError> {
        let spent = self.spent().is_some();
        if spent && life.main.is_some() {
            return Ok(());
        }
        life.passed_over.clear();
        let mut found = There { at: self.pipeline.clock.now(), names: [].into() };
        self.heart.beat(STEP);
        let survey = life.session.survey(&self.config.mailboxes).await?;
        let watched = self.let_go(life, survey);
        let Some((main, others)) = watched.split_first() else {
            life.main = None;
            life.main_name = None;
            self.nothing_to_watch(life);
            return Ok(());
        };
        life.session.listen_for(others.iter().map(|other| other.name.clone()).collect());
        if spent {
            self.look_at_main(life, main, others.is_empty()).await?;
            return Ok(());
        }
        for other in others {
            self.heart.beat(STEP);
            if self.look_at(life, other).await? {
                found.names.insert(other.name.clone());
            }
        }
        if self.look_at_main(life, main, others.is_empty()).await? {
            found.names.insert(main.name.clone());
        }
        *life.there = Some(found);
        Ok(())
    }

    /// The mailboxes to look at; those that are not there any more are forgotten.
    fn let_go(&self, life: &mut Life<'_>, survey: Survey) -> Vec<Surveyed> {
        let Survey { mut watched, whole } = survey;
        let there: BTreeSet<&String> = watched.iter().map(|one| &one.name).collect();
        let missing = life.seen.keys().filter(|name| !there.contains(name));
        let missing: Vec<String> = missing.cloned().collect();
        if whole {
            for name in &missing {
                life.seen.remove(name);
            }
            self.show_watched(&watched, &missing);
        } else {
            // Something of the listing was not understood: they may be in it.
            let still = |name| Surveyed { name, named: false, state: None };
            watched.extend(missing.into_iter().map(still));
        }
        watched
    }

    /// Takes the main mailbox through the pipe; whether it is there. Only where it is the only one
    /// does its failure end the connection.
    async fn look_at_main(
        &self,
        life: &mut Life<'_>,
        main: &Surveyed,
        only: bool,
    ) -> Result<bool, FlowError> {
        if life.main_name.as_ref() != Some(&main.name) {
            life.main = None;
        }
        if life.main.is_none() {
            match self.open(life, &main.name).await {
                Err(FlowError::Imap(error)) if !only && concerns_mailbox_only(&error) => {
                    life.main_name = None;
                    self.passed_over(life, main, &error);
                    return Ok(false);
                }
                mailbox => life.main = Some(mailbox?),
            }
            life.main_name = Some(main.name.clone());
        }
        if self.spent().is_some() {
            return Ok(true);
        }
        let Some(mailbox) = &mut life.main else { return Ok(false) };
        let pace = self.pace(life.stop, &life.backlog);
        let caught = self.pipeline.catch_up(&mut life.session, mailbox, &pace).await?;
        self.show_mailbox(&main.name, mailbox, caught);
        self.judge_push(life, caught);
        Ok(true)
    }

    /// Compares what the server announced with what was found.
    fn judge_push(&self, life: &mut Life<'_>, caught: Caught) {
        let Some((woken, ended)) = life.woken.take().filter(|_| life.idles) else { return };
        match woken {
            Woken::NewMail => life.push.announced(ended),
            Woken::Timeout | Woken::Unannounced => {
                if caught.oldest.is_some_and(|oldest| life.push.found(oldest, ended)) {
                    self.pipeline.metrics.push_withheld();
                    tracing::warn!(account = %self.config.name, messages = caught.messages, "mail had come and the server had not announced it: until it does, it is asked more often");
                }
            }
            Woken::Elsewhere | Woken::FlagsChanged | Woken::Asked | Woken::Stopped => {}
        }
    }

    /// Takes a mailbox that is not the main one through the pipe, if anything in it is new; whether
    /// it is there. One that can not be read is reported and does not cost the others.
    async fn look_at(&self, life: &mut Life<'_>, other: &Surveyed) -> Result<bool, FlowError> {
        match self.try_look_at(life, other).await {
            Err(FlowError::Imap(error)) if concerns_mailbox_only(&error) => {
                self.passed_over(life, other, &error);
                Ok(false)
            }
            looked => looked.map(|()| true),
        }
    }

    async fn try_look_at(&self, life: &mut Life<'_>, other: &Surveyed) -> Result<(), FlowError> {
        let name = &other.name;
        let state = match other.state {
            Some(state) => state,
            None => life.session.status(name).await?,
        };
        let before = life.seen.get(name).copied();
        if self.has_mail(name, before, &state).await? {
            life.main = None;
            let mut mailbox = self.open(life, name).await?;
            let pace = self.pace(life.stop, &life.backlog);
            let caught = self.pipeline.catch_up(&mut life.session, &mut mailbox, &pace).await?;
            self.show_mailbox(name, &mailbox, caught);
        }
        // What had to be left for tomorrow is looked at again.
        if self.spent().is_none() {
            life.seen.insert(name.clone(), state);
        }
        self.show_readable(name);
        Ok(())
    }

    /// Whether there may be mail that is not settled. At the first look of a connection the cursor
    /// says it, so that not every mailbox has to be opened.
    async fn has_mail(
        &self,
        name: &str,
        before: Option<MailboxState>,
        state: &MailboxState,
    ) -> Result<bool, FlowError> {
        match before {
            Some(before) => Ok(state.may_have_mail_since(&before)),
            None => Ok(!self.pipeline.is_settled(self.account, name, state).await?),
        }
    }

    pub(super) fn pace<'a>(
        &'a self,
        stop: &'a CancellationToken,
        backlog: &'a Backlog,
    ) -> Pace<'a> {
        let Self { heart, listing, allowance, .. } = self;
        Pace { stop, heart, backlog, listing, allowance }
    }

    pub(super) async fn open(
        &self,
        life: &mut Life<'_>,
        name: &str,
    ) -> Result<OpenMailbox, FlowError> {
        self.heart.beat(STEP);
        let terms = Terms {
            backfill: self.backfill_of(life, name),
            mode: self.config.mode,
            without_keywords: self.config.without_keywords.clone(),
        };
        let mailbox = self.pipeline.open(&mut life.session, self.account, name, &terms).await?;
        if mailbox.read_only() && life.said.insert((name.to_owned(), "read-only")) {
            tracing::warn!(account = %self.config.name, mailbox = name, "the mailbox is read-only for this login: its mail is classified and gets no keywords; grant the right to set flags (the ACL rights s and w)");
        }
        Ok(mailbox)
    }

    /// How much of the mail of a mailbox that was never seen is taken: where it has appeared since
    /// the account was last looked at, all that has come to it.
    fn backfill_of(&self, life: &Life<'_>, name: &str) -> Backfill {
        let AccountConfig { backfill, .. } = self.config;
        let is_this = |known: &String| canonical(known) == canonical(name);
        let absent = life.there.as_ref().filter(|there| !there.names.iter().any(is_this));
        match (backfill, absent.and_then(|there| there.at.checked_sub(BEFORE).ok())) {
            (Backfill::None, Some(since)) => Backfill::Since(since),
            (configured, _) => configured,
        }
    }
}

/// Whether an error is about one mailbox, so that the connection can go on with the others.
pub(super) fn concerns_mailbox_only(error: &ImapError) -> bool {
    !error.ends_connection()
        && !matches!(error, ImapError::Throttled(_) | ImapError::Unavailable(_))
}
