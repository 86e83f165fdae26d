//! The values that filters compare with.

use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::{ValueKind, words_of};
use super::{Filters, FiltersError};
use crate::model::decimal::exact_decimal;
use crate::model::phone::{phone_key, phone_part};
use crate::model::text::tidy;
use crate::model::time::{parse_time, wire_time};

/// A value to compare with. Numbers compare by amount (`1` is `1.0`), text exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
}

/// Is the value of a field, as JSON text, one of those that are wanted?
pub(super) fn contains(field: &str, wanted: &[Scalar], raw: &RawValue) -> bool {
    Scalar::stored(raw.get()).is_some_and(|value| {
        // These are kept as they were written, and compared like everywhere else.
        let key: Option<fn(&str) -> String> = match ValueKind::of(field) {
            ValueKind::PhoneNumber => Some(phone_part),
            ValueKind::Email => Some(str::to_lowercase),
            _ => None,
        };
        match (key, &value) {
            (Some(key), Scalar::Text(text)) => {
                let text = key(text);
                wanted.iter().any(|wanted| matches!(wanted, Scalar::Text(wanted) if key(wanted) == text))
            }
            _ => wanted.contains(&value),
        }
    })
}

impl Scalar {
    pub(super) fn wanted(field: &str, value: &Value) -> Result<Self, FiltersError> {
        match value {
            Value::String(text) if text.chars().count() > Filters::MAX_TEXT || text.contains('\0') => {
                Err(FiltersError::BadText(field.into()))
            }
            Value::Array(_) | Value::Object(_) => Err(FiltersError::BadValue(field.into())),
            value => Self::stored(&value.to_string()).ok_or_else(|| FiltersError::BadValue(field.into())),
        }
    }

    /// The value in the form that the field's own values have.
    pub(super) fn of_field(self, field: &str) -> Result<Self, FiltersError> {
        let text = match self {
            Self::Text(text) => text,
            other => return Ok(other),
        };
        let impossible = |expected: String| FiltersError::Impossible {
            field: field.to_owned(),
            value: format!("{:?}", text.chars().take(50).collect::<String>()),
            expected,
        };
        let tidied = tidy(&text).into_owned();
        match ValueKind::of(field) {
            ValueKind::Word => {
                let words = words_of(field).unwrap_or_default();
                match words.contains(&&*tidied) {
                    true => Ok(Self::Text(tidied)),
                    false => Err(impossible(format!("it has one of {}", words.join(", ")))),
                }
            }
            ValueKind::Number => match exact_decimal(&tidied) {
                Some(number) => Ok(Self::Number(number)),
                None => Err(impossible("it has a number".to_owned())),
            },
            ValueKind::Currency => {
                let code = tidied.to_ascii_uppercase();
                let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
                is_code
                    .then_some(Self::Text(code))
                    .ok_or_else(|| impossible("it has a code like EUR".to_owned()))
            }
            ValueKind::PhoneNumber => match phone_key(&tidied) {
                Some(_) => Ok(Self::Text(tidied)),
                None => Err(impossible("it has a phone number like +33123456789".to_owned())),
            },
            ValueKind::Email if !tidied.contains('@') => {
                Err(impossible("it has an email address like jane@example.com".to_owned()))
            }
            ValueKind::Time => match parse_time(&tidied) {
                Some(time) => Ok(Self::Text(wire_time(time))),
                None => Err(impossible("it has a time like 2024-11-08T10:30:00.000Z".to_owned())),
            },
            ValueKind::Email | ValueKind::Text => Ok(Self::Text(tidied)),
        }
    }

    pub(super) fn stored(json: &str) -> Option<Self> {
        Some(match json {
            "null" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            text if text.starts_with('"') => Self::Text(serde_json::from_str(text).ok()?),
            number => Self::Number(exact_decimal(number)?),
        })
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(value) => serde_json::from_str(&value.to_string()).unwrap_or_default(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}
