//! Why an attempt got no answer, from what those say who connect and speak HTTP.

use std::error::Error;
use std::io;

use crate::outbound::address::{AddressRefusal, Refusal};
use crate::outbound::dns::LookupError;

/// The longest detail of an error, in characters: a certificate can list
/// thousands of names, and the receiver chooses them.
const DETAIL_CHARS: usize = 200;

/// What can be done about a certificate that is not trusted.
const TRUST: &str = "ISAO_DELIVERY_CA can name it, or its authority, as trusted";

/// An error of whatever kind.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Why an attempt got no whole answer. The messages are for people: short, and
/// without the URL, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    /// The policy refuses the address. Nothing was sent.
    #[error("target refused: {0}")]
    Blocked(#[from] Refusal),
    /// The name does not resolve.
    #[error("host name not resolved: {0}")]
    Dns(String),
    /// No address of the host accepts a connection.
    #[error("could not connect: {0}")]
    Connect(String),
    /// The host accepts connections but not TLS, or its certificate is not valid.
    #[error("no TLS connection: {0}")]
    Tls(String),
    /// The connection broke, or what came back is not HTTP; the receiver may
    /// have got the request.
    #[error("no complete answer: {0}")]
    Broken(String),
    /// Anything else, such as a URL that HTTP cannot carry.
    #[error("request not sent: {0}")]
    Other(String),
}

impl AttemptError {
    /// The kind of error in one word, as it is recorded. `timeout` and `status` are
    /// the caller's to say.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Blocked(_) => "blocked",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Broken(_) => "broken",
            Self::Other(_) => "other",
        }
    }
}

impl AttemptError {
    /// Why there is no connection.
    pub(super) fn connecting(error: &(dyn Error + 'static)) -> Self {
        if let Some(refusal) = causes(error).find_map(|cause| cause.downcast_ref::<AddressRefusal>()) {
            return Self::Blocked(refusal.clone().into());
        }
        if let Some(lookup) = causes(error).find_map(|cause| cause.downcast_ref::<LookupError>()) {
            return Self::Dns(detail(lookup));
        }
        if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            return Self::Tls(tls_reason(tls));
        }
        // While connecting, only TLS reads anything that could be invalid or end early.
        match innermost_io(error).map(io::Error::kind) {
            Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Self::Tls(reason(error)),
            _ => Self::Connect(reason(error)),
        }
    }

    /// Why there is no answer.
    pub(super) fn broken(error: &hyper::Error) -> Self {
        // With TLS 1.3, the receiver may refuse after the handshake is done here.
        match causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self::Tls(tls_reason(tls)),
            None => Self::Broken(reason(error)),
        }
    }
}

/// What is wrong with TLS, in words of people, and what can be done.
fn tls_reason(error: &rustls::Error) -> String {
    use rustls::{AlertDescription, CertificateError as Wrong};
    let wrong = match error {
        rustls::Error::InvalidCertificate(wrong) => wrong,
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            return "the receiver demands a certificate of its clients, and isao has none".to_owned();
        }
        _ => return detail(error),
    };
    match wrong {
        Wrong::Expired | Wrong::ExpiredContext { .. } => {
            "the certificate has expired; the receiver has to renew it".to_owned()
        }
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            "the certificate is for another name than the host of the URL".to_owned()
        }
        Wrong::Revoked => "the certificate has been revoked".to_owned(),
        Wrong::UnknownIssuer => {
            format!("the certificate is self-signed, or of an authority that is not trusted here; {TRUST}")
        }
        // What webpki says of a certificate that is its own authority.
        Wrong::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!("the certificate is self-signed; {TRUST}")
        }
        _ => format!("the certificate is not valid: {}", detail(error)),
    }
}

fn innermost_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last()
}

/// What is to be said of it: what the operating system or TLS says, or else whoever said it first.
fn reason(error: &(dyn Error + 'static)) -> String {
    match innermost_io(error) {
        Some(io) => detail(io),
        None => causes(error).last().map_or_else(|| "unknown".to_owned(), detail),
    }
}

/// The error and what is beneath it. `source()` alone would pass over an error
/// that is wrapped in an [`io::Error`], as TLS errors are, and over what HTTP/2 says of its connection.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        if let Some(io) = error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io) {
            return Some(io);
        }
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

fn detail(error: &(dyn Error + 'static)) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    error.to_string().chars().take(DETAIL_CHARS).map(clean).collect()
}
