//! The one normal form of text: what looks the same is the same.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// Characters that show nothing, of the category Cf (format) and their like, which come along when
/// text is copied: soft hyphens, marks of direction, zero-width spaces, byte order marks. Not
/// those that a neighbour needs: joiners, variation selectors, tags of flags, and the signs of
/// Cf that are seen. Source: Unicode 16, `DerivedGeneralCategory.txt`, `PropList.txt`.
fn is_left_over(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}'
    )
}

/// Characters that show nothing by themselves, and may have a meaning beside others: joiners,
/// variation selectors, fillers, tags.
fn is_companion(c: char) -> bool {
    matches!(
        c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Does the character show nothing?
pub fn shows_nothing(c: char) -> bool {
    !c.is_ascii() && (is_left_over(c) || is_companion(c))
}

/// The normal form of text: composed (NFC), without what was left over from copying, without
/// space around it. Text of which nothing can be seen is empty. Taken once more, it stays as it is.
pub fn tidy(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text.trim());
    }
    let clean: Cow<'_, str> = match text.chars().any(is_left_over) {
        true => text.chars().filter(|c| !is_left_over(*c)).collect::<String>().into(),
        false => text.into(),
    };
    let composed: Cow<'_, str> = match is_nfc_quick(clean.chars()) {
        IsNormalized::Yes => clean,
        _ => clean.nfc().collect::<String>().into(),
    };
    let is_edge = |c: char| c.is_whitespace() || matches!(c, '\u{200c}' | '\u{200d}');
    if composed.chars().all(|c| c.is_whitespace() || is_companion(c)) {
        return Cow::Borrowed("");
    }
    match composed {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_edge)),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(is_edge).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_becomes_the_same() {
        for (text, tidied) in [
            (" lead ", "lead"),
            ("le\u{200b}ad", "lead"),
            ("\u{202a}lead\u{202c}", "lead"),
            ("\u{feff}lead", "lead"),
            ("e\u{301}te\u{301}", "\u{e9}t\u{e9}"),
            ("e\u{ad}\u{301}", "\u{e9}"),
            ("\u{200b}\u{200d}\u{fe0f}\u{3000}", ""),
            ("a\u{3000}", "a"),
            // What has a meaning stays: a heart in colours, a family, a Persian word.
            ("\u{2764}\u{fe0f}", "\u{2764}\u{fe0f}"),
            ("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}"),
            (
                "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
                "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            ),
        ] {
            assert_eq!(tidy(text), tidied, "{text:?}");
            assert_eq!(tidy(tidied), tidied, "{text:?} once more");
        }
    }
}
