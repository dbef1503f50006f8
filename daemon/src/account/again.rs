//! Mail in quarantine that somebody wants to be tried again (`triaged retry`): its mailboxes are
//! looked at, whether anything is new in them or not.

use super::look::concerns_mailbox_only;
use super::{Life, Watcher};
use crate::pipeline::FlowError;

impl Watcher {
    /// Looks at the mailboxes in which something is asked for again; the main one is looked at in any
    /// case. One that can not be opened is not looked at for this again before the next question.
    pub(super) async fn try_again(&self, life: &mut Life<'_>) -> Result<(), FlowError> {
        let store = &self.pipeline.store;
        for name in store.mailboxes_to_retry(self.account.id).await? {
            if life.main_name.as_ref() == Some(&name) {
                continue;
            }
            life.main = None;
            let mut mailbox = match self.open(life, &name).await {
                Err(FlowError::Imap(error)) if concerns_mailbox_only(&error) => {
                    tracing::warn!(account = %self.config.name, mailbox = name, %error, "mail in quarantine can not be tried again");
                    store.not_now(self.account.id, &name).await?;
                    continue;
                }
                mailbox => mailbox?,
            };
            let pace = self.pace(life.stop, &life.backlog);
            let caught = self.pipeline.catch_up(&mut life.session, &mut mailbox, &pace).await?;
            self.show_mailbox(&name, &mailbox, caught);
        }
        Ok(())
    }
}
