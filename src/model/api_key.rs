//! API keys: `<prefix>_<64 lower-case hex>`. The key is shown once; only its hash is kept.

use std::fmt;

use sha2::{Digest, Sha256};

/// Bytes of randomness in a key.
const RANDOM_BYTES: usize = 32;

/// The kind of program a key is for; the key's prefix shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ServiceType {
    /// `ck_…`
    Generic,
    /// `zap_…`
    Zapier,
    /// `make_…`
    Make,
    /// `whk_…`
    Webhook,
    /// `cst_…`
    Custom,
}

impl ServiceType {
    /// Every type.
    pub const ALL: [Self; 5] = [Self::Generic, Self::Zapier, Self::Make, Self::Webhook, Self::Custom];

    /// What a key of this type begins with, before the underscore.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Generic => "ck",
            Self::Zapier => "zap",
            Self::Make => "make",
            Self::Webhook => "whk",
            Self::Custom => "cst",
        }
    }

    /// As stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Zapier => "zapier",
            Self::Make => "make",
            Self::Webhook => "webhook",
            Self::Custom => "custom",
        }
    }
}

/// A well-formed key. Neither `Debug` nor an error shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: String,
    service: ServiceType,
}

impl ApiKey {
    /// A key from random bytes.
    pub fn generate(service: ServiceType, random: [u8; RANDOM_BYTES]) -> Self {
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text: format!("{}_{digits}", service.prefix()), service }
    }

    /// Reads a well-formed key; whether anybody has it is another question.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, digits) = text.split_once('_')?;
        let service = ServiceType::ALL.into_iter().find(|service| service.prefix() == prefix)?;
        let hex = digits.len() == 2 * RANDOM_BYTES
            && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        hex.then(|| Self { text: text.to_owned(), service })
    }

    /// The key itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What it is meant for.
    pub fn service(&self) -> ServiceType {
        self.service
    }

    /// SHA-256 of the whole key.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }

    /// Prefix and last four digits, to recognise it by.
    pub fn hint(&self) -> String {
        format!("{}_…{}", self.service.prefix(), &self.text[self.text.len() - 4..])
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_debug_hides_it() {
        let key = ApiKey::generate(ServiceType::Zapier, [0xab; 32]);
        assert_eq!(ApiKey::parse(key.reveal()), Some(key.clone()));
        assert_eq!(format!("{key:?}"), "zap_…abab");
    }

    #[test]
    fn only_the_exact_form_is_a_key() {
        let digits = "0".repeat(64);
        for bad in [
            format!("xx_{digits}"),
            format!("ck-{digits}"),
            format!("ck_{digits}0"),
            format!("ck_{}", "A".repeat(64)),
            String::new(),
        ] {
            assert_eq!(ApiKey::parse(&bad), None, "{bad}");
        }
    }
}
