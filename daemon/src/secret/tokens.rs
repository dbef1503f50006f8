//! Access tokens of a token endpoint: kept in memory while they are good, and asked for anew.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use triaged_core::config::OAuthConfig;

use super::rotated::Rotated;
use super::{CredentialError, LONGEST, endpoint};

/// A token is not used in its last minute: a login takes time, and clocks differ.
const MARGIN: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Tokens {
    config: OAuthConfig,
    rotated: Rotated,
    ca_file: Option<PathBuf>,
    access: Option<Access>,
    /// A new refresh token that the disk has not taken yet.
    unkept: Option<SecretString>,
}

#[derive(Debug)]
struct Access {
    token: SecretString,
    /// `None`: the endpoint did not say.
    until: Option<Instant>,
    /// It was given out before.
    used: bool,
}

impl Tokens {
    pub(super) fn new(config: &OAuthConfig, ca_file: Option<PathBuf>, rotated: Rotated) -> Self {
        Self { config: config.clone(), rotated, ca_file, access: None, unkept: None }
    }

    /// An access token that should be good.
    pub(super) async fn access(&mut self) -> Result<SecretString, CredentialError> {
        self.keep().await?;
        let now = Instant::now();
        let is_good = |access: &Access| access.until.is_none_or(|until| now < until);
        if let Some(access) = self.access.as_mut().filter(|access| is_good(access)) {
            access.used = true;
            return Ok(access.token.clone());
        }
        self.access = None;
        let path = self.rotated.path();
        let turn = self.rotated.turn().await;
        let _turn = turn.map_err(|source| CredentialError::NotKept { path, source })?;
        let refresh = self.rotated.current()?.secret;
        let ca_file = self.ca_file.as_deref();
        let granted = endpoint::refresh(&self.config, ca_file, &refresh).await?;
        let until = granted.good_for.map(|time| now + time.saturating_sub(MARGIN));
        let token = granted.access;
        self.access = Some(Access { token: token.clone(), until, used: false });
        self.unkept = granted.refresh;
        self.keep().await?;
        Ok(token)
    }

    /// The server refused the token: it is forgotten. Whether another one may do, because this
    /// one was not fresh.
    pub(super) fn forget(&mut self) -> bool {
        self.access.take().is_some_and(|access| access.used)
    }

    /// Puts a new refresh token on the disk, before anything else is done.
    async fn keep(&mut self) -> Result<(), CredentialError> {
        let Some(token) = self.unkept.clone() else { return Ok(()) };
        let (rotated, path) = (self.rotated.clone(), self.rotated.path());
        let kept = spawn_blocking(move || rotated.keep(&token)).await;
        let kept = kept.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
        kept.map_err(|source| CredentialError::NotKept { path, source })?;
        self.unkept = None;
        Ok(())
    }
}

/// A token is visible ASCII (RFC 6749 appendix A): nothing in it can end a line or a field.
pub(super) fn token(bytes: &[u8]) -> Result<SecretString, &'static str> {
    if bytes.is_empty() {
        return Err("it is empty");
    }
    if bytes.len() > LONGEST {
        return Err("it is too long");
    }
    match str::from_utf8(bytes) {
        Ok(text) if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => Ok(text.into()),
        _ => Err("it has more than visible ASCII"),
    }
}
