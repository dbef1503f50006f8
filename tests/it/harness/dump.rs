//! All that a user has on the server, as a client sees it that owes nothing to the code under test: to
//! be compared with what another user has, for whom nothing went wrong.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::mailserver::User;

/// Every mailbox, by the name that goes over the wire, with its messages in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dump {
    pub(crate) mailboxes: BTreeMap<String, Vec<Dumped>>,
}

/// A message, without what another server, or another day, would number in its own way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dumped {
    pub(crate) message_id: String,
    /// SHA-256 of all that a client gets, header and body.
    pub(crate) sha256: String,
    pub(crate) internal_date: String,
    pub(crate) flags: BTreeSet<String>,
}

impl Dump {
    /// All of a user's mailboxes, as they are now.
    pub(crate) fn of(user: &User) -> Dump {
        let mut client = user.client();
        let listed = client.command("LIST \"\" \"*\"");
        let selectable = listed.iter().filter(|line| !line.contains("\\Noselect"));
        let names = selectable.map(|line| line.rsplit(' ').next().unwrap().trim_matches('"'));
        let dump = |name: &str| {
            let opened = client.command(&format!("EXAMINE \"{name}\""));
            let empty = opened.iter().any(|line| line == "* 0 EXISTS");
            let mut messages: Vec<Dumped> = Vec::new();
            if !empty {
                let fetched = client.octets("FETCH 1:* (INTERNALDATE FLAGS BODY.PEEK[])");
                messages.extend(fetched.iter().filter_map(|one| Dumped::of(one)));
            }
            messages.sort();
            (name.to_owned(), messages)
        };
        Dump { mailboxes: names.map(dump).collect() }
    }

    /// Fails where a message is there twice.
    pub(crate) fn assert_once(&self) {
        let mut seen = BTreeSet::new();
        for (mailbox, messages) in &self.mailboxes {
            for Dumped { message_id, .. } in messages {
                assert!(!message_id.is_empty(), "a message without an identity in {mailbox}");
                assert!(seen.insert(message_id), "{message_id} is there twice, also in {mailbox}");
            }
        }
    }

    /// Fails with the messages that are in one of them alone.
    pub(crate) fn assert_equals(&self, expected: &Dump, what: &str) {
        self.assert_once();
        let rows = |dump: &Dump| -> BTreeSet<(String, Dumped)> {
            let of = |(name, messages): (&String, &Vec<Dumped>)| -> Vec<(String, Dumped)> {
                messages.iter().map(|one| (name.clone(), one.clone())).collect()
            };
            dump.mailboxes.iter().flat_map(of).collect()
        };
        let (here, there) = (rows(self), rows(expected));
        let (more, less): (Vec<_>, Vec<_>) =
            (here.difference(&there).collect(), there.difference(&here).collect());
        assert!(more.is_empty() && less.is_empty(), "{what}: {more:#?} in place of {less:#?}");
        let names = |dump: &Dump| dump.mailboxes.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(expected), "{what}: other mailboxes");
    }
}

impl Dumped {
    /// Of one response to FETCH, whose only literal is the message; `None` for any other response.
    fn of(response: &[u8]) -> Option<Dumped> {
        let text = String::from_utf8_lossy(response);
        let between = |start: &str, end: &str| -> Option<String> {
            Some(text.split_once(start)?.1.split_once(end)?.0.to_owned())
        };
        let flags = between("FLAGS (", ")")?;
        // Whether a session is the first to see a message says nothing about the message.
        let flags = flags.split_whitespace().filter(|flag| *flag != "\\Recent");
        let message = literal(response)?;
        let header = String::from_utf8_lossy(message);
        let id = header.lines().take_while(|line| !line.is_empty()).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("Message-ID").then(|| value.trim().to_owned())
        });
        let digest = Sha256::digest(message);
        Some(Dumped {
            message_id: id.unwrap_or_default(),
            sha256: digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
            internal_date: between("INTERNALDATE \"", "\"")?,
            flags: flags.map(str::to_owned).collect(),
        })
    }
}

/// The octets of the first literal (RFC 3501 §4.3).
fn literal(response: &[u8]) -> Option<&[u8]> {
    let line = response.iter().position(|byte| *byte == b'\n')?;
    let head = String::from_utf8_lossy(response.get(..line)?).into_owned();
    let length = head.trim_end().strip_suffix('}')?.rsplit_once('{')?.1.parse::<usize>().ok()?;
    response.get(line + 1..line + 1 + length)
}
