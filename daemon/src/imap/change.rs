//! The one change that is ever made to mail: adding our own keywords.
//!
//! An OK to a STORE is not proof (read-only mailboxes, missing rights and vanished messages say
//! OK too): the caller verifies with [`Session::flags`]. Removing, moving and replacing flags are
//! not here.

use triaged_core::label::Keyword;
use triaged_core::mailbox::UidSet;

use super::code::ResponseCode;
use super::command::{Command, Verb};
use super::error::{ImapError, Reply};
use super::session::Session;
use super::wire::Heard;

/// What came of adding keywords: one entry per command that was needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// In the order of UIDs.
    pub pieces: Vec<StoredPiece>,
}

/// The outcome of one STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPiece {
    /// The messages that it was about.
    pub uids: UidSet,
    /// The server's answer: `Ok` holds what it added to its OK, `Err` a NO or BAD.
    pub outcome: Result<Reply, ImapError>,
}

impl Stored {
    /// Whether the server said OK throughout.
    pub fn is_ok(&self) -> bool {
        self.pieces.iter().all(|piece| piece.outcome.is_ok())
    }

    /// The first refusal.
    pub fn refusal(&self) -> Option<&ImapError> {
        self.pieces.iter().find_map(|piece| piece.outcome.as_ref().err())
    }
}

impl Session {
    /// Adds `keywords` to the messages, with as few commands as fit in a kilobyte each. After a
    /// refusal the remaining pieces are not sent. May be repeated: a keyword that is there stays.
    ///
    /// # Errors
    /// [`ImapError::NotPermitted`] without sending anything when no mailbox is open for writing,
    /// what ends the connection, and [`ImapError::Throttled`] and [`ImapError::Unavailable`], which
    /// pass. Any other NO or BAD is about these keywords, and in the result.
    pub async fn add_keywords(
        &mut self,
        uids: &UidSet,
        keywords: &[Keyword],
    ) -> Result<Stored, ImapError> {
        if self.selected().is_none_or(|selected| selected.read_only) {
            let code = Some(ResponseCode::ReadOnly);
            return Err(ImapError::NotPermitted(Reply { code, retry_after: None }));
        }
        let mut stored = Stored::default();
        if keywords.is_empty() {
            return Ok(stored);
        }
        let list = keywords.iter().map(Keyword::as_str).collect::<Vec<_>>().join(" ");
        for uids in uids.pieces() {
            let line = format!("UID STORE {uids} +FLAGS.SILENT ({list})");
            let command = Command::new(Verb::Store, line);
            let outcome = match self.exec(&command, |_| Heard::Foreign).await {
                Ok(done) => Ok(done.reply),
                Err(error) if concerns_keywords(&error) => Err(error),
                Err(error) => return Err(error),
            };
            let refused = outcome.is_err();
            stored.pieces.push(StoredPiece { uids, outcome });
            if refused {
                break;
            }
        }
        Ok(stored)
    }
}

fn concerns_keywords(error: &ImapError) -> bool {
    let passes = matches!(error, ImapError::Throttled(_) | ImapError::Unavailable(_));
    !passes && !error.ends_connection()
}

#[cfg(test)]
mod tests {
    use triaged_core::mailbox::Uid;

    use super::*;
    use crate::imap::scripted;

    fn uids() -> UidSet {
        [5, 6, 9].into_iter().filter_map(Uid::new).collect()
    }

    fn keywords() -> [Keyword; 2] {
        ["triaged-urgent", "triaged-billing"].map(|text| text.parse().expect("valid"))
    }

    #[tokio::test]
    async fn keywords_are_added_and_a_no_is_told() {
        let mut session = scripted::selected(
            9,
            "C: UID STORE 5:6,9 +FLAGS.SILENT (triaged-urgent triaged-billing)
             S: * 9 FETCH (UID 9 FLAGS (\\Seen))
             S: %t OK [MODIFIED 6] done
             C: UID STORE 5:6,9 +FLAGS.SILENT (triaged-urgent triaged-billing)
             S: %t NO [LIMIT] too many keywords
             C: UID STORE 5:6,9 +FLAGS.SILENT (triaged-urgent triaged-billing)
             S: %t BAD what
             C: UID STORE 5:6,9 +FLAGS.SILENT (triaged-urgent triaged-billing)
             S: %t NO [INUSE] somebody else is writing
             HANG",
        )
        .await;
        let stored = session.add_keywords(&uids(), &keywords()).await.expect("an answer");
        assert!(stored.is_ok());
        let code = stored.pieces[0].outcome.as_ref().map(|reply| reply.code.clone());
        assert_eq!(code, Ok(Some(ResponseCode::Modified)));
        let stored = session.add_keywords(&uids(), &keywords()).await.expect("an answer");
        assert_eq!(stored.refusal().map(ImapError::kind), Some("refused"));
        let stored = session.add_keywords(&uids(), &keywords()).await.expect("an answer");
        assert_eq!(stored.refusal().map(ImapError::kind), Some("rejected"));
        let busy = session.add_keywords(&uids(), &keywords()).await.expect_err("it passes");
        assert_eq!((busy.kind(), session.is_open()), ("unavailable", true));
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_read_only_mailbox_or_without_one() {
        let mut session = scripted::session(
            "C: SELECT \"INBOX\"
             S: * OK [UIDVALIDITY 7] x
             S: %t OK [READ-ONLY] done
             HANG",
        )
        .await;
        let refused = session.add_keywords(&uids(), &keywords()).await.expect_err("none is open");
        assert_eq!(refused.kind(), "not_permitted");
        session.select("INBOX").await.expect("it opens");
        let refused = session.add_keywords(&uids(), &keywords()).await.expect_err("read-only");
        assert_eq!((refused.kind(), session.is_open()), ("not_permitted", true));
    }

    #[tokio::test]
    async fn long_sets_are_sent_in_pieces() {
        let odd: UidSet = (0..300).filter_map(|n| Uid::new(4_000_000_001 + 2 * n)).collect();
        let steps = odd.pieces().iter().fold(String::new(), |script, piece| {
            script + &format!("C: UID STORE {piece} +FLAGS.SILENT (k)\nS: %t OK done\n")
        });
        let mut session = scripted::selected(9, &format!("{steps}HANG")).await;
        let keyword = ["k".parse().expect("valid")];
        let stored = session.add_keywords(&odd, &keyword).await.expect("an answer");
        assert!(stored.is_ok() && stored.pieces.len() > 1);
    }
}
