//! News of the mailboxes that are not selected (NOTIFY, RFC 5465): it ends a wait earlier, and is never
//! the only way to learn of mail.
//!
//! Dovecot leaves out a first delivery now and then, so whoever is told of nothing asks all the same.

use std::collections::BTreeSet;

use super::command::{Command, Verb};
use super::error::ImapError;
use super::session::Session;
use super::wire::Heard;

/// New mail and lost mail in the selected mailbox as in IDLE; new mail in all others that are the
/// user's own, and new names.
const EVERYWHERE: &str = "NOTIFY SET (selected (MessageNew (UID) MessageExpunge FlagChange)) \
                          (personal (MessageNew MessageExpunge MailboxName))";

impl Session {
    /// Lets the server tell of mail in all mailboxes; whether it does.
    ///
    /// # Errors
    /// Only what ends the connection.
    pub async fn notify(&mut self) -> Result<bool, ImapError> {
        if !self.capabilities().has("NOTIFY") {
            return Ok(false);
        }
        let command = Command::new(Verb::Notify, EVERYWHERE);
        match self.exec(&command, |_| Heard::Foreign).await {
            Err(error) if error.ends_connection() => Err(error),
            done => Ok(done.is_ok()),
        }
    }

    /// From now on news of these mailboxes end a wait ([`super::Woken::Elsewhere`]); of others they
    /// do not.
    pub fn listen_for(&mut self, names: BTreeSet<String>) {
        self.view.listens_for = names;
    }
}
