//! `[smtp]`: the server that takes the mails of alerts, and who sends them.
//!
//! Protection and secrets are as an account's. A password goes over TLS only, also within this
//! machine. Nothing is connected to.

use std::path::PathBuf;
use std::time::Duration;

use super::login::{Mechanism, SecretSource};
use super::pin::KeyPin;
use super::problem::{Fault, Problems, one_of};
use super::protection::{self, Protection, Tls};
use super::raw::Section;
use super::settings::{number, path};
use super::values::{credential_name, host_name, mail_address, user_name};

/// Where alerts go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpConfig {
    /// Host name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// A file of certificates to trust beside the system's, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// The one key that the server must have; then no authority is asked.
    pub pinned_key: Option<KeyPin>,
    /// Who logs in; `None`: nobody, the server knows this machine.
    pub login: Option<SmtpLogin>,
    /// Our own address: the sender of alerts, to whom what can not be delivered goes back.
    pub from: String,
    /// By what name this machine says hello; `None`: by its address.
    pub hello: Option<String>,
    /// How long one step of a conversation may take.
    pub timeout: Duration,
    /// How long the server may take to answer when it has got a whole mail.
    pub acceptance: Duration,
}

/// Who logs in to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpLogin {
    /// The login name.
    pub user: String,
    /// The way to log in, PLAIN or LOGIN; `None`: the better one that the server offers.
    pub auth: Option<Mechanism>,
    /// Where the password is kept.
    pub password: SecretSource,
}

impl SmtpConfig {
    /// The files that it names and that may be relative.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let password = self.login.as_mut().and_then(|login| match &mut login.password {
            SecretSource::File(file) => Some(file),
            SecretSource::Credential(_) => None,
        });
        self.ca_file.iter_mut().chain(password).collect()
    }

    /// What stands behind the @ of our address.
    pub fn domain(&self) -> &str {
        self.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain)
    }
}

impl Tls {
    /// The port on which servers take mail to send (RFC 8314 §3.3, RFC 6409); in clear the one of mail
    /// exchangers.
    const fn submission_port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// One step; servers that look a sender up take some seconds.
const TIMEOUT: u32 = 60;
/// RFC 5321 §4.5.3.2.6: who waits for less time gets mails sent twice.
const ACCEPTANCE: u32 = 600;
/// Longer, and nobody hears of a server that hangs.
const LONGEST: i64 = 3_600;

/// Reads the section; `None` where something about it was reported. Every value is read before the
/// first `?`: a problem in one must not hide the others.
pub(super) fn read(mut section: Section<'_>, problems: &mut Problems) -> Option<SmtpConfig> {
    let host = section.require::<String>("host", "name the SMTP server", problems);
    let host = host.and_then(|host| host.check(problems, host_name));
    let protection = protection::read(&mut section, host.as_deref(), problems);
    let tls = protection.as_ref().map(|one| one.tls);
    let port = number(&mut section, "port", 1..=65_535, problems)
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or_else(|| tls.unwrap_or(Tls::Implicit).submission_port());
    let login = read_login(&mut section, tls, problems);
    let from = section.require::<String>("from", "say which address alerts come from", problems);
    let from = from.and_then(|from| from.check(problems, mail_address));
    let hello = section.take::<String>("hello", problems);
    let hello = hello.and_then(|name| name.check(problems, host_name));
    let timeout = number(&mut section, "timeout_seconds", 1..=LONGEST, problems);
    let acceptance = number(&mut section, "acceptance_seconds", 1..=LONGEST, problems);
    section.finish(problems);
    let Protection { tls, ca_file, pinned_key } = protection?;
    Some(SmtpConfig {
        host: host?,
        port,
        tls,
        ca_file,
        pinned_key,
        login: login?,
        from: from?,
        hello,
        timeout: Duration::from_secs(timeout.unwrap_or(TIMEOUT).into()),
        acceptance: Duration::from_secs(acceptance.unwrap_or(ACCEPTANCE).into()),
    })
}

/// Who logs in, which may be nobody; `None` where something about it was reported.
#[expect(clippy::option_option, reason = "nobody logs in, or it can not be said who")]
fn read_login(
    section: &mut Section<'_>,
    tls: Option<Tls>,
    problems: &mut Problems,
) -> Option<Option<SmtpLogin>> {
    let mend = "write password_file = \"/a/path\" or password_credential = \"name\"";
    let inline = Fault::new("passwords are never in this file", mend);
    let is_inline = section.refuse("password", inline, problems);
    let place = section.place.clone();
    let keys = ["password_file", "password_credential"];
    let has_password = is_inline || keys.iter().any(|key| section.has(key));
    if keys.iter().all(|key| section.has(key)) {
        let what = "has both password_file and password_credential";
        problems.add(&place, Fault::new(what, "keep one of the two"));
    }
    let file = path(section, "password_file", problems).map(SecretSource::File);
    let credential = section.take::<String>("password_credential", problems);
    let credential = credential.and_then(|name| name.check(problems, credential_name));
    let auth = section.take::<String>("auth", problems);
    let auth_place = auth.as_ref().map(|auth| auth.place.clone());
    let known = [("plain", Mechanism::Plain), ("login", Mechanism::Login)];
    let auth = auth.and_then(|word| word.check(problems, |word| one_of(&word, &known)));
    let Some(user) = section.take::<String>("user", problems) else {
        if has_password || auth_place.is_some() {
            let what = "says how somebody logs in, and not who";
            problems.add(&place, Fault::new(what, "write user = \"…\", or leave the password out"));
            return None;
        }
        return Some(None);
    };
    if tls == Some(Tls::None) {
        let what = "a password would go over a connection without TLS";
        let mend = "choose tls = \"starttls\" or \"implicit\", or leave user and password out: a \
                    server on this machine knows it";
        problems.add(&user.place, Fault::new(what, mend));
    }
    if !has_password {
        problems.add(&place, Fault::new("says nowhere where its password is", mend));
    }
    let user = user.check(problems, user_name);
    Some(Some(SmtpLogin { user: user?, auth, password: file.or(credential)? }))
}
