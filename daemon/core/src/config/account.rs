//! One `[[account]]`: where its mail is, who logs in, which mailboxes are watched and how.
//!
//! What it logs in with stands in `login`, what protects its connection in `protection`; nothing is
//! connected to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::login::{self, Credential, Login, Mechanism};
use super::pin::KeyPin;
use super::problem::{Fault, Problems};
use super::protection::{self, Protection, Tls};
use super::raw::{Placed, Section};
use super::settings::{Mode, mode, number};
use super::values::{account_name, backfill_days, canonical, host_name, mailbox_name};
use super::without::{self, WithoutKeywords};
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
    /// Names of the watched mailboxes, at least one, all different.
    pub mailboxes: Vec<String>,
    /// How much older mail is classified at the first start.
    pub backfill: Backfill,
    /// Whether decisions are written.
    pub mode: Mode,
    /// What is done in mailboxes that store no keywords.
    pub without_keywords: WithoutKeywords,
    /// How often a mailbox is looked at that the server does not report by itself.
    pub poll: Duration,
}

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
    let protection = protection::read(&mut section, host.as_deref(), problems);
    let port = number(&mut section, "port", 1..=65_535, problems)
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or_else(|| protection.as_ref().map_or(Tls::Implicit, |one| one.tls).port());
    let login = login::read(&mut section, problems);
    let mailboxes = read_mailboxes(&mut section, problems);
    let backfill = section.take::<String>("backfill", problems);
    let backfill = backfill.and_then(|text| text.check(problems, |text| backfill_days(&text)));
    let mode = mode(&mut section, problems).unwrap_or(default_mode);
    let poll = number(&mut section, "poll_seconds", 1..=LONGEST_POLL, problems).unwrap_or(60);
    let without_keywords = without::read(&mut section, problems);
    section.finish(problems);
    let (name, host) = (name?, host?);
    let Login { user, authorize_as, auth, credential } = login?;
    let Protection { tls, ca_file, pinned_key } = protection?;
    let whose = authorize_as.as_deref().unwrap_or(&user);
    for mailbox in &mailboxes {
        taken.mailbox(&name, (&host, port, whose), mailbox, problems);
    }
    Some(AccountConfig {
        name,
        host,
        port,
        tls,
        ca_file,
        pinned_key,
        user,
        authorize_as,
        auth,
        credential,
        mailboxes: mailboxes.into_iter().map(|mailbox| mailbox.value).collect(),
        backfill: backfill.unwrap_or(Backfill::None),
        mode,
        without_keywords,
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
        let name = account_name(name)?;
        if !taken.names.insert(name.to_ascii_lowercase()) {
            let what = format!("an account before this one is called {name:?} too");
            return Err(Fault::new(what, "give each account its own name"));
        }
        Ok(name)
    })
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
