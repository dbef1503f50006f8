//! What the texts of an account may be: one function a kind of value, each with what is wrong and
//! how to mend it. Nothing is looked up: a host may not exist.

use std::net::IpAddr;

use super::login::SecretSource;
use super::problem::Fault;
use crate::decision::Target;
use crate::sync::Backfill;

/// Longest account name in bytes; it is a value of every metric of the account.
const LONGEST_NAME: usize = 64;
/// Ten years: more is `all`.
const MOST_DAYS: u16 = 3650;

pub(super) fn account_name(name: String) -> Result<String, Fault> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(good) {
        let what = format!("{name:?} is no short name");
        let mend = format!(
            "use 1 to {LONGEST_NAME} letters, digits, '.', '_' and '-': it is shown in \
             metrics, so no mail address"
        );
        return Err(Fault::new(what, mend));
    }
    Ok(name)
}

/// One mailbox to move mail to; that it is there is seen on the server.
pub(super) fn target(name: &str) -> Result<Target, Fault> {
    if name.is_empty() || name.contains(['*', '%']) || name.chars().any(char::is_control) {
        let what = format!("{name:?} is no mailbox name");
        return Err(Fault::new(what, "write the name as the server lists it"));
    }
    Ok(Target::existing(name))
}

pub(super) fn host_name(host: String) -> Result<String, Fault> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name = !host.is_empty() && host.len() <= 253 && host.chars().all(good);
    if is_name || host.parse::<IpAddr>().is_ok() {
        return Ok(host);
    }
    let mend = "write only the name or the address, like \"imap.example.org\"; the port has a line \
                of its own, and other than ASCII letters their xn-- form";
    Err(Fault::new(format!("{host:?} is no host name"), mend))
}

pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn user_name(user: String) -> Result<String, Fault> {
    if user.is_empty() || user.chars().any(char::is_control) {
        return Err(Fault::new(format!("{user:?} is no user name"), "say who logs in"));
    }
    Ok(user)
}

pub(super) fn credential_name(name: String) -> Result<SecretSource, Fault> {
    let bad = |c: char| c == '/' || c.is_control();
    if name.is_empty() || name.starts_with('.') || name.contains(bad) {
        let what = format!("{name:?} is no name of a credential");
        return Err(Fault::new(what, "write the name that LoadCredential= in the unit gives it"));
    }
    Ok(SecretSource::Credential(name))
}

pub(super) fn backfill_days(text: &str) -> Result<Backfill, Fault> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok());
    match (text, days) {
        ("none", _) => Ok(Backfill::None),
        ("all", _) => Ok(Backfill::All),
        (_, Some(days @ 1..=MOST_DAYS)) => Ok(Backfill::Days(days)),
        _ => {
            let mend = format!("write \"none\", \"all\", or days from \"1d\" to \"{MOST_DAYS}d\"");
            Err(Fault::new(format!("{text:?} is no stretch of time"), mend))
        }
    }
}

/// An address to which mail is sent (RFC 5321 §4.1.2), in the form that every server takes: ASCII, no
/// quotes, a domain or a machine's name.
pub(super) fn mail_address(address: String) -> Result<String, Fault> {
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let local_is_good = |local: &str| {
        let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
        !local.is_empty() && local.len() <= 64 && local.chars().all(atom) && !dots
    };
    let label_is_good = |label: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let edges = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && label.len() <= 63 && label.chars().all(good) && !edges
    };
    match address.rsplit_once('@') {
        Some((local, domain))
            if local_is_good(local)
                && domain.len() <= 253
                && domain.split('.').all(label_is_good) =>
        {
            Ok(address)
        }
        _ => {
            let mend = "write one like \"oncall@example.org\": ASCII, without a name or quotes; a \
                        domain of other letters in its xn-- form";
            Err(Fault::new(format!("{address:?} is no mail address"), mend))
        }
    }
}
