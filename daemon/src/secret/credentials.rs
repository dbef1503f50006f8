//! What one account logs in with, whatever kind it is; each time as it is by then. Accounts of one
//! server share what its master logs in with, and so its access token.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::Mutex;
use triaged_core::config::{AccountConfig, Credential, OAuthConfig, ProgramCall, SecretSource};

use super::rotated::Rotated;
use super::tokens::Tokens;
use super::{CredentialError, Kept, command, credentials_folder, look_up};

/// See the module. Cheap to make; nothing is read before it is asked for. Clones share it.
#[derive(Debug, Clone)]
pub struct Credentials(Arc<Source>);

#[derive(Debug)]
enum Source {
    Password(SecretSource),
    Command(ProgramCall),
    Tokens { config: OAuthConfig, rotated: Rotated, tokens: Box<Mutex<Tokens>> },
}

/// How the files stood that a credential comes from; another mark is perhaps another credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark(Vec<Option<Stamp>>);

/// Device, inode, second and nanosecond of the last change, and size.
type Stamp = (u64, u64, i64, i64, u64);

impl Credentials {
    /// Those of an account; exchanged refresh tokens are kept below `state`.
    pub fn of(account: &AccountConfig, state: &Path) -> Self {
        Self(Arc::new(match &account.credential {
            Credential::Password(source) => Source::Password(source.clone()),
            Credential::TokenCommand(command) => Source::Command(command.clone()),
            Credential::OAuth(config) => {
                let rotated = Rotated::new(state, &account.name, &config.refresh_token);
                let tokens = Tokens::new(config, account.ca_file.clone(), rotated.clone());
                let tokens = Box::new(Mutex::new(tokens));
                Source::Tokens { config: config.clone(), rotated, tokens }
            }
        }))
    }

    /// A password and nothing else.
    pub fn of_password(source: &SecretSource) -> Self {
        Self(Arc::new(Source::Password(source.clone())))
    }

    /// The password, or an access token.
    pub async fn read(&self) -> Result<SecretString, CredentialError> {
        match &*self.0 {
            Source::Password(source) => Ok(look_up(source)?.secret),
            Source::Command(command) => command::run(command).await,
            Source::Tokens { tokens, .. } => tokens.lock().await.access().await,
        }
    }

    /// The server refused what was read last. Whether reading again may give something better now:
    /// an access token that was used before may have been withdrawn or have expired early.
    pub fn refused(&self) -> bool {
        match &*self.0 {
            // Who holds it asks for another one at this moment.
            Source::Tokens { tokens, .. } => {
                tokens.try_lock().map_or(true, |mut tokens| tokens.forget())
            }
            Source::Password(_) | Source::Command(_) => false,
        }
    }

    /// Where its secrets are kept, without asking anybody for a token.
    pub fn look_up(&self) -> Result<Vec<Kept>, CredentialError> {
        match &*self.0 {
            Source::Password(source) => Ok(vec![look_up(source)?]),
            Source::Command(command) => executable(&command.program).map(|()| Vec::new()),
            Source::Tokens { config, rotated, .. } => {
                let secret = config.client_secret.clone().map(SecretSource::File);
                let mut kept = vec![rotated.current()?];
                kept.extend(secret.as_ref().map(look_up).transpose()?);
                Ok(kept)
            }
        }
    }

    /// How its files stand now.
    pub fn mark(&self) -> Mark {
        let stamp = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some((file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.size()))
        };
        Mark(self.files().iter().map(stamp).collect())
    }

    /// What an administrator changes to give another one, in words.
    pub fn place(&self) -> String {
        self.files().first().map_or_else(
            || "what the token command prints".to_owned(),
            |path| path.display().to_string(),
        )
    }

    /// The files that an administrator writes.
    fn files(&self) -> Vec<PathBuf> {
        match &*self.0 {
            Source::Password(SecretSource::File(path)) => vec![path.clone()],
            Source::Password(SecretSource::Credential(name)) => {
                credentials_folder().map(|folder| folder.join(name)).into_iter().collect()
            }
            Source::Command(_) => Vec::new(),
            Source::Tokens { config, .. } => {
                let OAuthConfig { client_secret, refresh_token, .. } = config;
                [refresh_token].into_iter().chain(client_secret).cloned().collect()
            }
        }
    }
}

fn executable(program: &Path) -> Result<(), CredentialError> {
    let failed = |what: String| CredentialError::Command { program: program.to_owned(), what };
    let metadata =
        fs::metadata(program).map_err(|error| failed(format!("can not be found: {error}")))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(failed("is no program".to_owned()));
    }
    Ok(())
}
