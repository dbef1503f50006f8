//! One `[[account]]`: where its mail is, who logs in, which mailboxes are watched and how.
//!
//! What it logs in with stands in `login`, what protects its connection in `protection`; accounts
//! that come from a list of users in `server`. Nothing is connected to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::login::{self, Credential, Login, Mechanism};
use super::mailboxes::{self, Mailboxes};
use super::pin::KeyPin;
use super::problem::{Fault, Problems};
use super::protection::{self, Protection, Tls};
use super::raw::{Placed, Section};
use super::settings::{Mode, mode, number};
use super::values::{account_name, backfill_days, host_name};
use super::without::{self, WithoutKeywords};
use crate::choice::{Choice, canonical};
use crate::sync::Backfill;

/// One mail account, with only valid values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// Short name for logs and commands, unique; never an address.
    pub name: String,
    /// Host name or address of the IMAP server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// A file of certificates to trust beside the system's, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// The one key that the server must have; then no authority is asked.
    pub pinned_key: Option<KeyPin>,
    /// Who logs in.
    pub user: String,
    /// Whose mail it is, where that is not the user who logs in.
    pub authorize_as: Option<String>,
    /// The way to log in; `None`: the best that the server offers.
    pub auth: Option<Mechanism>,
    /// Where its password is kept, or who gives it tokens.
    pub credential: Credential,
    /// Which mailboxes are watched.
    pub mailboxes: Choice,
    /// How much older mail is classified at the first start.
    pub backfill: Backfill,
    /// Whether decisions are written.
    pub mode: Mode,
    /// What is done in mailboxes that store no keywords.
    pub without_keywords: WithoutKeywords,
    /// How often a mailbox is looked at that the server does not report by itself.
    pub poll: Duration,
    /// How many MiB may come from the server in a day; 0: any number; `None`: what suits the server.
    pub daily_mebibytes: Option<u32>,
}

/// A day; a mailbox that is looked at less often is not watched.
const LONGEST_POLL: i64 = 86_400;

/// Sixteen tebibytes: more is `0`.
const MOST_MEBIBYTES: i64 = 1 << 24;

/// Reads all accounts; those with a problem are reported and left out.
pub(super) fn read_all(
    sections: Vec<Section<'_>>,
    default_mode: Mode,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Vec<AccountConfig> {
    sections
        .into_iter()
        .filter_map(|section| read(section, default_mode, taken, problems))
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
    let body = read_body(&mut section, login::read, default_mode, problems);
    section.finish(problems);
    let (name, (account, mailboxes)) = (name?, body?);
    let whose = account.authorize_as.as_deref().unwrap_or(&account.user);
    for mailbox in &mailboxes {
        taken.mailbox(&name, (&account.host, account.port, whose), mailbox, problems);
    }
    Some(AccountConfig { name, ..account })
}

/// All that `[[account]]` and `[[server]]` both have, with an empty name; and where each mailbox
/// stands. `read_login` reads who logs in.
pub(super) fn read_body(
    section: &mut Section<'_>,
    read_login: impl FnOnce(&mut Section<'_>, &mut Problems) -> Option<Login>,
    default_mode: Mode,
    problems: &mut Problems,
) -> Option<(AccountConfig, Vec<Placed<String>>)> {
    let host = section.require::<String>("host", "name the IMAP server", problems);
    let host = host.and_then(|host| host.check(problems, host_name));
    let protection = protection::read(section, host.as_deref(), problems);
    let port = number(section, "port", 1..=65_535, problems)
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or_else(|| protection.as_ref().map_or(Tls::Implicit, |one| one.tls).port());
    let login = read_login(section, problems);
    let mailboxes = mailboxes::read(section, problems);
    let Mailboxes { choice, names } = mailboxes.unwrap_or_else(|| Mailboxes::main_of(section));
    let backfill = read_backfill(section, problems);
    let mode = mode(section, problems).unwrap_or(default_mode);
    let poll = read_poll(section, problems);
    let daily_mebibytes = number(section, "daily_mebibytes", 0..=MOST_MEBIBYTES, problems);
    let without_keywords = without::read(section, problems);
    let Login { user, authorize_as, auth, credential } = login?;
    let Protection { tls, ca_file, pinned_key } = protection?;
    let account = AccountConfig {
        name: String::new(),
        host: host?,
        port,
        tls,
        ca_file,
        pinned_key,
        user,
        authorize_as,
        auth,
        credential,
        mailboxes: choice,
        backfill: backfill.unwrap_or(Backfill::None),
        mode,
        without_keywords,
        poll: poll.unwrap_or(Duration::from_mins(1)),
        daily_mebibytes,
    };
    Some((account, names))
}

/// Reads `backfill`; `None` where it is absent or was reported.
pub(super) fn read_backfill(
    section: &mut Section<'_>,
    problems: &mut Problems,
) -> Option<Backfill> {
    let text = section.take::<String>("backfill", problems)?;
    text.check(problems, |text| backfill_days(&text))
}

/// Reads `poll_seconds`; `None` where it is absent or was reported.
pub(super) fn read_poll(section: &mut Section<'_>, problems: &mut Problems) -> Option<Duration> {
    let seconds = number(section, "poll_seconds", 1..=LONGEST_POLL, problems)?;
    Some(Duration::from_secs(seconds.into()))
}

/// What earlier accounts and servers have, so that no later one has it too.
#[derive(Default)]
pub(super) struct Taken {
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
        let name = canonical(&mailbox.value).to_owned();
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

/// The name of an account or a server.
pub(super) fn read_name(
    section: &mut Section<'_>,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Option<String> {
    let mend = "choose a short name: logs and metrics show it";
    section.require::<String>("name", mend, problems)?.check(problems, |name| {
        let name = account_name(name)?;
        if !taken.names.insert(name.to_ascii_lowercase()) {
            let what = format!("an account before this one is called {name:?} too");
            return Err(Fault::new(what, "give each account its own name"));
        }
        Ok(name)
    })
}
