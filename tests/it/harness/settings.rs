//! The configuration file of a test, in words.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::mailserver::{MASTER_PASSWORD, PASSWORD};

/// What goes into `triaged.toml`, apart from the paths of the installation.
#[derive(Clone)]
pub(crate) struct Settings {
    mode: &'static str,
    bundle: PathBuf,
    threads: u32,
    library: Option<PathBuf>,
    log_level: &'static str,
    accounts: Vec<Account>,
    servers: Vec<Server>,
    database: Option<String>,
    instance: Option<String>,
    more: String,
}

impl Settings {
    /// Everything but the write.
    pub(crate) fn shadow() -> Settings {
        Settings {
            mode: "shadow",
            bundle: Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/default"),
            threads: 1,
            library: None,
            log_level: "debug",
            accounts: Vec::new(),
            servers: Vec::new(),
            database: None,
            instance: None,
            more: String::new(),
        }
    }

    /// Keywords are written.
    pub(crate) fn label() -> Settings {
        Settings { mode: "label", ..Settings::shadow() }
    }

    /// One more account.
    pub(crate) fn with(mut self, account: Account) -> Settings {
        self.accounts.push(account);
        self
    }

    /// One more server all of whose users are watched.
    pub(crate) fn with_server(mut self, server: Server) -> Settings {
        self.servers.push(server);
        self
    }

    /// An account that no command of this test asks for.
    pub(crate) fn with_nobody(self) -> Settings {
        self.with(Account::new("nobody", 1, Path::new("/dev/null")))
    }

    /// The database of a server, by its URL.
    pub(crate) fn database(self, url: &str) -> Settings {
        Settings { database: Some(url.to_owned()), ..self }
    }

    /// The name of this daemon among those that share its database.
    pub(crate) fn instance(self, name: &str) -> Settings {
        Settings { instance: Some(name.to_owned()), ..self }
    }

    /// Another folder for the model bundle.
    pub(crate) fn bundle(self, bundle: impl Into<PathBuf>) -> Settings {
        Settings { bundle: bundle.into(), ..self }
    }

    /// As many threads for the model as there are cores, in place of one.
    pub(crate) fn all_cores(self) -> Settings {
        Settings { threads: 0, ..self }
    }

    /// A path for ONNX Runtime.
    pub(crate) fn library(self, library: impl Into<PathBuf>) -> Settings {
        Settings { library: Some(library.into()), ..self }
    }

    /// Another level of logging.
    pub(crate) fn log_level(self, log_level: &'static str) -> Settings {
        Settings { log_level, ..self }
    }

    /// Further lines, put where top-level keys go.
    pub(crate) fn and(mut self, lines: &str) -> Settings {
        writeln!(self.more, "{lines}").unwrap();
        self
    }

    /// The accounts, as configured.
    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The files of secrets, and what stands in each.
    pub(crate) fn secrets(&self, secrets: &Path) -> Vec<(PathBuf, &str)> {
        let accounts =
            self.accounts.iter().map(|one| (one.password_file(secrets), one.password.as_str()));
        let servers =
            self.servers.iter().map(|one| (Server::password_file(secrets), one.password.as_str()));
        let url = self.database.iter().map(|url| (url_file(secrets), url.as_str()));
        accounts.chain(servers).chain(url).collect()
    }

    /// The file's text; passwords lie in `secrets`, the state in `state`.
    pub(crate) fn toml(&self, state: &Path, secrets: &Path, http: u16) -> String {
        let library = self.library.iter().map(|path| format!("library = {}\n", quoted(path)));
        let mut toml = format!(
            "mode = {mode:?}\nstate = {state}\n{more}\n\
             [model]\nbundle = {bundle}\nthreads = {threads}\n{library}\n\
             [http]\nlisten = \"127.0.0.1:{http}\"\n\n[log]\nlevel = {level:?}\n",
            mode = self.mode,
            state = quoted(state),
            more = self.more,
            bundle = quoted(&self.bundle),
            threads = self.threads,
            library = library.collect::<String>(),
            level = self.log_level,
        );
        if self.database.is_some() {
            let file = url_file(secrets);
            let kind = "[database]\nkind = \"postgresql\"";
            writeln!(toml, "\n{kind}\nurl_file = {}", quoted(&file)).unwrap();
            let name = self.instance.iter();
            toml.extend(name.map(|name| format!("instance = {name:?}\n")));
        }
        for account in &self.accounts {
            write!(toml, "\n{}", account.toml(secrets)).unwrap();
        }
        for server in &self.servers {
            write!(toml, "\n{}", server.toml(secrets)).unwrap();
        }
        toml
    }
}

/// The file with the URL of the database.
fn url_file(secrets: &Path) -> PathBuf {
    secrets.join("database.url")
}

/// One `[[account]]`.
#[derive(Clone)]
pub(crate) struct Account {
    name: String,
    user: String,
    password: String,
    has_password: bool,
    port: u16,
    host: &'static str,
    tls: &'static str,
    /// Whom it trusts, as a line of the configuration.
    trust: String,
    mailboxes: Vec<String>,
    more: String,
}

impl Account {
    /// An account over TLS, whose name is the user's.
    pub(crate) fn new(user: &str, port: u16, ca_file: &Path) -> Account {
        Account {
            name: user.to_owned(),
            user: user.to_owned(),
            password: PASSWORD.to_owned(),
            has_password: true,
            port,
            host: "127.0.0.1",
            tls: "implicit",
            trust: format!("ca_file = {}", quoted(ca_file)),
            mailboxes: vec!["INBOX".to_owned()],
            more: String::new(),
        }
    }

    /// In clear, on this port.
    pub(crate) fn in_clear(self, port: u16) -> Account {
        Account { port, tls: "none", trust: String::new(), ..self }
    }

    /// With STARTTLS, on this port.
    pub(crate) fn starttls(self, port: u16) -> Account {
        Account { port, tls: "starttls", ..self }
    }

    /// Trusts this key alone.
    pub(crate) fn pinned(self, pin: &str) -> Account {
        Account { trust: format!("pinned_key = {pin:?}"), ..self }
    }

    /// Another name in logs and metrics than the user's.
    pub(crate) fn named(self, name: &str) -> Account {
        Account { name: name.to_owned(), ..self }
    }

    /// Another login name.
    pub(crate) fn login(self, user: &str) -> Account {
        Account { user: user.to_owned(), ..self }
    }

    /// Without a password: further lines say what it has.
    pub(crate) fn without_password(self) -> Account {
        Account { has_password: false, ..self }
    }

    /// On another port.
    pub(crate) fn port(self, port: u16) -> Account {
        Account { port, ..self }
    }

    /// By another name of the host.
    pub(crate) fn host(self, host: &'static str) -> Account {
        Account { host, ..self }
    }

    /// With another password.
    pub(crate) fn password(self, password: &str) -> Account {
        Account { password: password.to_owned(), ..self }
    }

    /// Watches these mailboxes.
    pub(crate) fn mailboxes(self, names: &[&str]) -> Account {
        Account { mailboxes: names.iter().map(|name| (*name).to_owned()).collect(), ..self }
    }

    /// Also takes older mail: "none", "7d" or "all".
    pub(crate) fn backfill(self, backfill: &str) -> Account {
        self.and(&format!("backfill = {backfill:?}"))
    }

    /// Further lines.
    pub(crate) fn and(mut self, lines: &str) -> Account {
        writeln!(self.more, "{lines}").unwrap();
        self
    }

    /// The name of the file that holds its password.
    pub(crate) fn password_file(&self, secrets: &Path) -> PathBuf {
        secrets.join(format!("{}.password", self.name))
    }

    fn toml(&self, secrets: &Path) -> String {
        let file = quoted(&self.password_file(secrets));
        let password =
            if self.has_password { format!("password_file = {file}\n") } else { String::new() };
        format!(
            "[[account]]\nname = {name:?}\nhost = {host:?}\nport = {port}\ntls = {tls:?}\n{trust}\n\
             user = {user:?}\n{password}mailboxes = {mailboxes:?}\n{more}",
            name = self.name,
            user = self.user,
            host = self.host,
            tls = self.tls,
            trust = self.trust,
            port = self.port,
            mailboxes = self.mailboxes,
            more = self.more,
        )
    }
}

/// One `[[server]]`, called "mail".
#[derive(Clone)]
pub(crate) struct Server {
    password: String,
    port: u16,
    more: String,
}

impl Server {
    /// A server in clear, whose master is `root` by authorisation identity.
    pub(crate) fn new(port: u16) -> Server {
        Server { password: MASTER_PASSWORD.to_owned(), port, more: String::new() }
    }

    /// With another password of the master.
    pub(crate) fn password(self, password: &str) -> Server {
        Server { password: password.to_owned(), ..self }
    }

    /// Further lines.
    pub(crate) fn and(mut self, lines: &str) -> Server {
        writeln!(self.more, "{lines}").unwrap();
        self
    }

    /// The file that holds the master's password.
    fn password_file(secrets: &Path) -> PathBuf {
        secrets.join("mail.password")
    }

    fn toml(&self, secrets: &Path) -> String {
        format!(
            "[[server]]\nname = \"mail\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             master = \"root\"\npassword_file = {file}\n{more}",
            port = self.port,
            file = quoted(&Self::password_file(secrets)),
            more = self.more,
        )
    }
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_str().unwrap())
}
