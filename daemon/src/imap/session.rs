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
mod tests;
