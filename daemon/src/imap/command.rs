//! A command as it is sent: its lines, and how long its answers may take.

use std::time::Duration;

use secrecy::zeroize::Zeroizing;

/// A command that answers at once on any server that is well.
const SHORT: Duration = Duration::from_mins(1);
/// LOGOUT is a courtesy.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a command is about: the name in errors, and what a NO to it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Capability,
    Login,
    Id,
    Enable,
    List,
    Notify,
    Select,
    Status,
    Fetch,
    Search,
    Store,
    Move,
    Copy,
    Expunge,
    Create,
    Noop,
    Idle,
    Logout,
}

impl Verb {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Login => "the login",
            Self::Id => "ID",
            Self::Enable => "ENABLE",
            Self::List => "LIST",
            Self::Notify => "NOTIFY",
            Self::Select => "SELECT",
            Self::Status => "STATUS",
            Self::Fetch => "UID FETCH",
            Self::Search => "UID SEARCH",
            Self::Store => "UID STORE",
            Self::Move => "UID MOVE",
            Self::Copy => "UID COPY",
            Self::Expunge => "UID EXPUNGE",
            Self::Create => "CREATE",
            Self::Noop => "NOOP",
            Self::Idle => "IDLE",
            Self::Logout => "LOGOUT",
        }
    }

    /// Whether it changes anything for others, so that only who owns the mailbox may send it.
    pub(super) const fn changes(self) -> bool {
        self.writes() || matches!(self, Self::Expunge)
    }

    /// Whether it changes mail, so that what the server says of limits is about the change and not
    /// about us.
    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::Store | Self::Move | Self::Copy | Self::Create)
    }
}

/// One command. It has no `Debug`: its lines may hold a password.
pub(super) struct Command {
    pub(super) verb: Verb,
    /// The first line, without tag and line end; each further one is sent when the server asks
    /// for it with a continuation.
    pub(super) lines: Vec<Zeroizing<String>>,
    /// Longest silence: between the command and its end, or between two answers to it.
    pub(super) limit: Duration,
}

impl Command {
    pub(super) fn new(verb: Verb, line: impl Into<String>) -> Self {
        Self::of_lines(verb, vec![Zeroizing::new(line.into())])
    }

    pub(super) fn of_lines(verb: Verb, lines: Vec<Zeroizing<String>>) -> Self {
        let limit = if verb == Verb::Logout { FAREWELL } else { SHORT };
        Self { verb, lines, limit }
    }
}

/// `text` as a quoted string (RFC 9051 §4.3), or `None` where only a literal can carry it:
/// control characters and everything outside of ASCII.
pub(super) fn quoted(text: &str) -> Option<String> {
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_escaped_and_the_rest_needs_a_literal() {
        assert_eq!(quoted(r#"a "b" \c"#).as_deref(), Some(r#""a \"b\" \\c""#));
        assert_eq!(quoted("").as_deref(), Some("\"\""));
        for text in ["é", "a\rb", "a\nb", "a\0b", "\u{7f}"] {
            assert_eq!(quoted(text), None, "{text:?}");
        }
    }
}
