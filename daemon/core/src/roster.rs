//! Which users of a server become accounts, and under which names.
//!
//! A list of users comes from outside: a file that somebody edits, or a program that prints what it
//! found in a directory. Nothing in it is believed to be sane, and one bad line does not cost the
//! others. Where the list comes from is the daemon's affair.

mod name;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::config::{AccountConfig, ServerConfig, UserConfig};

pub use name::{decoded, encoded};
pub use pattern::Pattern;

/// Longest name of a user in bytes; an address has at most 254 (RFC 5321 §4.5.3.1.3).
const LONGEST: usize = 254;

/// What stands in a list: one user a line; empty lines, and those that begin with `#`, say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The users in the order of their lines, each once.
    pub users: Vec<String>,
    /// How many lines named a user again; upper and lower case are the same here, because they
    /// are to mail servers.
    pub twice: usize,
    /// Lines that name nobody, counted from 1, and what is wrong with each.
    pub wrong: Vec<(usize, &'static str)>,
}

impl Listing {
    /// Reads a list.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut listing = Self::default();
        let mut seen = BTreeSet::new();
        // Windows writes a mark before the first line and a return after each.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            match user(text) {
                Ok(None) => {}
                Ok(Some(user)) if seen.insert(user.to_lowercase()) => {
                    listing.users.push(user.to_owned());
                }
                Ok(Some(_)) => listing.twice += 1,
                Err(what) => listing.wrong.push((line, what)),
            }
        }
        listing
    }
}

fn user(line: &[u8]) -> Result<Option<&str>, &'static str> {
    let text = str::from_utf8(line).map_err(|_| "it is not UTF-8 text")?.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    if text.len() > LONGEST {
        return Err("it is too long for the name of a user");
    }
    if text.chars().any(char::is_control) {
        return Err("it has a control character");
    }
    Ok(Some(text))
}

/// The accounts that a list makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// In the order of the list, each name once.
    pub accounts: Vec<AccountConfig>,
    /// How many users there were to choose from.
    pub listed: usize,
    /// Names in the configuration that no user has: perhaps a slip.
    pub nobody: Vec<String>,
    /// How many users have the separator in their name, and can not be opened by it.
    pub ambiguous: usize,
}

impl ServerConfig {
    /// Chooses among the users of a list.
    #[must_use]
    pub fn roster(&self, users: &[String]) -> Roster {
        let mut roster = Roster { listed: users.len(), ..Roster::default() };
        let mut seen = BTreeSet::new();
        for user in users {
            if !self.wants(user) || !seen.insert(user.to_lowercase()) {
                continue;
            }
            if self.separator.as_deref().is_some_and(|mark| user.contains(mark)) {
                roster.ambiguous += 1;
                continue;
            }
            roster.accounts.push(self.account(user));
        }
        roster.nobody = self.nobody_has(users);
        roster
    }

    /// Whether a user of this name is watched, if there is one.
    #[must_use]
    pub fn wants(&self, user: &str) -> bool {
        let is_among = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_of(user));
        (self.only.is_empty() || is_among(&self.only)) && !is_among(&self.except)
    }

    /// The account of a user.
    #[must_use]
    pub fn account(&self, user: &str) -> AccountConfig {
        let mut account = self.every.clone();
        account.name = format!("{}/{}", self.name, encoded(user));
        match &self.separator {
            Some(mark) => account.user = format!("{user}{mark}{}", self.every.user),
            None => account.authorize_as = Some(user.to_owned()),
        }
        if let Some(other) = self.users.get(&user.to_lowercase()) {
            let UserConfig { mailboxes, backfill, mode, poll } = other.clone();
            account.mailboxes = mailboxes.unwrap_or(account.mailboxes);
            account.backfill = backfill.unwrap_or(account.backfill);
            account.mode = mode.unwrap_or(account.mode);
            account.poll = poll.unwrap_or(account.poll);
        }
        account
    }

    /// Patterns and exceptions that are about none of these users.
    fn nobody_has(&self, users: &[String]) -> Vec<String> {
        let named: BTreeSet<String> = users.iter().map(|user| user.to_lowercase()).collect();
        let patterns = self.only.iter().chain(&self.except);
        let patterns = patterns.filter(|pattern| !users.iter().any(|user| pattern.is_of(user)));
        let exceptions = self.users.keys().filter(|user| !named.contains(*user));
        patterns.map(ToString::to_string).chain(exceptions.cloned()).collect()
    }
}
