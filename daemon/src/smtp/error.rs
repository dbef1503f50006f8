//! What can go wrong on the way of a mail to its server: at which step, and why. What the server says
//! is repeated without addresses, and at the login not at all: it might repeat a secret.

use std::error::Error as _;
use std::fmt;

use lettre::transport::smtp;

/// Longest piece of a server's words that is repeated, in characters.
const LONGEST: usize = 200;

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {why}")]
pub struct SmtpError {
    /// Where.
    pub step: Step,
    /// Why.
    pub why: Why,
}

/// The steps of a conversation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Name, TCP and TLS.
    Connect,
    /// The server's greeting and the answer to ours.
    Greeting,
    /// Who we are.
    Login,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA.
    Data,
    /// The mail itself, to the server's word that it has taken it.
    Text,
    /// RSET.
    Reset,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The server can not be reached.
    Unreachable(String),
    /// Without TLS only this machine is spoken to.
    NotLoopback(String),
    /// No TLS, or with somebody else.
    Tls(String),
    /// Nothing that we can log in with is offered.
    NoMechanism,
    /// The server says no, for good (5yz).
    Refused(String),
    /// The server says no, for now (4yz).
    NotNow(String),
    /// The connection has ended.
    Lost(String),
    /// It took too long.
    Deadline,
    /// The server says what it may not say.
    Protocol(String),
    /// The mail can not be written: a defect.
    Unwritable(String),
    /// Another daemon is to send it.
    NotOurs,
}

impl SmtpError {
    /// Whether this mail will never be taken: the server refuses its recipient or its content.
    pub fn is_final(&self) -> bool {
        match &self.why {
            Why::Refused(reply) => condemns(self.step, reply),
            Why::Unwritable(_) => true,
            _ => false,
        }
    }

    /// Whether the conversation goes on for other mails: only this one is in the way.
    pub fn is_about_the_mail(&self) -> bool {
        let of_mail = matches!(self.step, Step::Recipient | Step::Data | Step::Text);
        match &self.why {
            Why::Refused(reply) | Why::NotNow(reply) => of_mail && !hangs_up(reply),
            Why::Unwritable(_) => true,
            _ => false,
        }
    }

    /// Whether the server does not let us in, which only somebody can mend.
    pub fn is_refusal(&self) -> bool {
        self.step == Step::Login && matches!(self.why, Why::Refused(_) | Why::NoMechanism)
    }

    /// A short name, for metrics.
    pub fn kind(&self) -> &'static str {
        match self.why {
            Why::Unreachable(_) | Why::NotLoopback(_) => "unreachable",
            Why::Tls(_) => "tls",
            Why::NoMechanism => "login",
            Why::Refused(_) if self.step == Step::Login => "login",
            Why::Refused(_) => "refused",
            Why::NotNow(_) => "not_now",
            Why::Lost(_) => "lost",
            Why::Deadline => "deadline",
            Why::Protocol(_) => "protocol",
            Why::Unwritable(_) => "unwritable",
            Why::NotOurs => "not_ours",
        }
    }

    pub(super) fn protocol(step: Step, what: &str) -> Self {
        Self { step, why: Why::Protocol(what.to_owned()) }
    }

    pub(super) fn unwritable(error: &dyn fmt::Display) -> Self {
        Self { step: Step::Sender, why: Why::Unwritable(error.to_string()) }
    }

    /// What lettre says of a step.
    pub(super) fn of(step: Step, error: &smtp::Error) -> Self {
        let said = error.source().map(ToString::to_string).unwrap_or_default();
        let why = match error.status() {
            Some(code) => {
                let words = if step == Step::Login { enhanced(&said) } else { plain(&said) };
                let reply = format!("{} {words}", u16::from(code));
                let reply = reply.trim().to_owned();
                if error.is_permanent() { Why::Refused(reply) } else { Why::NotNow(reply) }
            }
            // lettre calls it a bad answer when the connection ends in place of one.
            None if error.is_response() && said != "incomplete response" => {
                Why::Protocol("its answer is none of SMTP".to_owned())
            }
            None if said.is_empty() => Why::Lost("the connection has ended".to_owned()),
            None => Why::Lost(plain(&said)),
        };
        Self { step, why }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Greeting => "at its greeting",
            Self::Login => "at the login",
            Self::Sender => "at the sender (MAIL FROM)",
            Self::Recipient => "at the recipient (RCPT TO)",
            Self::Data => "at DATA",
            Self::Text => "at the mail itself",
            Self::Reset => "at RSET",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) => write!(f, "the server can not be reached: {reason}"),
            Self::NotLoopback(server) => write!(
                f,
                "{server} is another machine, and nothing is sent in clear: choose tls = \"implicit\" or \"starttls\""
            ),
            Self::Tls(reason) => write!(f, "no TLS: {reason}"),
            Self::NoMechanism => f.write_str(
                "the server offers neither PLAIN nor LOGIN, or not the one of `auth`: is the port one for sending?",
            ),
            Self::Refused(reply) => write!(f, "the server refuses: {reply}"),
            Self::NotNow(reply) => write!(f, "the server refuses for now: {reply}"),
            Self::Lost(reason) => write!(f, "the connection is lost: {reason}"),
            Self::Deadline => f.write_str("the server did not answer in time"),
            Self::Protocol(what) => write!(f, "the server does not keep to SMTP: {what}"),
            Self::Unwritable(what) => write!(f, "the mail can not be written: {what}"),
            Self::NotOurs => f.write_str("another daemon is to send it"),
        }
    }
}

/// Whether a refusal is of the recipient or of the mail itself. At RCPT TO many servers also say what
/// they had against the client, its greeting or the sender (Postfix: `smtpd_delay_reject`): that is
/// about the set-up, which somebody can mend, and no mail is given up for it.
fn condemns(step: Step, reply: &str) -> bool {
    let (code, words) = reply.split_once(' ').unwrap_or((reply, ""));
    let said = enhanced(words);
    let parts: Vec<&str> = said.split('.').collect();
    match (step, parts.as_slice()) {
        // RFC 3463: of the addresses, 7 and 8 are the sender's, and 0 may be either.
        (Step::Recipient, ["5", "1", detail]) => !["0", "7", "8"].contains(detail),
        // A mailbox that is full is emptied some day.
        (Step::Recipient | Step::Data | Step::Text, ["5", "2", detail]) => *detail != "2",
        (Step::Recipient | Step::Data | Step::Text, ["5", "3", "4"] | ["5", "6", _]) => true,
        (_, [_, _, _]) => false,
        (Step::Recipient, _) => matches!(code, "550" | "551" | "552" | "553"),
        (Step::Data | Step::Text, _) => matches!(code, "552" | "554"),
        _ => false,
    }
}

/// Whether the server ends the connection with this reply (RFC 5321 §3.8, RFC 7504).
fn hangs_up(reply: &str) -> bool {
    matches!(reply.split(' ').next(), Some("421" | "521"))
}

/// A server's words on one line, without addresses.
pub(super) fn plain(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let word = |word: &str| if word.contains('@') { "…".to_owned() } else { word.to_owned() };
    let words: Vec<String> = line.split_whitespace().map(word).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

/// Of a server's words only the code of RFC 3463.
fn enhanced(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    let digits =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let is_code = first.split('.').count() == 3 && first.split('.').all(digits);
    if is_code { first.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_lose_addresses_and_controls_and_those_at_the_login_everything() {
        assert_eq!(
            plain("5.1.1 <anna@example.org>: unknown\r\n\u{1b}[2J user"),
            "5.1.1 … unknown [2J user"
        );
        assert_eq!(plain(&"x".repeat(900)).len(), LONGEST);
        assert_eq!(enhanced("5.7.8 AGFubmEAc2VjcmV0 is wrong"), "5.7.8");
        for other in ["hunter2", "5.7", "5.7.8.9", "1234.5.6", "a.b.c", ""] {
            assert_eq!(enhanced(other), "", "{other}");
        }
    }

    #[test]
    fn what_a_refusal_means_goes_by_its_step() {
        let said = |step, why| SmtpError { step, why };
        let no = || Why::Refused("550 no".to_owned());
        let later = || Why::NotNow("450 later".to_owned());
        assert!(said(Step::Recipient, no()).is_final());
        for step in [Step::Recipient, Step::Data, Step::Text] {
            assert!(said(step, no()).is_about_the_mail());
            assert!(said(step, later()).is_about_the_mail() && !said(step, later()).is_final());
            assert!(!said(step, Why::Deadline).is_about_the_mail());
        }
        for step in [Step::Greeting, Step::Login, Step::Sender] {
            assert!(!said(step, no()).is_final() && !said(step, later()).is_about_the_mail());
        }
        assert!(said(Step::Login, no()).is_refusal() && !said(Step::Login, later()).is_refusal());
    }

    #[test]
    fn only_a_refusal_of_the_recipient_or_of_the_mail_is_final() {
        let said = |step, reply: &str| SmtpError { step, why: Why::Refused(reply.to_owned()) };
        for (step, reply) in [
            (Step::Recipient, "550 5.1.1 …: Recipient address rejected: User unknown"),
            (Step::Recipient, "550 5.2.1 the mailbox is disabled"),
            (Step::Recipient, "552 5.3.4 Message size exceeds fixed limit"),
            (Step::Recipient, "553 no such user"),
            (Step::Data, "554 no"),
            (Step::Text, "552 5.3.4 too big"),
            (Step::Text, "554 5.6.0 the content is none"),
            (Step::Text, "554"),
        ] {
            assert!(said(step, reply).is_final(), "{step}: {reply}");
            assert!(said(step, reply).is_about_the_mail(), "{step}: {reply}");
        }
        for (step, reply) in [
            (Step::Recipient, "554 5.7.1 …: Relay access denied"),
            (Step::Recipient, "553 5.7.1 …: Sender address rejected: not owned by user triaged"),
            (Step::Recipient, "550 5.1.0 …: Sender address rejected: User unknown"),
            (Step::Recipient, "550 5.1.8 …: Sender address rejected: Domain not found"),
            (
                Step::Recipient,
                "504 5.5.2 <here>: Helo command rejected: need fully-qualified hostname",
            ),
            (Step::Recipient, "554 Relay access denied"),
            (Step::Recipient, "552 5.2.2 the mailbox is full"),
            (Step::Recipient, "503 5.5.1 Error: need MAIL command"),
            (Step::Data, "554 5.5.1 Error: no valid recipients"),
            (Step::Text, "550 5.7.1 the list of blocked clients has you"),
        ] {
            assert!(!said(step, reply).is_final(), "{step}: {reply}");
            assert!(said(step, reply).is_about_the_mail(), "{step}: {reply}");
        }
    }

    #[test]
    fn a_server_that_hangs_up_is_in_the_way_of_all_mails() {
        for step in [Step::Recipient, Step::Data, Step::Text] {
            let busy = SmtpError { step, why: Why::NotNow("421 4.3.2 closing".to_owned()) };
            let never = SmtpError { step, why: Why::Refused("521 5.3.2 no mail here".to_owned()) };
            for error in [busy, never] {
                assert!(!error.is_about_the_mail() && !error.is_final(), "{error}");
            }
        }
    }
}
