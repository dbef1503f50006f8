//! Asking a token endpoint for an access token (RFC 6749 §5 and §6).
//!
//! The only user of reqwest. Redirects are not followed and no proxy is asked: a refresh token
//! goes to the host that the configuration names, and nowhere else.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use triaged_core::config::{OAuthConfig, SecretSource};

use super::tokens::token;
use super::{CredentialError, look_up};

/// For one request, from the name to the last byte.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest answer in bytes; tokens have up to 16 KiB.
const LONGEST: usize = 64 * 1024;

/// The client with the system's authorities alone is the same for all accounts.
static SYSTEM: OnceLock<Client> = OnceLock::new();

/// What a token endpoint gives.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) access: SecretString,
    /// How long the access token is good for, where the endpoint says so.
    pub(super) good_for: Option<Duration>,
    /// The refresh token that takes the place of the one that was sent.
    pub(super) refresh: Option<SecretString>,
}

/// An answer of status 200 (RFC 6749 §5.1).
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    token_type: Option<String>,
    /// A number; some write it as a string.
    expires_in: Option<serde_json::Value>,
    refresh_token: Option<String>,
}

/// An answer of status 400 or 401 (RFC 6749 §5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Exchanges a refresh token; `ca_file` has further authorities that the account trusts.
pub(super) async fn refresh(
    config: &OAuthConfig,
    ca_file: Option<&Path>,
    refresh: &SecretString,
) -> Result<Granted, CredentialError> {
    let endpoint = host(&config.token_url);
    let unreachable =
        |reason: String| CredentialError::Unreachable { endpoint: endpoint.clone(), reason };
    let secret = match &config.client_secret {
        Some(path) => Some(look_up(&SecretSource::File(path.clone()))?.secret),
        None => None,
    };
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose_secret()),
        ("client_id", &config.client_id),
    ];
    form.extend(secret.iter().map(|secret| ("client_secret", secret.expose_secret())));
    form.extend(config.scope.iter().map(|scope| ("scope", scope.as_str())));
    let client = client(ca_file).map_err(unreachable)?;
    let request = client.post(&config.token_url).header(ACCEPT, "application/json").form(&form);
    let response = request.send().await.map_err(|error| unreachable(reason(error)))?;
    let (status, retry_after) = (response.status(), retry_after(&response));
    let body = body(response).await.map_err(unreachable)?;
    match status {
        StatusCode::OK => granted(&body)
            .map_err(|what| CredentialError::Answer { endpoint, what: what.to_owned() }),
        status => Err(refused(endpoint, status, retry_after, &body)),
    }
}

fn granted(body: &[u8]) -> Result<Granted, &'static str> {
    // serde_json's own words would quote what it read.
    let grant: Grant = serde_json::from_slice(body).map_err(|_| "no JSON with an access_token")?;
    if grant.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("its token_type is not Bearer");
    }
    let access = Zeroizing::new(grant.access_token);
    let refresh = grant.refresh_token.map(Zeroizing::new);
    let seconds = grant.expires_in.and_then(|value| {
        value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    });
    Ok(Granted {
        access: token(access.as_bytes())?,
        good_for: seconds.map(Duration::from_secs),
        refresh: refresh.map(|text| token(text.as_bytes())).transpose()?,
    })
}

fn refused(
    endpoint: String,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> CredentialError {
    let known = |refusal: Refusal| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let fits = refusal.error.len() <= 40 && refusal.error.bytes().all(plain);
        fits.then_some(refusal.error)
    };
    let word = serde_json::from_slice(body).ok().and_then(known);
    let passes = ["temporarily_unavailable", "server_error", "slow_down"];
    let passes = word.as_deref().is_some_and(|word| passes.contains(&word));
    match status.as_u16() {
        status @ (408 | 425 | 429 | 500..) => {
            CredentialError::Unavailable { endpoint, status, retry_after }
        }
        status @ 400..=403 if passes => {
            CredentialError::Unavailable { endpoint, status, retry_after }
        }
        status @ 400..=403 => {
            let word = word.unwrap_or_else(|| format!("status {status}"));
            CredentialError::Refused { endpoint, word }
        }
        status => {
            let what = format!("status {status}; is token_url right?");
            CredentialError::Answer { endpoint, what }
        }
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn body(mut response: Response) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut body = Zeroizing::new(Vec::with_capacity(LONGEST));
    while let Some(chunk) = response.chunk().await.map_err(reason)? {
        if body.len() + chunk.len() > LONGEST {
            return Err("its answer has more than 64 KiB".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn client(ca_file: Option<&Path>) -> Result<Client, String> {
    match (ca_file, SYSTEM.get()) {
        (None, Some(client)) => Ok(client.clone()),
        (None, None) => {
            let client = build(Vec::new())?;
            Ok(SYSTEM.get_or_init(|| client).clone())
        }
        (Some(path), _) => {
            let failed = |error| format!("{}: {error}", path.display());
            let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            build(found.map_err(failed)?)
        }
    }
}

fn build(authorities: Vec<CertificateDer<'static>>) -> Result<Client, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider))
        .map_err(|error| error.to_string())?;
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(LIMIT)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("triaged/", env!("CARGO_PKG_VERSION")));
    client.build().map_err(reason)
}

/// The innermost reason, without the address and what stands in it.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The host of an address that the configuration has looked at, with its port.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_as_providers_write_it() {
        let both = br#"{"access_token":"a","token_type":"bearer","expires_in":"3599","refresh_token":"r"}"#;
        let both = granted(both).expect("a grant");
        assert_eq!(
            (both.access.expose_secret(), both.good_for),
            ("a", Some(Duration::from_secs(3599)))
        );
        assert_eq!(both.refresh.expect("rotated").expose_secret(), "r");
        let bare = granted(br#"{"access_token":"a","expires_in":60}"#).expect("a grant");
        assert!(bare.refresh.is_none() && bare.good_for == Some(Duration::from_mins(1)));
        for strange in [
            &b"hunter2"[..],
            br#"{"access_token":""}"#,
            br#"{"access_token":"a\u0001b"}"#,
            br#"{"access_token":"a","token_type":"mac"}"#,
            br#"{"access_token":"a","refresh_token":"a b\n"}"#,
        ] {
            assert!(granted(strange).is_err(), "{}", String::from_utf8_lossy(strange));
        }
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let kind = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            let error = refused("h".to_owned(), status, None, body.as_bytes());
            (error.is_refusal(), error.to_string())
        };
        let (refusal, said) =
            kind(400, r#"{"error":"invalid_grant","error_description":"hunter2"}"#);
        assert!(refusal && said.contains("invalid_grant") && !said.contains("hunter2"), "{said}");
        assert!(kind(401, "<html>").1.contains("status 401"));
        assert!(!kind(400, r#"{"error":"temporarily_unavailable"}"#).0);
        assert!(!kind(503, "").0 && !kind(429, "").0);
        assert!(!kind(404, "").0 && kind(404, "").1.contains("token_url"));
        assert!(!kind(400, r#"{"error":"Hunter 2"}"#).1.contains("Hunter"));
    }
}
