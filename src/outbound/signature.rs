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
    /// Those before, the newest first, each with the time when it stops to sign.
    pub previous: Vec<(Secret, DateTime<Utc>)>,
}

impl Secrets {
    /// Previous secrets that sign at a time, at most: each lengthens a header, and receivers look
    /// at all of them.
    pub const MAX_PREVIOUS: usize = 5;

    /// The one secret of a new subscription.
    pub fn new(current: Secret) -> Self {
        Self { current, previous: Vec::new() }
    }

    /// As they are stored; none if the current one does not parse. A previous one that
    /// does not has nothing to sign with.
    pub fn read(current: &str, previous: &str) -> Option<Self> {
        let stored: Vec<(String, f64)> = serde_json::from_str(previous).ok()?;
        let previous = stored.into_iter().filter_map(|(secret, until)| {
            let until = DateTime::from_timestamp_millis((until * 1000.0).round() as i64)?;
            Some((secret.parse().ok()?, until))
        });
        Some(Self { current: current.parse().ok()?, previous: previous.collect() })
    }

    /// The previous ones as they are stored.
    pub fn previous_to_json(&self) -> String {
        let stored = self.previous.iter();
        let stored =
            stored.map(|(secret, until)| (secret.reveal(), until.timestamp_millis() as f64 / 1000.0));
        serde_json::to_string(&stored.collect::<Vec<_>>()).unwrap_or_else(|_| "[]".to_owned())
    }

    /// The previous ones that still sign `now`.
    fn in_force(&self, now: DateTime<Utc>) -> impl Iterator<Item = &(Secret, DateTime<Utc>)> {
        self.previous.iter().filter(move |(_, until)| now < *until)
    }

    /// When the last of the previous ones stops to sign, if one does still.
    pub fn previous_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.in_force(now).map(|(_, until)| *until).max()
    }

    /// Changes to another secret. The present one goes on signing until `until`, if that is later
    /// than `now`, and so does each that was promised to; otherwise all of them end. None if too
    /// many would sign.
    pub fn rotated(&self, secret: Secret, now: DateTime<Utc>, until: DateTime<Utc>) -> Option<Self> {
        let mut previous = Vec::new();
        if now < until {
            previous.push((self.current.clone(), until));
            previous.extend(self.in_force(now).filter(|(known, _)| *known != secret).cloned());
        }
        (previous.len() <= Self::MAX_PREVIOUS).then_some(Self { current: secret, previous })
    }

    /// The `webhook-signature` of an attempt made `at` that time: one for each secret
    /// in force, separated by spaces. Receivers take any that they can verify.
    pub fn sign(&self, id: &str, at: DateTime<Utc>, body: &[u8]) -> String {
        let timestamp = at.timestamp();
        let mut signature = self.current.sign(id, timestamp, body);
        for (previous, _) in self.in_force(at) {
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
        let secrets = Secrets { current: new.clone(), previous: vec![(old.clone(), until)] };
        let before = until - chrono::TimeDelta::milliseconds(1);
        let both = format!("{} {}", new.sign("id", 99, b"body"), old.sign("id", 99, b"body"));
        assert_eq!(secrets.sign("id", before, b"body"), both);
        assert_eq!(secrets.sign("id", until, b"body"), new.sign("id", 100, b"body"));
    }

    #[test]
    fn each_secret_signs_until_its_own_time() {
        let secret = |number| Secret::generate([number; 32]);
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let mut secrets = Secrets::new(secret(0));
        for number in 1..=5 {
            secrets =
                secrets.rotated(secret(number), at(number.into()), at(100 + i64::from(number))).unwrap();
        }
        assert_eq!(secrets.previous.len(), Secrets::MAX_PREVIOUS);
        assert!(secrets.rotated(secret(6), at(6), at(106)).is_none(), "one too many");
        assert_eq!(secrets.previous_until(at(6)), Some(at(105)));
        assert_eq!(
            Secrets::read(secrets.current.reveal(), &secrets.previous_to_json()).as_ref(),
            Some(&secrets)
        );
        assert_eq!(secrets.sign("id", at(102), b"").split(' ').count(), 4);
        assert_eq!(secrets.sign("id", at(105), b""), secret(5).sign("id", 105, b""));
        let back = secrets.rotated(secret(2), at(103), at(200)).unwrap();
        assert_eq!(back.previous, [(secret(5), at(200)), (secret(4), at(105)), (secret(3), at(104))]);
        assert_eq!(
            secrets.rotated(secret(6), at(7), at(7)),
            Some(Secrets::new(secret(6))),
            "all of them end"
        );
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Secret::generate([9; 32])), "Secret(whsec_…)");
    }
}
