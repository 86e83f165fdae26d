//! What a delivery looks like: how a name tells the order of creation, and how bodies are signed.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use sha2::Sha256;

/// The key of every subscription's secret.
const KEY: [u8; 32] = *b"isao-bench-isao-bench-isao-bench";

/// The secret that subscriptions are made with.
pub fn secret() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(KEY))
}

/// Checks and makes signatures by Standard Webhooks.
pub struct Signer(Hmac<Sha256>);

impl Signer {
    pub fn new() -> Self {
        let mut block = [0; 64];
        block[..KEY.len()].copy_from_slice(&KEY);
        Self(Hmac::new(&block.into()))
    }

    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }

    pub fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.sign(header("webhook-id"), header("webhook-timestamp"), body) == header("webhook-signature")
    }
}

/// What the generator writes into the name of a contact. Creates of one connection follow
/// each other, so their numbers must arrive in order; those of several may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub phase: u32,
    pub connection: u32,
    /// 0, 1, 2, … on this connection in this phase.
    pub number: u32,
    /// When the request was made, in microseconds since 1970.
    pub at: u64,
}

impl Mark {
    pub fn name(&self) -> String {
        format!("Load p{} c{} n{} t{}", self.phase, self.connection, self.number, self.at)
    }

    /// Reads the mark from the body of a delivery, without parsing the rest.
    pub fn find(body: &[u8]) -> Option<Self> {
        const BEFORE: &[u8] = br#""name":"Load p"#;
        let start = body.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
        let name = body[start..].split(|&byte| byte == b'"').next()?;
        let mut parts = std::str::from_utf8(name).ok()?.split(' ');
        Some(Self {
            phase: parts.next()?.parse().ok()?,
            connection: parts.next()?.strip_prefix('c')?.parse().ok()?,
            number: parts.next()?.strip_prefix('n')?.parse().ok()?,
            at: parts.next()?.strip_prefix('t')?.parse().ok()?,
        })
    }
}

/// The body that creates a contact; its phone number is the mark's own.
pub fn contact(mark: &Mark) -> Bytes {
    Bytes::from(format!(
        r#"{{"name":"{}","phoneNumber":"{}","email":"john.doe@example.com","position":"Buyer","currentCompany":"Acme","city":"Paris","country":"France","tags":["lead"]}}"#,
        mark.name(),
        phone(mark)
    ))
}

fn phone(mark: &Mark) -> String {
    format!("+{:03}{:03}{:08}", mark.phase, mark.connection, mark.number)
}

/// The same bytes as the server sends for that contact, but for the ids and times.
pub fn envelope(mark: &Mark) -> Bytes {
    let id = format!("{:032x}", mark.number);
    let name = mark.name();
    let last = name.trim_start_matches("Load ");
    let time = "2025-01-01T00:00:00.000Z";
    Bytes::from(format!(
        r#"{{"event":"contact.created","timestamp":"{time}","data":{{"id":"contact_{id}","name":"{name}","firstName":"Load","lastName":"{last}","phoneNumber":"{}","email":"john.doe@example.com","position":"Buyer","currentCompany":"Acme","industrySector":null,"city":"Paris","country":"France","tags":["lead"],"createdAt":"{time}","updatedAt":"{time}"}},"metadata":{{"companyId":"company_{id}","eventId":"event_{id}","source":"api"}}}}"#,
        phone(mark)
    ))
}

/// Microseconds since 1970; the same for all processes of a machine.
#[expect(clippy::disallowed_methods, reason = "a stopwatch that two processes read")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_in_a_delivery() {
        let mark = Mark { phase: 3, connection: 15, number: 99, at: now() };
        assert_eq!(Mark::find(&envelope(&mark)), Some(mark));
        assert_eq!(Mark::find(b"{}"), None);
    }

    /// The example of the Standard Webhooks libraries, with another key.
    #[test]
    fn a_signature_is_recognised() {
        let signer = Signer::new();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "event_1".parse().unwrap());
        headers.insert("webhook-timestamp", "1".parse().unwrap());
        headers.insert("webhook-signature", signer.sign("event_1", "1", b"{}").parse().unwrap());
        assert!(signer.is_signed(&headers, b"{}"));
        assert!(!signer.is_signed(&headers, b"{ }"));
    }
}
