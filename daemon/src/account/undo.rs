//! What somebody wants to be taken back (`triaged undo`, `triaged remove-labels`): one step at a time,
//! between two looks at the mailboxes. Also in shadow mode: that one keeps triaged from deciding
//! anything by itself, and this was asked for.

use super::{Life, STEP, Watcher};
use crate::metrics::ConnectionState;
use crate::pipeline::FlowError;

impl Watcher {
    /// Takes the next step of what is to be taken back; `false` where nothing is.
    pub(super) async fn take_back(&self, life: &mut Life<'_>) -> Result<bool, FlowError> {
        self.heart.beat(STEP);
        let id = self.account.id;
        let mut worked = self.pipeline.undo(&mut life.session, id).await?;
        if !worked {
            worked = self.pipeline.remove_labels(&mut life.session, id).await?;
        }
        if worked {
            // Another mailbox is open now, or none.
            life.main = None;
            life.gauge.becomes(ConnectionState::Working);
        }
        Ok(worked)
    }
}
