//! Enums whose values are words: on the wire, in the database, on the command line.

/// A set of words.
pub trait Words: Copy + Sized + 'static {
    /// Every value, in the order of the enum.
    const ALL: &'static [Self];
    /// Every word, in the same order.
    const WORDS: &'static [&'static str];

    /// What the value means, in one sentence.
    fn about(self) -> &'static str;

    /// Reads a word.
    fn parse(word: &str) -> Option<Self>;
}

/// Declares an enum of words, with the word of each value:
///
/// ```text
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
    ($(#[$doc:meta])* $visible:vis enum $name:ident { $($(#[doc = $about:literal])+ $variant:ident = $word:literal,)+ }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
        $(#[$doc])*
        $visible enum $name {
            $($(#[doc = $about])+ #[serde(rename = $word)] #[schema(rename = $word)] $variant,)+
        }

        impl $name {
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
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            const WORDS: &'static [&'static str] = Self::WORDS;

            fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($about),+).trim_ascii(),)+ }
            }

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
