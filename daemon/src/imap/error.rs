//! What can go wrong with a server, by what a caller does about it.
//!
//! No variant holds text of the server: it may quote mail. async-imap's own errors are dropped
//! for the same reason.

use std::fmt;
use std::time::Duration;

use async_imap::imap_proto::{Outcome, Status};
use triaged_core::backoff::Trouble;

use super::code::{self, ResponseCode};
use super::command::Verb;

/// What a server's refusal says beside "no".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The response code, where there is one.
    pub code: Option<ResponseCode>,
    /// How long the server asks us to wait, where it says so.
    pub retry_after: Option<Duration>,
}

impl Reply {
    pub(super) fn of(outcome: &Outcome<'_>) -> Self {
        let text = outcome.information.as_deref().unwrap_or_default();
        Self::with(ResponseCode::of(outcome), text)
    }

    /// What the text of a status line says, its code included.
    pub(super) fn of_text(text: &str) -> Self {
        Self::with(ResponseCode::in_text(text), text)
    }

    fn with(code: Option<ResponseCode>, text: &str) -> Self {
        let retry_after = code::suggested_delay(text);
        // An alert asks to be shown and says nothing of the reason.
        let silent = matches!(code, None | Some(ResponseCode::Alert));
        let code = match code {
            _ if code::says_bandwidth(text) => Some(ResponseCode::Bandwidth),
            _ if silent && code::says_too_many(text) => Some(ResponseCode::Limit),
            _ if silent && code::says_not_connected(text) => Some(ResponseCode::Unavailable),
            _ if silent && retry_after.is_some() => Some(ResponseCode::Throttled),
            None if code::says_no_mailbox(text) => Some(ResponseCode::NonExistent),
            None if code::says_temporary(text) => Some(ResponseCode::Unavailable),
            code => code,
        };
        Self { code, retry_after }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, " [{code}]"),
            None => Ok(()),
        }
    }
}

/// Why something did not work. After [`ImapError::ends_connection`] the session is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImapError {
    /// No TCP connection: the name, the network or the server.
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable {
        /// Host and port.
        endpoint: String,
        /// The operating system's words.
        reason: String,
    },
    /// TLS did not come about; most often the certificate is not trusted.
    #[error("no secure connection to {endpoint}: {reason}")]
    Tls {
        /// Host and port, or the file of the certificate authority.
        endpoint: String,
        /// What was wrong with it.
        reason: String,
    },
    /// A connection without TLS was configured to an address that is not this machine.
    #[error("{endpoint} is not this machine: a connection without TLS is refused")]
    PlainNotLoopback {
        /// Host and port.
        endpoint: String,
    },
    /// The server says that we are logged in before we said who we are.
    #[error("the server greets with PREAUTH, which is refused")]
    Preauth,
    /// User name or password are wrong, or the account is closed.
    #[error("the server refused the login{0}")]
    LoginRefused(Reply),
    /// This server offers no way to log in that is supported, or the credential cannot be sent.
    #[error("cannot log in: {0}")]
    LoginImpossible(&'static str),
    /// Too many connections or commands, or over a quota: come back later, much later.
    #[error("the server asks to slow down{0}")]
    Throttled(Reply),
    /// The server is there but can not serve now.
    #[error("the server is not available for now{0}")]
    Unavailable(Reply),
    /// The mailbox does not exist.
    #[error("the mailbox does not exist{0}")]
    MailboxGone(Reply),
    /// The mailbox may not be read or changed by this user.
    #[error("not permitted on this mailbox{0}")]
    NotPermitted(Reply),
    /// The selected mailbox has new UIDs: what was known of its messages holds no more.
    #[error("the mailbox has new UIDs (another UIDVALIDITY) while it is open")]
    Regenerated,
    /// A mailbox name with a control character.
    #[error("a mailbox name can not have control characters")]
    BadName,
    /// NO, for a reason that none of the others names.
    #[error("the server said NO to {verb}{reply}")]
    Refused {
        /// The command.
        verb: &'static str,
        /// Why.
        reply: Reply,
    },
    /// BAD: the server does not understand the command.
    #[error("the server said BAD to {verb}{reply}")]
    Rejected {
        /// The command.
        verb: &'static str,
        /// Why.
        reply: Reply,
    },
    /// Another daemon may be about to take the mailbox over: nothing is changed in it.
    #[error(
        "nothing is changed: the database has not confirmed in time that this account is still ours"
    )]
    NotOurs,
    /// The server said goodbye.
    #[error("the server ended the connection{0}")]
    Bye(Reply),
    /// The connection ended without a goodbye, or was ended by us before.
    #[error("the connection is closed")]
    Closed,
    /// No answer in time.
    #[error("no answer to {0} in time")]
    Deadline(&'static str),
    /// The server said what can not be: the connection is dropped.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
}

impl ImapError {
    /// A tagged NO or BAD as the error that a caller acts on.
    pub(super) fn refusal(verb: Verb, status: &Status, reply: Reply) -> Self {
        use ResponseCode as Code;
        let verb_name = verb.as_str();
        if !matches!(status, Status::No) {
            return Self::Rejected { verb: verb_name, reply };
        }
        match (&reply.code, verb) {
            // Of a command that writes they speak of what it writes (RFC 5530): the mailbox or the
            // message has enough keywords, or the target of a move is full, and it may stay so.
            (Some(Code::Limit | Code::OverQuota), verb) if verb.writes() => {
                Self::Refused { verb: verb_name, reply }
            }
            (Some(Code::Limit | Code::Throttled | Code::OverQuota | Code::Bandwidth), _) => {
                Self::Throttled(reply)
            }
            (Some(Code::Unavailable | Code::InUse), _)
            | (
                Some(Code::ServerBug | Code::Corruption),
                Verb::Login | Verb::Select | Verb::Status | Verb::List | Verb::Store,
            ) => Self::Unavailable(reply),
            (Some(Code::PrivacyRequired), Verb::Login) => {
                Self::LoginImpossible("the server wants more protection for the password")
            }
            (_, Verb::Login) => Self::LoginRefused(reply),
            (Some(Code::NonExistent | Code::TryCreate), _) => Self::MailboxGone(reply),
            (Some(Code::NoPerm | Code::Cannot | Code::ReadOnly), _) => Self::NotPermitted(reply),
            _ => Self::Refused { verb: verb_name, reply },
        }
    }

    /// The kind as a word for a metric.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::PlainNotLoopback { .. } => "plain_not_loopback",
            Self::Preauth => "preauth",
            Self::LoginRefused(_) => "login_refused",
            Self::LoginImpossible(_) => "login_impossible",
            Self::Throttled(_) => "throttled",
            Self::Unavailable(_) => "unavailable",
            Self::MailboxGone(_) => "mailbox_gone",
            Self::NotPermitted(_) => "not_permitted",
            Self::Regenerated => "regenerated",
            Self::BadName => "bad_name",
            Self::Refused { .. } => "refused",
            Self::Rejected { .. } => "rejected",
            Self::NotOurs => "not_ours",
            Self::Bye(_) => "bye",
            Self::Closed => "closed",
            Self::Deadline(_) => "deadline",
            Self::Protocol(_) => "protocol",
        }
    }

    /// What the server added to its refusal.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::LoginRefused(reply)
            | Self::Throttled(reply)
            | Self::Unavailable(reply)
            | Self::MailboxGone(reply)
            | Self::NotPermitted(reply)
            | Self::Bye(reply)
            | Self::Refused { reply, .. }
            | Self::Rejected { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// The response code of the server's refusal.
    pub fn code(&self) -> Option<&ResponseCode> {
        self.reply().and_then(|reply| reply.code.as_ref())
    }

    /// How long the server asks us to stay away, where it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.reply().and_then(|reply| reply.retry_after)
    }

    /// What it means for the time until the next attempt.
    pub fn trouble(&self) -> Trouble {
        use ResponseCode as Code;
        match (self, self.code()) {
            (Self::Throttled(_) | Self::Bye(_), Some(Code::Limit)) => Trouble::Crowded,
            (Self::Throttled(_) | Self::Bye(_), Some(Code::Bandwidth | Code::OverQuota)) => {
                Trouble::Bandwidth
            }
            (Self::Throttled(_), _) | (Self::Bye(_), Some(Code::Throttled)) => Trouble::Throttled,
            (Self::Unavailable(_), Some(Code::InUse)) => Trouble::InUse,
            (Self::Unavailable(_), _) | (Self::Bye(_), Some(Code::Unavailable)) => {
                Trouble::Unavailable
            }
            _ => Trouble::Lost,
        }
    }

    /// Whether there is no connection any more: drop the session and connect again, later.
    pub fn ends_connection(&self) -> bool {
        !matches!(
            self,
            Self::Throttled(_)
                | Self::Unavailable(_)
                | Self::MailboxGone(_)
                | Self::NotPermitted(_)
                | Self::BadName
                | Self::Refused { .. }
                | Self::Rejected { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no(verb: Verb, code: Option<ResponseCode>) -> &'static str {
        ImapError::refusal(verb, &Status::No, Reply { code, retry_after: None }).kind()
    }

    #[test]
    fn a_refusal_is_typed_by_code_and_command() {
        assert_eq!(no(Verb::Login, None), "login_refused");
        assert_eq!(no(Verb::Login, Some(ResponseCode::AuthenticationFailed)), "login_refused");
        assert_eq!(no(Verb::Login, Some(ResponseCode::Unavailable)), "unavailable");
        assert_eq!(no(Verb::Login, Some(ResponseCode::Limit)), "throttled");
        assert_eq!(no(Verb::Select, Some(ResponseCode::NonExistent)), "mailbox_gone");
        assert_eq!(no(Verb::Store, Some(ResponseCode::NoPerm)), "not_permitted");
        assert_eq!(no(Verb::Store, Some(ResponseCode::Limit)), "refused");
        assert_eq!(no(Verb::Store, Some(ResponseCode::InUse)), "unavailable");
        assert_eq!(no(Verb::Store, Some(ResponseCode::OverQuota)), "refused");
        assert_eq!(no(Verb::Fetch, Some(ResponseCode::OverQuota)), "throttled");
        assert_eq!(no(Verb::Fetch, Some(ResponseCode::ServerBug)), "refused");
        let bad = ImapError::refusal(Verb::Store, &Status::Bad, Reply::default());
        assert_eq!(bad.to_string(), "the server said BAD to UID STORE");
        assert!(!bad.ends_connection() && ImapError::Closed.ends_connection());
    }

    #[test]
    fn what_servers_say_in_words_tells_how_long_to_stay_away() {
        let said = |verb, text: &str| {
            let error = ImapError::refusal(verb, &Status::No, Reply::of_text(text));
            (error.kind(), error.trouble())
        };
        let of_login = [
            ("Too many simultaneous connections. (Failure)", "throttled", Trouble::Crowded),
            ("[LIMIT] Maximum number of connections exceeded", "throttled", Trouble::Crowded),
            (
                "[OVERQUOTA] Account exceeded command or bandwidth limits",
                "throttled",
                Trouble::Bandwidth,
            ),
            (
                "[ALERT] Account exceeded command or bandwidth limits.",
                "throttled",
                Trouble::Bandwidth,
            ),
            (
                "Server busy. Suggested Backoff Time: 300 milliseconds",
                "throttled",
                Trouble::Throttled,
            ),
            ("[THROTTLED] slower", "throttled", Trouble::Throttled),
            ("User is authenticated but not connected.", "unavailable", Trouble::Unavailable),
            ("[UNAVAILABLE] back-end is down", "unavailable", Trouble::Unavailable),
            ("[INUSE] locked", "unavailable", Trouble::InUse),
            ("[AUTHENTICATIONFAILED] wrong", "login_refused", Trouble::Lost),
        ];
        for (text, kind, trouble) in of_login {
            assert_eq!(said(Verb::Login, text), (kind, trouble), "{text}");
        }
        let not_connected = "User is authenticated but not connected.";
        assert_eq!(said(Verb::Select, not_connected), ("unavailable", Trouble::Unavailable));
        assert_eq!(said(Verb::Store, "[OVERQUOTA] full").0, "refused", "of this command alone");
        let bye = ImapError::Bye(Reply::of_text("[LIMIT] too many"));
        assert_eq!((bye.trouble(), ImapError::Closed.trouble()), (Trouble::Crowded, Trouble::Lost));
    }
}
