//! Handing a mail of ours to the server that sends it. The only user of lettre, which writes messages
//! and speaks SMTP's commands; TLS is ours, and the same as for IMAP (`tls`).
//!
//! One connection is one conversation, and each step of it has a deadline. Nothing is tried twice here:
//! whoever keeps the mail decides that.

mod error;
mod line;
mod mail;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use lettre::address::Address;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use triaged_core::config::{self, SmtpConfig};

pub use error::{SmtpError, Step, Why};
pub use mail::Mail;

/// The last word of a connection; a server that does not answer it has lost nothing.
const GOODBYE: Duration = Duration::from_secs(5);
/// What was there when a deadline was over is read in so long.
const LATE: Duration = Duration::from_millis(200);

/// A conversation with a server that lets us send.
pub struct Connection {
    server: AsyncSmtpConnection,
    from: Address,
    step: Duration,
    acceptance: Duration,
}

impl Connection {
    /// From the name of the server to its leave to send. `password` is that of the configured login.
    pub async fn open(
        config: &SmtpConfig,
        password: Option<&SecretString>,
    ) -> Result<Self, SmtpError> {
        let from = address(&config.from)?;
        let hello = config.hello.clone().map(ClientId::Domain);
        let (stream, hello) = line::dial(config, hello).await?;
        let greeting = AsyncSmtpConnection::connect_with_transport(stream, &hello);
        let server = within(config.timeout, Step::Greeting, greeting).await?;
        let (step, acceptance) = (config.timeout, config.acceptance);
        let mut connection = Self { server, from, step, acceptance };
        if let (Some(login), Some(password)) = (&config.login, password) {
            connection.login(login, password).await?;
        }
        Ok(connection)
    }

    async fn login(
        &mut self,
        login: &config::SmtpLogin,
        password: &SecretString,
    ) -> Result<(), SmtpError> {
        let mechanisms = match login.auth {
            Some(config::Mechanism::Plain) => &[Mechanism::Plain][..],
            Some(_) => &[Mechanism::Login],
            None => DEFAULT_MECHANISMS,
        };
        if self.server.server_info().get_auth_mechanism(mechanisms).is_none() {
            return Err(SmtpError { step: Step::Login, why: Why::NoMechanism });
        }
        let secret = password.expose_secret().to_owned();
        let credentials = Credentials::new(login.user.clone(), secret);
        let login = self.server.auth(mechanisms, &credentials);
        within(self.step, Step::Login, login).await.map(drop)
    }

    /// Sends a mail. `may_send` is asked before the server is told that its text comes, and for the last
    /// time before the text; who may not leaves the mail to others.
    ///
    /// # Errors
    /// [`Step::Text`] with a lost connection or a deadline means that nobody knows whether the server
    /// has taken it.
    pub async fn send(
        &mut self,
        mail: &Mail<'_>,
        may_send: impl Fn() -> bool,
    ) -> Result<(), SmtpError> {
        let text = mail.bytes()?;
        self.envelope(mail.to).await?;
        if !may_send() {
            return Err(SmtpError { step: Step::Data, why: Why::NotOurs });
        }
        let go_on = self.say(Step::Data, Data).await?;
        if !go_on.has_code(354) {
            return Err(SmtpError::protocol(Step::Data, "its answer is not 354"));
        }
        if !may_send() {
            return Err(SmtpError { step: Step::Data, why: Why::NotOurs });
        }
        let mut taking = pin!(self.server.message(&text));
        let limit = self.step + self.acceptance;
        let mut taken = within(limit, Step::Text, &mut taking).await;
        if matches!(&taken, Err(error) if error.why == Why::Deadline) {
            // Who was frozen meanwhile finds the deadline over and the answer there, and sees the former first.
            taken = within(LATE, Step::Text, taking).await;
        }
        let taken = taken?;
        if taken.code().severity == Severity::PositiveCompletion {
            return Ok(());
        }
        Err(SmtpError::protocol(Step::Text, "its answer to the whole mail is none"))
    }

    /// Whether the server would take a mail to this address, of which it gets no text.
    ///
    /// # Errors
    /// What it has against it; [`Self::reset`] comes before another one then.
    pub async fn ask_for(&mut self, to: &str) -> Result<(), SmtpError> {
        self.envelope(to).await?;
        self.reset().await
    }

    /// From whom, and to whom.
    async fn envelope(&mut self, to: &str) -> Result<(), SmtpError> {
        let to = address(to)?;
        let from = MailFrom::new(Some(self.from.clone()), Vec::new());
        self.say(Step::Sender, from).await?;
        self.say(Step::Recipient, Rcpt::new(to, Vec::new())).await.map(drop)
    }

    /// Makes the conversation ready for another mail after one that was refused.
    pub async fn reset(&mut self) -> Result<(), SmtpError> {
        self.say(Step::Reset, Rset).await.map(drop)
    }

    /// Ends it as the protocol wants it.
    pub async fn quit(mut self) {
        let _ = timeout(GOODBYE, self.server.quit()).await;
    }

    async fn say(
        &mut self,
        step: Step,
        command: impl std::fmt::Display,
    ) -> Result<Response, SmtpError> {
        within(self.step, step, self.server.command(command)).await
    }
}

async fn within<T>(
    limit: Duration,
    step: Step,
    work: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, SmtpError> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(|error| SmtpError::of(step, &error)),
        Err(_) => Err(SmtpError { step, why: Why::Deadline }),
    }
}

/// An address of the configuration, which has been looked at there.
fn address(text: &str) -> Result<Address, SmtpError> {
    text.parse().map_err(|error| SmtpError::unwritable(&error))
}

#[cfg(test)]
mod tests;
