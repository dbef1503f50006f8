//! Trust in one key: the server is who it shall be if it has that key, whoever signed its
//! certificate, for which name and until when.
//!
//! The handshake's signature is checked as ever: it proves that the server has the key and not
//! only the certificate.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};
use triaged_core::config::KeyPin;

/// Accepts one key, and remembers which other one was shown. For one handshake.
#[derive(Debug)]
pub(super) struct Pinned {
    pin: KeyPin,
    other: OnceLock<KeyPin>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(super) fn new(pin: KeyPin, provider: Arc<CryptoProvider>) -> Self {
        Self { pin, other: OnceLock::new(), provider }
    }

    /// The pin of the key that the server showed, where that is why the handshake failed.
    pub(super) fn other_key(&self) -> Option<KeyPin> {
        self.other.get().copied()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let shown = KeyPin::new(Sha256::digest(&key).into());
        if shown == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        // The first one is the one that counts; a second handshake there is not.
        let _ = self.other.set(shown);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
