//! A provider of tokens of the tests' own: a token endpoint (RFC 6749 §6) that takes each refresh
//! token once, and the introspection (RFC 7662) by which Dovecot asks what a token is worth.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wait::PATIENCE;

/// Part of every token, so that a test can look for them where they must not be.
pub(crate) const CANARY: &str = "tok-canary";
/// What proves who the client is.
pub(crate) const CLIENT_SECRET: &str = "client-canary+9/z=";

/// Listens on loopback; its thread ends with the test's process.
#[derive(Clone)]
pub(crate) struct Authority {
    port: u16,
    books: Arc<Mutex<Books>>,
}

/// What the provider knows.
#[derive(Default)]
struct Books {
    user: String,
    /// The one that is taken next.
    refresh: String,
    /// Access tokens, and whether they are good.
    access: BTreeMap<String, bool>,
    granted: u32,
    refused: u32,
    /// How often Dovecot asked for a token that is good.
    introspected: u32,
    lifetime: u32,
    /// Answers of the token endpoint and of the introspection in place of the true ones.
    token_status: Option<u16>,
    introspection_status: Option<u16>,
}

impl Authority {
    /// One that knows `user`, whose refresh token is [`Authority::first`].
    pub(crate) fn of(user: &str) -> Authority {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let books = Books {
            user: user.to_owned(),
            refresh: Self::first(),
            lifetime: 3600,
            ..Books::default()
        };
        let authority = Authority { port, books: Arc::new(Mutex::new(books)) };
        let shared = authority.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let authority = shared.clone();
                thread::spawn(move || authority.serve(stream));
            }
        });
        authority
    }

    /// The refresh token to begin with.
    pub(crate) fn first() -> String {
        format!("{CANARY}-refresh-0")
    }

    /// Dovecot's configuration for logins with its tokens; `folder` gets a file for it.
    pub(crate) fn dovecot(&self, folder: &std::path::Path) -> String {
        let file = folder.join("oauth2.conf.ext");
        let settings = format!(
            "introspection_mode = post\nintrospection_url = http://127.0.0.1:{}/introspect\n\
             username_attribute = username\nactive_attribute = active\nactive_value = true\n",
            self.port
        );
        std::fs::write(&file, settings).unwrap();
        format!(
            "auth_mechanisms = plain login xoauth2 oauthbearer\n\
             passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {}\n}}\n",
            file.display()
        )
    }

    /// The lines of an account that gets its tokens here, without files.
    pub(crate) fn section(&self) -> String {
        format!(
            "[account.oauth]\ntoken_url = \"http://127.0.0.1:{}/token\"\nclient_id = \"triaged\"\n",
            self.port
        )
    }

    /// From now on no access token that was given out is good any more.
    pub(crate) fn withdraw(&self) {
        self.books().access.values_mut().for_each(|good| *good = false);
    }

    /// How long access tokens are good for, in seconds, as the endpoint says.
    pub(crate) fn lifetime(&self, seconds: u32) {
        self.books().lifetime = seconds;
    }

    /// The token endpoint answers with this status alone.
    pub(crate) fn token_status(&self, status: Option<u16>) {
        self.books().token_status = status;
    }

    /// The introspection answers with this status alone.
    pub(crate) fn introspection_status(&self, status: Option<u16>) {
        self.books().introspection_status = status;
    }

    /// Takes another refresh token from now on, which only the administrator has.
    pub(crate) fn takes(&self, refresh: &str) {
        refresh.clone_into(&mut self.books().refresh);
    }

    /// An access token by another way than the endpoint.
    pub(crate) fn access_token(&self) -> String {
        self.books().new_access()
    }

    /// How many refresh tokens were taken.
    pub(crate) fn granted(&self) -> u32 {
        self.books().granted
    }

    /// How many were refused.
    pub(crate) fn refused(&self) -> u32 {
        self.books().refused
    }

    /// How often a good token was shown to the mail server.
    pub(crate) fn introspected(&self) -> u32 {
        self.books().introspected
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (stream.read_line(&mut head).ok()? > 0).then_some(())?;
        }
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let mut body = vec![0; header("content-length")?.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        let fields = fields(&String::from_utf8(body).ok()?);
        let (status, answer) = if head.starts_with("POST /token ") {
            self.books().token(&fields)
        } else {
            self.books().introspect(&fields)
        };
        let length = answer.len();
        let answer = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{answer}"
        );
        stream.get_mut().write_all(answer.as_bytes()).ok()
    }
}

impl Books {
    fn new_access(&mut self) -> String {
        let token = format!("{CANARY}-access-{}", self.access.len());
        self.access.insert(token.clone(), true);
        token
    }

    fn token(&mut self, fields: &BTreeMap<String, String>) -> (u16, String) {
        if let Some(status) = self.token_status {
            return (status, String::new());
        }
        let has = |key: &str, value: &str| fields.get(key).is_some_and(|field| field == value);
        let client = has("client_id", "triaged") && has("client_secret", CLIENT_SECRET);
        if !client || !has("grant_type", "refresh_token") || !has("refresh_token", &self.refresh) {
            self.refused += 1;
            let said = r#"{"error": "invalid_grant", "error_description": "hunter2"}"#;
            return (400, said.to_owned());
        }
        self.granted += 1;
        self.refresh = format!("{CANARY}-refresh-{}", self.granted);
        let (access, refresh, lifetime) = (self.new_access(), &self.refresh, self.lifetime);
        let answer = format!(
            r#"{{"access_token": "{access}", "token_type": "Bearer", "expires_in": {lifetime}, "refresh_token": "{refresh}"}}"#
        );
        (200, answer)
    }

    fn introspect(&mut self, fields: &BTreeMap<String, String>) -> (u16, String) {
        if let Some(status) = self.introspection_status {
            return (status, String::new());
        }
        let good = fields.get("token").and_then(|token| self.access.get(token));
        if good != Some(&true) {
            return (200, r#"{"active": false}"#.to_owned());
        }
        self.introspected += 1;
        (200, format!(r#"{{"active": true, "username": "{}"}}"#, self.user))
    }
}

/// The fields of a form, as `application/x-www-form-urlencoded` has them.
fn fields(body: &str) -> BTreeMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(out).unwrap()
}
