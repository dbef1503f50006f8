//! Looking at the mailboxes: which of them have news, and taking that through the pipe.
//!
//! It does not wait and does not come back from failures of the connection.

use tokio_util::sync::CancellationToken;
use triaged_core::config::AccountConfig;

use super::{Life, STEP, Watcher};
use crate::imap::{ImapError, Woken};
use crate::metrics::Backlog;
use crate::pipeline::{Caught, FlowError, OpenMailbox, Pace};

impl Watcher {
    /// Takes every mailbox with new mail through the pipe; the main one last, so that it stays
    /// selected and IDLE watches it.
    pub(super) async fn look_at_all(&self, life: &mut Life<'_>) -> Result<(), FlowError> {
        let Some((main, others)) = self.config.mailboxes.split_first() else { return Ok(()) };
        let spent = self.spent().is_some();
        if !spent {
            life.passed_over.clear();
            for (position, name) in others.iter().enumerate() {
                self.look_at(life, position, name).await?;
            }
        }
        if life.main.is_none() {
            life.main = Some(self.open(life, main).await?);
        }
        if spent {
            return Ok(());
        }
        let Some(mailbox) = &mut life.main else { return Ok(()) };
        let pace = self.pace(life.stop, &life.backlog);
        let caught = self.pipeline.catch_up(&mut life.session, mailbox, &pace).await?;
        self.show_mailbox(main, mailbox, caught);
        self.judge_push(life, caught);
        Ok(())
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
            Woken::FlagsChanged | Woken::Asked | Woken::Stopped => {}
        }
    }

    /// Takes a mailbox that is not the main one through the pipe, if anything in it is new. One
    /// that can not be read is reported and does not cost the others.
    async fn look_at(
        &self,
        life: &mut Life<'_>,
        position: usize,
        name: &str,
    ) -> Result<(), FlowError> {
        let status = match life.session.status(name).await {
            Err(error) if concerns_mailbox_only(&error) => {
                self.passed_over(life, name, &error);
                return Ok(());
            }
            status => status?,
        };
        if life.seen.get(position) == Some(&Some(status)) && status.uid_next.is_some() {
            return Ok(());
        }
        life.main = None;
        match self.open(life, name).await {
            Err(FlowError::Imap(error)) if concerns_mailbox_only(&error) => {
                self.passed_over(life, name, &error);
                return Ok(());
            }
            mailbox => {
                let pace = self.pace(life.stop, &life.backlog);
                let mut mailbox = mailbox?;
                match self.pipeline.catch_up(&mut life.session, &mut mailbox, &pace).await {
                    Err(FlowError::Imap(error)) if concerns_mailbox_only(&error) => {
                        self.passed_over(life, name, &error);
                        return Ok(());
                    }
                    caught => self.show_mailbox(name, &mailbox, caught?),
                }
            }
        }
        // What had to be left for tomorrow is looked at again.
        if let Some(seen) = life.seen.get_mut(position).filter(|_| self.spent().is_none()) {
            *seen = Some(status);
        }
        Ok(())
    }

    pub(super) fn pace<'a>(
        &'a self,
        stop: &'a CancellationToken,
        backlog: &'a Backlog,
    ) -> Pace<'a> {
        let Self { heart, listing, reading, allowance, .. } = self;
        Pace { stop, heart, backlog, listing, reading, allowance }
    }

    pub(super) async fn open(
        &self,
        life: &mut Life<'_>,
        name: &str,
    ) -> Result<OpenMailbox, FlowError> {
        self.heart.beat(STEP);
        let AccountConfig { backfill, mode, .. } = self.config;
        let session = &mut life.session;
        let mailbox = self.pipeline.open(session, self.account, name, backfill, mode).await?;
        if mailbox.read_only() && life.said.insert((name.to_owned(), "read-only")) {
            tracing::warn!(account = %self.config.name, mailbox = name, "the mailbox is read-only for this login: its mail is classified and gets no keywords; grant the right to set flags (the ACL rights s and w)");
        }
        Ok(mailbox)
    }
}

/// Whether an error is about one mailbox, so that the connection can go on with the others.
pub(super) fn concerns_mailbox_only(error: &ImapError) -> bool {
    !error.ends_connection()
        && !matches!(error, ImapError::Throttled(_) | ImapError::Unavailable(_))
}
