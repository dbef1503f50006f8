//! The configuration: one TOML file, read once, in which only valid values are left.
//!
//! [`parse`] reports everything that is wrong with a text at once, each with path, line and what
//! to do. Nothing here opens a file: paths, passwords and model bundles are looked at by whoever
//! uses them. What depends on a bundle's labels is checked by [`keyword_map`].

mod account;
mod alerts;
mod connections;
mod database;
mod keywords;
mod login;
mod mailboxes;
mod pin;
mod problem;
mod protection;
mod raw;
mod retrain;
mod rules;
mod server;
mod settings;
mod smtp;
#[cfg(test)]
mod tests;
mod values;
mod without;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use account::AccountConfig;
pub use connections::ConnectionsConfig;
pub use database::{DatabaseConfig, DatabaseServer};
pub use keywords::{KeywordsConfig, MOST_KEYWORDS, keyword_map, keyword_map_among};
pub use login::{Credential, Mechanism, OAuthConfig, ProgramCall, SecretSource};
pub use pin::{KeyPin, NoPin};
pub use problem::{Place, Problem, Problems};
pub use protection::Tls;
pub use retrain::RetrainConfig;
pub use rules::{RuleConfig, rules_fit};
pub use server::{ServerConfig, UserConfig, UserSource};
pub use settings::{
    HistoryText, HttpConfig, LogConfig, LogFormat, LogLevel, Mode, ModelConfig, Provider,
};
pub use smtp::{SmtpConfig, SmtpLogin};
pub use without::WithoutKeywords;

use account::Taken;
use problem::Fault;
use raw::{Lines, Section};

use crate::roster;

/// A valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What accounts do that do not say otherwise.
    pub mode: Mode,
    /// What of a mail's text is kept for `triaged history`.
    pub history_text: HistoryText,
    /// Folder of a daemon's own files; a file of SQLite is one of them.
    pub state: PathBuf,
    /// What the store is kept in.
    pub database: DatabaseConfig,
    /// The model and what it runs on.
    pub model: ModelConfig,
    /// How a new version of the model is trained.
    pub retrain: RetrainConfig,
    /// The keywords of labels.
    pub keywords: KeywordsConfig,
    /// Metrics and health.
    pub http: HttpConfig,
    /// The log.
    pub log: LogConfig,
    /// How many connections may be open.
    pub connections: ConnectionsConfig,
    /// The server that takes the mails of alerts; there where an alert is.
    pub smtp: Option<SmtpConfig>,
    /// What follows from labels beside their keywords, in the order of the file.
    pub rules: Vec<RuleConfig>,
    /// The accounts that have a part of the file each, in its order.
    pub accounts: Vec<AccountConfig>,
    /// The servers whose users are watched; of these and `accounts` there is at least one.
    pub servers: Vec<ServerConfig>,
}

impl Config {
    /// The same configuration with relative paths taken from `folder`, which is where the file
    /// stands: a service has no useful working directory.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        let mut paths = vec![&mut self.state];
        paths.extend(self.database.path());
        paths.extend(&mut self.model.bundle);
        paths.extend(&mut self.model.library);
        paths.extend(&mut self.retrain.python);
        paths.extend(&mut self.retrain.training);
        paths.extend(self.smtp.iter_mut().flat_map(SmtpConfig::paths));
        let mut accounts: Vec<&mut AccountConfig> = self.accounts.iter_mut().collect();
        for server in &mut self.servers {
            accounts.push(&mut server.every);
            paths.extend(server.source.path());
        }
        for account in accounts {
            paths.extend(&mut account.ca_file);
            paths.extend(account.credential.paths());
        }
        for path in paths {
            *path = folder.join(&path);
        }
        self
    }
}

impl Config {
    /// The account of this name: one of the file, or that of a server's user, `server/user`. For
    /// the latter nobody looks whether the server has such a user.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<AccountConfig> {
        let Some((server, user)) = name.split_once('/') else {
            return self.accounts.iter().find(|account| account.name == name).cloned();
        };
        let server = self.servers.iter().find(|one| one.name == server)?;
        let user = if user.contains('@') { user.to_owned() } else { roster::decoded(user)? };
        server.wants(&user).then(|| server.account(&user))
    }
}

/// Where systemd's `StateDirectory=triaged` is.
const STATE: &str = "/var/lib/triaged";
/// A file that is not TOML at all has an error on every line; these are enough to see it.
const MOST_SYNTAX_ERRORS: usize = 10;

/// Reads a configuration, or says everything that is wrong with it.
pub fn parse(text: &str) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let lines = Lines::of(text.as_bytes());
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MOST_SYNTAX_ERRORS) {
        let at = error.span().map_or(text.len(), |span| span.start);
        let place = Place { line: lines.line(at), path: String::new() };
        problems.add(&place, syntax_fault(text, at, error.message()));
    }
    if !errors.is_empty() {
        return problems.or_value(None);
    }
    let config = read(Section::top(&lines, document.get_ref()), &mut problems);
    problems.or_value(config)
}

/// Like [`parse`], for bytes that may not even be text.
pub fn parse_bytes(bytes: &[u8]) -> Result<Config, Problems> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let mut problems = Problems::default();
            let line = Lines::of(bytes).line(error.valid_up_to());
            let what = format!("byte {} is not UTF-8 text", error.valid_up_to() + 1);
            let mend = "is this the right file? It must be a TOML file in UTF-8";
            problems.add(&Place { line, path: String::new() }, Fault::new(what, mend));
            return Err(problems);
        }
    };
    parse(text)
}

fn syntax_fault(text: &str, at: usize, message: &str) -> Fault {
    let before = text.get(..at).unwrap_or(text);
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    let what = format!("column {column}: {}", message.trim().replace('\n', " "));
    Fault::new(what, "the form is explained at https://toml.io")
}

fn read(mut top: Section<'_>, problems: &mut Problems) -> Option<Config> {
    let mode = settings::mode(&mut top, problems).unwrap_or_default();
    let history_text = settings::history_text(&mut top, problems);
    let state = settings::path(&mut top, "state", problems);
    let database = database::read(top.table("database", problems), problems);
    let model = settings::model(top.table("model", problems), problems);
    let retrain = retrain::read(top.table("retrain", problems), problems);
    let keywords = keywords::read(top.table("keywords", problems), problems);
    let http = settings::http(top.table("http", problems), problems);
    let log = settings::log(top.table("log", problems), problems);
    let connections = connections::read(top.table("connections", problems), problems);
    let (has_smtp, smtp) = (top.has("smtp"), top.table("smtp", problems));
    let smtp = has_smtp.then(|| smtp::read(smtp, problems));
    let alerts = top.tables("alert", problems);
    let alerts = alerts::read_all(alerts, smtp.as_ref().map(Option::as_ref), problems);
    let rules = rules::read_all(top.tables("rule", problems), &alerts, problems);
    if !top.has("account") && !top.has("server") {
        let mend = "add an [[account]] with name, host, user and password_file, or a [[server]] \
                    whose users are watched";
        problems.add(&top.place, Fault::new("no account: there is nothing to watch", mend));
    }
    let mut taken = Taken::default();
    let accounts = top.tables("account", problems);
    let accounts = account::read_all(accounts, mode, &mut taken, problems);
    let servers = top.tables("server", problems);
    let servers = server::read_all(servers, mode, &mut taken, problems);
    top.finish(problems);
    Some(Config {
        mode,
        history_text,
        state: state.unwrap_or_else(|| PathBuf::from(STATE)),
        database,
        model,
        retrain,
        keywords: keywords?,
        http,
        log,
        connections,
        smtp: smtp.flatten(),
        rules,
        accounts,
        servers,
    })
}
