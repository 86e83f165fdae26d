//! Which certificates receivers may have beside those that the system trusts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// Certificates of authorities of one's own, or of receivers themselves.
#[derive(Clone, Default)]
pub struct TrustedCas(pub(super) Vec<CertificateDer<'static>>);

impl TrustedCas {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// A sentence, when it cannot be read or has no certificate.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|error| format!("the file cannot be read: {error}"))?;
        let read = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        match read {
            Ok(certificates) if !certificates.is_empty() => Ok(Self(certificates)),
            Ok(_) => {
                Err("the file has no certificate; write PEM, which begins with -----BEGIN CERTIFICATE-----"
                    .to_owned())
            }
            Err(error) => Err(format!("the file is not PEM: {error}")),
        }
    }
}

/// Accepts what the system's authorities or the trusted ones have signed, and a certificate that is
/// itself among the trusted ones, for the names in it: a self-signed one may call itself an
/// authority, which no server's certificate may be otherwise. Of such a one the dates do not count:
/// whoever named it as trusted has to take it out of the file.
#[derive(Debug)]
pub(super) struct ReceiverVerifier {
    verifier: Verifier,
    trusted: TrustedCas,
}

impl ReceiverVerifier {
    pub(super) fn new(trusted: &TrustedCas, provider: Arc<CryptoProvider>) -> Result<Self, rustls::Error> {
        let verifier = Verifier::new_with_extra_roots(trusted.0.clone(), provider)?;
        Ok(Self { verifier, trusted: trusted.clone() })
    }
}

impl ServerCertVerifier for ReceiverVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.trusted.0.iter().any(|trusted| trusted == end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for TrustedCas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedCas({})", self.0.len())
    }
}
