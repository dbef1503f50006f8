//! Whom we trust, of servers of mail: the certificates of the system, and one further file of
//! authorities; or one pinned key alone (`pinned`). IMAP and SMTP have this in common.
//!
//! There is no switch that accepts a certificate which does not verify.

mod pinned;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use triaged_core::config::KeyPin;

use pinned::Pinned;

/// No trust in a server, or in what we were to trust it by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct TrustError {
    /// The server, or the file.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The configuration with the system's authorities alone is the same for all accounts; reading
/// them costs milliseconds, and reconnecting accounts come in swarms.
static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();

/// The configurations with a file of authorities, each with how the file stood. A connection holds
/// on to its configuration, and the system's authorities alone are some hundred kilobytes: ten
/// thousand accounts of one server have to share one.
static WITH_FILE: Mutex<BTreeMap<PathBuf, (Stamp, Arc<ClientConfig>)>> =
    Mutex::new(BTreeMap::new());

/// Device, inode, second and nanosecond of the last change, and size of a file.
type Stamp = (u64, u64, i64, i64, u64);

/// A TLS client for one connection to one server.
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    pinned: Option<Arc<Pinned>>,
    server: String,
}

impl TlsClient {
    /// Reads by what the server of this name is trusted; a file of authorities is read again when it
    /// has changed. `server` is what errors call it.
    ///
    /// # Errors
    /// The file or the system's store can not be used.
    pub fn of(
        server: &impl ToString,
        host: &str,
        ca_file: Option<&Path>,
        pinned_key: Option<KeyPin>,
    ) -> Result<Self, TrustError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failed(server, &"the host is neither a name nor an address"))?;
        let pinned = pinned_key.map(|pin| Arc::new(Pinned::new(pin, provider())));
        let config = match &pinned {
            Some(pinned) => {
                let verifier = Arc::clone(pinned) as Arc<dyn ServerCertVerifier>;
                Arc::new(configure(verifier).map_err(|e| failed(server, &e))?)
            }
            None => trusting(ca_file)?,
        };
        Ok(Self { config, name, pinned, server: server.to_string() })
    }

    /// The handshake.
    ///
    /// # Errors
    /// Names the key that was seen where another one is pinned.
    pub async fn secure<S>(self, stream: S) -> Result<TlsStream<S>, TrustError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(self.config);
        connector.connect(self.name, stream).await.map_err(|error| {
            let other_key = self.pinned.and_then(|pinned| pinned.other_key());
            match other_key {
                Some(seen) => failed(
                    &self.server,
                    &format!(
                        "its key is {seen}, not the pinned one: compare it with the server's, \
                         and correct `pinned_key` only if they are equal"
                    ),
                ),
                None => failed(&self.server, &error),
            }
        })
    }
}

/// A configuration that trusts the system's authorities and those in `ca_file`.
fn trusting(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let build = |authorities| {
        let verifier = Verifier::new_with_extra_roots(authorities, provider())?;
        configure(Arc::new(verifier)).map(Arc::new)
    };
    match (ca_file, SYSTEM.get()) {
        (None, Some(config)) => Ok(Arc::clone(config)),
        (None, None) => {
            let config = build(Vec::new()).map_err(|e| failed(&"system store", &e))?;
            Ok(Arc::clone(SYSTEM.get_or_init(|| config)))
        }
        (Some(path), _) => {
            let stamp = stamp(path).map_err(|e| failed(&path.display(), &e))?;
            let known = WITH_FILE.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
            if let Some((_, config)) = known.filter(|(then, _)| *then == stamp) {
                return Ok(config);
            }
            let authorities = authorities(path).map_err(|e| failed(&path.display(), &e))?;
            let config = build(authorities).map_err(|e| failed(&path.display(), &e))?;
            let mut known = WITH_FILE.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(path.to_owned(), (stamp, Arc::clone(&config)));
            Ok(config)
        }
    }
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let file = std::fs::metadata(path)?;
    Ok((file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.size()))
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| error.to_string())?;
    if found.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(found) }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn configure(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Connections live for hours, and each looks at the server's certificate anew.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn failed(place: &impl ToString, reason: &impl ToString) -> TrustError {
    TrustError { place: place.to_string(), reason: reason.to_string() }
}
