//! How the connection to a server is protected, and whom it trusts.
//!
//! Nothing is connected to. There is no value that accepts any certificate: what the system does
//! not trust needs `ca_file` or `pinned_key`.

use std::path::PathBuf;

use super::pin::KeyPin;
use super::problem::{Fault, Problems, one_of};
use super::raw::Section;
use super::settings::path;
use super::values::is_loopback;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// TLS after a few lines in clear that are not believed (RFC 9051 §6.2.1); without TLS there
    /// is no connection.
    StartTls,
    /// Plain text; only ever to this machine.
    None,
}

impl Tls {
    /// The port that IMAP servers use for it.
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Implicit => 993,
            Self::StartTls | Self::None => 143,
        }
    }
}

/// All that an account says of it.
pub(super) struct Protection {
    pub(super) tls: Tls,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) pinned_key: Option<KeyPin>,
}

/// Reads `tls`, `ca_file` and `pinned_key`; `None` where something about them was reported.
pub(super) fn read(
    section: &mut Section<'_>,
    host: Option<&str>,
    problems: &mut Problems,
) -> Option<Protection> {
    let pins = section.has("pinned_key");
    let place = section.place.key("pinned_key", section.place.line);
    let authorities = section.has("ca_file");
    let tls = read_tls(section, host, problems);
    let ca_file = path(section, "ca_file", problems);
    let pinned_key = section.take::<String>("pinned_key", problems);
    let place = pinned_key.as_ref().map_or(place, |pin| pin.place.clone());
    let pinned_key = pinned_key.and_then(|text| text.check(problems, |text| pin(&text)));
    if pins && authorities {
        let what = "stands beside ca_file: with a pinned key no authority is asked";
        problems.add(&place, Fault::new(what, "keep one of the two lines"));
    }
    if pins && tls == Some(Tls::None) {
        let what = "has no use without TLS, which has the keys";
        problems.add(&place, Fault::new(what, "take the line out, or choose another `tls`"));
    }
    Some(Protection { tls: tls?, ca_file, pinned_key })
}

fn pin(text: &str) -> Result<KeyPin, Fault> {
    text.parse().map_err(|error| {
        let mend = "openssl x509 -pubkey -noout -in cert.pem | openssl pkey -pubin -outform der \
                    | openssl dgst -sha256";
        Fault::new(format!("{text:?} is no pin: {error}"), mend)
    })
}

fn read_tls(section: &mut Section<'_>, host: Option<&str>, problems: &mut Problems) -> Option<Tls> {
    let Some(word) = section.take::<String>("tls", problems) else {
        return Some(Tls::Implicit);
    };
    let known = [("implicit", Tls::Implicit), ("starttls", Tls::StartTls), ("none", Tls::None)];
    word.check(problems, |word| match (one_of(&word, &known)?, host) {
        (Tls::None, Some(host)) if !is_loopback(host) => Err(Fault::new(
            format!("mail and password would go to {host} in plain text"),
            "write \"implicit\"; only localhost, 127.0.0.1 and ::1 may go without TLS",
        )),
        (tls, _) => Ok(tls),
    })
}
