//! What `triaged check` finds of alerts: the password of the SMTP server, and, online, whether it lets
//! us in. No mail is sent.

use std::io::Write;

use triaged::secret::Credentials;
use triaged::smtp::{Connection, SmtpError, Step, Why};
use triaged_core::config::{Config, SmtpConfig, Tls};

use super::local::keeping;
use super::report::{Line, Report};
use crate::cli::Exit;

/// The subject of all lines here.
const SUBJECT: &str = "alerts";

fn credentials(smtp: &SmtpConfig) -> Option<Credentials> {
    smtp.login.as_ref().map(|login| Credentials::of_password(&login.password))
}

/// Whether the password can be read, and who else can read it.
pub(super) fn password<W: Write>(config: &Config, report: &mut Report<W>) {
    let Some(credentials) = config.smtp.as_ref().and_then(credentials) else { return };
    match credentials.look_up() {
        Ok(kept) => kept.iter().for_each(|kept| report.line(&keeping("password", "smtp", kept))),
        Err(error) => report.line(&Line::fail(Exit::Config, "password", format!("smtp: {error}"))),
    }
}

/// Whether the server takes mail from us.
pub(super) async fn server<W: Write>(config: &Config, report: &mut Report<W>) {
    let Some(smtp) = &config.smtp else { return };
    report.line(&ask(smtp).await);
}

async fn ask(smtp: &SmtpConfig) -> Line {
    let password = match credentials(smtp) {
        Some(credentials) => credentials.read().await.map(Some),
        None => Ok(None),
    };
    let Ok(password) = password else {
        let what = "the SMTP server is not asked: its password can not be read, see above";
        return Line::warn(SUBJECT, what);
    };
    match Connection::open(smtp, password.as_ref()).await {
        Ok(connection) => {
            connection.quit().await;
            Line::ok(SUBJECT, format!("{}:{} {}", smtp.host, smtp.port, manner(smtp)))
        }
        Err(error) => failed(smtp, &error),
    }
}

/// "over TLS, logged in as triaged; from triaged@example.org".
fn manner(smtp: &SmtpConfig) -> String {
    let protection = match smtp.tls {
        Tls::Implicit => "over TLS",
        Tls::StartTls => "over TLS after STARTTLS",
        Tls::None => "in clear, within this machine",
    };
    let login = match &smtp.login {
        Some(login) => format!("logged in as {}", login.user),
        None => "without a login".to_owned(),
    };
    format!("{protection}, {login}; alerts come from {}", smtp.from)
}

/// With the exit code by what it takes to mend it.
fn failed(smtp: &SmtpConfig, error: &SmtpError) -> Line {
    let (exit, mend) = match (&error.why, error.step) {
        (Why::Refused(_), Step::Login) => {
            (Exit::LoginRefused, "; are user and password of [smtp] right?")
        }
        (Why::NoMechanism, _) => (Exit::LoginRefused, ""),
        (Why::NotLoopback(_) | Why::Unwritable(_), _) => (Exit::Config, ""),
        (Why::Tls(_), _) if smtp.tls == Tls::Implicit => (
            Exit::Unavailable,
            "; does this port begin with TLS (465 does)? A certificate of your own needs `ca_file` \
             or `pinned_key`",
        ),
        _ => (Exit::Unavailable, ""),
    };
    Line::fail(exit, SUBJECT, format!("{}:{} {error}{mend}", smtp.host, smtp.port))
}
