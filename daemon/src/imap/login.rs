//! Who logs in, and by which of the ways that a server offers.
//!
//! Nothing is encoded here (`auth` does) and nothing is sent.

use secrecy::SecretString;
use triaged_core::config::{AccountConfig, Mechanism};

use super::capabilities::Capabilities;
use super::error::ImapError;

/// A login.
pub struct Login<'a> {
    /// Who logs in.
    pub user: &'a str,
    /// Whose mail it is, where that is somebody else.
    pub authorize_as: Option<&'a str>,
    /// The only way that may be taken; `None`: the best one.
    pub auth: Option<Mechanism>,
    /// What proves it.
    pub proof: Proof<'a>,
}

/// What proves who somebody is.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// A password.
    Password(&'a SecretString),
    /// An OAuth access token.
    Token(&'a SecretString),
}

/// A way to log in, as far as commands differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Plain,
    /// The command.
    Login,
    /// The mechanism, where the command is off.
    SaslLogin,
    XOAuth2,
    OAuthBearer,
}

impl Way {
    /// As people know it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login | Self::SaslLogin => "LOGIN",
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

impl<'a> Login<'a> {
    /// The login of a configured account with what its credential gave.
    pub fn of(account: &'a AccountConfig, secret: &'a SecretString) -> Self {
        let is_token = account.credential.is_token();
        Self {
            user: &account.user,
            authorize_as: account.authorize_as.as_deref(),
            auth: account.auth,
            proof: if is_token { Proof::Token(secret) } else { Proof::Password(secret) },
        }
    }

    /// A user and a password, by any way.
    pub fn with_password(user: &'a str, password: &'a SecretString) -> Self {
        Self { user, authorize_as: None, auth: None, proof: Proof::Password(password) }
    }

    /// The way that this login takes on a server with these capabilities.
    pub(super) fn way(&self, capabilities: &Capabilities) -> Result<Way, ImapError> {
        let offers = |way: Way| match way {
            Way::Plain => capabilities.has("AUTH=PLAIN"),
            Way::Login => !capabilities.has("LOGINDISABLED"),
            Way::SaslLogin => capabilities.has("AUTH=LOGIN"),
            Way::XOAuth2 => capabilities.has("AUTH=XOAUTH2"),
            Way::OAuthBearer => capabilities.has("AUTH=OAUTHBEARER"),
        };
        let wanted: &[Way] = match (self.auth, self.proof) {
            (Some(Mechanism::Plain), _) => &[Way::Plain],
            (Some(Mechanism::Login), _) => &[Way::Login, Way::SaslLogin],
            (Some(Mechanism::XOAuth2), _) => &[Way::XOAuth2],
            (Some(Mechanism::OAuthBearer), _) => &[Way::OAuthBearer],
            (None, Proof::Password(_)) if self.authorize_as.is_some() => &[Way::Plain],
            (None, Proof::Password(_)) => &[Way::Plain, Way::Login, Way::SaslLogin],
            (None, Proof::Token(_)) => &[Way::OAuthBearer, Way::XOAuth2],
        };
        let impossible = ImapError::LoginImpossible(match (self.auth, self.proof) {
            (Some(_), _) => "the server does not offer what `auth` asks for",
            (None, Proof::Password(_)) if self.authorize_as.is_some() => {
                "`authorize_as` needs AUTH=PLAIN, which the server does not offer"
            }
            (None, Proof::Password(_)) => "the server offers neither PLAIN nor LOGIN",
            (None, Proof::Token(_)) => "the server offers neither OAUTHBEARER nor XOAUTH2",
        });
        wanted.iter().copied().find(|way| offers(*way)).ok_or(impossible)
    }
}
