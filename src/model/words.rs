//! Enums whose values are words: on the wire, in the database, on the command line.

/// A set of words.
pub trait Words: Copy + 'static {
    /// Every word, in the order of the enum.
    const WORDS: &'static [&'static str];

    /// Reads a word.
    fn parse(word: &str) -> Option<Self>;
}

/// Declares an enum of words, with the word of each value:
///
/// ```ignore
/// words! {
///     /// What became of an attempt.
///     pub enum Outcome {
///         /// The receiver has the event.
///         Delivered = "delivered",
///     }
/// }
/// ```
///
/// It is shown (`Display`), serialised and described in OpenAPI as its word.
macro_rules! words {
    ($(#[$doc:meta])* $visible:vis enum $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
        $(#[$doc])*
        $visible enum $name {
            $($(#[$about])* #[serde(rename = $word)] #[schema(rename = $word)] $variant,)+
        }

        #[allow(dead_code, reason = "not every set of words needs each of these")]
        impl $name {
            /// Every value, in order.
            $visible const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Every word, in the same order.
            $visible const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word.
            $visible const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads a word.
            $visible fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl $crate::model::words::Words for $name {
            const WORDS: &'static [&'static str] = Self::WORDS;

            fn parse(word: &str) -> Option<Self> {
                Self::parse(word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::AttemptOutcome;
    use crate::model::events::EventType;

    #[test]
    fn words_read_back() {
        fn check<W: Words + PartialEq + std::fmt::Debug + serde::Serialize>(all: &[W]) {
            assert_eq!(all.len(), W::WORDS.len());
            for (value, word) in all.iter().zip(W::WORDS) {
                assert_eq!(W::parse(word), Some(*value));
                assert_eq!(serde_json::to_value(value).unwrap(), *word);
            }
            assert_eq!(W::parse("Nothing"), None);
        }
        check(AttemptOutcome::ALL);
        check(EventType::ALL);
    }
}
