//! Fields of a JSON body, parsed into types at the edge; every bad one is told at once.

use std::ops::Range;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::model::patch::Patch;
use crate::model::records::{Money, NotMoney};
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
            || raw.as_bytes().get(1).is_some_and(|first| b"\" \\".contains(first))
                && serde_json::from_str::<String>(raw).is_ok_and(|text| text.trim().is_empty());
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

/// Text of 1 to `MAX` characters, trimmed, without NUL (which PostgreSQL cannot keep).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(pub String);

impl<const MAX: usize> FromJson for Text<MAX> {
    fn from_json(json: &str) -> Result<Self, String> {
        let text: String = serde_json::from_str(json).map_err(|_| "must be text".to_owned())?;
        let text = text.trim();
        match text.chars().count() {
            _ if text.contains('\0') => Err("must not contain the character NUL (U+0000)".into()),
            0 => Err("must not be empty".into()),
            length if length > MAX => Err(format!("must not be longer than {MAX} characters")),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// An email address: something, an @, something, no spaces. Whether mail arrives, only mail can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(pub String);

impl FromJson for Email {
    fn from_json(json: &str) -> Result<Self, String> {
        let Text(text) = Text::<254>::from_json(json)?;
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
        let given: Vec<String> = serde_json::from_str(json)
            .map_err(|_| r#"must be a list of texts, for example ["lead", "vip"]"#.to_owned())?;
        let mut tags: Vec<String> = Vec::new();
        for tag in given {
            let tag = tag.trim();
            if tag.contains('\0') {
                return Err("must not contain the character NUL (U+0000)".into());
            }
            if tag.chars().count() > Self::MAX_LEN {
                return Err(format!("must not have a tag longer than {} characters", Self::MAX_LEN));
            }
            if !tag.is_empty() && !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
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
        json.parse().map_err(|error: NotMoney| error.to_string())
    }
}

/// A whole number of percent, 0–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub i16);

impl FromJson for Percent {
    fn from_json(json: &str) -> Result<Self, String> {
        const RANGE: Range<i16> = 0..101;
        let number = json.parse::<Money>().ok().and_then(|number| {
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
        let word = text.and_then(|text| W::parse(text.trim()));
        word.ok_or_else(|| format!("must be one of {}", W::WORDS.join(", ")))
    }
}

/// A point in time, in any ISO 8601 form that [`parse_time`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

impl FromJson for Time {
    fn from_json(json: &str) -> Result<Self, String> {
        let text: Option<String> = serde_json::from_str(json).ok();
        text.as_deref().and_then(parse_time).map(Self).ok_or_else(|| NOT_A_TIME.to_owned())
    }
}

/// What is said about text that is no time.
pub const NOT_A_TIME: &str =
    "must be an ISO 8601 date or time between the years 1 and 9999, for example 2024-11-08T10:30:00.000Z";

/// Reads ISO 8601: a date, or a date and time with or without fraction, with an
/// offset, `Z` or nothing (then it is UTC). A space for `T` or for the `+` of an
/// offset is forgiven (query strings turn `+` into a space).
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    let time = if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        date.and_hms_opt(0, 0, 0)?.and_utc()
    } else {
        let (date, rest) = text.split_at_checked(10)?;
        let clock = rest.strip_prefix(['T', 't', ' '])?;
        let normal = format!("{date}T{}", clock.replace(' ', "+").replace('z', "Z"));
        match DateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M:%S%.f%#z") {
            Ok(time) => time.to_utc(),
            Err(_) => NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M:%S%.f")
                .or_else(|_| NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%MZ"))
                .or_else(|_| NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M"))
                .or_else(|_| NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M:%S%.fZ"))
                .ok()?
                .and_utc(),
        }
    };
    let years = 1..=9999;
    years.contains(&chrono::Datelike::year(&time)).then(|| time.trunc_subsecs(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::wire_time;

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
        for bad in [r#""abcdef""#, r#""a\u0000""#, "1", "[]", r#""\ud800""#] {
            assert!(matches!(read::<Text<5>>(bad), Field::Invalid(_)), "{bad}");
        }
    }

    #[test]
    fn times_in_any_iso_form() {
        for (text, time) in [
            ("2024-11-08", "2024-11-08T00:00:00.000Z"),
            ("2024-11-08T10:30:00Z", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08T10:30Z", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08T10:30", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08 10:30:00", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08T10:30:00.123456+01:00", "2024-11-08T09:30:00.123Z"),
            ("2024-11-08T10:30:00 01:00", "2024-11-08T09:30:00.000Z"),
            ("2024-11-08T10:30:00-0500", "2024-11-08T15:30:00.000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse_time(text).map(wire_time).as_deref(), Some(time), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2024-13-01",
            "2024-11-08T25:00:00Z",
            "99999-01-01",
            "+12024-01-01",
            "0000-01-01",
            "1731061800",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn tags_are_tidied() {
        assert_eq!(read::<Tags>(r#"[" a","b","","a"]"#), Field::Value(Tags(vec!["a".into(), "b".into()])));
        assert!(matches!(read::<Tags>(r#"[1]"#), Field::Invalid(_)));
        assert!(matches!(read::<Tags>(r#"{"a":1}"#), Field::Invalid(_)));
    }

    #[test]
    fn percents_are_whole() {
        assert_eq!(read::<Percent>("100.0"), Field::Value(Percent(100)));
        for bad in ["101", "-1", "0.5", r#""5""#, "true"] {
            assert!(matches!(read::<Percent>(bad), Field::Invalid(_)), "{bad}");
        }
    }
}
