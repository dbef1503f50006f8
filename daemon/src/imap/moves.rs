//! Taking messages to another mailbox: MOVE (RFC 6851), or COPY and then `UID EXPUNGE` of exactly
//! these (RFC 4315).
//!
//! Deliberately absent: EXPUNGE without UIDs, which removes what other clients have marked, and any
//! decision what to do after a command of which nobody knows whether it was done.

use std::collections::BTreeMap;

use async_imap::imap_proto::{Response, Status};
use triaged_core::mailbox::{Uid, UidSet, UidValidity};

use super::code::ResponseCode;
use super::command::{Command, Verb};
use super::error::ImapError;
use super::name;
use super::session::Session;
use super::wire::Heard;

/// How a server lets messages be taken to another mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveWay {
    /// In one step.
    Move,
    /// A copy, after which the original is removed.
    CopyAndExpunge,
}

/// What came of it: which messages are where now, and which the server would not take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// By UID: generation and UID in the target, as far as the server says.
    pub landed: BTreeMap<Uid, (UidValidity, Uid)>,
    /// What the server said NO or BAD to, each with its reason.
    pub refused: BTreeMap<Uid, ImapError>,
}

impl Session {
    /// How messages can be taken out of mailboxes here; `None` where they can not without harm to
    /// what others have marked as deleted.
    pub fn move_way(&self) -> Option<MoveWay> {
        let has = |name| self.capabilities().has(name);
        if has("MOVE") {
            Some(MoveWay::Move)
        } else {
            has("UIDPLUS").then_some(MoveWay::CopyAndExpunge)
        }
    }

    /// Moves messages of the selected mailbox to `target`, or copies them where `way` says so. A
    /// set that is refused is tried in halves, so that one message does not cost its neighbours. Where
    /// the target as a whole is in the way, all that is left is refused; what came before is there.
    ///
    /// # Errors
    /// A name that can not be, what passes, and what ends the connection; then nobody knows what was
    /// done.
    pub async fn take_to(
        &mut self,
        way: MoveWay,
        uids: &UidSet,
        target: &str,
    ) -> Result<Moved, ImapError> {
        let argument = name::argument(target)?;
        let (verb, word) = match way {
            MoveWay::Move => (Verb::Move, "MOVE"),
            MoveWay::CopyAndExpunge => (Verb::Copy, "COPY"),
        };
        let mut moved = Moved::default();
        let mut waiting = uids.pieces();
        waiting.reverse();
        while let Some(piece) = waiting.pop() {
            let command = Command::new(verb, format!("UID {word} {piece} {argument}"));
            match self.exec_copying(&command, &piece, &mut moved.landed).await {
                Ok(()) => {}
                Err(error @ (ImapError::Refused { .. } | ImapError::Rejected { .. })) => {
                    if piece.len() > 1 {
                        let (first, second) = piece.split_at(piece.len().div_ceil(2));
                        waiting.extend([second, first]);
                    } else {
                        moved.refused.extend(piece.iter().map(|uid| (uid, error.clone())));
                    }
                }
                Err(error @ (ImapError::MailboxGone(_) | ImapError::NotPermitted(_))) => {
                    waiting.push(piece);
                    let left = waiting.iter().flat_map(UidSet::iter);
                    let left = left.filter(|uid| !moved.landed.contains_key(uid));
                    moved.refused.extend(left.map(|uid| (uid, error.clone())));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    /// Runs a command and takes down where copies are: MOVE says it in an untagged OK (RFC 6851
    /// §4.3), COPY in the tagged one.
    async fn exec_copying(
        &mut self,
        command: &Command,
        asked: &UidSet,
        landed: &mut BTreeMap<Uid, (UidValidity, Uid)>,
    ) -> Result<(), ImapError> {
        let mut hear = |code: Option<ResponseCode>| {
            if let Some(ResponseCode::CopyUid(told)) = code {
                let validity = told.uid_validity;
                landed.extend(told.pairs(asked).map(|(from, to)| (from, (validity, to))));
            }
        };
        let done = self.exec(command, |response| {
            if let Response::Data { status: Status::Ok, outcome } = response {
                hear(ResponseCode::of(outcome));
            }
            Heard::Foreign
        });
        let done = done.await?;
        hear(done.reply.code);
        Ok(())
    }

    /// Removes messages of which a copy is elsewhere: marks exactly these as deleted, and expunges
    /// exactly these.
    ///
    /// # Errors
    /// A NO or BAD to either step, and what ends the connection.
    pub async fn remove(&mut self, uids: &UidSet) -> Result<(), ImapError> {
        for piece in uids.pieces() {
            let mark = format!("UID STORE {piece} +FLAGS.SILENT (\\Deleted)");
            self.exec(&Command::new(Verb::Store, mark), |_| Heard::Foreign).await?;
            let expunge = Command::new(Verb::Expunge, format!("UID EXPUNGE {piece}"));
            self.exec(&expunge, |_| Heard::Foreign).await?;
        }
        Ok(())
    }

    /// Takes the mark as deleted off messages that were to be removed and are still there.
    ///
    /// # Errors
    /// A NO or BAD, and what ends the connection.
    pub async fn unmark(&mut self, uids: &UidSet) -> Result<(), ImapError> {
        for piece in uids.pieces() {
            let unmark = format!("UID STORE {piece} -FLAGS.SILENT (\\Deleted)");
            self.exec(&Command::new(Verb::Store, unmark), |_| Heard::Foreign).await?;
        }
        Ok(())
    }

    /// Makes a mailbox and subscribes to nothing.
    ///
    /// # Errors
    /// A name that can not be, what the server refuses, and what ends the connection.
    pub async fn create(&mut self, mailbox: &str) -> Result<(), ImapError> {
        let line = format!("CREATE {}", name::argument(mailbox)?);
        self.exec(&Command::new(Verb::Create, line), |_| Heard::Foreign).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::scripted::selected;

    fn set(uids: &[u32]) -> UidSet {
        uids.iter().filter_map(|&uid| Uid::new(uid)).collect()
    }

    fn landed(moved: &Moved) -> Vec<(u32, u32)> {
        moved.landed.iter().map(|(from, (_, to))| (from.get(), to.get())).collect()
    }

    #[tokio::test]
    async fn where_messages_are_is_heard_in_either_place() {
        let mut session = selected(
            9,
            "C: UID MOVE 5:6,9 \"Work\"
             S: * OK [COPYUID 8 5:6 30:31] moved
             S: * 6 EXPUNGE
             S: * 5 EXPUNGE
             S: %t OK done
             C: UID COPY 5 \"K&APw-che\"
             S: %t OK [COPYUID 8 5 32] done
             HANG",
        )
        .await;
        let moved = session.take_to(MoveWay::Move, &set(&[5, 6, 9]), "Work").await.expect("moved");
        assert_eq!((landed(&moved), moved.refused.len()), (vec![(5, 30), (6, 31)], 0));
        let way = MoveWay::CopyAndExpunge;
        let copied = session.take_to(way, &set(&[5]), "Küche").await.expect("copied");
        assert_eq!(landed(&copied), [(5, 32)]);
    }

    #[tokio::test]
    async fn one_message_that_is_refused_does_not_cost_its_neighbours() {
        let mut session = selected(
            9,
            "C: UID MOVE 5:7 \"Work\"
             S: %t NO [SERVERBUG] no
             C: UID MOVE 5:6 \"Work\"
             S: %t NO [SERVERBUG] no
             C: UID MOVE 5 \"Work\"
             S: %t OK [COPYUID 8 5 30] moved
             C: UID MOVE 6 \"Work\"
             S: %t NO [SERVERBUG] no
             C: UID MOVE 7 \"Work\"
             S: %t OK [COPYUID 8 7 31] moved
             HANG",
        )
        .await;
        let moved = session.take_to(MoveWay::Move, &set(&[5, 6, 7]), "Work").await.expect("moved");
        assert_eq!(landed(&moved), [(5, 30), (7, 31)]);
        assert_eq!(moved.refused.keys().map(|uid| uid.get()).collect::<Vec<_>>(), [6]);
    }

    #[tokio::test]
    async fn a_target_that_is_full_or_missing_is_no_trouble_of_the_account() {
        let mut session = selected(
            9,
            "C: UID MOVE 5 \"Work\"
             S: %t NO [OVERQUOTA] full
             C: UID COPY 5 \"Work\"
             S: %t NO [TRYCREATE] no such mailbox
             HANG",
        )
        .await;
        let full = session.take_to(MoveWay::Move, &set(&[5]), "Work").await.expect("an answer");
        assert_eq!(full.refused.values().map(ImapError::kind).collect::<Vec<_>>(), ["refused"]);
        let way = MoveWay::CopyAndExpunge;
        let gone = session.take_to(way, &set(&[5]), "Work").await.expect("an answer");
        assert_eq!(
            gone.refused.values().map(ImapError::kind).collect::<Vec<_>>(),
            ["mailbox_gone"]
        );
    }

    /// All of them were once taken for refused, and each that had come through was there twice.
    #[tokio::test]
    async fn a_target_that_goes_half_way_costs_nothing_that_came_before() {
        let mut session = selected(
            9,
            "C: UID COPY 5:8 \"Work\"
             S: %t NO no
             C: UID COPY 5:6 \"Work\"
             S: %t OK [COPYUID 8 5:6 30:31] done
             C: UID COPY 7:8 \"Work\"
             S: %t NO [TRYCREATE] no such mailbox
             C: UID MOVE 5:8 \"Work\"
             S: * OK [COPYUID 8 5 32] moved
             S: * 5 EXPUNGE
             S: %t NO [NOPERM] no
             HANG",
        )
        .await;
        let refused = |moved: &Moved| -> Vec<(u32, &str)> {
            moved.refused.iter().map(|(uid, error)| (uid.get(), error.kind())).collect()
        };
        let uids = set(&[5, 6, 7, 8]);
        let copied = session.take_to(MoveWay::CopyAndExpunge, &uids, "Work").await.expect("half");
        assert_eq!(landed(&copied), [(5, 30), (6, 31)]);
        assert_eq!(refused(&copied), [(7, "mailbox_gone"), (8, "mailbox_gone")]);
        let moved = session.take_to(MoveWay::Move, &uids, "Work").await.expect("a part");
        assert_eq!(landed(&moved), [(5, 32)]);
        assert_eq!(refused(&moved), [6, 7, 8].map(|uid| (uid, "not_permitted")));
    }

    /// A set that is too long for one command goes in several.
    #[tokio::test]
    async fn the_first_of_two_commands_counts_where_the_second_is_refused() {
        let uids: Vec<u32> = (0..200).map(|n| 1_000_000 + 2 * n).collect();
        let pieces = set(&uids).pieces();
        let [first, second] = pieces.as_slice() else { panic!("{pieces:?}") };
        let mut session = selected(
            9,
            &format!(
                "C: UID MOVE {first} \"Work\"
                 S: %t OK done
                 C: UID MOVE {second} \"Work\"
                 S: %t NO [NONEXISTENT] no such mailbox
                 HANG"
            ),
        )
        .await;
        let moved = session.take_to(MoveWay::Move, &set(&uids), "Work").await.expect("half");
        assert!(moved.refused.keys().copied().eq(second.iter()));
    }

    #[tokio::test]
    async fn exactly_what_was_copied_is_removed() {
        let mut session = selected(
            9,
            "C: UID STORE 5:6 +FLAGS.SILENT (\\Deleted)
             S: %t OK done
             C: UID EXPUNGE 5:6
             S: * 5 EXPUNGE
             S: * 5 EXPUNGE
             S: %t OK done
             C: UID STORE 7 +FLAGS.SILENT (\\Deleted)
             S: %t NO [NOPERM] no
             C: UID STORE 7 -FLAGS.SILENT (\\Deleted)
             S: %t OK done
             HANG",
        )
        .await;
        session.remove(&set(&[5, 6])).await.expect("removed");
        assert_eq!(session.remove(&set(&[7])).await.expect_err("no").kind(), "not_permitted");
        session.unmark(&set(&[7])).await.expect("done");
    }
}
