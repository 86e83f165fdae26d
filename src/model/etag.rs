//! Entity tags: which state of a record an answer shows.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Bytes of the hash that are kept: nobody finds two states with the same tag.
const BYTES: usize = 16;

/// A strong entity tag (RFC 9110 §8.8.3), with its quotes. It is made from the content, so two changes
/// within one millisecond have different tags, unless the second one restores the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of what consists of these parts.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length, so that the parts cannot run together.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hex: String = hash.finalize()[..BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("\"{hex}\""))
    }

    /// The tag of a record as it is shown.
    pub fn of_record(record: &impl Serialize) -> Self {
        // What cannot be shown has a tag that nothing else has, so that it is never written over.
        Self::of(&[&serde_json::to_string(record).unwrap_or_default()])
    }

    /// A tag that was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// As it stands in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_contents_apart() {
        let tag = ETag::of(&["ab", "c"]);
        assert_eq!(tag, ETag::of(&["ab", "c"]));
        assert_ne!(tag, ETag::of(&["a", "bc"]));
        assert_eq!(tag.as_str().len(), 2 + 2 * BYTES);
        assert_eq!(ETag::of_record(&"x"), ETag::of(&[r#""x""#]));
    }
}
