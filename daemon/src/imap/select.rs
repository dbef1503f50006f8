//! Opening a mailbox, and asking about one that is not open.

use async_imap::imap_proto::{MailboxDatum, Response, Status};
use triaged_core::choice::canonical;
use triaged_core::decision::Flag;
use triaged_core::mailbox::{Uid, UidValidity};
use triaged_core::sync::{MailboxState, MailboxStatus};

use super::code::ResponseCode;
use super::command::{Command, Verb};
use super::error::ImapError;
use super::list;
use super::name;
use super::session::Session;
use super::view::Asked;
use super::wire::Heard;

/// A mailbox that is open for reading and, unless the server says otherwise, for keywords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Generation and next UID at the time of SELECT.
    pub status: MailboxStatus,
    /// The server takes no change: it says READ-ONLY, or that no flag at all is permanent (Cyrus
    /// says READ-WRITE also to whom its rights allow nothing).
    pub read_only: bool,
    /// Which flags can be stored for good; `\*` stands for new keywords.
    pub permanent_flags: Vec<String>,
    /// The flags and keywords that the mailbox knows already; servers limit their number.
    pub flags: Vec<String>,
    /// Number of messages.
    pub exists: u32,
    /// The highest mod-sequence (RFC 7162), where the server keeps them.
    pub highest_mod_seq: Option<u64>,
    /// What the server calls the mailbox whatever its name is (RFC 8474), where it does.
    pub object_id: Option<String>,
}

impl Selected {
    /// Whether the server says that it will keep this flag. It may be wrong: verify.
    pub fn can_store(&self, flag: &Flag) -> bool {
        let any = self.takes_new_keywords() && flag.keyword().is_some();
        !self.read_only && (any || self.permanent_flags.iter().any(|one| flag.matches(one)))
    }

    /// Whether the server says that it keeps keywords that it does not know yet (`\*`).
    pub fn takes_new_keywords(&self) -> bool {
        self.permanent_flags.iter().any(|flag| flag == "\\*")
    }

    /// Whether messages can be marked as deleted, without which none is taken out.
    pub fn can_delete(&self) -> bool {
        // A server that does not say which flags it keeps has said `\*` here, and keeps all.
        let said = |flag: &String| flag.eq_ignore_ascii_case("\\Deleted");
        !self.read_only && self.permanent_flags.iter().any(said)
    }
}

impl Session {
    /// Opens a mailbox; the one that was open before is not any more, whatever the outcome.
    /// `mailbox` is the name as people write it, in UTF-8.
    ///
    /// # Errors
    /// [`ImapError::MailboxGone`], [`ImapError::NotPermitted`], [`ImapError::BadName`], and what
    /// ends a connection; [`ImapError::Protocol`] for a server without UIDs.
    pub async fn select(&mut self, mailbox: &str) -> Result<Selected, ImapError> {
        self.open("SELECT", mailbox).await
    }

    /// The same only to look: nothing can be changed in it.
    ///
    /// # Errors
    /// As [`Session::select`].
    pub async fn examine(&mut self, mailbox: &str) -> Result<Selected, ImapError> {
        self.open("EXAMINE", mailbox).await
    }

    async fn open(&mut self, word: &str, mailbox: &str) -> Result<Selected, ImapError> {
        let command = Command::new(Verb::Select, format!("{word} {}", name::argument(mailbox)?));
        self.view.leave();
        let mut opening = Opening::default();
        let done = self.exec(&command, |response| opening.hear(response)).await?;
        let read_only = done.reply.code == Some(ResponseCode::ReadOnly);
        let selected = opening.finish(read_only)?;
        self.view.selected = Some(selected.clone());
        Ok(selected)
    }

    /// How a mailbox stands that is not selected.
    ///
    /// # Errors
    /// As [`Session::select`].
    pub async fn status(&mut self, mailbox: &str) -> Result<MailboxState, ImapError> {
        let argument = name::argument(mailbox)?;
        let line = format!("STATUS {argument} ({})", self.state_items());
        let mut state = None;
        let hear = |response: &Response<'_>| {
            if let Response::MailboxData(MailboxDatum::Status { mailbox: about, status }) = response
                && name::shown(about).is_some_and(|name| canonical(&name) == canonical(mailbox))
            {
                state = list::state(status);
            }
            Heard::Foreign
        };
        self.view.asked = Asked::State(mailbox.to_owned());
        let done = self.exec(&Command::new(Verb::Status, line), hear).await;
        self.view.asked = Asked::Nothing;
        done?;
        state.ok_or(ImapError::Protocol("STATUS without UIDVALIDITY"))
    }

    /// The mailbox that is open, as the server last described it.
    pub fn selected(&self) -> Option<&Selected> {
        self.view.selected.as_ref()
    }
}

/// What arrives between SELECT and its OK.
#[derive(Default)]
struct Opening {
    exists: u32,
    flags: Vec<String>,
    permanent_flags: Option<Vec<String>>,
    uid_validity: Option<UidValidity>,
    uid_next: Option<Uid>,
    highest_mod_seq: Option<u64>,
    object_id: Option<String>,
}

impl Opening {
    fn hear(&mut self, response: &Response<'_>) -> Heard {
        match response {
            Response::MailboxData(MailboxDatum::Exists(n)) => self.exists = *n,
            Response::MailboxData(MailboxDatum::Flags(flags)) => {
                self.flags = flags.iter().map(ToString::to_string).collect();
            }
            Response::Data { status: Status::Ok, outcome } => match ResponseCode::of(outcome) {
                // What came before was about the mailbox that was open (RFC 7162 §3.2.11).
                Some(ResponseCode::Closed) => *self = Self::default(),
                Some(ResponseCode::PermanentFlags(flags)) => self.permanent_flags = Some(flags),
                Some(ResponseCode::UidValidity(n)) => self.uid_validity = UidValidity::new(n),
                Some(ResponseCode::UidNext(n)) => self.uid_next = Uid::new(n),
                Some(ResponseCode::HighestModSeq(n)) => self.highest_mod_seq = Some(n),
                Some(ResponseCode::MailboxId(id)) => self.object_id = Some(id),
                _ => {}
            },
            _ => {}
        }
        Heard::Foreign
    }

    fn finish(self, read_only: bool) -> Result<Selected, ImapError> {
        let uid_validity =
            self.uid_validity.ok_or(ImapError::Protocol("a mailbox without UIDVALIDITY"))?;
        let none_permanent = self.permanent_flags.as_ref().is_some_and(Vec::is_empty);
        Ok(Selected {
            status: MailboxStatus { uid_validity, uid_next: self.uid_next },
            read_only: read_only || none_permanent,
            // A server that does not say takes all of them (RFC 9051 §7.1, PERMANENTFLAGS).
            permanent_flags: self.permanent_flags.unwrap_or_else(all_flags),
            flags: self.flags,
            exists: self.exists,
            highest_mod_seq: self.highest_mod_seq,
            object_id: self.object_id,
        })
    }
}

/// What the protocol has, and new keywords.
fn all_flags() -> Vec<String> {
    ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "\\*"].map(str::to_owned).to_vec()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::imap::scripted::session;

    /// One of our keywords.
    pub(in crate::imap) fn urgent() -> Flag {
        Flag::Keyword("triaged-urgent".parse().expect("valid"))
    }

    /// An open mailbox with `exists` messages that takes new keywords.
    pub(in crate::imap) fn selected(exists: u32) -> Selected {
        let opening = Opening {
            exists,
            permanent_flags: Some(vec!["\\Seen".to_owned(), "\\*".to_owned()]),
            uid_validity: UidValidity::new(7),
            uid_next: Uid::new(exists + 1),
            ..Opening::default()
        };
        opening.finish(false).expect("it has a UIDVALIDITY")
    }

    #[tokio::test]
    async fn select_reads_what_the_server_says() {
        let mut session = session(
            "C: SELECT \"Entw&APw-rfe\"
             S: * FLAGS (\\Answered \\Seen $Junk)
             S: * OK [PERMANENTFLAGS (\\Answered \\Seen $Junk \\*)] yes
             S: * 17 EXISTS
             S: * 2 RECENT
             S: * OK [UNSEEN 12] x
             S: * OK [UIDVALIDITY 3857529045] UIDs valid
             S: * OK [UIDNEXT 4392] next
             S: * OK [HIGHESTMODSEQ 715194045007] highest
             S: * OK [MAILBOXID (F2212ea87-6097)] Ok
             S: %t OK [READ-WRITE] done
             HANG",
        )
        .await;
        let open = session.select("Entwürfe").await.expect("it opens");
        assert_eq!(open.status.uid_validity.get(), 3_857_529_045);
        assert_eq!(open.status.uid_next, Uid::new(4392));
        assert_eq!((open.exists, open.read_only), (17, false));
        assert_eq!(open.highest_mod_seq, Some(715_194_045_007));
        assert_eq!(open.object_id.as_deref(), Some("F2212ea87-6097"));
        assert!(open.can_store(&urgent()));
    }

    #[tokio::test]
    async fn a_read_only_mailbox_stores_nothing() {
        let mut session = session(
            "C: SELECT \"INBOX\"
             S: * 1 EXISTS
             S: * OK [UIDVALIDITY 1] x
             S: %t OK [READ-ONLY] done
             HANG",
        )
        .await;
        let open = session.select("INBOX").await.expect("it opens");
        assert!(open.read_only && !open.can_store(&urgent()));
    }

    #[tokio::test]
    async fn a_mailbox_where_no_flag_is_permanent_is_read_only_whatever_it_says() {
        let mut session = session(
            "C: SELECT \"INBOX\"
             S: * 1 EXISTS
             S: * OK [PERMANENTFLAGS ()] Ok
             S: * OK [UIDVALIDITY 1] x
             S: %t OK [READ-WRITE] Completed
             HANG",
        )
        .await;
        assert!(session.select("INBOX").await.expect("it opens").read_only);
    }

    /// Row 14 of the table: a fixed list of flags, as Exchange has it.
    #[test]
    fn a_fixed_list_of_flags_takes_no_keyword_and_may_take_a_star() {
        let open = |flags: Option<&[&str]>| {
            let list = flags.map(|flags| flags.iter().map(|&flag| flag.to_owned()).collect());
            let opening = Opening { permanent_flags: list, ..Opening::default() };
            let opening = Opening { uid_validity: UidValidity::new(7), ..opening };
            opening.finish(false).expect("it has a UIDVALIDITY")
        };
        let can = |open: &Selected| {
            (open.can_store(&urgent()), open.can_store(&Flag::Flagged), open.can_delete())
        };
        assert_eq!(can(&open(Some(&["\\Seen", "\\Flagged", "$MDNSent"]))), (false, true, false));
        assert_eq!(can(&open(Some(&["\\Deleted", "Triaged-Urgent"]))), (true, false, true));
        assert_eq!(can(&open(Some(&["\\Deleted", "\\*"]))), (true, false, true));
        assert_eq!(can(&open(None)), (true, true, true), "it does not say");
        assert_eq!(can(&open(Some(&[]))), (false, false, false));
    }

    #[tokio::test]
    async fn a_missing_mailbox_is_told_apart_and_the_session_goes_on() {
        let mut session = session(
            "C: SELECT \"Gone\"
             S: %t NO [NONEXISTENT] no such mailbox
             C: STATUS \"There\" (UIDVALIDITY UIDNEXT MESSAGES)
             S: * STATUS Other (UIDNEXT 1 UIDVALIDITY 1)
             S: * STATUS There (UIDNEXT 5 UIDVALIDITY 9)
             S: %t OK done
             C: STATUS \"Empty\" (UIDVALIDITY UIDNEXT MESSAGES)
             S: * STATUS Empty ()
             S: %t OK done
             HANG",
        )
        .await;
        let gone = session.select("Gone").await.expect_err("it is gone");
        assert_eq!((gone.kind(), gone.ends_connection()), ("mailbox_gone", false));
        let there = session.status("There").await.expect("it is there").status;
        assert_eq!((there.uid_validity.get(), there.uid_next), (9, Uid::new(5)));
        let empty = session.status("Empty").await.expect_err("nothing was said");
        assert_eq!(empty.kind(), "protocol");
    }
}
