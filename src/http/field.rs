//! Fields of a JSON body, parsed into types at the edge; every bad one is told at once.

use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::model::patch::Patch;
use crate::model::records::{Money, NotMoney};
use crate::model::text::{shows_nothing, tidy};
use crate::model::time::{NOT_A_TIME, parse_time};
use crate::model::words::Words;

/// A field of a body: reading one never fails, so that all bad ones are found.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Field<T> {
    /// Not there: unchanged, or the default.
    #[default]
    Absent,
    /// `null`, or text that is empty (Zapier sends it for what was left blank).
    Null,
    /// A good value.
    Value(T),
    /// A bad one, with a sentence that follows the field's name.
    Invalid(String),
}

/// A type that a field can have.
pub trait FromJson: Sized {
    /// Reads JSON text that is neither null nor empty. The error is a sentence that
    /// follows the field's name ("must be …").
    fn from_json(json: &str) -> Result<Self, String>;
}

impl<'de, T: FromJson> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let blank = raw == "null"
            // Text that begins like that may be blank; other text is not parsed twice.
            || raw.as_bytes().get(1).is_some_and(|first| b"\" \\".contains(first) || !first.is_ascii())
                && serde_json::from_str::<String>(raw).is_ok_and(|text| tidy(&text).is_empty());
        if blank {
            return Ok(Self::Null);
        }
        Ok(T::from_json(raw).map_or_else(Self::Invalid, Self::Value))
    }
}

impl<T> Field<T> {
    /// Takes `null` for left out: where both mean the default.
    pub fn null_as_absent(self) -> Self {
        match self {
            Self::Null => Self::Absent,
            field => field,
        }
    }

    /// Was it left out?
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// Collects what is wrong with a body.
#[derive(Debug, Default)]
pub struct Problems(Map<String, Value>);

impl Problems {
    /// Adds a sentence about a field; the first one stays.
    pub fn add(&mut self, name: &str, sentence: impl Into<String>) {
        self.0.entry(name).or_insert_with(|| Value::String(sentence.into()));
    }

    /// A field that must be there.
    pub fn required<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        let value = self.optional(name, field).value();
        if value.is_none() {
            self.add(name, "is required");
        }
        value
    }

    /// A field that may be left out or cleared.
    pub fn optional<T>(&mut self, name: &str, field: Field<T>) -> Patch<T> {
        match field {
            Field::Absent => Patch::Keep,
            Field::Null => Patch::Clear,
            Field::Value(value) => Patch::Set(value),
            Field::Invalid(sentence) => {
                self.add(name, sentence);
                Patch::Keep
            }
        }
    }

    /// A field that may be left out, but not cleared.
    pub fn kept<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        if matches!(field, Field::Null) {
            self.add(name, "must not be empty; leave it out to keep it unchanged");
        }
        self.optional(name, field).value()
    }

    /// Is nothing wrong so far?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error if anything was wrong.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::validation(self.0)) }
    }
}

/// Characters of a number that is taken for a text; longer ones, and those with an exponent, are
/// rounded or worse by those who send them.
const MAX_NUMBER: usize = 20;

/// The text that a value is: text, or a number, as spreadsheets send for what looks like one.
fn text_of(json: &str) -> Result<String, String> {
    let is_plain = |c: char| c == '-' || c == '.' || c.is_ascii_digit();
    if json.len() <= MAX_NUMBER && json.chars().all(is_plain) {
        return Ok(json.to_owned());
    }
    serde_json::from_str(json).map_err(|_| "must be text".to_owned())
}

/// The JSON of a number or word that may be sent as text, too: `"25"` for `25`.
fn unquoted(json: &str) -> String {
    serde_json::from_str::<String>(json).map_or_else(|_| json.to_owned(), |text| tidy(&text).into_owned())
}

/// Text of 1 to `MAX` characters in its normal form ([`tidy`]), without NUL (which PostgreSQL
/// cannot keep).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(pub String);

impl<const MAX: usize> FromJson for Text<MAX> {
    fn from_json(json: &str) -> Result<Self, String> {
        let text = text_of(json)?;
        let text = tidy(&text);
        match text.chars().count() {
            _ if text.contains('\0') => Err("must not contain the character NUL (U+0000)".into()),
            0 => Err("must not be empty".into()),
            length if length > MAX => Err(format!("must not be longer than {MAX} characters")),
            _ => Ok(Self(text.into_owned())),
        }
    }
}

/// An email address: something, an @, something, no spaces. Whether mail arrives, only mail can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(pub String);

impl FromJson for Email {
    fn from_json(json: &str) -> Result<Self, String> {
        let Text(text) = Text::<254>::from_json(json)?;
        let text: String = text.chars().filter(|c| !shows_nothing(*c)).collect();
        let text = tidy(&text).into_owned();
        let good = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && !text.contains(char::is_whitespace)
        });
        if good { Ok(Self(text)) } else { Err("must be an email address like jane@example.com".into()) }
    }
}

/// Labels: trimmed, empties and repeats dropped, order kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(pub Vec<String>);

impl Tags {
    const MAX: usize = 100;
    const MAX_LEN: usize = 100;
}

impl FromJson for Tags {
    fn from_json(json: &str) -> Result<Self, String> {
        let given = match serde_json::from_str::<String>(json) {
            // As forms and spreadsheets send them.
            Ok(text) => text.split(',').map(str::to_owned).collect(),
            Err(_) => serde_json::from_str::<Vec<&RawValue>>(json)
                .ok()
                .and_then(|tags| {
                    tags.into_iter().map(|tag| text_of(tag.get()).ok()).collect::<Option<Vec<_>>>()
                })
                .ok_or_else(|| r#"must be a list of texts, for example ["lead", "vip"]"#.to_owned())?,
        };
        let mut tags: Vec<String> = Vec::new();
        for tag in given {
            let tag = tidy(&tag);
            if tag.contains('\0') {
                return Err("must not contain the character NUL (U+0000)".into());
            }
            if tag.chars().count() > Self::MAX_LEN {
                return Err(format!("must not have a tag longer than {} characters", Self::MAX_LEN));
            }
            if !tag.is_empty() && !tags.iter().any(|known| *known == tag) {
                tags.push(tag.into_owned());
            }
            if tags.len() > Self::MAX {
                return Err(format!("must not have more than {} tags", Self::MAX));
            }
        }
        Ok(Self(tags))
    }
}

impl FromJson for Money {
    fn from_json(json: &str) -> Result<Self, String> {
        unquoted(json).parse().map_err(|error: NotMoney| error.to_string())
    }
}

/// A whole number of percent, 0–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub i16);

impl FromJson for Percent {
    fn from_json(json: &str) -> Result<Self, String> {
        const RANGE: Range<i16> = 0..101;
        let number = unquoted(json).parse::<Money>().ok().and_then(|number| {
            i16::try_from(number.decimal()).ok().filter(|_| number.decimal().is_integer())
        });
        number
            .filter(|number| RANGE.contains(number))
            .map(Self)
            .ok_or_else(|| "must be a whole number from 0 to 100".into())
    }
}

impl<W: Words> FromJson for W {
    fn from_json(json: &str) -> Result<Self, String> {
        let text: Option<String> = serde_json::from_str(json).ok();
        let word = text.and_then(|text| W::parse(&tidy(&text)));
        word.ok_or_else(|| format!("must be one of {}", W::WORDS.join(", ")))
    }
}

/// A point in time, in any form that [`parse_time`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

impl FromJson for Time {
    fn from_json(json: &str) -> Result<Self, String> {
        let text: Option<String> = serde_json::from_str(json).ok();
        text.as_deref().and_then(parse_time).map(Self).ok_or_else(|| NOT_A_TIME.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromJson>(json: &str) -> Field<T> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn blank_is_null_and_text_is_trimmed() {
        assert_eq!(read::<Text<5>>(r#""""#), Field::Null);
        assert_eq!(read::<Text<5>>(r#""  ""#), Field::Null);
        assert_eq!(read::<Text<5>>(r#""\t\u0020""#), Field::Null);
        assert_eq!(read::<Money>(r#""""#), Field::Null);
        assert_eq!(read::<Text<5>>(r#"" ab ""#), Field::Value(Text("ab".into())));
        assert_eq!(read::<Text<5>>("123"), Field::Value(Text("123".into())));
        assert_eq!(read::<Text<5>>(r#""\u200b\u3000""#), Field::Null);
        for bad in [r#""abcdef""#, r#""a\u0000""#, "true", "[]", r#""\ud800""#, "123456"] {
            assert!(matches!(read::<Text<5>>(bad), Field::Invalid(_)), "{bad}");
        }
    }

    #[test]
    fn tags_are_tidied() {
        assert_eq!(read::<Tags>(r#"[" a","b","","a"]"#), Field::Value(Tags(vec!["a".into(), "b".into()])));
        let tags = |json| match read::<Tags>(json) {
            Field::Value(Tags(tags)) => tags,
            other => panic!("{json}: {other:?}"),
        };
        assert_eq!(tags(r#""lead, vip,,lead""#), ["lead", "vip"]);
        assert_eq!(tags(r#"[1, "1", "le\u200bad", "lead"]"#), ["1", "lead"]);
        assert!(matches!(read::<Tags>(r#"[[1]]"#), Field::Invalid(_)));
        assert!(matches!(read::<Tags>(r#"[null]"#), Field::Invalid(_)));
        assert!(matches!(read::<Tags>(r#"{"a":1}"#), Field::Invalid(_)));
    }

    #[test]
    fn percents_are_whole() {
        assert_eq!(read::<Percent>("100.0"), Field::Value(Percent(100)));
        assert_eq!(read::<Percent>(r#""5""#), Field::Value(Percent(5)));
        for bad in ["101", "-1", "0.5", r#""x""#, "true"] {
            assert!(matches!(read::<Percent>(bad), Field::Invalid(_)), "{bad}");
        }
    }

    /// Characters that make trouble: of every kind that the normal forms are about.
    const NASTY: [char; 40] = [
        'a', 'B', 'z', '0', '1', '9', ' ', '\t', '\n', '.', ',', '-', '+', '(', ')', '@', 'x', '#', '/', ':',
        'T', 'Z', '\'', '"', 'e', '\u{301}', '\u{e9}', '\u{200b}', '\u{200d}', '\u{202a}', '\u{202c}',
        '\u{feff}', '\u{fe0f}', '\u{2764}', '\u{ff11}', '\u{661}', '\u{2212}', '\u{a0}', '\u{1100}',
        '\u{1161}',
    ];

    /// Values of a field, each made of what a text was read as: reading it again changes nothing.
    fn assert_stable<T: FromJson + Clone + PartialEq + std::fmt::Debug>(shown: impl Fn(&T) -> String) {
        // A congruential generator: the same texts every time.
        let mut state: u64 = 0x2545_f491_4f6c_dd1d;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut read_some = false;
        for _ in 0..20_000 {
            let text: String = (0..next(14)).map(|_| NASTY[next(NASTY.len())]).collect();
            for json in
                [serde_json::to_string(&text).unwrap(), serde_json::to_string(&[&text]).unwrap(), text]
            {
                if serde_json::from_str::<&RawValue>(&json).is_err() {
                    continue;
                }
                if let Field::Value(value) = read::<T>(json.trim()) {
                    let again = read::<T>(&shown(&value));
                    assert_eq!(again, Field::Value(value.clone()), "{json:?} was read as {value:?}");
                    read_some = true;
                }
            }
        }
        assert!(read_some);
    }

    #[test]
    fn what_was_read_and_shown_reads_back_as_it_is() {
        fn json<T: serde::Serialize>(value: T) -> String {
            serde_json::to_string(&value).unwrap()
        }
        assert_stable::<Text<100>>(|Text(text)| json(text));
        assert_stable::<Email>(|Email(text)| json(text));
        assert_stable::<Tags>(|Tags(tags)| json(tags));
        assert_stable::<Money>(|money| json(money));
        assert_stable::<Percent>(|Percent(percent)| json(percent));
        for second in 0..100_000_i64 {
            let time = DateTime::from_timestamp_millis(second * 977_777_777 % 253_402_300_799_000).unwrap();
            let shown = crate::model::time::wire_time(time);
            assert_eq!(parse_time(&shown).map(crate::model::time::wire_time), Some(shown));
        }
    }
}
