//! Changes to flags: our own keywords are added and removed, and so is `\Flagged` where we put it.
//!
//! An OK to a STORE is not proof (read-only mailboxes, missing rights and vanished messages say
//! OK too): the caller verifies with [`Session::look`]. On Gmail keywords are labels: `X-GM-LABELS`
//! takes them, and shows them. Moving is in `moves`; replacing flags is nowhere.

use triaged_core::decision::{Flag, MailboxChange};
use triaged_core::mailbox::{Uid, UidSet};

use super::code::ResponseCode;
use super::command::{Command, Verb};
use super::error::{ImapError, Reply};
use super::name;
use super::session::Session;
use super::wire::Heard;

/// What came of a change: one entry per command that was needed.
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

    /// Whether the server left a message alone because somebody has changed it meanwhile.
    pub fn left_alone(&self, uid: Uid) -> bool {
        let modified = |piece: &StoredPiece| match &piece.outcome {
            Ok(reply) => reply.code.clone(),
            Err(error) => error.code().cloned(),
        };
        self.pieces.iter().filter(|piece| piece.uids.contains(uid)).any(|piece| {
            matches!(modified(piece), Some(ResponseCode::Modified(among)) if among.contains(uid))
        })
    }

    /// The first refusal.
    pub fn refusal(&self) -> Option<&ImapError> {
        self.pieces.iter().find_map(|piece| piece.outcome.as_ref().err())
    }
}

impl Session {
    /// Whether keywords are labels here (Gmail's `X-GM-EXT-1`), which every mailbox takes.
    pub fn has_labels(&self) -> bool {
        self.capabilities().has("X-GM-EXT-1")
    }

    /// Makes a change, with as few commands as fit in a kilobyte each. After a refusal what is left
    /// is not sent. May be repeated: a keyword that is there stays.
    ///
    /// With `unchanged_since` a message is left alone that was changed after this mod-sequence
    /// (RFC 7162 §3.1.3): [`Stored::left_alone`]. The mailbox must keep mod-sequences. What Gmail
    /// makes of it for labels is not documented, so it is not sent with them.
    ///
    /// # Errors
    /// [`ImapError::NotPermitted`] without sending anything when no mailbox is open for writing,
    /// what ends the connection, and [`ImapError::Throttled`] and [`ImapError::Unavailable`], which
    /// pass. Any other NO or BAD is about these flags, and in the result.
    pub async fn change(
        &mut self,
        change: &MailboxChange,
        unchanged_since: Option<u64>,
    ) -> Result<Stored, ImapError> {
        if self.selected().is_none_or(|selected| selected.read_only) {
            let code = Some(ResponseCode::ReadOnly);
            return Err(ImapError::NotPermitted(Reply { code, retry_after: None }));
        }
        let sign = if change.adds { '+' } else { '-' };
        let (labels, flags): (Vec<&Flag>, Vec<&Flag>) =
            change.flags.iter().partition(|flag| self.has_labels() && flag.keyword().is_some());
        let mut items = Vec::new();
        if !flags.is_empty() {
            let unless = unchanged_since.map(|since| format!("(UNCHANGEDSINCE {since}) "));
            let list = flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(" ");
            items.push(format!("{}{sign}FLAGS.SILENT ({list})", unless.unwrap_or_default()));
        }
        if !labels.is_empty() {
            let quoted = labels.iter().map(|label| name::argument(label.as_str()));
            let list = quoted.collect::<Result<Vec<_>, _>>()?.join(" ");
            items.push(format!("{sign}X-GM-LABELS ({list})"));
        }
        let mut stored = Stored::default();
        for item in items {
            for uids in change.uids.pieces() {
                let outcome = self.store(&uids, &item).await?;
                let refused = outcome.is_err();
                stored.pieces.push(StoredPiece { uids, outcome });
                if refused {
                    return Ok(stored);
                }
            }
        }
        Ok(stored)
    }

    async fn store(
        &mut self,
        uids: &UidSet,
        item: &str,
    ) -> Result<Result<Reply, ImapError>, ImapError> {
        let command = Command::new(Verb::Store, format!("UID STORE {uids} {item}"));
        match self.exec(&command, |_| Heard::Foreign).await {
            Ok(done) => Ok(Ok(done.reply)),
            Err(error) if concerns_flags(&error) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }
}

fn concerns_flags(error: &ImapError) -> bool {
    let passes = matches!(error, ImapError::Throttled(_) | ImapError::Unavailable(_));
    !passes && !error.ends_connection()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::scripted;

    /// Adds keywords to the messages 5, 6 and 9.
    fn adding(keywords: &[&str]) -> MailboxChange {
        let flag = |text: &&str| Flag::Keyword(text.parse().expect("valid"));
        let uids = [5, 6, 9].into_iter().filter_map(Uid::new).collect();
        MailboxChange { adds: true, flags: keywords.iter().map(flag).collect(), uids }
    }

    fn uid(n: u32) -> Uid {
        Uid::new(n).expect("not zero")
    }

    /// Row 8 of the table, as far as the adapter goes: what a NO to STORE is about.
    #[tokio::test]
    async fn keywords_are_added_and_a_no_is_told() {
        let mut session = scripted::selected(
            9,
            "C: UID STORE 5:6,9 +FLAGS.SILENT (triaged-urgent triaged-billing)
             S: * 9 FETCH (UID 9 FLAGS (\\Seen))
             S: %t OK done
             C: UID STORE 5:6,9 +FLAGS.SILENT (triaged-urgent triaged-billing)
             S: %t NO [LIMIT] too many keywords
             C: UID STORE 5:6,9 +FLAGS.SILENT (triaged-urgent triaged-billing)
             S: %t BAD what
             C: UID STORE 5:6,9 +FLAGS.SILENT (triaged-urgent triaged-billing)
             S: %t NO [INUSE] somebody else is writing
             HANG",
        )
        .await;
        let change = adding(&["triaged-urgent", "triaged-billing"]);
        assert!(session.change(&change, None).await.expect("an answer").is_ok());
        let stored = session.change(&change, None).await.expect("an answer");
        assert_eq!(stored.refusal().map(ImapError::kind), Some("refused"));
        let stored = session.change(&change, None).await.expect("an answer");
        assert_eq!(stored.refusal().map(ImapError::kind), Some("rejected"));
        let busy = session.change(&change, None).await.expect_err("it passes");
        assert_eq!((busy.kind(), session.is_open()), ("unavailable", true));
    }

    #[tokio::test]
    async fn what_somebody_has_changed_meanwhile_is_left_alone_and_told() {
        let mut session = scripted::selected(
            9,
            "C: UID STORE 5:6,9 (UNCHANGEDSINCE 12) +FLAGS.SILENT (k)
             S: * 1 FETCH (UID 5 MODSEQ (13))
             S: %t OK [MODIFIED 6,9] done
             C: UID STORE 5:6,9 (UNCHANGEDSINCE 12) +FLAGS.SILENT (k)
             S: %t NO [MODIFIED 6] others could not be changed
             C: UID STORE 5:6,9 -FLAGS.SILENT (k)
             S: %t OK done
             HANG",
        )
        .await;
        let change = adding(&["k"]);
        for among in [[false, true, true], [false, true, false]] {
            let stored = session.change(&change, Some(12)).await.expect("an answer");
            assert_eq!([5, 6, 9].map(|n| stored.left_alone(uid(n))), among);
        }
        let removing = MailboxChange { adds: false, ..change };
        assert!(session.change(&removing, None).await.expect("an answer").is_ok());
    }

    /// Row 18 of the table, as far as the adapter goes.
    #[tokio::test]
    async fn on_gmail_keywords_are_labels_and_the_star_is_a_flag() {
        let mut session = scripted::selected_with(
            "X-GM-EXT-1 CONDSTORE",
            9,
            "C: UID STORE 5:6,9 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\\Flagged)
             S: %t OK done
             C: UID STORE 5:6,9 +X-GM-LABELS (\"triaged-urgent\")
             S: * 1 FETCH (UID 5 X-GM-LABELS (\"\\\\Inbox\" triaged-urgent))
             S: %t OK done
             C: UID FETCH 5:6,9 (UID FLAGS X-GM-LABELS)
             S: * 1 FETCH (UID 5 FLAGS (\\Seen) X-GM-LABELS (\"\\\\Inbox\" triaged-urgent \"Caf&AOk-\"))
             S: * 2 FETCH (UID 6 FLAGS () X-GM-LABELS ())
             S: %t OK done
             HANG",
        )
        .await;
        let mut change = adding(&["triaged-urgent"]);
        change.flags.push(Flag::Flagged);
        assert!(session.change(&change, Some(12)).await.expect("an answer").is_ok());
        let seen = session.look(&change.uids).await.expect("an answer").messages;
        let urgent = change.flags.first().expect("one");
        let has =
            |n: u32| seen.get(&uid(n)).is_some_and(|flags| flags.iter().any(|f| urgent.matches(f)));
        assert_eq!([5, 6, 9].map(has), [true, false, false]);
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
        let change = adding(&["k"]);
        let refused = session.change(&change, None).await.expect_err("none is open");
        assert_eq!(refused.kind(), "not_permitted");
        session.select("INBOX").await.expect("it opens");
        let refused = session.change(&change, None).await.expect_err("read-only");
        assert_eq!((refused.kind(), session.is_open()), ("not_permitted", true));
    }

    #[tokio::test]
    async fn long_sets_are_sent_in_pieces() {
        let odd: UidSet = (0..300).filter_map(|n| Uid::new(4_000_000_001 + 2 * n)).collect();
        let steps = odd.pieces().iter().fold(String::new(), |script, piece| {
            script + &format!("C: UID STORE {piece} +FLAGS.SILENT (k)\nS: %t OK done\n")
        });
        let mut session = scripted::selected(9, &format!("{steps}HANG")).await;
        let change = MailboxChange { uids: odd, ..adding(&["k"]) };
        let stored = session.change(&change, None).await.expect("an answer");
        assert!(stored.is_ok() && stored.pieces.len() > 1);
    }
}
