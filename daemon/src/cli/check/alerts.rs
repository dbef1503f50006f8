//! What `triaged check` finds of alerts: the password of the SMTP server, and, online, whether it lets
//! us in and would take mail for each address. No mail is sent.

use std::collections::BTreeSet;
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

/// Whether the server takes mail from us, and for whom.
pub(super) async fn server<W: Write>(config: &Config, report: &mut Report<W>) {
    let Some(smtp) = &config.smtp else { return };
    let mut connection = match open(smtp).await {
        Ok(connection) => connection,
        Err(line) => return report.line(&line),
    };
    let place = format!("{}:{}", smtp.host, smtp.port);
    report.line(&Line::ok(SUBJECT, format!("{place} {}", manner(smtp))));
    let addresses = addresses(config);
    let mut taken = 0;
    for to in &addresses {
        let Err(error) = connection.ask_for(to).await else {
            taken += 1;
            continue;
        };
        report.line(&not_taken(smtp, to, &error));
        if !error.is_about_the_mail() || connection.reset().await.is_err() {
            break;
        }
    }
    if taken > 0 {
        let text = format!("{place} takes mail for {taken} of {} addresses", addresses.len());
        report.line(&Line::ok(SUBJECT, text));
    }
    connection.quit().await;
}

/// Whom rules alert.
fn addresses(config: &Config) -> BTreeSet<&str> {
    let alerts = config.rules.iter().filter_map(|one| one.rule.then.alert.as_ref());
    alerts.flat_map(|alert| &alert.to).map(String::as_str).collect()
}

async fn open(smtp: &SmtpConfig) -> Result<Connection, Line> {
    let password = match credentials(smtp) {
        Some(credentials) => credentials.read().await.map(Some),
        None => Ok(None),
    };
    let Ok(password) = password else {
        let what = "the SMTP server is not asked: its password can not be read, see above";
        return Err(Line::warn(SUBJECT, what));
    };
    Connection::open(smtp, password.as_ref()).await.map_err(|error| failed(smtp, &error))
}

/// An address for which no mail is taken.
fn not_taken(smtp: &SmtpConfig, to: &str, error: &SmtpError) -> Line {
    let text = format!("{}:{} for {to}: {error}", smtp.host, smtp.port);
    match (&error.why, error.step) {
        // Who does not know us yet is often asked to come again.
        (Why::NotNow(_), _) => Line::warn(SUBJECT, text),
        (Why::Refused(_), Step::Sender) => {
            let mend = "; may this login send as `from`?";
            Line::fail(Exit::Config, SUBJECT, format!("{text}{mend}"))
        }
        (Why::Refused(_), _) if !error.is_final() => {
            let mend = "; does this server send mail of this machine, login and `from` to others?";
            Line::fail(Exit::Config, SUBJECT, format!("{text}{mend}"))
        }
        (Why::Refused(_), _) => Line::fail(Exit::Config, SUBJECT, text),
        _ => Line::fail(Exit::Unavailable, SUBJECT, text),
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
