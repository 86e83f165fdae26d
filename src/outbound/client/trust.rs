//! Which certificates receivers may have beside those that the system trusts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::error::BoxError;

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
    /// # Errors
    /// A sentence that says what to do, when there are no certificates of authorities.
    pub(super) fn new(trusted: &TrustedCas, provider: Arc<CryptoProvider>) -> Result<Self, BoxError> {
        let verifier = Verifier::new_with_extra_roots(trusted.0.clone(), provider)
            .map_err(|error| no_authorities(&error, |name| std::env::var_os(name).map(PathBuf::from)))?;
        Ok(Self { verifier, trusted: trusted.clone() })
    }
}

/// The settings by which certificates are looked for elsewhere than in the system's places, instead of
/// there.
const PLACES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Says why there are no certificates of authorities, and what to do.
fn no_authorities(error: &rustls::Error, setting: impl Fn(&str) -> Option<PathBuf>) -> String {
    let set = PLACES.iter().filter_map(|name| Some((name, setting(name)?)));
    let wrong: Vec<_> = set
        .map(|(name, path)| match std::fs::metadata(&path) {
            Err(cause) => format!("{name} is {}, which cannot be read ({cause})", path.display()),
            Ok(_) => format!("{name} is {}, which has no certificate that can be used", path.display()),
        })
        .collect();
    if wrong.is_empty() {
        return format!("{error}; install the CA certificates of your system");
    }
    format!("{}; correct or unset it", wrong.join(", and "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_leads_nowhere_is_named() {
        let error = rustls::Error::General("no certificates".to_owned());
        let told = |file: Option<&str>, dir: Option<&str>| {
            no_authorities(&error, |name| if name == "SSL_CERT_FILE" { file } else { dir }.map(PathBuf::from))
        };
        let missing = told(Some("/nowhere/ca.pem"), None);
        assert!(missing.starts_with("SSL_CERT_FILE is /nowhere/ca.pem, which cannot be read (No such file"));
        assert!(missing.ends_with("; correct or unset it"), "{missing}");
        let both = told(Some("/dev/null"), Some("/nowhere"));
        assert!(both.contains("SSL_CERT_FILE is /dev/null, which has no certificate"), "{both}");
        assert!(both.contains("and SSL_CERT_DIR is /nowhere, which cannot be read"), "{both}");
        assert!(told(None, None).ends_with("no certificates; install the CA certificates of your system"));
    }
}
