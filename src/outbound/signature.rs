//! Signatures that let a receiver know a delivery is ours and fresh.
//!
//! Source: Standard Webhooks 1.0.0, symmetric signatures (`v1`).

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What every secret begins with, so that a leaked one can be recognised.
const PREFIX: &str = "whsec_";

/// The fewest and most bytes of a key, by Standard Webhooks.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// `v1,` and the base64 of 32 bytes.
const SIGNATURE_BYTES: usize = 47;

/// The block of SHA-256 in bytes; HMAC pads shorter keys to it with zeros (RFC 2104 §2).
const BLOCK_BYTES: usize = 64;

/// The key shared with one subscriber. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret {
    text: String,
    /// HMAC with the key already taken in: each signature starts from a copy.
    keyed: Hmac<Sha256>,
}

/// The text is not a secret. The message does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is \"whsec_\" followed by the base64 of 24 to 64 bytes")]
pub struct SecretError;

impl Secret {
    /// Bytes of randomness in a secret of our making: as many as HMAC-SHA256
    /// puts out, which is all it can make use of (RFC 2104 §3).
    pub const RANDOM_BYTES: usize = 32;

    /// A secret made of `random` bytes.
    pub fn generate(random: [u8; Self::RANDOM_BYTES]) -> Self {
        Self::new(format!("{PREFIX}{}", BASE64_STANDARD.encode(random)), &random)
    }

    /// `key` has at most [`BLOCK_BYTES`].
    fn new(text: String, key: &[u8]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        block[..key.len()].copy_from_slice(key);
        Self { text, keyed: Hmac::new(&block.into()) }
    }

    /// The secret itself, for storing it and for the subscriber's eyes.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The `webhook-signature` of a delivery with the given `webhook-id`,
    /// `webhook-timestamp` (Unix seconds, those of the attempt) and body.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = self.keyed.clone();
        mac.update(id.as_bytes());
        mac.update(format!(".{timestamp}.").as_bytes());
        mac.update(body);
        let mut signature = String::with_capacity(SIGNATURE_BYTES);
        signature.push_str("v1,");
        BASE64_STANDARD.encode_string(mac.finalize().into_bytes(), &mut signature);
        signature
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError)?;
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| SecretError)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(SecretError);
        }
        Ok(Self::new(text.to_owned(), &key))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(whsec_…)")
    }
}

/// The keys shared with one subscriber, who may be changing from one to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Secrets {
    /// The one that it was given last.
    pub current: Secret,
    /// The one before, and when it stops to sign.
    pub previous: Option<(Secret, DateTime<Utc>)>,
}

impl Secrets {
    /// As they are stored; none if the current one does not parse. A previous one that
    /// does not has nothing to sign with.
    pub fn read(current: &str, previous: Option<&str>, until: Option<DateTime<Utc>>) -> Option<Self> {
        let previous = previous.and_then(|previous| previous.parse().ok());
        Some(Self { current: current.parse().ok()?, previous: previous.zip(until) })
    }

    /// The `webhook-signature` of an attempt made `at` that time: one for each secret
    /// in force, separated by spaces. Receivers take any that they can verify.
    pub fn sign(&self, id: &str, at: DateTime<Utc>, body: &[u8]) -> String {
        let timestamp = at.timestamp();
        let mut signature = self.current.sign(id, timestamp, body);
        if let Some((previous, _)) = self.previous.as_ref().filter(|(_, until)| at < *until) {
            signature.push(' ');
            signature.push_str(&previous.sign(id, timestamp, body));
        }
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_delivery_has_the_known_signature() {
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let body = br#"{"test": 2432232314}"#;
        for _ in 0..2 {
            assert_eq!(
                secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
            );
        }
    }

    #[test]
    fn a_padded_block_is_the_same_key() {
        for length in KEY_BYTES {
            let key = vec![7; length];
            let secret: Secret = format!("{PREFIX}{}", BASE64_STANDARD.encode(&key)).parse().unwrap();
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(b"id.-1.body");
            let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
            assert_eq!(secret.sign("id", -1, b"body"), expected);
        }
    }

    #[test]
    fn a_generated_secret_reads_back() {
        let secret = Secret::generate([9; 32]);
        let again: Secret = secret.reveal().parse().unwrap();
        assert_eq!(again.reveal(), secret.reveal());
        assert_eq!(again.sign("id", 0, b""), secret.sign("id", 0, b""));
    }

    #[test]
    fn only_a_whole_secret_of_fair_length_is_read() {
        let of = |length| format!("{PREFIX}{}", BASE64_STANDARD.encode(vec![1; length]));
        for text in [
            String::new(),
            "whsec_".into(),
            of(23),
            of(65),
            of(24).replace("whsec_", ""),
            of(24).replace("whsec_", "WHSEC_"),
            format!(" {}", of(24)),
            of(25).trim_end_matches('=').to_owned(),
            of(24).replace('A', "-"),
            format!("{}\0", of(24)),
        ] {
            assert_eq!(text.parse::<Secret>().err(), Some(SecretError), "{text:?}");
        }
        assert!(of(24).parse::<Secret>().is_ok() && of(64).parse::<Secret>().is_ok());
    }

    #[test]
    fn the_previous_secret_signs_until_its_time() {
        let (old, new) = (Secret::generate([1; 32]), Secret::generate([2; 32]));
        let until = DateTime::from_timestamp(100, 0).unwrap();
        let secrets = Secrets { current: new.clone(), previous: Some((old.clone(), until)) };
        let before = until - chrono::TimeDelta::milliseconds(1);
        let both = format!("{} {}", new.sign("id", 99, b"body"), old.sign("id", 99, b"body"));
        assert_eq!(secrets.sign("id", before, b"body"), both);
        assert_eq!(secrets.sign("id", until, b"body"), new.sign("id", 100, b"body"));
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Secret::generate([9; 32])), "Secret(whsec_…)");
    }
}
