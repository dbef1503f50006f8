//! How an account logs in: with a password or with tokens, and by which mechanism.
//!
//! No secret is ever here, only where it is kept or who hands it out; nothing is opened, run or
//! asked.

use std::path::PathBuf;

use super::problem::{Fault, Problems, one_of};
use super::raw::{Placed, Section};
use super::settings::path;
use super::values::{credential_name, is_loopback, user_name};

/// Where a secret is kept; the secret itself is never in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds nothing else.
    File(PathBuf),
    /// A systemd credential: the file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// What an account proves its identity with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A password.
    Password(SecretSource),
    /// An access token that a program prints.
    TokenCommand(ProgramCall),
    /// An access token that a token endpoint hands out for a refresh token.
    OAuth(OAuthConfig),
}

impl Credential {
    /// Whether it gives tokens.
    pub const fn is_token(&self) -> bool {
        !matches!(self, Self::Password(_))
    }

    /// The files that it names and that may be relative.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Password(SecretSource::File(file)) => vec![file],
            Self::OAuth(OAuthConfig { client_secret, refresh_token, .. }) => {
                client_secret.iter_mut().chain([refresh_token]).collect()
            }
            Self::Password(SecretSource::Credential(_)) | Self::TokenCommand(_) => Vec::new(),
        }
    }
}

/// A program with its arguments, in which no secret stands: others can see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramCall {
    /// An absolute path.
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
}

/// Whom to ask for access tokens, and with what (RFC 6749 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthConfig {
    /// https, or http to this machine.
    pub token_url: String,
    /// The name under which the provider knows this program.
    pub client_id: String,
    /// The file with its secret, where the provider gave one.
    pub client_secret: Option<PathBuf>,
    /// The file with the refresh token to begin with.
    pub refresh_token: PathBuf,
    /// What the token shall be good for, where the provider wants to hear it.
    pub scope: Option<String>,
}

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// AUTHENTICATE PLAIN (RFC 4616).
    Plain,
    /// The command LOGIN (RFC 9051 §6.2.3), or AUTHENTICATE LOGIN where that command is off.
    Login,
    /// AUTHENTICATE XOAUTH2, as Google and Microsoft have it.
    XOAuth2,
    /// AUTHENTICATE OAUTHBEARER (RFC 7628).
    OAuthBearer,
}

impl Mechanism {
    /// As it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Login => "login",
            Self::XOAuth2 => "xoauth2",
            Self::OAuthBearer => "oauthbearer",
        }
    }

    /// Whether it carries a token and not a password.
    pub const fn is_for_tokens(self) -> bool {
        matches!(self, Self::XOAuth2 | Self::OAuthBearer)
    }
}

/// All that an account or a server says of its login.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) authorize_as: Option<String>,
    pub(super) auth: Option<Mechanism>,
    pub(super) credential: Credential,
}

/// Reads who logs in and how; `None` where something about it was reported.
pub(super) fn read(section: &mut Section<'_>, problems: &mut Problems) -> Option<Login> {
    let user = section.require::<String>("user", "say who logs in", problems);
    let user = user.and_then(|user| user.check(problems, user_name));
    let authorize_as = section.take::<String>("authorize_as", problems);
    let authorize_as = authorize_as.and_then(|name| place(name, problems, user_name));
    let (auth, credential) = read_proof(section, problems);
    let auth_is_login = auth.as_ref().is_some_and(|auth| auth.value == Mechanism::Login);
    if let (Some(name), true) = (&authorize_as, auth_is_login) {
        let what = "can not be said with auth = \"login\"";
        problems.add(&name.place, Fault::new(what, "write auth = \"plain\""));
    }
    Some(Login {
        user: user?,
        authorize_as: authorize_as.map(|name| name.value),
        auth: auth.map(|auth| auth.value),
        credential: credential?,
    })
}

/// Reads the login that opens every mailbox of a server, and what stands between the names of a
/// user and the master where both are one name.
pub(super) fn read_master(
    section: &mut Section<'_>,
    problems: &mut Problems,
) -> (Option<Login>, Option<String>) {
    let mend = "say who may open every mailbox: the server's master user";
    let master = section.require::<String>("master", mend, problems);
    let master = master.and_then(|user| user.check(problems, user_name));
    let separator = section.take::<String>("separator", problems);
    let separator = separator.and_then(|text| text.check(problems, separator_mark));
    let (auth, credential) = read_proof(section, problems);
    if let (None, Some(Placed { value: Mechanism::Login, place })) = (&separator, &auth) {
        let what = "\"login\" can not say whose mail is meant";
        let mend = "write auth = \"plain\", or the `separator` of the server's master users";
        problems.add(place, Fault::new(what, mend));
    }
    let auth = auth.map(|auth| auth.value);
    let login = master.zip(credential);
    let login =
        login.map(|(user, credential)| Login { user, authorize_as: None, auth, credential });
    (login, separator)
}

/// Reads by which mechanism and with what somebody logs in.
fn read_proof(
    section: &mut Section<'_>,
    problems: &mut Problems,
) -> (Option<Placed<Mechanism>>, Option<Credential>) {
    let auth = section.take::<String>("auth", problems);
    let auth = auth.and_then(|word| place(word, problems, |word| mechanism(&word)));
    let credential = read_credential(section, problems);
    if let (Some(auth), Some(credential)) = (&auth, &credential) {
        fits(auth, credential, problems);
    }
    (auth, credential)
}

fn separator_mark(text: String) -> Result<String, Fault> {
    if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_alphanumeric()) {
        let mend = "write the server's, like \"*\" (auth_master_user_separator in Dovecot), or \
                    leave the line out: then the user is the authorisation identity of PLAIN";
        return Err(Fault::new(format!("{text:?} is no separator"), mend));
    }
    Ok(text)
}

/// Like [`Placed::check`], with the place kept.
fn place<T, U>(
    placed: Placed<T>,
    problems: &mut Problems,
    meaning: impl FnOnce(T) -> Result<U, Fault>,
) -> Option<Placed<U>> {
    let place = placed.place.clone();
    placed.check(problems, meaning).map(|value| Placed { value, place })
}

fn mechanism(word: &str) -> Result<Mechanism, Fault> {
    use Mechanism::{Login, OAuthBearer, Plain, XOAuth2};
    one_of(word, &[Plain, Login, XOAuth2, OAuthBearer].map(|one| (one.as_str(), one)))
}

fn fits(auth: &Placed<Mechanism>, credential: &Credential, problems: &mut Problems) {
    let word = auth.value.as_str();
    let (what, mend) = match (auth.value.is_for_tokens(), credential.is_token()) {
        (true, false) => ("a token", "give it token_command or [account.oauth], or take it out"),
        (false, true) => ("a password", "write \"xoauth2\" or \"oauthbearer\", or take it out"),
        _ => return,
    };
    let what = format!("{word:?} carries {what}, which this account does not have");
    problems.add(&auth.place, Fault::new(what, mend));
}

/// The four ways, of which an account has one.
const WAYS: [&str; 4] = ["password_file", "password_credential", "token_command", "oauth"];

fn read_credential(section: &mut Section<'_>, problems: &mut Problems) -> Option<Credential> {
    let mend = "write password_file = \"/a/path\" or password_credential = \"name\"";
    let inline = Fault::new("passwords are never in this file", mend);
    let place = section.place.clone();
    let is_inline = section.refuse("password", inline, problems);
    let ways: Vec<&str> = WAYS.into_iter().filter(|way| section.has(way)).collect();
    if let [first, second, ..] = ways[..] {
        let what = format!("has both {first} and {second}");
        problems.add(&place, Fault::new(what, "keep one of the two"));
    } else if ways.is_empty() && !is_inline {
        let mend = format!("{mend}, or token_command or [account.oauth]");
        problems.add(&place, Fault::new("says nowhere where its password is", mend));
    }
    let file = path(section, "password_file", problems).map(SecretSource::File);
    let credential = section.take::<String>("password_credential", problems);
    let credential = credential.and_then(|name| name.check(problems, credential_name));
    let command = read_call(section, "token_command", problems);
    let oauth = section.has("oauth").then(|| section.table("oauth", problems));
    let oauth = oauth.and_then(|section| read_oauth(section, problems));
    let password = file.or(credential).map(Credential::Password);
    password.or(command.map(Credential::TokenCommand)).or(oauth.map(Credential::OAuth))
}

/// Reads the program of `key` with its arguments; `None` where it is absent or was reported.
pub(super) fn read_call(
    section: &mut Section<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<ProgramCall> {
    let words = section.take_list::<String>(key, problems)?;
    words.check(problems, |words| {
        let mend = "write [\"/path/of/the/program\", \"its\", \"arguments\"]; no shell reads them";
        let mut words = words.into_iter().map(|word| word.value);
        let program = PathBuf::from(words.next().unwrap_or_default());
        let arguments: Vec<String> = words.collect();
        if !program.is_absolute() {
            return Err(Fault::new("does not begin with a path from /", mend));
        }
        if arguments.iter().any(|word| word.contains('\0')) {
            return Err(Fault::new("has a NUL in it", mend));
        }
        Ok(ProgramCall { program, arguments })
    })
}

fn read_oauth(mut section: Section<'_>, problems: &mut Problems) -> Option<OAuthConfig> {
    let inline = |mend: &str| Fault::new("secrets are never in this file", mend);
    section.refuse("client_secret", inline("write client_secret_file"), problems);
    section.refuse("refresh_token", inline("write refresh_token_file"), problems);
    let token_url = section.require::<String>("token_url", "name the token endpoint", problems);
    let token_url = token_url.and_then(|url| url.check(problems, endpoint_url));
    let client_id = section.require::<String>("client_id", "as the provider gave it", problems);
    let client_id = client_id.and_then(|id| id.check(problems, word));
    let client_secret = path(&mut section, "client_secret_file", problems);
    let place = section.place.key("refresh_token_file", section.place.line);
    if !section.has("refresh_token_file") {
        let mend = "name the file with the refresh token that the provider gave";
        problems.add(&place, Fault::new("is missing", mend));
    }
    let refresh_token = path(&mut section, "refresh_token_file", problems);
    let scope = section.take::<String>("scope", problems);
    let scope = scope.and_then(|scope| scope.check(problems, word));
    section.finish(problems);
    let (token_url, client_id, refresh_token) = (token_url?, client_id?, refresh_token?);
    Some(OAuthConfig { token_url, client_id, client_secret, refresh_token, scope })
}

fn word(text: String) -> Result<String, Fault> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Fault::new(format!("{text:?} says nothing"), "write it, or leave it out"));
    }
    Ok(text)
}

/// An address that keeps what is sent to it: by TLS, or within this machine.
fn endpoint_url(url: String) -> Result<String, Fault> {
    let mend = "write one like \"https://login.example.org/token\"";
    let plain = |c: char| c.is_ascii_graphic() && !r#""<>\^`{|}#"#.contains(c);
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if !url.chars().all(plain) || host.is_empty() || authority.contains('@') {
        return Err(Fault::new("is no address of a token endpoint", mend));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        _ => {
            let what = format!("the refresh token would go to {host} unprotected");
            Err(Fault::new(what, "write https://; only this same machine may have http://"))
        }
    }
}
