use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;

use super::EventSelection;
use super::EventTypes;
use crate::model::deal_words::{Priority, Status};
use crate::model::phone::{phone_key, phone_part};
use crate::model::text::tidy;
use crate::model::time::{parse_time, wire_time};

/// Conditions on the fields of a record. Several fields must all match; of a
/// field's values any may; for an array field (`tags`) sharing one is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<Scalar>>);

/// A value to compare with. Numbers compare by amount (`1` is `1.0`), text exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scalar {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
}

/// Why an object is not a set of filters; one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FiltersError {
    /// Not an object.
    #[error("must be an object of record fields, for example {{\"tags\": [\"lead\"]}}")]
    NotAnObject,
    /// A field that not all records of these events have, or that cannot be compared.
    #[error("`{field}` is not a field to filter by; allowed for {events}: {allowed}")]
    UnknownField {
        /// As the caller wrote it, cut short.
        field: String,
        /// The subscription's events.
        events: String,
        /// What is allowed.
        allowed: String,
    },
    /// A value that the field can never have.
    #[error("`{field}` never has the value {value}; {expected}")]
    Impossible {
        /// The field.
        field: String,
        /// As the caller wrote it, cut short.
        value: String,
        /// What the field has.
        expected: String,
    },
    /// An object, an array of arrays, or an empty list.
    #[error("`{0}` must be text, a number, true, false, null, or a list of one to {max} of these", max = Filters::MAX_VALUES)]
    BadValue(String),
    /// More text than is kept.
    #[error("`{0}` has a text that is longer than {max} characters or contains NUL", max = Filters::MAX_TEXT)]
    BadText(String),
}

impl Filters {
    /// Values in one field's list.
    pub const MAX_VALUES: usize = 100;
    /// Characters of one text.
    pub const MAX_TEXT: usize = 255;

    /// Reads what a subscriber asks for. `null` and `{}` mean no filters.
    pub fn parse(events: &EventSelection, value: &Value) -> Result<Self, FiltersError> {
        let object = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(object) => object,
            _ => return Err(FiltersError::NotAnObject),
        };
        let allowed = Self::allowed(events.types());
        let mut fields = BTreeMap::new();
        for (field, wanted) in object {
            if !allowed.contains(field) {
                return Err(FiltersError::UnknownField {
                    field: field.chars().take(50).collect(),
                    events: events.to_string(),
                    allowed: allowed.join(", "),
                });
            }
            let values = match wanted {
                Value::Array(values) if (1..=Self::MAX_VALUES).contains(&values.len()) => values.as_slice(),
                Value::Array(_) | Value::Object(_) => return Err(FiltersError::BadValue(field.clone())),
                scalar => std::slice::from_ref(scalar),
            };
            let scalars = values.iter().map(|value| Scalar::wanted(field, value)?.of_field(field));
            let mut scalars = scalars.collect::<Result<Vec<_>, _>>()?;
            scalars.sort();
            scalars.dedup();
            fields.insert(field.clone(), scalars);
        }
        Ok(Self(fields))
    }

    /// Reads filters as they are stored, also what an older version accepted.
    pub fn stored(value: &Value) -> Option<Self> {
        let fields = value.as_object()?.iter().map(|(field, values)| {
            let values = values.as_array()?.iter().map(|value| Scalar::stored(&value.to_string()));
            Some((field.clone(), values.collect::<Option<Vec<_>>>()?))
        });
        fields.collect::<Option<_>>().map(Self)
    }

    /// Fields that can be compared: those that the records of all these events have and that are
    /// not objects.
    fn allowed(types: EventTypes) -> Vec<String> {
        let sample = types.first().sample();
        let fields = types.first().fields().into_iter().filter(|field| !sample[field].is_object());
        fields.filter(|field| types.iter().all(|event_type| event_type.fields().contains(field))).collect()
    }

    /// No conditions at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one text that equal filters share: `{}` or an object of sorted lists.
    pub fn canonical(&self) -> String {
        self.to_json().to_string()
    }

    /// As shown to the subscriber.
    pub fn to_json(&self) -> Value {
        let fields = self.0.iter();
        fields
            .map(|(field, values)| (field.clone(), values.iter().map(Scalar::to_json).collect::<Value>()))
            .collect()
    }

    /// Does this record (its JSON text) meet every condition? One that is not a
    /// JSON object meets none.
    pub fn matches(&self, data: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let Ok(record) = serde_json::from_str::<BTreeMap<&str, &RawValue>>(data) else { return false };
        self.0.iter().all(|(field, wanted)| {
            let Some(raw) = record.get(field.as_str()) else { return false };
            match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
                Ok(values) => values.iter().any(|value| contains(field, wanted, value)),
                Err(_) => contains(field, wanted, raw),
            }
        })
    }
}

fn contains(field: &str, wanted: &[Scalar], raw: &RawValue) -> bool {
    Scalar::stored(raw.get()).is_some_and(|value| {
        // These are kept as they were written, and compared like everywhere else.
        let key: Option<fn(&str) -> String> = match field {
            "phoneNumber" => Some(phone_part),
            "email" => Some(str::to_lowercase),
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
    fn wanted(field: &str, value: &Value) -> Result<Self, FiltersError> {
        match value {
            Value::String(text) if text.chars().count() > Filters::MAX_TEXT || text.contains('\0') => {
                Err(FiltersError::BadText(field.into()))
            }
            Value::Array(_) | Value::Object(_) => Err(FiltersError::BadValue(field.into())),
            value => Self::stored(&value.to_string()).ok_or_else(|| FiltersError::BadValue(field.into())),
        }
    }

    /// The value in the form that the field's own values have.
    fn of_field(self, field: &str) -> Result<Self, FiltersError> {
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
        let word = |words: &[&str]| match words.contains(&&*tidied) {
            true => Ok(Self::Text(tidied.clone())),
            false => Err(impossible(format!("it has one of {}", words.join(", ")))),
        };
        match field {
            "status" => word(Status::WORDS),
            "priority" => word(Priority::WORDS),
            "value" | "probability" => match tidied.parse::<Decimal>() {
                Ok(number) => Ok(Self::Number(number.normalize())),
                Err(_) => Err(impossible("it has a number".to_owned())),
            },
            "currency" => {
                let code = tidied.to_ascii_uppercase();
                let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
                is_code
                    .then_some(Self::Text(code))
                    .ok_or_else(|| impossible("it has a code like EUR".to_owned()))
            }
            "phoneNumber" => match phone_key(&tidied) {
                Some(_) => Ok(Self::Text(tidied)),
                None => Err(impossible("it has a phone number like +33123456789".to_owned())),
            },
            "email" if !tidied.contains('@') => {
                Err(impossible("it has an email address like jane@example.com".to_owned()))
            }
            "createdAt" | "updatedAt" | "expectedCloseDate" | "actualCloseDate" => {
                match parse_time(&tidied) {
                    Some(time) => Ok(Self::Text(wire_time(time))),
                    None => Err(impossible("it has a time like 2024-11-08T10:30:00.000Z".to_owned())),
                }
            }
            _ => Ok(Self::Text(tidied)),
        }
    }

    fn stored(json: &str) -> Option<Self> {
        Some(match json {
            "null" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            text if text.starts_with('"') => Self::Text(serde_json::from_str(text).ok()?),
            number => Self::Number(
                number.parse::<Decimal>().or_else(|_| Decimal::from_scientific(number)).ok()?.normalize(),
            ),
        })
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(value) => serde_json::from_str(&value.to_string()).unwrap_or_default(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::events::EventType;
    use serde_json::json;

    fn filters(value: Value) -> Result<Filters, FiltersError> {
        Filters::parse(&EventType::DealUpdated.into(), &value)
    }

    #[test]
    fn fields_are_all_met_by_any_of_their_values() {
        let record = r#"{"stage":"proposal","value":25000,"probability":null,"status":"open"}"#;
        for (wanted, met) in [
            (json!({}), true),
            (json!({"stage": "proposal"}), true),
            (json!({"stage": ["new", "proposal"]}), true),
            (json!({"stage": "proposal", "status": "won"}), false),
            (json!({"value": 25000.0}), true),
            (json!({"value": "25000"}), true),
            (json!({"stage": " proposal "}), true),
            (json!({"status": "open", "value": "25000.0"}), true),
            (json!({"probability": null}), true),
            (json!({"title": "x"}), false),
        ] {
            assert_eq!(filters(wanted.clone()).unwrap().matches(record), met, "{wanted}");
        }
    }

    #[test]
    fn sharing_one_tag_is_enough() {
        let filters =
            Filters::parse(&EventType::ContactCreated.into(), &json!({"tags": ["lead", "vip"]})).unwrap();
        assert!(filters.matches(r#"{"tags":["a","vip"]}"#));
        assert!(!filters.matches(r#"{"tags":["a"]}"#));
        assert!(!filters.matches(r#"{"tags":[]}"#));
    }

    #[test]
    fn numbers_and_addresses_are_compared_as_elsewhere() {
        let contacts = EventType::ContactCreated.into();
        let filters = |value| Filters::parse(&contacts, &value);
        let record = r#"{"phoneNumber":"+33 (0)1 23","email":"Jane@Example.com"}"#;
        assert!(filters(json!({"phoneNumber": "0033-123"})).unwrap().matches(record));
        assert!(!filters(json!({"phoneNumber": "0123"})).unwrap().matches(record));
        assert!(filters(json!({"email": "jane@example.com"})).unwrap().matches(record));
        for bad in [json!({"phoneNumber": "call me"}), json!({"email": "jane"})] {
            let error = filters(bad.clone()).unwrap_err().to_string();
            assert!(error.contains("never has"), "{bad}: {error}");
        }
        let stored = filters(json!({"email": ["b@x", "a@x"], "tags": [1, null, "x"]})).unwrap();
        assert_eq!(Filters::stored(&stored.to_json()), Some(stored));
    }

    #[test]
    fn equal_filters_have_one_text() {
        let text = |value| filters(value).unwrap().canonical();
        assert_eq!(
            text(json!({"stage": ["b", "a", "b"], "status": "won"})),
            text(json!({"status": ["won"], "stage": ["a", "b"]}))
        );
        assert_eq!(text(Value::Null), "{}");
        assert_eq!(
            Filters::parse(
                &EventType::DealUpdated.into(),
                &serde_json::from_str(&text(json!({"value": 0.1}))).unwrap()
            ),
            filters(json!({"value": 0.1}))
        );
    }

    #[test]
    fn bad_filters_say_what_is_allowed() {
        assert!(filters(json!({"nope": 1})).unwrap_err().to_string().contains("stage"));
        assert!(!filters(json!({"contact": 1})).unwrap_err().to_string().contains("assignedTo"));
        for bad in [
            json!([]),
            json!("x"),
            json!({"stage": []}),
            json!({"stage": [[1]]}),
            json!({"stage": {"a": 1}}),
            json!({"stage": "\0"}),
            json!({"status": "done"}),
            json!({"priority": ["low", "urgent"]}),
            json!({"value": "much"}),
            json!({"currency": "EURO"}),
            json!({"createdAt": "yesterday"}),
        ] {
            assert!(filters(bad.clone()).is_err(), "{bad}");
        }
    }
}
