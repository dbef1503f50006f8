//! What the server has said, in whatever answer, about the mailbox that is selected.
//!
//! A server may report new mail in the answer to any command (RFC 9051 §7.4.1). It does so once:
//! what is not remembered here is never said again.

use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response, Status};

use super::code::ResponseCode;
use super::select::Selected;

/// The selected mailbox and what has happened in it since somebody looked.
#[derive(Debug, Default)]
pub(super) struct View {
    /// `None` before the first SELECT and after one that failed.
    pub(super) selected: Option<Selected>,
    /// The mailbox has grown.
    pub(super) arrived: bool,
    /// Flags have changed or messages have gone.
    pub(super) changed: bool,
}

impl View {
    /// Takes notice of a response to any command.
    pub(super) fn hear(&mut self, response: &Response<'_>) {
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
            Response::Vanished { .. } => self.changed = true,
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
                _ => {}
            },
            _ => {}
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
    fn a_full_keyword_table_is_noticed() {
        let mut view = View { selected: Some(selected(3)), ..View::default() };
        let keyword = urgent();
        assert!(view.selected.as_ref().expect("selected").can_store(&keyword));
        hear(&mut view, "* OK [PERMANENTFLAGS (\\Seen $Junk)] no more");
        assert!(!view.selected.as_ref().expect("selected").can_store(&keyword));
    }
}
