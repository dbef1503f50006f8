//! What the server has said, in whatever answer, about the mailbox that is selected.
//!
//! A server may report new mail in the answer to any command (RFC 9051 §7.4.1). It does so once:
//! what is not remembered here is never said again.

use std::collections::BTreeSet;

use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response, Status};
use triaged_core::choice::canonical;

use super::code::ResponseCode;
use super::name;
use super::select::Selected;

/// The selected mailbox and what has happened in it since somebody looked.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is news of its own, in any combination")]
pub(super) struct View {
    /// `None` before the first SELECT and after one that failed.
    pub(super) selected: Option<Selected>,
    /// The mailbox has grown.
    pub(super) arrived: bool,
    /// Flags have changed or messages have gone.
    pub(super) changed: bool,
    /// The mailbox got other UIDs while it was open.
    pub(super) regenerated: bool,
    /// There may be mail in another mailbox.
    pub(super) elsewhere: bool,
    /// The mailboxes whose news count as that.
    pub(super) listens_for: BTreeSet<String>,
    /// What is being asked: the answer is no news, and news may stand in the middle of it.
    pub(super) asked: Asked,
}

/// What the server was asked about mailboxes that are not selected.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing.
    #[default]
    Nothing,
    /// How this one stands, by its name as people read it.
    State(String),
    /// Which there are; with `states` how they stand, too, so that nobody has to be told.
    Names {
        /// See RFC 5819.
        states: bool,
    },
}

impl View {
    /// Takes notice of a response to any command.
    pub(super) fn hear(&mut self, response: &Response<'_>) {
        self.elsewhere |= self.is_elsewhere(response);
        let Some(selected) = &mut self.selected else { return };
        match response {
            Response::MailboxData(MailboxDatum::Exists(now)) => {
                self.arrived |= *now > selected.exists;
                selected.exists = *now;
            }
            Response::Expunge(_) => {
                selected.exists = selected.exists.saturating_sub(1);
                self.changed = true;
            }
            Response::Vanished { earlier, uids } => {
                self.changed = true;
                if !earlier {
                    let gone = uids.iter().map(|range| range.end().saturating_sub(*range.start()));
                    let gone =
                        gone.fold(0u32, |sum, more| sum.saturating_add(more).saturating_add(1));
                    selected.exists = selected.exists.saturating_sub(gone);
                }
            }
            Response::Fetch(_, attributes) => {
                let flags = |value: &AttributeValue<'_>| matches!(value, AttributeValue::Flags(_));
                self.changed |= attributes.iter().any(flags);
            }
            Response::MailboxData(MailboxDatum::Flags(flags)) => {
                selected.flags = flags.iter().map(ToString::to_string).collect();
            }
            Response::Data { status: Status::Ok, outcome } => match ResponseCode::of(outcome) {
                Some(ResponseCode::PermanentFlags(flags)) => {
                    selected.read_only |= flags.is_empty();
                    selected.permanent_flags = flags;
                }
                Some(ResponseCode::ReadOnly) => selected.read_only = true,
                Some(ResponseCode::UidValidity(n)) => {
                    self.regenerated |= n != selected.status.uid_validity.get();
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// No mailbox is selected any more.
    pub(super) fn leave(&mut self) {
        self.selected = None;
        self.arrived = false;
        self.changed = false;
    }

    /// Whether a response tells of another mailbox that somebody listens for. New names do, for they
    /// may match a pattern; and so does a server that has lost count (RFC 5465 §5.8).
    fn is_elsewhere(&self, response: &Response<'_>) -> bool {
        if self.listens_for.is_empty() {
            return false;
        }
        match response {
            Response::MailboxData(MailboxDatum::Status { mailbox, .. }) => name::shown(mailbox)
                .is_some_and(|name| {
                    let answer = match &self.asked {
                        Asked::Nothing => false,
                        Asked::State(asked) => canonical(asked) == canonical(&name),
                        Asked::Names { states } => *states,
                    };
                    !answer && self.listens_for.contains(&name)
                }),
            Response::MailboxData(MailboxDatum::List(_)) => {
                !matches!(self.asked, Asked::Names { .. })
            }
            Response::Data { status: Status::Ok, outcome } => matches!(
                ResponseCode::of(outcome),
                Some(ResponseCode::Other(word)) if word == "NOTIFICATIONOVERFLOW"
            ),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::select::tests::{selected, urgent};

    fn hear(view: &mut View, line: &str) {
        let line = format!("{line}\r\n");
        view.hear(&Response::parse(line.as_bytes()).expect("a response").1);
    }

    #[test]
    fn growth_is_new_mail_even_behind_an_expunge() {
        let mut view = View { selected: Some(selected(3)), ..View::default() };
        hear(&mut view, "* 3 EXISTS");
        assert!(!view.arrived && !view.changed);
        hear(&mut view, "* 2 EXPUNGE");
        assert!(!view.arrived && view.changed);
        hear(&mut view, "* 3 EXISTS");
        assert!(view.arrived);
    }

    #[test]
    fn messages_that_vanish_make_room_for_growth() {
        let mut view = View { selected: Some(selected(5)), ..View::default() };
        hear(&mut view, "* VANISHED (EARLIER) 1:3");
        hear(&mut view, "* VANISHED 2,4:5");
        assert!(view.changed && !view.arrived);
        hear(&mut view, "* 3 EXISTS");
        assert!(view.arrived, "there were two left");
        hear(&mut view, "* VANISHED 1:4294967295");
        assert_eq!(view.selected.as_ref().map(|selected| selected.exists), Some(0));
    }

    #[test]
    fn another_generation_is_noticed() {
        let mut view = View { selected: Some(selected(3)), ..View::default() };
        hear(&mut view, "* OK [UIDVALIDITY 7] as before");
        assert!(!view.regenerated);
        hear(&mut view, "* OK [UIDVALIDITY 8] all is new");
        assert!(view.regenerated);
    }

    #[test]
    fn news_of_other_mailboxes_count_where_somebody_listens() {
        let status = "* STATUS \"Entw&APw-rfe\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)";
        let heard = |names: &[&str], line: &str| {
            let listens_for = names.iter().map(|name| (*name).to_owned()).collect();
            let mut view = View { listens_for, ..View::default() };
            hear(&mut view, line);
            view.elsewhere
        };
        assert!(heard(&["Entwürfe"], status) && !heard(&["Work"], status) && !heard(&[], status));
        assert!(heard(&["Work"], "* LIST () \"/\" New") && !heard(&["Work"], "* 3 EXISTS"));
        assert!(heard(&["Work"], "* OK [NOTIFICATIONOVERFLOW] too many"));
    }

    #[test]
    fn an_answer_is_no_news_and_what_stands_in_the_middle_of_it_is() {
        let heard = |asked: Asked, line: &str| {
            let listens_for = ["Work", "Sales"].map(str::to_owned).into();
            let mut view = View { listens_for, asked, ..View::default() };
            hear(&mut view, line);
            view.elsewhere
        };
        let (work, sales) = ("* STATUS Work (UIDNEXT 2)", "* STATUS Sales (UIDNEXT 2)");
        let sale = || Asked::State("Sales".to_owned());
        assert!(heard(sale(), work) && !heard(sale(), sales) && heard(Asked::Nothing, sales));
        assert!(heard(sale(), "* LIST () \"/\" New"));
        for states in [true, false] {
            assert!(!heard(Asked::Names { states }, "* LIST () \"/\" New"));
            assert_eq!(heard(Asked::Names { states }, work), !states);
            assert!(heard(Asked::Names { states }, "* OK [NOTIFICATIONOVERFLOW] too many"));
        }
    }

    #[test]
    fn a_full_keyword_table_is_noticed() {
        let mut view = View { selected: Some(selected(3)), ..View::default() };
        let keyword = urgent();
        assert!(view.selected.as_ref().expect("selected").can_store(&keyword));
        hear(&mut view, "* OK [PERMANENTFLAGS (\\Seen $Junk)] no more");
        assert!(!view.selected.as_ref().expect("selected").can_store(&keyword));
    }
}
