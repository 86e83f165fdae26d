//! Phone numbers as they are compared, however they were written or copied.

use unicode_normalization::UnicodeNormalization as _;

use super::text::shows_nothing;

/// Digits of a number without its extension.
const DIGITS: std::ops::RangeInclusive<usize> = 3..=20;
/// Digits of an extension.
const MAX_EXTENSION: usize = 11;
/// What begins an extension; the longer spellings come first.
const EXTENSIONS: [&str; 7] = [";ext=", "extension", "ext.", "ext", "x", "#", ","];
/// The zeros of the scripts that have digits of their own; the other nine digits follow each.
/// Source: Unicode 16, category Nd, without those that NFKC makes ASCII.
const ZEROS: [u32; 62] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136,
    0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50,
    0x11da0, 0x11f50, 0x16a60, 0x16ac0, 0x16b50, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e950, 0x10d40, 0x1e5f1,
];

/// The number as it is compared: `+` if it was written as an international one, its digits, and
/// `x` with the digits of an extension. None if it is nobody's number.
pub fn phone_key(text: &str) -> Option<String> {
    let key = phone_part(text);
    let (number, extension) = key.split_once('x').map_or((&*key, None), |(number, ext)| (number, Some(ext)));
    let digits = number.strip_prefix('+').unwrap_or(number);
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let good = DIGITS.contains(&digits.len())
        && all_digits(digits)
        && extension.is_none_or(|ext| (1..=MAX_EXTENSION).contains(&ext.len()) && all_digits(ext));
    good.then_some(key)
}

/// The same of a part of a number, such as somebody searches for, or of text that is no number.
pub fn phone_part(text: &str) -> String {
    let plain: String = match text.is_ascii() {
        true => text.chars().filter(|c| !c.is_whitespace()).collect(),
        false => text.nfkc().filter(|c| !c.is_whitespace() && !shows_nothing(*c)).map(ascii_digit).collect(),
    };
    let plain = plain.to_lowercase();
    let plain = plain.trim_start_matches(['\'', '\u{2019}']);
    let plain = plain.strip_prefix("tel:").unwrap_or(plain);
    let (number, extension) = split_extension(plain);
    // A zero that is dialled only inside the country, after the code of the country.
    let is_international = number.starts_with('+') || number.starts_with("00");
    let number = match number.split_once("(0)") {
        Some((code, rest)) if is_international && code.chars().any(|c| c.is_ascii_digit()) => {
            [code, rest].concat()
        }
        _ => number.to_owned(),
    };
    let bare: String = number.chars().filter(|c| !is_punctuation(*c)).collect();
    let mut key = match bare.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => bare,
    };
    if let Some(extension) = extension {
        key.push('x');
        key.extend(extension.chars().filter(|c| !is_punctuation(*c)));
    }
    key
}

fn split_extension(text: &str) -> (&str, Option<&str>) {
    let first = EXTENSIONS.iter().filter_map(|mark| text.find(mark).map(|at| (at, mark.len())));
    // Of marks at one place the longest.
    match first.min_by_key(|(at, length)| (*at, usize::MAX - length)) {
        Some((at, length)) if at > 0 => (&text[..at], Some(&text[at + length..])),
        _ => (text, None),
    }
}

/// A digit of any script as one of ASCII.
fn ascii_digit(c: char) -> char {
    let code = u32::from(c);
    let digit = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|digit| *digit < 10));
    digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
}

/// Dashes, dots, slashes, brackets and bullets, which people and programs put between digits.
fn is_punctuation(c: char) -> bool {
    matches!(
        c,
        '-' | '.'
            | '/'
            | '\\'
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | '\u{b7}'
            | '\u{5be}'
            | '\u{1806}'
            | '\u{2010}'
            ..='\u{2015}'
                | '\u{2022}'
                | '\u{2027}'
                | '\u{2043}'
                | '\u{2044}'
                | '\u{2053}'
                | '\u{207b}'
                | '\u{208b}'
                | '\u{2212}'
                | '\u{2215}'
                | '\u{2219}'
                | '\u{22c5}'
                | '\u{25cf}'
                | '\u{25e6}'
                | '\u{2e3a}'
                | '\u{2e3b}'
                | '\u{301c}'
                | '\u{3030}'
                | '\u{30fb}'
                | '\u{30fc}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_one_however_it_is_written() {
        for written in [
            "+33 1 23 45 67 89",
            "0033123456789",
            "+33-1.23(45)[67]89",
            "+33\u{a0}1\u{2011}23456789",
            "\u{202a}+33 1 23 45 67 89\u{202c}",
            "\u{200e}+33123456789",
            "+33\u{202f}1\u{202f}23\u{202f}45\u{202f}67\u{202f}89",
            "+33\u{2009}123456789",
            "\u{feff}+33123456789",
            "+33 (0)1 23 45 67 89",
            "+33(0)123456789",
            "0033 ( 0 ) 1 23 45 67 89",
            "tel:+33-1-23-45-67-89",
            "TEL:+33123456789",
            "'+33123456789",
            "\u{ff0b}\u{ff13}\u{ff13}\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}\u{ff17}\u{ff18}\u{ff19}",
            "+\u{663}\u{663}\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}\u{668}\u{669}",
            "+\u{6f3}\u{6f3}\u{6f1}\u{6f2}\u{6f3}\u{6f4}\u{6f5}\u{6f6}\u{6f7}\u{6f8}\u{6f9}",
            "+\u{969}\u{969}\u{967}\u{968}\u{969}\u{96a}\u{96b}\u{96c}\u{96d}\u{96e}\u{96f}",
            "+33\u{2012}1\u{2013}23\u{2014}45\u{2212}67\u{2010}89",
            "+33/1/23/45/67/89",
            "+33\u{b7}1\u{b7}23\u{2022}45\u{2219}67\u{30fb}89",
            "+33 1 23 45 67 89\u{200b}",
            "+33\u{ad}123456789",
            "+33 1 23 45 67 89\u{fe0f}",
            "+33\u{3000}1\u{3000}23\u{3000}45\u{3000}67\u{3000}89",
            "\t+33 1 23 45 67 89\r\n",
        ] {
            assert_eq!(phone_key(written).as_deref(), Some("+33123456789"), "{written:?}");
        }
        assert_eq!(
            phone_key("0123456789").as_deref(),
            Some("0123456789"),
            "another number, as far as we know"
        );
        assert_eq!(phone_key("(0) 123").as_deref(), Some("0123"), "there is no code of a country before it");
    }

    #[test]
    fn extensions_have_one_form() {
        for written in [
            "+33123x45",
            "+33 123 ext. 45",
            "+33123 Ext 45",
            "+33123;ext=45",
            "+33123#45",
            "+33123,45",
            "+33123 extension 4-5",
        ] {
            assert_eq!(phone_key(written).as_deref(), Some("+33123x45"), "{written}");
        }
    }

    #[test]
    fn what_is_nobodys_number_is_none() {
        for text in [
            "",
            "x",
            "12",
            "+",
            "+12",
            "3.361E+10",
            "call me",
            "+33 12a 45",
            "++33123",
            "33+123",
            "123x",
            "123x45x6",
            "123456789012345678901",
            "n/a",
        ] {
            assert_eq!(phone_key(text), None, "{text}");
        }
    }
}
