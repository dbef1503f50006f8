//! What `triaged check --online` finds at each account's server: the login, what the server can
//! do, and whether each watched mailbox takes our keywords. Nothing is written to it.

use std::io::Write;
use std::path::Path;

use futures::StreamExt;
use triaged::imap::{Capabilities, Endpoint, ImapError, Login, Selected, Session};
use triaged::secret::{CredentialError, Credentials};
use triaged_core::config::{AccountConfig, Config, Mode, Tls, WithoutKeywords};
use triaged_core::decision::Flag;
use triaged_core::label::{Keyword, KeywordMap};

use super::lists;
use super::report::{Line, Report, counted};
use crate::cli::Exit;

/// Servers that are asked at the same time: enough to be quick, few enough for one provider that
/// has all of the accounts.
const AT_A_TIME: usize = 4;

/// What makes a difference to us, and the difference.
const CAPABILITIES: [&str; 6] = ["IDLE", "CONDSTORE", "QRESYNC", "MOVE", "UIDPLUS", "NOTIFY"];

/// Keywords that a mailbox keeps: 26 in Dovecot's Maildir, the least that is known, and 100 in
/// Cyrus.
const MAILDIR_LIMIT: usize = 26;
const CYRUS_LIMIT: usize = 100;

/// Asks each account's server, and each server that has a list of users with the first one who is
/// chosen. Without `keywords` (there is no model) only login and mailboxes
/// are looked at.
pub(super) async fn accounts<W: Write>(
    config: &Config,
    keywords: Option<&KeywordMap>,
    report: &mut Report<W>,
) {
    let ours: Option<Vec<&Keyword>> =
        keywords.map(|map| map.all().chain([config.keywords.unreadable()]).collect());
    let ours = ours.as_deref();
    let of_lists = futures::stream::iter(&config.servers).then(lists::first_user);
    let of_lists: Vec<AccountConfig> = of_lists.filter_map(std::future::ready).collect().await;
    let mut answers = futures::stream::iter(config.accounts.iter().chain(&of_lists))
        .map(|account| ask(account, &config.state, ours))
        .buffered(AT_A_TIME);
    while let Some(lines) = answers.next().await {
        for line in &lines {
            report.line(line);
        }
    }
}

/// One account, from the password to the last mailbox.
async fn ask(account: &AccountConfig, state: &Path, ours: Option<&[&Keyword]>) -> Vec<Line> {
    let name = &account.name;
    let credentials = Credentials::of(account, state);
    if credentials.look_up().is_err() {
        let what = "is not asked: what it logs in with can not be read, see above";
        return vec![Line::warn(name, what)];
    }
    let secret = match credentials.read().await {
        Ok(secret) => secret,
        Err(error) => return vec![no_token(name, &error)],
    };
    let endpoint = Endpoint::of(account);
    let mut session = match Session::connect(&endpoint, &Login::of(account, &secret)).await {
        Ok(session) => session,
        Err(error) => return vec![failed(name, account.tls, &error)],
    };
    let mut lines = vec![
        Line::ok(name, format!("logged in at {endpoint} {}", manner(account, &session))),
        capabilities(account, session.capabilities()),
    ];
    let watched = match session.survey(&account.mailboxes).await {
        Ok(survey) => survey.watched,
        Err(error) => {
            lines.push(not_opened(name, &error));
            return lines;
        }
    };
    if watched.is_empty() {
        let what = "the server has no mailbox that `mailboxes` means";
        lines.push(Line::fail(Exit::Config, name, what));
    }
    for mailbox in watched.iter().map(|one| &one.name) {
        let subject = format!("{name} {mailbox}");
        match session.select(mailbox).await {
            Ok(selected) => match instead(&subject, account, &session, &selected, ours) {
                Some(line) => lines.push(line),
                None => lines.extend(opened(&subject, account.mode, &selected, ours)),
            },
            Err(error) => {
                lines.push(not_opened(&subject, &error));
                if error.ends_connection() {
                    return lines;
                }
            }
        }
    }
    session.logout().await;
    lines
}

/// "over TLS by PLAIN".
fn manner(account: &AccountConfig, session: &Session) -> String {
    let protection = match account.tls {
        Tls::Implicit => "over TLS",
        Tls::StartTls => "over TLS after STARTTLS",
        Tls::None => "in clear, within this machine,",
    };
    format!("{protection} by {}", session.mechanism())
}

/// There is no token to log in with.
fn no_token(account: &str, error: &CredentialError) -> Line {
    let exit = match error {
        error if error.is_refusal() => Exit::LoginRefused,
        CredentialError::Unreachable { .. } | CredentialError::Unavailable { .. } => {
            Exit::Unavailable
        }
        _ => Exit::Config,
    };
    Line::fail(exit, account, error)
}

/// A failure before any mailbox, with the exit code by what it takes to mend it.
fn failed(account: &str, tls: Tls, error: &ImapError) -> Line {
    let (exit, mend) = match error {
        ImapError::LoginRefused(_) => {
            (Exit::LoginRefused, "; are user and password, or token, right?")
        }
        ImapError::LoginImpossible(_) | ImapError::Preauth => (Exit::LoginRefused, ""),
        ImapError::PlainNotLoopback { .. } => (Exit::Config, ""),
        ImapError::Tls { .. } if tls == Tls::Implicit => (
            Exit::Unavailable,
            "; does this port begin with TLS (993 does)? A certificate of your own needs `ca_file` \
             or `pinned_key`",
        ),
        _ => (Exit::Unavailable, ""),
    };
    Line::fail(exit, account, format!("{error}{mend}"))
}

/// A mailbox that could not be opened. What the server refuses for this mailbox alone is mended
/// in the configuration or by a right on the server.
fn not_opened(subject: &str, error: &ImapError) -> Line {
    let (exit, mend) = match error {
        ImapError::NotPermitted(_) => (Exit::Config, "; grant this login the right to read it"),
        ImapError::Throttled(_) | ImapError::Unavailable(_) => (Exit::Unavailable, ""),
        error if error.ends_connection() => (Exit::Unavailable, ""),
        _ => (Exit::Config, "; does `mailboxes` name it as the server does?"),
    };
    Line::fail(exit, subject, format!("{error}{mend}"))
}

fn capabilities(account: &AccountConfig, has: &Capabilities) -> Line {
    let (there, missing): (Vec<&str>, Vec<&str>) =
        CAPABILITIES.into_iter().partition(|name| has.has(name));
    let listed =
        |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    let text = format!("has {}; has not {}", listed(&there), listed(&missing));
    if has.has("IDLE") {
        return Line::ok(&account.name, text);
    }
    let poll = account.poll.as_secs();
    Line::warn(&account.name, format!("{text}; without IDLE new mail is seen every {poll} s"))
}

/// What there is to say of a mailbox where something else than keywords is written.
fn instead(
    subject: &str,
    account: &AccountConfig,
    session: &Session,
    selected: &Selected,
    ours: Option<&[&Keyword]>,
) -> Option<Line> {
    if selected.read_only {
        return None;
    }
    let mails = counted(selected.exists as usize, "mail");
    if session.has_labels() {
        return Some(Line::ok(subject, format!("{mails}; keywords are labels of Gmail")));
    }
    let stored = |keyword: &&&Keyword| selected.can_store(&Flag::Keyword((**keyword).clone()));
    if ours?.iter().any(|keyword| stored(&keyword)) {
        return None;
    }
    let text = match &account.without_keywords {
        WithoutKeywords::Report => return None,
        WithoutKeywords::Flag(_) => "urgent mail gets \\Flagged".to_owned(),
        WithoutKeywords::Mailbox(..) if session.move_way().is_none() => {
            let text = "stores no keywords, and the server has neither MOVE nor UIDPLUS: urgent \
                        mail can not be moved; write without_keywords = \"flag\"";
            return Some(Line::fail(Exit::Config, subject, format!("{mails}; {text}")));
        }
        WithoutKeywords::Mailbox(_, target) => {
            format!("urgent mail goes to {}", target.mailbox)
        }
    };
    Some(Line::ok(subject, format!("{mails}; stores no keywords: {text}")))
}

/// What there is to say of a mailbox that could be opened.
fn opened(subject: &str, mode: Mode, selected: &Selected, ours: Option<&[&Keyword]>) -> Vec<Line> {
    let mails = counted(selected.exists as usize, "mail");
    // In shadow mode nothing would be written: what prevents it is no failure yet.
    let prevented = |text: String| match mode {
        Mode::Label => Line::fail(Exit::Config, subject, text),
        Mode::Shadow => Line::warn(subject, text),
    };
    if selected.read_only {
        let mend = "grant this login the right to set flags (ACL w)";
        return vec![prevented(format!("{mails}; read-only, no keyword can be stored: {mend}"))];
    }
    let Some(ours) = ours else {
        return vec![Line::ok(subject, format!("{mails}; opened for writing"))];
    };
    let refused: Vec<&str> = ours
        .iter()
        .filter(|keyword| !selected.can_store(&Flag::Keyword((**keyword).clone())))
        .map(|keyword| keyword.as_str())
        .collect();
    if !refused.is_empty() {
        let refused = refused.join(" ");
        let mend = "the server takes no new keywords here: add them there, turn them off, or set without_keywords";
        return vec![prevented(format!("{mails}; can not store {refused}: {mend}"))];
    }
    vec![room(subject, &mails, &selected.flags, ours)]
}

/// Our keywords beside those that the mailbox has already, against what servers keep.
fn room(subject: &str, mails: &str, flags: &[String], ours: &[&Keyword]) -> Line {
    let others = flags
        .iter()
        .filter(|flag| !flag.starts_with('\\') && !ours.iter().any(|keyword| keyword.matches(flag)))
        .count();
    let sum = others + ours.len();
    let text =
        format!("{mails}; keywords: {others} of others and {} of ours make {sum}", ours.len());
    if sum > CYRUS_LIMIT {
        let mend = format!("Cyrus keeps {CYRUS_LIMIT}, Dovecot's Maildir {MAILDIR_LIMIT}");
        return Line::warn(subject, format!("{text}, more than most servers keep: {mend}"));
    }
    if sum > MAILDIR_LIMIT {
        let mend = "turn some off under [keywords.labels] if the server has such mailboxes";
        let limit = format!("Dovecot's Maildir keeps only {MAILDIR_LIMIT}");
        return Line::warn(subject, format!("{text}; {limit}: {mend}"));
    }
    Line::ok(subject, format!("{text}, which every known server keeps ({MAILDIR_LIMIT} or more)"))
}

#[cfg(test)]
mod tests {
    use triaged_core::mailbox::UidValidity;
    use triaged_core::sync::MailboxStatus;

    use super::*;

    fn selected(flags: &[&str], permanent: &[&str]) -> Selected {
        let owned = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect();
        Selected {
            status: MailboxStatus {
                uid_validity: UidValidity::new(1).expect("not zero"),
                uid_next: None,
            },
            read_only: false,
            permanent_flags: owned(permanent),
            flags: owned(flags),
            exists: 3,
            highest_mod_seq: None,
            object_id: None,
        }
    }

    fn said(mode: Mode, selected: &Selected) -> Vec<Line> {
        let ours: Vec<Keyword> =
            ["triaged-urgent", "triaged-spam"].map(|name| name.parse().expect("valid")).to_vec();
        opened("work INBOX", mode, selected, Some(&ours.iter().collect::<Vec<_>>()))
    }

    fn ok(text: &str) -> Vec<Line> {
        vec![Line::ok("work INBOX", text)]
    }

    #[test]
    fn our_keywords_are_counted_beside_those_of_others() {
        let selected = selected(&["\\Seen", "$Junk", "TRIAGED-URGENT", "later"], &["\\*"]);
        let text = "3 mails; keywords: 2 of others and 2 of ours make 4, which every known server \
                    keeps (26 or more)";
        assert_eq!(said(Mode::Label, &selected), ok(text));
    }

    #[test]
    fn a_mailbox_with_many_keywords_is_a_warning() {
        let many: Vec<String> = (0..30).map(|n| format!("keyword{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = "3 mails; keywords: 30 of others and 2 of ours make 32; Dovecot's Maildir keeps \
                    only 26: turn some off under [keywords.labels] if the server has such mailboxes";
        let warned = vec![Line::warn("work INBOX", text)];
        assert_eq!(said(Mode::Label, &selected(&many, &["\\*"])), warned);
    }

    #[test]
    fn what_prevents_keywords_is_a_failure_only_where_they_would_be_written() {
        let fixed = selected(&[], &["\\Seen", "triaged-urgent"]);
        let text = "3 mails; can not store triaged-spam: the server takes no new keywords here: \
                    add them there, turn them off, or set without_keywords";
        assert_eq!(said(Mode::Label, &fixed), vec![Line::fail(Exit::Config, "work INBOX", text)]);
        assert_eq!(said(Mode::Shadow, &fixed), vec![Line::warn("work INBOX", text)]);
        let read_only = Selected { read_only: true, ..selected(&[], &["\\*"]) };
        let lines = said(Mode::Label, &read_only);
        assert_ne!(lines, said(Mode::Shadow, &read_only));
    }

    #[test]
    fn the_exit_code_follows_from_what_it_takes_to_mend_it() {
        let away = ImapError::Unreachable { endpoint: "h:993".into(), reason: "refused".into() };
        assert_eq!(failed("work", Tls::Implicit, &away).exit(), Some(Exit::Unavailable));
        let refused = ImapError::LoginRefused(triaged::imap::Reply::default());
        assert_eq!(failed("work", Tls::Implicit, &refused).exit(), Some(Exit::LoginRefused));
        let gone = ImapError::MailboxGone(triaged::imap::Reply::default());
        assert_eq!(not_opened("work", &gone).exit(), Some(Exit::Config));
        assert_eq!(not_opened("work", &ImapError::Closed).exit(), Some(Exit::Unavailable));
    }
}
