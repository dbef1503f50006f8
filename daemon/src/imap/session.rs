//! A connection that is logged in. One task owns it; dropping it closes it.

use async_imap::imap_proto::Response;
use secrecy::SecretString;
use tokio::time::Instant;

use super::auth;
use super::capabilities::Capabilities;
use super::code::ResponseCode;
use super::command::{Command, Verb};
use super::error::ImapError;
use super::guard::Stream;
use super::transport::{self, Endpoint};
use super::view::View;
use super::wire::{self, Done, Heard, Wire};

/// A logged-in connection. What it can do stands beside what it is about: `select`, `fetch`,
/// `messages`, `change`, `idle`.
///
/// A method whose future is dropped before it is done closes the connection.
pub struct Session {
    pub(super) wire: Wire,
    pub(super) view: View,
    capabilities: Capabilities,
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`ImapError::Unreachable`], [`ImapError::Tls`], [`ImapError::LoginRefused`] and its
    /// neighbours; see there.
    pub async fn connect(
        endpoint: &Endpoint,
        user: &str,
        password: &SecretString,
    ) -> Result<Self, ImapError> {
        let until = wire::deadline(endpoint.connect_limit);
        let stream = transport::dial(endpoint, until).await?;
        Self::log_in(stream, until, user, password).await
    }

    /// Waits for the greeting of a server until `until`, then logs in.
    pub(super) async fn log_in(
        stream: Box<dyn Stream>,
        until: Instant,
        user: &str,
        password: &SecretString,
    ) -> Result<Self, ImapError> {
        let mut wire = Wire::over(stream);
        let offered = match wire.greeting(until).await? {
            Some(capabilities) => capabilities,
            None => ask_capabilities(&mut wire).await?,
        };
        let login = auth::command(&offered, user, password)?;
        let mut told = None;
        let done = wire.exec(&login, |response| hear_capabilities(&mut told, response)).await?;
        // What was offered before the login does not hold after it (RFC 9051 §6.2.3).
        let capabilities = match (done.reply.code, told) {
            (Some(ResponseCode::Capability(now)), _) | (_, Some(now)) => now,
            _ => ask_capabilities(&mut wire).await?,
        };
        Ok(Self { wire, view: View::default(), capabilities })
    }

    /// What the server can do for this user.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether commands can still be sent.
    pub fn is_open(&self) -> bool {
        self.wire.is_open()
    }

    /// How many responses of this server could not be parsed and were passed over so far.
    pub fn unparsed(&self) -> u64 {
        self.wire.unparsed()
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
        let view = &mut self.view;
        let both = |response: &Response<'_>| {
            view.hear(response);
            hear(response)
        };
        self.wire.exec(command, both).await
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
