mod fields;
mod scalar;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_json::value::RawValue;

pub use fields::{FilterField, ValueKind};
use scalar::Scalar;
use uuid::Uuid;

use super::{EventSelection, EventType};
use crate::model::words::Words;

/// Conditions on the fields of a record. Several fields must all match; of a
/// field's values any may; for an array field (`tags`) sharing one is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    fields: BTreeMap<String, Vec<Scalar>>,
    /// One of these fields must have changed, if there are any.
    changed: BTreeSet<String>,
}

/// What an event is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The record as JSON text.
    pub data: &'a str,
    /// The values before the change of the fields that changed, a JSON object; None if that is not
    /// known.
    pub previous: Option<&'a str>,
    /// The API key that caused the event, if that is known.
    pub actor: Option<Uuid>,
}

/// The name under which the fields stand that must have changed.
const CHANGED: &str = "changed";

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
    /// `changed`, although some of the events change nothing.
    #[error("`changed` goes with {changes} only; among {events} are events that change no field")]
    NoChange {
        /// What it goes with.
        changes: String,
        /// The subscription's events.
        events: String,
    },
    /// An object, an array of arrays, or an empty list.
    #[error("`{0}` must be text, a number, true, false, null, or a list of one to {max} of these", max = Filters::MAX_VALUES)]
    BadValue(String),
    /// More filters than are kept.
    #[error("must be at most {} KiB of JSON in all", Filters::MAX_BYTES / 1024)]
    TooLarge,
    /// More text than is kept.
    #[error("`{0}` has a text that is longer than {max} characters or contains NUL", max = Filters::MAX_TEXT)]
    BadText(String),
}

impl Filters {
    /// Values in one field's list.
    pub const MAX_VALUES: usize = 100;
    /// Bytes of all filters of a subscription, as JSON.
    pub const MAX_BYTES: usize = 16 * 1024;
    /// Characters of one text.
    pub const MAX_TEXT: usize = 255;

    /// Reads what a subscriber asks for. `null` and `{}` mean no filters.
    pub fn parse(events: &EventSelection, value: &Value) -> Result<Self, FiltersError> {
        let object = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(object) => object,
            _ => return Err(FiltersError::NotAnObject),
        };
        let allowed = fields::comparable(events.types());
        let unknown = |field: &str, allowed: &[String]| FiltersError::UnknownField {
            field: field.chars().take(50).collect(),
            events: events.to_string(),
            allowed: allowed.join(", "),
        };
        let (mut conditions, mut changed) = (BTreeMap::new(), BTreeSet::new());
        for (field, wanted) in object {
            if field == CHANGED {
                changed = Self::changed(events, wanted, unknown)?;
                continue;
            }
            if !allowed.contains(field) {
                return Err(unknown(field, &allowed));
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
            conditions.insert(field.clone(), scalars);
        }
        let filters = Self { fields: conditions, changed };
        if filters.canonical().len() > Self::MAX_BYTES {
            return Err(FiltersError::TooLarge);
        }
        Ok(filters)
    }

    /// Reads which fields must have changed.
    fn changed(
        events: &EventSelection,
        wanted: &Value,
        unknown: impl Fn(&str, &[String]) -> FiltersError,
    ) -> Result<BTreeSet<String>, FiltersError> {
        if !events.types().iter().all(EventType::is_change) {
            let changes = EventType::ALL.iter().filter(|known| known.is_change()).map(|known| known.word());
            let changes = changes.collect::<Vec<_>>().join(", ");
            return Err(FiltersError::NoChange { changes, events: events.to_string() });
        }
        let names = match wanted {
            Value::Array(names) if (1..=Self::MAX_VALUES).contains(&names.len()) => names.as_slice(),
            name => std::slice::from_ref(name),
        };
        let allowed = fields::changing(events.types());
        let names = names.iter().map(|name| match name.as_str() {
            Some(name) if allowed.iter().any(|field| field == name) => Ok(name.to_owned()),
            Some(name) => Err(unknown(name, &allowed)),
            None => Err(unknown(&name.to_string(), &allowed)),
        });
        names.collect()
    }

    /// Reads filters as they are stored, also what an older version accepted.
    pub fn stored(value: &Value) -> Option<Self> {
        let (mut fields, mut changed) = (BTreeMap::new(), BTreeSet::new());
        for (field, values) in value.as_object()? {
            let values = values.as_array()?.iter();
            if field == CHANGED {
                changed = values.map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?;
            } else {
                let values = values.map(|value| Scalar::stored(&value.to_string()));
                fields.insert(field.clone(), values.collect::<Option<_>>()?);
            }
        }
        Some(Self { fields, changed })
    }

    /// No conditions at all?
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.changed.is_empty()
    }

    /// The one text that equal filters share: `{}` or an object of sorted lists.
    pub fn canonical(&self) -> String {
        self.to_json().to_string()
    }

    /// As shown to the subscriber.
    pub fn to_json(&self) -> Value {
        let fields = self.fields.iter();
        let fields = fields
            .map(|(field, values)| (field.clone(), values.iter().map(Scalar::to_json).collect::<Value>()));
        let changed =
            (!self.changed.is_empty()).then(|| (CHANGED.to_owned(), self.changed.iter().cloned().collect()));
        fields.chain(changed).collect()
    }

    /// Returns whether the record meets every condition, and one of the fields that must have
    /// changed did. A record that is not a JSON object meets no condition. If it is not known what
    /// changed, anything may have.
    pub fn matches(&self, change: Change<'_>) -> bool {
        let object = serde_json::from_str::<BTreeMap<&str, &RawValue>>;
        if !self.changed.is_empty()
            && let Some(previous) = change.previous
            && !object(previous)
                .is_ok_and(|previous| self.changed.iter().any(|field| previous.contains_key(&**field)))
        {
            return false;
        }
        if self.fields.is_empty() {
            return true;
        }
        let Ok(record) = object(change.data) else { return false };
        self.fields.iter().all(|(field, wanted)| {
            let Some(raw) = record.get(field.as_str()) else { return false };
            match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
                Ok(values) => values.iter().any(|value| scalar::contains(field, wanted, value)),
                Err(_) => scalar::contains(field, wanted, raw),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filters(value: Value) -> Result<Filters, FiltersError> {
        Filters::parse(&EventType::DealUpdated.into(), &value)
    }

    fn of(data: &str) -> Change<'_> {
        Change { data, previous: None, actor: None }
    }

    #[test]
    fn one_of_the_fields_must_have_changed() {
        let filters = filters(json!({"stage": "won", "changed": ["value", "stage", "value"]})).unwrap();
        assert_eq!(filters.to_json(), json!({"stage": ["won"], "changed": ["stage", "value"]}));
        assert_eq!(Filters::stored(&filters.to_json()), Some(filters.clone()));
        for (data, previous, met) in [
            (r#"{"stage":"won"}"#, Some(r#"{"stage":"new","title":"x"}"#), true),
            (r#"{"stage":"won"}"#, Some(r#"{"title":"x"}"#), false),
            (r#"{"stage":"new"}"#, Some(r#"{"value":1}"#), false),
            (r#"{"stage":"won"}"#, None, true),
        ] {
            assert_eq!(filters.matches(Change { data, previous, actor: None }), met, "{data} {previous:?}");
        }
    }

    #[test]
    fn what_can_change_depends_on_the_events() {
        let parse = |events, changed| {
            Filters::parse(&EventSelection::parse([events]).unwrap(), &json!({ "changed": changed }))
        };
        assert!(parse("contact.updated", json!("city")).is_ok());
        assert!(parse("deal.updated,deal.stage_changed", json!(["contact", "assignedTo"])).is_ok());
        for (events, changed, sentence) in [
            ("contact.updated", json!(["stage"]), "`stage` is not a field"),
            ("contact.updated", json!(["updatedAt"]), "`updatedAt` is not a field"),
            ("contact.updated", json!([]), "`[]` is not a field"),
            ("contact.updated", json!([1]), "`1` is not a field"),
            ("deal.*", json!(["stage"]), "deal.stage_changed only"),
        ] {
            let error = parse(events, changed.clone()).unwrap_err().to_string();
            assert!(error.contains(sentence), "{events} {changed}: {error}");
        }
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
            assert_eq!(filters(wanted.clone()).unwrap().matches(of(record)), met, "{wanted}");
        }
    }

    #[test]
    fn sharing_one_tag_is_enough() {
        let filters =
            Filters::parse(&EventType::ContactCreated.into(), &json!({"tags": ["lead", "vip"]})).unwrap();
        assert!(filters.matches(of(r#"{"tags":["a","vip"]}"#)));
        assert!(!filters.matches(of(r#"{"tags":["a"]}"#)));
        assert!(!filters.matches(of(r#"{"tags":[]}"#)));
    }

    #[test]
    fn numbers_and_addresses_are_compared_as_elsewhere() {
        let contacts = EventType::ContactCreated.into();
        let filters = |value| Filters::parse(&contacts, &value);
        let record = r#"{"phoneNumber":"+33 (0)1 23","email":"Jane@Example.com"}"#;
        assert!(filters(json!({"phoneNumber": "0033-123"})).unwrap().matches(of(record)));
        assert!(!filters(json!({"phoneNumber": "0123"})).unwrap().matches(of(record)));
        assert!(filters(json!({"email": "jane@example.com"})).unwrap().matches(of(record)));
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
