//! What is Cyrus' own: how it is started, how somebody gets a password, how rights are given.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::client::ImapClient;
use super::mailserver::PASSWORD;

/// The user who may do everything, and is no user of the tests.
const ADMIN: &str = "admin";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cyrus").join(name)
}

/// The command that runs a server in `folder` on these ports: IMAP, IMAP over TLS, LMTP.
pub(super) fn command(folder: &Path, ports: [u16; 3]) -> Command {
    let there = Command::new(script("fetch.sh")).arg("--check").output().unwrap();
    assert!(
        there.status.success(),
        "Cyrus is missing. Run `make deps`.\n{}",
        String::from_utf8_lossy(&there.stderr)
    );
    let mut command = Command::new(script("start.sh"));
    command.arg(folder).args(ports.map(|port| port.to_string()));
    command
}

/// What is left to do when the server listens.
pub(super) fn prepare(folder: &Path) {
    let_in(folder, ADMIN);
}

/// Gives a user the password that all have.
pub(super) fn let_in(folder: &Path, user: &str) {
    let done = Command::new(script("passwd.sh")).arg(folder).args([user, PASSWORD]).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Gives a user these rights in a mailbox of his and no other (but those that Cyrus leaves to an
/// owner: to list it, to delete it, and to give rights).
pub(super) fn give_rights(imap: u16, user: &str, mailbox: &str, rights: &str) {
    // The first login of a user makes his INBOX.
    ImapClient::login(imap, user, PASSWORD);
    let name = match mailbox {
        "INBOX" => format!("user/{user}"),
        other => format!("user/{user}/{other}"),
    };
    let mut admin = ImapClient::login(imap, ADMIN, PASSWORD);
    admin.command(&format!("SETACL \"{name}\" {user} {rights}"));
}
