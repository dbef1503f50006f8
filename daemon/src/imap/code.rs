//! Response codes: the bracketed word in a status line that says why (RFC 9051 §7.1, RFC 5530).
//!
//! imap-proto knows some of them and leaves the others in the human text, so both are read here.
//! The human text itself is not kept: a server may put anything into it.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_imap::imap_proto::rfc4315::UidSetMember;
use async_imap::imap_proto::{Outcome, ResponseCode as Parsed};
use triaged_core::mailbox::{Uid, UidSet, UidValidity};

use super::capabilities::Capabilities;

/// Longest code that is kept of those that have no meaning here, in bytes.
const LONGEST_OTHER: usize = 40;

/// A response code. Codes with numbers that nobody here reads carry none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the code of RFC 9051 or RFC 5530 of that name")]
pub enum ResponseCode {
    Alert,
    AuthenticationFailed,
    AuthorizationFailed,
    /// No code of any RFC: Gmail says in words that an account took too many bytes.
    Bandwidth,
    Cannot,
    Capability(Capabilities),
    ClientBug,
    Closed,
    CopyUid(CopyUid),
    Corruption,
    Expired,
    ExpungeIssued,
    HighestModSeq(u64),
    InUse,
    Limit,
    /// What a mailbox is called wherever it is moved (RFC 8474).
    MailboxId(String),
    Modified(UidRanges),
    NoModSeq,
    NoPerm,
    NonExistent,
    OverQuota,
    PermanentFlags(Vec<String>),
    PrivacyRequired,
    ReadOnly,
    ReadWrite,
    ServerBug,
    /// Gmail's word for "slower"; it also stands at the end of an OK's text.
    Throttled,
    TryCreate,
    UidNext(u32),
    UidValidity(u32),
    Unavailable,
    /// A code without a meaning here, in upper case.
    Other(String),
}

/// Where messages are that were copied or moved (RFC 4315 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyUid {
    /// The generation of the UIDs there.
    pub uid_validity: UidValidity,
    from: Vec<RangeInclusive<u32>>,
    to: Vec<RangeInclusive<u32>>,
}

impl CopyUid {
    /// Which of the messages that were asked for are where now. A server may say anything here:
    /// what it says of others is passed over.
    pub fn pairs<'a>(&'a self, asked: &'a UidSet) -> impl Iterator<Item = (Uid, Uid)> + 'a {
        let flat = |ranges: &'a [RangeInclusive<u32>]| ranges.iter().cloned().flatten();
        let pairs = flat(&self.from).zip(flat(&self.to)).take(MOST_PAIRS);
        pairs
            .filter_map(|(from, to)| Some((Uid::new(from)?, Uid::new(to)?)))
            .filter(|(from, _)| asked.contains(*from))
    }
}

/// More messages are never copied at once here.
const MOST_PAIRS: usize = 20_000;

/// UIDs as a server lists them: ranges that may be of any size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UidRanges(Vec<RangeInclusive<u32>>);

impl UidRanges {
    /// Whether a UID is among them.
    pub fn contains(&self, uid: Uid) -> bool {
        self.0.iter().any(|range| range.contains(&uid.get()))
    }

    /// Reads `1:3,7`; what is no such set is empty.
    fn parse(text: &str) -> Self {
        let number = |text: &str| text.parse::<u32>().ok();
        let range = |part: &str| match part.split_once(':') {
            Some((one, other)) => {
                let (one, other) = (number(one)?, number(other)?);
                Some(one.min(other)..=one.max(other))
            }
            None => number(part).map(|one| one..=one),
        };
        Self(text.split(',').map_while(range).take(MOST_PAIRS).collect())
    }
}

fn ranges(members: &[UidSetMember]) -> Vec<RangeInclusive<u32>> {
    let range = |member: &UidSetMember| match member {
        UidSetMember::UidRange(range) => range.clone(),
        UidSetMember::Uid(uid) => *uid..=*uid,
    };
    members.iter().map(range).collect()
}

const WORDS: [(&str, ResponseCode); 20] = [
    ("ALERT", ResponseCode::Alert),
    ("AUTHENTICATIONFAILED", ResponseCode::AuthenticationFailed),
    ("AUTHORIZATIONFAILED", ResponseCode::AuthorizationFailed),
    ("CANNOT", ResponseCode::Cannot),
    ("CLIENTBUG", ResponseCode::ClientBug),
    ("CLOSED", ResponseCode::Closed),
    ("CORRUPTION", ResponseCode::Corruption),
    ("EXPIRED", ResponseCode::Expired),
    ("EXPUNGEISSUED", ResponseCode::ExpungeIssued),
    ("INUSE", ResponseCode::InUse),
    ("LIMIT", ResponseCode::Limit),
    ("NOMODSEQ", ResponseCode::NoModSeq),
    ("NONEXISTENT", ResponseCode::NonExistent),
    ("NOPERM", ResponseCode::NoPerm),
    ("OVERQUOTA", ResponseCode::OverQuota),
    ("PRIVACYREQUIRED", ResponseCode::PrivacyRequired),
    ("SERVERBUG", ResponseCode::ServerBug),
    ("THROTTLED", ResponseCode::Throttled),
    ("TRYCREATE", ResponseCode::TryCreate),
    ("UNAVAILABLE", ResponseCode::Unavailable),
];

impl ResponseCode {
    /// The code of a status line, if it has one.
    pub(super) fn of(outcome: &Outcome<'_>) -> Option<Self> {
        match &outcome.code {
            Some(parsed) => Self::from_parsed(parsed),
            None => outcome.information.as_deref().and_then(Self::in_text),
        }
    }

    fn from_parsed(parsed: &Parsed<'_>) -> Option<Self> {
        Some(match parsed {
            Parsed::Alert => Self::Alert,
            Parsed::Capabilities(list) => Self::Capability(list.iter().collect()),
            Parsed::HighestModSeq(n) => Self::HighestModSeq(*n),
            Parsed::PermanentFlags(flags) => {
                Self::PermanentFlags(flags.iter().map(ToString::to_string).collect())
            }
            Parsed::ReadOnly => Self::ReadOnly,
            Parsed::ReadWrite => Self::ReadWrite,
            Parsed::TryCreate => Self::TryCreate,
            Parsed::UidNext(n) => Self::UidNext(*n),
            Parsed::UidValidity(n) => Self::UidValidity(*n),
            Parsed::CopyUid(validity, from, to) => Self::CopyUid(CopyUid {
                uid_validity: UidValidity::new(*validity)?,
                from: ranges(from),
                to: ranges(to),
            }),
            _ => return None,
        })
    }

    /// Reads `[CODE …]` at the start of the text, and `[THROTTLED]` at its end.
    pub(super) fn in_text(text: &str) -> Option<Self> {
        let inside = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let leading = inside.and_then(|(inside, _)| {
            let (word, rest) = inside.split_once(' ').unwrap_or((inside, ""));
            if word.eq_ignore_ascii_case("MODIFIED") {
                return Some(Self::Modified(UidRanges::parse(rest)));
            }
            mailbox_id(word, rest).or_else(|| Self::from_word(word))
        });
        let throttled = || text.trim_end().to_ascii_uppercase().ends_with("[THROTTLED]");
        leading.or_else(|| throttled().then_some(Self::Throttled))
    }

    fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_uppercase();
        let known = WORDS.iter().find(|(name, _)| *name == word).map(|(_, code)| code.clone());
        known.or_else(|| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
            let fit = !word.is_empty() && word.len() <= LONGEST_OTHER && word.bytes().all(plain);
            fit.then_some(Self::Other(word))
        })
    }

    /// The code as a word, without its numbers.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Bandwidth => "bandwidth",
            Self::Capability(_) => "CAPABILITY",
            Self::CopyUid(_) => "COPYUID",
            Self::Modified(_) => "MODIFIED",
            Self::HighestModSeq(_) => "HIGHESTMODSEQ",
            Self::MailboxId(_) => "MAILBOXID",
            Self::PermanentFlags(_) => "PERMANENTFLAGS",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::UidNext(_) => "UIDNEXT",
            Self::UidValidity(_) => "UIDVALIDITY",
            Self::Other(word) => word,
            word => WORDS.iter().find(|(_, code)| code == word).map_or("", |(name, _)| *name),
        }
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `MAILBOXID (F2212ea87)`, an object identifier of at most 255 plain characters (RFC 8474 §4, §7).
fn mailbox_id(word: &str, rest: &str) -> Option<ResponseCode> {
    if !word.eq_ignore_ascii_case("MAILBOXID") {
        return None;
    }
    let id = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fit = !id.is_empty() && id.len() <= 255 && id.bytes().all(plain);
    fit.then(|| ResponseCode::MailboxId(id.to_owned()))
}

/// Whether the text says, without a code, that there are too many connections (Gmail, Dovecot).
pub(super) fn says_too_many(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("too many simultaneous") || text.contains("maximum number of connections")
}

/// Whether the text says that the account took too many bytes or commands for the day (Gmail, under
/// more than one code).
pub(super) fn says_bandwidth(text: &str) -> bool {
    text.to_ascii_lowercase().contains("exceeded command or bandwidth limits")
}

/// Whether the text says that the login was good and the mailboxes behind it can not be reached
/// (Exchange, in answer to the login or to any later command).
pub(super) fn says_not_connected(text: &str) -> bool {
    text.to_ascii_lowercase().contains("authenticated but not connected")
}

/// Whether the text says, without a code, that it will pass: a password was not even looked at.
pub(super) fn says_temporary(text: &str) -> bool {
    text.to_ascii_lowercase().contains("temporar")
}

/// Whether the text says, without a code, that there is no such mailbox (Dovecot, Cyrus, Courier).
pub(super) fn says_no_mailbox(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let openings =
        ["mailbox doesn't exist", "mailbox does not exist", "no such mailbox", "unknown mailbox"];
    openings.iter().any(|opening| text.starts_with(opening))
}

/// The delay that Exchange asks for: `Suggested Backoff Time: 30000 milliseconds`.
pub(super) fn suggested_delay(text: &str) -> Option<Duration> {
    let (_, after) = text.split_once("Suggested Backoff Time:")?;
    let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use async_imap::imap_proto::Response;

    use super::*;

    fn code(line: &str) -> Option<ResponseCode> {
        let line = format!("{line}\r\n");
        match Response::parse(line.as_bytes()).expect("a status line").1 {
            Response::Data { outcome, .. } | Response::Done { outcome, .. } => {
                ResponseCode::of(&outcome)
            }
            other => panic!("not a status line: {other:?}"),
        }
    }

    #[test]
    fn codes_that_the_parser_knows_and_those_that_it_leaves_in_the_text_are_read() {
        assert_eq!(code("* OK [UIDVALIDITY 7] x"), Some(ResponseCode::UidValidity(7)));
        assert_eq!(code("a NO [TRYCREATE] x"), Some(ResponseCode::TryCreate));
        for (word, expected) in WORDS {
            let read = code(&format!("a NO [{word}] human text"));
            assert_eq!(read, Some(expected), "{word}");
        }
        assert_eq!(code("a NO [authenticationfailed] x"), Some(ResponseCode::AuthenticationFailed));
        assert_eq!(code("a NO [X-NEW 5] x"), Some(ResponseCode::Other("X-NEW".into())));
        assert_eq!(code("a NO nothing to see"), None);
        assert_eq!(code("a NO [unclosed"), None);
    }

    fn uid(n: u32) -> Uid {
        Uid::new(n).expect("not zero")
    }

    #[test]
    fn where_copies_are_is_read_and_only_of_what_was_asked_for() {
        let Some(ResponseCode::CopyUid(told)) = code("a OK [COPYUID 7 4,6:7 20:21,30] x") else {
            panic!("it is a COPYUID");
        };
        let asked: UidSet = [6, 7, 9].map(uid).into_iter().collect();
        let pairs: Vec<_> = told.pairs(&asked).collect();
        assert_eq!(
            (told.uid_validity.get(), pairs),
            (7, vec![(uid(6), uid(21)), (uid(7), uid(30))])
        );
        let all = "a OK [COPYUID 7 1:4294967295 1:4294967295] x";
        let Some(ResponseCode::CopyUid(told)) = code(all) else { panic!("it is a COPYUID") };
        assert_eq!(told.pairs(&asked).count(), 3, "and it comes to an end");
        assert_eq!(code("a OK [COPYUID 0 1 1] x"), None);
    }

    #[test]
    fn what_was_modified_is_read_in_any_form() {
        let Some(ResponseCode::Modified(told)) = code("a OK [MODIFIED 5,9:7] x") else {
            panic!("it is a MODIFIED");
        };
        let among: Vec<u32> = (1..12).filter(|n| told.contains(uid(*n))).collect();
        assert_eq!(among, [5, 7, 8, 9]);
        for none in ["a OK [MODIFIED] x", "a OK [MODIFIED *] x", "a OK [MODIFIED a,b] x"] {
            assert_eq!(code(none), Some(ResponseCode::Modified(UidRanges::default())), "{none}");
        }
    }

    #[test]
    fn a_throttled_ok_says_so_at_its_end() {
        assert_eq!(code("a OK Success [THROTTLED]"), Some(ResponseCode::Throttled));
    }

    #[test]
    fn a_code_that_could_carry_text_is_not_kept() {
        assert_eq!(code("a NO [Dear*Sir] x"), None);
        assert_eq!(code(&format!("a NO [{}] x", "A".repeat(41))), None);
    }

    #[test]
    fn delays_and_limits_are_read_from_the_text() {
        let text = "Request is throttled. Suggested Backoff Time: 30000 milliseconds";
        assert_eq!(suggested_delay(text), Some(Duration::from_secs(30)));
        assert_eq!(suggested_delay("Suggested Backoff Time: soon"), None);
        assert!(says_too_many("Too many simultaneous connections. (Failure)"));
        assert!(!says_too_many("Invalid credentials"));
        assert!(says_bandwidth("Account exceeded command or bandwidth limits. (Failure)"));
        assert!(says_not_connected("User is authenticated but not connected."));
        assert!(!says_not_connected("User is not authenticated"));
        assert!(says_no_mailbox("Mailbox doesn't exist: Not there (0.001 + 0.000 secs)."));
        assert!(!says_no_mailbox("Unable to open this mailbox"));
    }
}
