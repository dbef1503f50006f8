//! What a server says it can do (RFC 9051 §7.2.2).

use std::collections::BTreeSet;

use async_imap::imap_proto::Capability;

/// The capabilities of a server, in upper case and without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities(BTreeSet<String>);

impl Capabilities {
    /// Whether the server has a capability, for example `IDLE` or `AUTH=PLAIN`; case is ignored.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(&name.to_ascii_uppercase())
    }

    /// All of them in the order of the alphabet.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'a> FromIterator<&'a Capability<'a>> for Capabilities {
    fn from_iter<I: IntoIterator<Item = &'a Capability<'a>>>(list: I) -> Self {
        let word = |capability: &Capability<'_>| match capability {
            Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
            Capability::Auth(mechanism) => format!("AUTH={}", mechanism.to_ascii_uppercase()),
            Capability::Atom(word) => word.to_ascii_uppercase(),
        };
        Self(list.into_iter().map(word).collect())
    }
}
