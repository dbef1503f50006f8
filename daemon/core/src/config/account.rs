//! One `[[account]]`: where its mail is, who logs in, which mailboxes are watched and how.
//!
//! The password is never here, only where it is kept; nothing is connected to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::problem::{Fault, Problems, one_of};
use super::raw::{Placed, Section};
use super::settings::{Mode, mode, number, path};
use crate::sync::Backfill;

/// One mail account, with only valid values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// Short name for logs and metrics, unique; never an address.
    pub name: String,
    /// Host name or address of the IMAP server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// A file of certificates to trust beside the system's, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// Who logs in.
    pub user: String,
    /// Where the password is kept.
    pub password: SecretSource,
    /// Names of the watched mailboxes, at least one, all different.
    pub mailboxes: Vec<String>,
    /// How much older mail is classified at the first start.
    pub backfill: Backfill,
    /// Whether decisions are written.
    pub mode: Mode,
    /// How often a mailbox is looked at that the server does not report by itself.
    pub poll: Duration,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// Plain text; only ever to this machine.
    None,
}

/// Where a secret is kept; the secret itself is never in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds nothing else.
    File(PathBuf),
    /// A systemd credential: the file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// Longest account name in bytes; it is a value of every metric of the account.
const LONGEST_NAME: usize = 64;
/// Longest mailbox name in bytes: above what servers take, and below what a command line holds.
const LONGEST_MAILBOX: usize = 500;
/// Ten years: more is `all`.
const MOST_DAYS: u16 = 3650;
/// A day; a mailbox that is looked at less often is not watched.
const LONGEST_POLL: i64 = 86_400;

/// Reads all accounts; those with a problem are reported and left out.
pub(super) fn read_all(
    sections: Vec<Section<'_>>,
    default_mode: Mode,
    problems: &mut Problems,
) -> Vec<AccountConfig> {
    let mut taken = Taken::default();
    sections
        .into_iter()
        .filter_map(|section| read(section, default_mode, &mut taken, problems))
        .collect()
}

/// Every value is read before the first `?`: a problem in one must not hide the others.
fn read(
    mut section: Section<'_>,
    default_mode: Mode,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Option<AccountConfig> {
    let name = read_name(&mut section, taken, problems);
    let host = section.require::<String>("host", "name the IMAP server", problems);
    let host = host.and_then(|host| host.check(problems, host_name));
    let tls = read_tls(&mut section, host.as_deref(), problems);
    let port = number(&mut section, "port", 1..=65_535, problems)
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(if tls == Some(Tls::None) { 143 } else { 993 });
    let ca_file = path(&mut section, "ca_file", problems);
    let user = section.require::<String>("user", "say who logs in", problems);
    let user = user.and_then(|user| user.check(problems, user_name));
    let password = read_password(&mut section, problems);
    let mailboxes = read_mailboxes(&mut section, problems);
    let backfill = section.take::<String>("backfill", problems);
    let backfill = backfill.and_then(|text| text.check(problems, |text| backfill_days(&text)));
    let mode = mode(&mut section, problems).unwrap_or(default_mode);
    let poll = number(&mut section, "poll_seconds", 1..=LONGEST_POLL, problems).unwrap_or(60);
    section.finish(problems);
    let (name, host, user) = (name?, host?, user?);
    for mailbox in &mailboxes {
        taken.mailbox(&name, (&host, port, &user), mailbox, problems);
    }
    Some(AccountConfig {
        name,
        host,
        port,
        tls: tls?,
        ca_file,
        user,
        password: password?,
        mailboxes: mailboxes.into_iter().map(|mailbox| mailbox.value).collect(),
        backfill: backfill.unwrap_or(Backfill::None),
        mode,
        poll: Duration::from_secs(poll.into()),
    })
}

/// What earlier accounts have, so that no later one has it too.
#[derive(Default)]
struct Taken {
    /// Names in lower case.
    names: BTreeSet<String>,
    /// Host, port, user and mailbox, and the account that watches it.
    mailboxes: BTreeMap<(String, u16, String, String), String>,
}

impl Taken {
    fn mailbox(
        &mut self,
        account: &str,
        (host, port, user): (&str, u16, &str),
        mailbox: &Placed<String>,
        problems: &mut Problems,
    ) {
        let name = canonical(&mailbox.value);
        let key = (host.to_ascii_lowercase(), port, user.to_owned(), name);
        if let Some(first) = self.mailboxes.get(&key) {
            let what =
                format!("account {first:?} watches {:?} of this user already", mailbox.value);
            problems.add(&mailbox.place, Fault::new(what, "watch each mailbox in one account"));
        } else {
            self.mailboxes.insert(key, account.to_owned());
        }
    }
}

fn read_name(
    section: &mut Section<'_>,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Option<String> {
    let mend = "choose a short name: logs and metrics show it";
    section.require::<String>("name", mend, problems)?.check(problems, |name| {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(good) {
            let what = format!("{name:?} is no short name");
            let mend = format!(
                "use 1 to {LONGEST_NAME} letters, digits, '.', '_' and '-': it is shown in \
                 metrics, so no mail address"
            );
            return Err(Fault::new(what, mend));
        }
        if !taken.names.insert(name.to_ascii_lowercase()) {
            let what = format!("an account before this one is called {name:?} too");
            return Err(Fault::new(what, "give each account its own name"));
        }
        Ok(name)
    })
}

fn host_name(host: String) -> Result<String, Fault> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name = !host.is_empty() && host.len() <= 253 && host.chars().all(good);
    if is_name || host.parse::<IpAddr>().is_ok() {
        return Ok(host);
    }
    let mend = "write only the name or the address, like \"imap.example.org\"; the port has a line \
                of its own, and other than ASCII letters their xn-- form";
    Err(Fault::new(format!("{host:?} is no host name"), mend))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_tls(section: &mut Section<'_>, host: Option<&str>, problems: &mut Problems) -> Option<Tls> {
    let Some(word) = section.take::<String>("tls", problems) else {
        return Some(Tls::Implicit);
    };
    word.check(problems, |word| {
        if word.eq_ignore_ascii_case("starttls") {
            let what = "STARTTLS can be taken away by whoever sits on the line";
            return Err(Fault::new(what, "write \"implicit\" and the port for it, mostly 993"));
        }
        let tls = one_of(&word, &[("implicit", Tls::Implicit), ("none", Tls::None)])?;
        match host {
            Some(host) if tls == Tls::None && !is_loopback(host) => Err(Fault::new(
                format!("mail and password would go to {host} in plain text"),
                "write \"implicit\"; only localhost, 127.0.0.1 and ::1 may go without TLS",
            )),
            _ => Ok(tls),
        }
    })
}

fn user_name(user: String) -> Result<String, Fault> {
    if user.is_empty() || user.chars().any(char::is_control) {
        return Err(Fault::new(format!("{user:?} is no user name"), "say who logs in"));
    }
    Ok(user)
}

fn read_password(section: &mut Section<'_>, problems: &mut Problems) -> Option<SecretSource> {
    let mend = "write password_file = \"/a/path\" or password_credential = \"name\"";
    let inline = Fault::new("passwords are never in this file", mend);
    let place = section.place.clone();
    let is_inline = section.refuse("password", inline, problems);
    let both = section.has("password_file") && section.has("password_credential");
    let neither = !section.has("password_file") && !section.has("password_credential");
    let file = path(section, "password_file", problems).map(SecretSource::File);
    let credential = section.take::<String>("password_credential", problems);
    let credential = credential.and_then(|name| name.check(problems, credential_name));
    if both {
        let what = "has both password_file and password_credential";
        problems.add(&place, Fault::new(what, "keep one of the two lines"));
    } else if neither && !is_inline {
        problems.add(&place, Fault::new("says nowhere where its password is", mend));
    }
    file.or(credential)
}

fn credential_name(name: String) -> Result<SecretSource, Fault> {
    let bad = |c: char| c == '/' || c.is_control();
    if name.is_empty() || name.starts_with('.') || name.contains(bad) {
        let what = format!("{name:?} is no name of a credential");
        return Err(Fault::new(what, "write the name that LoadCredential= in the unit gives it"));
    }
    Ok(SecretSource::Credential(name))
}

/// The name by which two spellings of one mailbox are found equal (RFC 9051 §5.1: INBOX has no
/// case).
fn canonical(mailbox: &str) -> String {
    if mailbox.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { mailbox.to_owned() }
}

fn read_mailboxes(section: &mut Section<'_>, problems: &mut Problems) -> Vec<Placed<String>> {
    let place = section.place.key("mailboxes", section.place.line);
    let Some(list) = section.take_list::<String>("mailboxes", problems) else {
        return vec![Placed { value: "INBOX".to_owned(), place }];
    };
    if list.value.is_empty() {
        let what = "names no mailbox";
        problems.add(&list.place, Fault::new(what, "write [\"INBOX\"] or leave the line out"));
    }
    let mut seen = BTreeSet::new();
    let mut mailboxes = Vec::new();
    for Placed { value, place } in list.value {
        let name = Placed { value, place: place.clone() }.check(problems, |name| {
            let name = mailbox_name(name)?;
            if !seen.insert(canonical(&name)) {
                return Err(Fault::new(format!("{name:?} is listed twice"), "keep one of them"));
            }
            Ok(name)
        });
        mailboxes.extend(name.map(|value| Placed { value, place }));
    }
    mailboxes
}

fn mailbox_name(name: String) -> Result<String, Fault> {
    let fault = |what: &str, mend: &str| Err(Fault::new(format!("{name:?} {what}"), mend));
    if name.is_empty() || name.len() > LONGEST_MAILBOX || name.chars().any(char::is_control) {
        return fault("is no mailbox name", "write the name as the server lists it");
    }
    if name.contains(['*', '%']) {
        return fault("is a pattern", "name each mailbox: patterns are not expanded");
    }
    Ok(name)
}

fn backfill_days(text: &str) -> Result<Backfill, Fault> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok());
    match (text, days) {
        ("none", _) => Ok(Backfill::None),
        ("all", _) => Ok(Backfill::All),
        (_, Some(days @ 1..=MOST_DAYS)) => Ok(Backfill::Days(days)),
        _ => {
            let mend = format!("write \"none\", \"all\", or days from \"1d\" to \"{MOST_DAYS}d\"");
            Err(Fault::new(format!("{text:?} is no stretch of time"), mend))
        }
    }
}
