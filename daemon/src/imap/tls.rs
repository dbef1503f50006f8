//! Whom we trust: the certificates of the system, and one further file of authorities.
//!
//! There is no switch that accepts a certificate which does not verify.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

use super::error::ImapError;

/// The configuration with the system's authorities alone is the same for all accounts; reading
/// them costs milliseconds, and reconnecting accounts come in swarms.
static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();

/// The TLS client; `ca_file` holds further authorities in PEM and is read at each call.
///
/// # Errors
/// [`ImapError::Tls`] when the file or the system's store can not be used.
pub(super) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, ImapError> {
    match (ca_file, SYSTEM.get()) {
        (None, Some(config)) => Ok(Arc::clone(config)),
        (None, None) => {
            let config = Arc::new(configure(Vec::new()).map_err(|e| failed("system store", &e))?);
            Ok(Arc::clone(SYSTEM.get_or_init(|| config)))
        }
        (Some(path), _) => {
            let name = path.display().to_string();
            let authorities = authorities(path).map_err(|e| failed(&name, &e))?;
            Ok(Arc::new(configure(authorities).map_err(|e| failed(&name, &e))?))
        }
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| error.to_string())?;
    if found.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(found) }
}

fn configure(authorities: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider))?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn failed(source: &str, reason: &impl ToString) -> ImapError {
    ImapError::Tls { endpoint: source.to_owned(), reason: reason.to_string() }
}
