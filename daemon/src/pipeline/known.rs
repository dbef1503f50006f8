//! Recognises messages that were decided before and were only moved or copied since.

use triaged_core::mailbox::UidSet;

use super::read::Draft;
use super::{FlowError, OpenMailbox, Pipeline};
use crate::imap::Session;
use crate::metrics::Stage;
use crate::store::{Earlier, Identity};

impl Pipeline {
    /// The drafts that were decided before: by the server's own word for them where it has one, or
    /// by Message-ID and size. A message whose twin still stands in the same mailbox was delivered
    /// twice, and is a message of its own. Whether it has left its earlier place already does not
    /// matter: a client copies first and expunges then.
    pub(super) async fn known(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        drafts: &[Draft],
    ) -> Result<UidSet, FlowError> {
        let marks = |draft: &Draft| draft.email.into_iter().chain(draft.identity);
        let identities: Vec<Identity> = drafts.iter().flat_map(marks).collect();
        let timer = self.metrics.stage(Stage::Recall);
        let earlier = self.store.earlier(mailbox.stored.account, &identities).await?;
        timer.done(drafts.len());
        if earlier.is_empty() {
            return Ok(UidSet::default());
        }
        let stored = mailbox.stored;
        let here = |earlier: &&Earlier| {
            earlier.mailbox == stored.id && earlier.uid_validity == stored.cursor.uid_validity
        };
        let places: UidSet =
            earlier.values().flatten().filter(here).map(|earlier| earlier.uid).collect();
        let still_here = session.look(&places).await?.messages;
        let is_twin = |place: &&Earlier| here(place) && still_here.contains_key(&place.uid);
        Ok(drafts
            .iter()
            .filter(|draft| {
                let mut places =
                    marks(draft).filter_map(|mark| earlier.get(&mark)).flatten().peekable();
                places.peek().is_some() && !places.any(|place| is_twin(&place))
            })
            .map(|draft| draft.uid)
            .collect())
    }
}
