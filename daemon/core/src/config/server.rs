//! One `[[server]]`: a mail server all of whose users are watched, by one master login.
//!
//! Here stands how they are opened, where their list comes from and what is different for whom; the
//! list itself is read by `roster`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::account::{self, AccountConfig, Taken, read_backfill, read_poll};
use super::connections::read_budget;
use super::login::{self, ProgramCall};
use super::mailboxes;
use super::problem::{Fault, Problems};
use super::raw::{Placed, Section};
use super::settings::{Mode, mode, number, path};
use super::values::user_name;
use crate::choice::Choice;
use crate::roster::Pattern;
use crate::sync::Backfill;

/// A server whose users are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Its short name, the first part of its accounts' names.
    pub name: String,
    /// What holds for every user. Its user is the master, its name the server's.
    pub every: AccountConfig,
    /// What stands between a user and the master in the name that logs in; `None`: the user is the
    /// authorisation identity.
    pub separator: Option<String>,
    /// Where the list of users comes from.
    pub source: UserSource,
    /// How often it is read again.
    pub renew: Duration,
    /// Only users with such a name; empty: all.
    pub only: Vec<Pattern>,
    /// No users with such a name.
    pub except: Vec<Pattern>,
    /// What is different for some, by their name in lower case.
    pub users: BTreeMap<String, UserConfig>,
    /// How many connections it may have; `None`: as many as other servers.
    pub connections: Option<usize>,
}

/// Where a list of users comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSource {
    /// The configuration.
    List(Vec<String>),
    /// A file with one user a line.
    File(PathBuf),
    /// A program that prints one user a line.
    Command(ProgramCall),
}

impl UserSource {
    /// The file that it names and that may be relative.
    pub(super) fn path(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::List(_) | Self::Command(_) => None,
        }
    }
}

/// What is different for one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserConfig {
    /// Other mailboxes.
    pub mailboxes: Option<Choice>,
    /// More or less older mail.
    pub backfill: Option<Backfill>,
    /// Another mode.
    pub mode: Option<Mode>,
    /// Another pace of polling.
    pub poll: Option<Duration>,
}

/// Longest time between two readings of a list, in minutes: a day.
const LONGEST_RENEW: i64 = 1_440;
/// Ten minutes.
const RENEW: u32 = 10;

/// Reads all servers; those with a problem are reported and left out.
pub(super) fn read_all(
    sections: Vec<Section<'_>>,
    default_mode: Mode,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Vec<ServerConfig> {
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
) -> Option<ServerConfig> {
    let name = account::read_name(&mut section, taken, problems);
    let mut separator = None;
    let master = |section: &mut Section<'_>, problems: &mut Problems| {
        let (login, found) = login::read_master(section, problems);
        separator = found;
        login
    };
    let body = account::read_body(&mut section, master, default_mode, problems);
    let source = read_source(&mut section, problems);
    let renew = number(&mut section, "renew_minutes", 1..=LONGEST_RENEW, problems);
    let only = read_patterns(&mut section, "only", problems);
    let except = read_patterns(&mut section, "except", problems);
    let users = read_users(section.tables("user", problems), problems);
    let connections = read_budget(&mut section, "connections", problems);
    section.finish(problems);
    let (name, (every, _)) = (name?, body?);
    Some(ServerConfig {
        every: AccountConfig { name: name.clone(), ..every },
        name,
        separator,
        source: source?,
        renew: Duration::from_mins(renew.unwrap_or(RENEW).into()),
        only,
        except,
        users,
        connections,
    })
}

/// The three sources, of which a server has one.
const SOURCES: [&str; 3] = ["users_file", "users_command", "users"];

fn read_source(section: &mut Section<'_>, problems: &mut Problems) -> Option<UserSource> {
    let place = section.place.clone();
    let there: Vec<&str> = SOURCES.into_iter().filter(|source| section.has(source)).collect();
    if let [first, second, ..] = there[..] {
        let what = format!("has both {first} and {second}");
        problems.add(&place, Fault::new(what, "keep one of the two"));
    } else if there.is_empty() {
        let mend = "write users_file = \"/a/path\", or users_command = [\"/usr/bin/doveadm\", \
                    \"user\", \"*\"], or users = [\"anna\", \"bert\"]";
        problems.add(&place, Fault::new("says nowhere who its users are", mend));
    }
    let file = path(section, "users_file", problems).map(UserSource::File);
    let command = login::read_call(section, "users_command", problems).map(UserSource::Command);
    let list = section.take_list::<String>("users", problems);
    let list = list.map(|list| {
        let named = list.value.into_iter().filter_map(|user| user.check(problems, user_name));
        UserSource::List(named.collect())
    });
    file.or(command).or(list)
}

fn read_patterns(
    section: &mut Section<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Vec<Pattern> {
    let Some(list) = section.take_list::<String>(key, problems) else { return Vec::new() };
    if list.value.is_empty() {
        let mend = "name users, like \"anna@example.org\" or \"*@example.org\", or leave it out";
        problems.add(&list.place, Fault::new("names nobody", mend));
    }
    let checked = |text: Placed<String>| text.check(problems, user_name);
    list.value.into_iter().filter_map(checked).map(|text| Pattern::new(&text)).collect()
}

fn read_users(sections: Vec<Section<'_>>, problems: &mut Problems) -> BTreeMap<String, UserConfig> {
    let mut users = BTreeMap::new();
    for mut section in sections {
        let name = section.require::<String>("name", "say which user is meant", problems);
        let name = name.and_then(|name| {
            name.check(problems, |name| {
                let name = user_name(name)?.to_lowercase();
                if users.contains_key(&name) {
                    let what = format!("{name:?} has a part of its own already");
                    return Err(Fault::new(what, "put all of it into one"));
                }
                Ok(name)
            })
        });
        let mailboxes = mailboxes::read(&mut section, problems);
        let user = UserConfig {
            mailboxes: mailboxes.map(|mailboxes| mailboxes.choice),
            backfill: read_backfill(&mut section, problems),
            mode: mode(&mut section, problems),
            poll: read_poll(&mut section, problems),
        };
        section.finish(problems);
        users.extend(name.map(|name| (name, user)));
    }
    users
}
