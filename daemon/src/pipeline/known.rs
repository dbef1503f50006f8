//! Recognises messages that were decided before and have only moved.

use triaged_core::mailbox::UidSet;

use super::read::Draft;
use super::{FlowError, OpenMailbox, Pipeline};
use crate::imap::Session;
use crate::store::{Earlier, Identity};

impl Pipeline {
    /// The drafts that were decided before. A message whose twin still stands in the same
    /// mailbox was delivered twice, and is a message of its own.
    pub(super) async fn known(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        drafts: &[Draft],
    ) -> Result<UidSet, FlowError> {
        let identities: Vec<Identity> = drafts.iter().filter_map(|draft| draft.identity).collect();
        let earlier = self.store.earlier(mailbox.stored.account, &identities).await?;
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
        let delivered_twice = |places: &[Earlier]| {
            places.iter().any(|place| here(&place) && still_here.contains_key(&place.uid))
        };
        Ok(drafts
            .iter()
            .filter(|draft| {
                let places = draft.identity.and_then(|identity| earlier.get(&identity));
                places.is_some_and(|places| !delivered_twice(places))
            })
            .map(|draft| draft.uid)
            .collect())
    }
}
