//! A connection that is logged in. One task owns it; dropping it closes it.

use async_imap::imap_proto::Response;
use tokio::time::Instant;

use super::auth;
use super::capabilities::Capabilities;
use super::code::ResponseCode;
use super::command::{Command, Verb};
use super::error::{ImapError, Reply};
use super::login::Login;
use super::meter::Meter;
use super::transport::{self, Endpoint, Line};
use super::view::View;
use super::wire::{self, Done, Heard, Wire};
use crate::trusted::Trust;

/// A logged-in connection. What it can do stands beside what it is about: `select`, `fetch`,
/// `messages`, `change`, `idle`.
///
/// A method whose future is dropped before it is done closes the connection.
pub struct Session {
    pub(super) wire: Wire,
    pub(super) view: View,
    capabilities: Capabilities,
    mechanism: &'static str,
    /// Whether a listing of mailboxes says how they stand, too (RFC 5819).
    pub(super) lists_states: bool,
    /// By what this server recognises a message wherever it is.
    pub(super) emails: Emails,
    /// An OK that asked for less, until somebody heeds it.
    slower: Option<Reply>,
    /// While it holds, something may be changed on the server.
    trust: Trust,
}

/// A name that a message keeps when it is moved or copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emails {
    /// The server has none.
    Unnamed,
    /// `EMAILID` (RFC 8474).
    EmailId,
    /// Dovecot's own, which no capability announces.
    XGuid,
}

impl Emails {
    /// What asks for it in a FETCH, behind other items.
    pub(super) const fn item(self) -> &'static str {
        match self {
            Self::Unnamed => "",
            Self::EmailId => " EMAILID",
            Self::XGuid => " X-GUID",
        }
    }
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`ImapError::Unreachable`], [`ImapError::Tls`], [`ImapError::LoginRefused`] and its
    /// neighbours; see there.
    pub async fn connect(endpoint: &Endpoint, login: &Login<'_>) -> Result<Self, ImapError> {
        Self::connect_metered(endpoint, login, &Meter::default()).await
    }

    /// The same, with what comes from the server counted in `meter`.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn connect_metered(
        endpoint: &Endpoint,
        login: &Login<'_>,
        meter: &Meter,
    ) -> Result<Self, ImapError> {
        let until = wire::deadline(endpoint.connect_limit);
        let line = transport::dial(endpoint, until).await?;
        Self::log_in(line, until, login, meter).await
    }

    /// Waits for the greeting of a server until `until`, where it is still to come, then logs in.
    pub(super) async fn log_in(
        line: Line,
        until: Instant,
        login: &Login<'_>,
        meter: &Meter,
    ) -> Result<Self, ImapError> {
        let mut wire = Wire::over(line.stream, meter);
        let told = if line.greeted { None } else { wire.greeting(until).await? };
        let offered = match told {
            Some(capabilities) => capabilities,
            None => ask_capabilities(&mut wire).await?,
        };
        let command = auth::command(&offered, login)?;
        let mut told = None;
        let done = wire.exec(&command, |response| hear_capabilities(&mut told, response)).await?;
        // What was offered before the login does not hold after it (RFC 9051 §6.2.3).
        let capabilities = match (done.reply.code, told) {
            (Some(ResponseCode::Capability(now)), _) | (_, Some(now)) => now,
            _ => ask_capabilities(&mut wire).await?,
        };
        let dovecot = capabilities.has("ID") && introduce(&mut wire).await?;
        enable(&mut wire, &capabilities).await?;
        let emails = match dovecot {
            _ if capabilities.has("OBJECTID") => Emails::EmailId,
            true => Emails::XGuid,
            false => Emails::Unnamed,
        };
        let mechanism = login.way(&offered)?.as_str();
        let lists_states = capabilities.has("LIST-STATUS");
        let view = View::default();
        Ok(Self {
            wire,
            view,
            capabilities,
            mechanism,
            lists_states,
            emails,
            slower: None,
            trust: Trust::default(),
        })
    }

    /// What the server can do for this user.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The way by which the login was made, for example `PLAIN`.
    pub fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// From now on nothing is changed on the server unless `trust` holds.
    pub fn only_while(&mut self, trust: Trust) {
        self.trust = trust;
    }

    /// Whether commands can still be sent.
    pub fn is_open(&self) -> bool {
        self.wire.is_open()
    }

    /// How many responses of this server could not be parsed and were passed over so far.
    pub fn unparsed(&self) -> u64 {
        self.wire.unparsed()
    }

    /// Whether the server has asked to slow down since this was asked last, with an OK: what was
    /// asked for is done, and the next command had better wait.
    ///
    /// # Errors
    /// [`ImapError::Throttled`], if so.
    pub fn heed(&mut self) -> Result<(), ImapError> {
        self.slower.take().map_or(Ok(()), |reply| Err(ImapError::Throttled(reply)))
    }

    /// Says goodbye, waits a moment for the answer and closes.
    pub async fn logout(mut self) {
        // The connection ends whatever the server says to it.
        drop(self.exec(&Command::new(Verb::Logout, "LOGOUT"), |_| Heard::Foreign).await);
    }

    /// Runs a command and takes notice of what the server says of the mailbox meanwhile.
    pub(super) async fn exec(
        &mut self,
        command: &Command,
        mut hear: impl FnMut(&Response<'_>) -> Heard + Send,
    ) -> Result<Done, ImapError> {
        if command.verb.changes() && !self.trust.holds() {
            self.wire.close();
            return Err(ImapError::NotOurs);
        }
        let view = &mut self.view;
        let both = |response: &Response<'_>| {
            view.hear(response);
            hear(response)
        };
        let done = self.wire.exec(command, both).await;
        if self.view.regenerated {
            // Every UID means something else now, those of this answer included.
            self.wire.close();
            return Err(ImapError::Regenerated);
        }
        let done = done?;
        if done.reply.code == Some(ResponseCode::Throttled) {
            self.slower = Some(done.reply.clone());
        }
        Ok(done)
    }
}

/// Says which program this is (RFC 2971): some servers open no mailbox before. Whether they like it
/// makes no difference; whether the server calls itself Dovecot is what comes back.
async fn introduce(wire: &mut Wire) -> Result<bool, ImapError> {
    let line = concat!("ID (\"name\" \"triaged\" \"version\" \"", env!("CARGO_PKG_VERSION"), "\")");
    let mut dovecot = false;
    let hear = |response: &Response<'_>| {
        if let Response::Id(Some(said)) = response {
            let name = said.iter().find(|(key, _)| key.eq_ignore_ascii_case("name"));
            dovecot |= name.is_some_and(|(_, name)| name.eq_ignore_ascii_case("Dovecot"));
        }
        Heard::Foreign
    };
    match wire.exec(&Command::new(Verb::Id, line), hear).await {
        Err(error) if error.ends_connection() => Err(error),
        _ => Ok(dovecot),
    }
}

/// Asks for answers with UIDs and mod-sequences in them (RFC 7162): all of them with QRESYNC, less
/// with CONDSTORE. A server that can do neither, or says NO, is read as it was before them.
async fn enable(wire: &mut Wire, capabilities: &Capabilities) -> Result<(), ImapError> {
    let Some(extension) = ["QRESYNC", "CONDSTORE"].into_iter().find(|one| capabilities.has(one))
    else {
        return Ok(());
    };
    if !capabilities.has("ENABLE") {
        return Ok(());
    }
    let command = Command::new(Verb::Enable, format!("ENABLE {extension}"));
    match wire.exec(&command, |_| Heard::Foreign).await {
        Err(error) if error.ends_connection() => Err(error),
        _ => Ok(()),
    }
}

async fn ask_capabilities(wire: &mut Wire) -> Result<Capabilities, ImapError> {
    let mut told = None;
    let command = Command::new(Verb::Capability, "CAPABILITY");
    wire.exec(&command, |response| hear_capabilities(&mut told, response)).await?;
    Ok(told.unwrap_or_default())
}

fn hear_capabilities(told: &mut Option<Capabilities>, response: &Response<'_>) -> Heard {
    if let Response::Capabilities(list) = response {
        *told = Some(list.iter().collect());
    }
    Heard::Foreign
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use secrecy::SecretString;
    use triaged_core::mailbox::{Uid, UidSet};

    use super::super::login::Proof;
    use super::super::{ImapError, MoveWay, scripted};
    use super::{Login, Trust};

    async fn kind_of_login(script: &str) -> &'static str {
        scripted::login(script, "pw").await.err().expect("no session").kind()
    }

    #[tokio::test]
    async fn capabilities_are_read_again_after_the_login() {
        let told = [
            "S: %t OK [CAPABILITY IMAP4rev1 IDLE] in",
            "S: * CAPABILITY IMAP4rev1 IDLE\nS: %t OK in",
            "S: %t OK in\nC: CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE\nS: %t OK done",
        ];
        for after in told {
            let script = format!(
                "S: * OK hi
                 C: CAPABILITY
                 S: * CAPABILITY IMAP4rev1 AUTH=PLAIN
                 S: %t OK done
                 C: AUTHENTICATE PLAIN
                 S: + go on
                 C+ AGJvYgBwdw==
                 {after}
                 C: LOGOUT
                 S: * BYE see you
                 S: %t OK done"
            );
            let session = scripted::login(&script, "pw").await.expect("a session");
            assert!(
                session.capabilities().has("idle") && !session.capabilities().has("AUTH=PLAIN")
            );
            session.logout().await;
        }
    }

    #[tokio::test]
    async fn who_we_are_is_said_where_that_is_known() {
        for answer in ["S: * ID (\"name\" \"x\")\nS: %t OK", "S: %t NO\n", "S: %t BAD what"] {
            let script = format!(
                "S: * OK [CAPABILITY IMAP4rev1] hi
                 C: LOGIN \"bob\" \"pw\"
                 S: %t OK [CAPABILITY IMAP4rev1 ID] in
                 C: ID (\"name\" \"triaged\" \"version\" \"{}\")
                 {answer}
                 C: LOGOUT",
                env!("CARGO_PKG_VERSION")
            );
            scripted::login(&script, "pw").await.expect("a session").logout().await;
        }
    }

    #[tokio::test]
    async fn a_refused_token_is_a_refused_login() {
        let ways = [
            ("XOAUTH2", "user=bob\x01auth=Bearer tok\x01\x01", ""),
            ("OAUTHBEARER", "n,a=bob,\x01auth=Bearer tok\x01\x01", "AQ=="),
        ];
        for (way, message, farewell) in ways {
            let message = STANDARD.encode(message);
            let script = format!(
                "S: * OK [CAPABILITY IMAP4rev1 AUTH={way} SASL-IR] hi
                 C: AUTHENTICATE {way} {message}
                 S: + eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=
                 C+ {farewell}
                 S: %t NO [AUTHENTICATIONFAILED] no
                 HANG"
            );
            let token = SecretString::from("tok");
            let proof = Proof::Token(&token);
            let login = Login { user: "bob", authorize_as: None, auth: None, proof };
            let refused = scripted::login_as(&script, &login).await.err().expect("refused");
            assert_eq!(refused.kind(), "login_refused", "{way}");
        }
    }

    #[tokio::test]
    async fn a_password_that_needs_one_is_sent_as_a_literal() {
        let script = "S: * OK [CAPABILITY IMAP4rev1] hi
             C: LOGIN \"bob\" {3}
             S: + ready
             C+ pä
             S: %t OK [CAPABILITY IMAP4rev1] in
             HANG";
        assert!(scripted::login(script, "pä").await.is_ok());
    }

    #[tokio::test]
    async fn a_login_that_fails_says_why() {
        let answered = |answer: &str| {
            let offer = "S: * OK [CAPABILITY IMAP4rev1] hi\nC: LOGIN \"bob\" \"pw\"";
            format!("{offer}\nS: {answer}\nHANG")
        };
        let cases = [
            ("%t NO [AUTHENTICATIONFAILED] wrong", "login_refused"),
            ("%t NO wrong", "login_refused"),
            ("%t NO [UNAVAILABLE] back-end is down", "unavailable"),
            ("%t NO Temporary authentication failure.", "unavailable"),
            ("%t NO Too many simultaneous connections. (Failure)", "throttled"),
            ("%t NO [ALERT] Too many simultaneous connections. (Failure)", "throttled"),
            (
                "%t NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)",
                "throttled",
            ),
            ("%t NO Server Busy. Suggested Backoff Time: 30000 milliseconds", "throttled"),
            ("%t NO User is authenticated but not connected.", "unavailable"),
            ("%t BAD what", "rejected"),
            ("* BYE [UNAVAILABLE] maintenance", "bye"),
            ("t99 OK in", "protocol"),
            ("+ more", "protocol"),
        ];
        for (answer, kind) in cases {
            assert_eq!(kind_of_login(&answered(answer)).await, kind, "{answer}");
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_after_a_greeting_that_is_not_one() {
        let cases = [
            ("S: * PREAUTH [CAPABILITY IMAP4rev1] welcome", "preauth"),
            ("S: * BYE too busy", "bye"),
            ("S: HTTP/1.1 400 Bad Request", "protocol"),
            ("S: * 3 EXISTS", "protocol"),
            ("S: * HELLO", "protocol"),
            ("S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi", "login_impossible"),
            ("", "closed"),
        ];
        for (script, kind) in cases {
            assert_eq!(kind_of_login(&format!("{script}\n")).await, kind, "{script}");
        }
    }

    #[tokio::test]
    async fn an_ok_that_asks_for_less_is_done_and_heeded_once() {
        let script = "C: NOOP
             S: %t OK Success [THROTTLED]
             C: NOOP
             S: %t OK Success
             HANG";
        let mut session = scripted::session(script).await;
        assert_eq!(session.noop().await, Ok(false));
        let asked = session.heed().expect_err("it asks for less");
        assert_eq!((asked.kind(), session.is_open()), ("throttled", true));
        assert_eq!(session.noop().await, Ok(false));
        assert_eq!(session.heed(), Ok(()));
    }

    #[tokio::test]
    async fn nothing_is_changed_when_the_trust_is_over() {
        let uids = UidSet::from(Uid::FIRST);
        for at in 0..4 {
            // The script has no step for any of them: what was sent would end the server.
            let mut session = scripted::selected(1, "C: NOOP\nS: %t OK done\nHANG").await;
            session.only_while(Trust::none());
            assert_eq!(session.noop().await, Ok(false));
            let error = match at {
                0 => session.remove(&uids).await.err(),
                1 => session.create("Escalations").await.err(),
                2 => session.take_to(MoveWay::Move, &uids, "Urgent").await.err(),
                _ => session.take_to(MoveWay::CopyAndExpunge, &uids, "Urgent").await.err(),
            };
            assert_eq!((error, session.is_open()), (Some(ImapError::NotOurs), false), "{at}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_greet_meets_the_deadline() {
        assert_eq!(kind_of_login("HANG").await, "deadline");
    }
}
