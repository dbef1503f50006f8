//! `[connections]`: how many connections may be open at the same time.
//!
//! What happens when there are more accounts is the daemon's affair: they take turns.

use super::problem::Problems;
use super::raw::Section;
use super::settings::number;

/// The budgets of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionsConfig {
    /// Of all accounts together.
    pub in_all: usize,
    /// To one server, unless its `[[server]]` says otherwise.
    pub per_server: usize,
}

/// As many as one machine is meant for.
const IN_ALL: usize = 10_000;
/// Half of what a Dovecot lets in as it comes (1,024 processes of imap), for people have mail
/// clients, too.
const PER_SERVER: usize = 500;
/// Above what a process can have open.
const MOST: i64 = 1_000_000;

pub(super) fn read(mut section: Section<'_>, problems: &mut Problems) -> ConnectionsConfig {
    let in_all = read_budget(&mut section, "in_all", problems).unwrap_or(IN_ALL);
    let per_server = read_budget(&mut section, "per_server", problems).unwrap_or(PER_SERVER);
    section.finish(problems);
    ConnectionsConfig { in_all, per_server }
}

/// A number of connections; `None` where it is absent or was reported.
pub(super) fn read_budget(
    section: &mut Section<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<usize> {
    number(section, key, 1..=MOST, problems).map(|number| number as usize)
}
