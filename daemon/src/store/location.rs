//! Where the database is: in a file of the state folder, or on a PostgreSQL server.
//!
//! A server's URL holds a password. It goes in here and to the driver, and is never shown: what is
//! shown is the server's name, port and database.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::any::AnyConnectOptions;

use super::StoreError;
use super::database::Kind;

/// Where the database is, and the folder of the daemon that uses it.
#[derive(Debug, Clone)]
pub struct Location {
    state: PathBuf,
    server: Option<Server>,
}

/// A database on a server.
#[derive(Clone)]
pub(super) struct Server {
    options: AnyConnectOptions,
    shown: String,
}

/// What a URL may say after its `?`; the driver would log others with their values.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

impl Location {
    /// A file in the state folder of a daemon.
    pub fn folder(state: &Path) -> Self {
        Self { state: state.to_owned(), server: None }
    }

    /// The database of a URL, `postgresql://user:password@host:port/database`, for the daemon that
    /// works in this folder. What is wrong with the URL is said without a word of it.
    pub fn server(state: &Path, url: &SecretString) -> Result<Self, StoreError> {
        let server = Server::parse(url.expose_secret()).map_err(StoreError::Url)?;
        Ok(Self { state: state.to_owned(), server: Some(server) })
    }

    /// Which kind of database it is.
    pub fn kind(&self) -> Kind {
        if self.server.is_some() { Kind::Postgresql } else { Kind::Sqlite }
    }

    /// The folder of the daemon.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The file of SQLite.
    pub(super) fn file(&self) -> PathBuf {
        self.state.join("triaged.sqlite")
    }

    /// A file of SQLite that lies in the daemon's folder although its database is on a server.
    pub fn file_beside(&self) -> Option<PathBuf> {
        Some(self.file()).filter(|file| self.server.is_some() && file.exists())
    }

    pub(super) fn on_server(&self) -> Option<&Server> {
        self.server.as_ref()
    }
}

/// A folder alone means a file in it.
impl From<&Path> for Location {
    fn from(state: &Path) -> Self {
        Self::folder(state)
    }
}

/// As it may stand in a log: the file, or the server without user and password.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Some(server) => formatter.write_str(&server.shown),
            None => self.file().display().fmt(formatter),
        }
    }
}

impl Server {
    fn parse(url: &str) -> Result<Self, String> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err("does not begin with postgresql://".to_owned());
        }
        let options: AnyConnectOptions =
            url.parse().map_err(|_| "is no URL: are special characters percent-encoded?")?;
        let parsed = &options.database_url;
        let of = |key: &str| {
            parsed.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
        };
        let keys: Vec<String> = parsed.query_pairs().map(|(key, _)| key.into_owned()).collect();
        check_keys(&keys)?;
        let host = of("hostaddr").or_else(|| of("host"));
        let host = host.or_else(|| parsed.host_str().map(str::to_owned)).unwrap_or_default();
        let host = host.replace("%2F", "/").replace("%2f", "/");
        let database = of("dbname").unwrap_or_else(|| parsed.path().trim_matches('/').to_owned());
        if host.is_empty() || database.is_empty() {
            return Err("names no host or no database".to_owned());
        }
        if !is_local(&host) && of("sslmode").as_deref() != Some("verify-full") {
            return Err(format!(
                "does not ask for TLS, and {host} is another machine: add ?sslmode=verify-full, and \
                 &sslrootcert=/path/of/its/authority.pem where the system does not know it"
            ));
        }
        let port = of("port").or_else(|| parsed.port().map(|port| port.to_string()));
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Ok(Self { shown: format!("{host}{port}/{database}"), options })
    }

    pub(super) fn options(&self) -> AnyConnectOptions {
        self.options.clone()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Server").field(&self.shown).finish()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

/// The driver would take the last of two, and log one that it does not know. What is no word may be
/// a part of a password in which a `?` is not encoded.
fn check_keys(keys: &[String]) -> Result<(), String> {
    for (position, key) in keys.iter().enumerate() {
        if !PARAMETERS.contains(&key.as_str()) {
            let is_word = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let shown = if is_word { format!(" {key:?}") } else { String::new() };
            return Err(format!(
                "has a parameter{shown} that triaged does not know; a ? in a password is written %3F"
            ));
        }
        if keys.get(..position).is_some_and(|before| before.contains(key)) {
            return Err(format!("has {key} twice: keep one of the two"));
        }
    }
    let has = |key: &str| keys.iter().any(|one| one == key);
    if has("host") && has("hostaddr") {
        return Err("has both host and hostaddr: keep one of the two".to_owned());
    }
    Ok(())
}

/// Whether what goes there stays on this machine: a socket's folder, or the loopback.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let loops = address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    host.starts_with('/') || host == "localhost" || loops
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> Result<String, String> {
        let found = Location::server(Path::new("/s"), &SecretString::from(url));
        found.map(|location| format!("{location}")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_server_is_shown_without_its_secrets() {
        let url = "postgresql://mail:tulip%2F7@db.example:5433/triage?sslmode=verify-full";
        assert_eq!(shown(url).as_deref(), Ok("db.example:5433/triage"));
        let location = Location::server(Path::new("/s"), &SecretString::from(url)).expect("valid");
        assert!(!format!("{location:?}").contains("tulip"), "{location:?}");
        assert_eq!(location.kind(), Kind::Postgresql);
        assert_eq!(
            shown("postgres://%2Frun%2Fpostgresql/triage").as_deref(),
            Ok("/run/postgresql/triage")
        );
        assert_eq!(shown("postgres:///t?host=/run/pg&user=m").as_deref(), Ok("/run/pg/t"));
        assert_eq!(shown("postgres://m@[::1]:5/t").as_deref(), Ok("[::1]:5/t"));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_word_of_the_secret() {
        for (url, expected) in [
            ("mysql://m:tulip@localhost/t", "begin with postgresql://"),
            ("postgres://m:tu/lip@localhost/t", "is no URL"),
            ("postgres://m:tulip@localhost/", "no host or no database"),
            ("postgres:///t?user=tulip", "no host or no database"),
            ("postgres://m@localhost/t?pasword=tulip", "\"pasword\""),
            ("postgresql://m:9?8tulip@db.example/t", "written %3F"),
            ("postgres://h/t?sslmode=verify-full&sslmode=disable", "sslmode twice"),
            ("postgres:///t?hostaddr=127.0.0.1&host=db.example", "both host and hostaddr"),
            ("postgres://m:tulip@db.example/t", "sslmode=verify-full"),
            ("postgres://m:tulip@db.example/t?sslmode=require", "sslmode=verify-full"),
            ("postgres://m:tulip@localhost/t?host=10.1.1.1", "sslmode=verify-full"),
        ] {
            let error = shown(url).expect_err(url);
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("tulip"), "{error}");
        }
    }
}
