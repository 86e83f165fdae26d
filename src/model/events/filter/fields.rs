//! The fields by which events can be filtered, and what their values are.

use super::super::{EventType, EventTypes};
use crate::model::deal_words::{Priority, Status};
use crate::model::words::words;

words! {
    /// What the values of a field are, and how filters compare them.
    pub enum ValueKind {
        /// Text, compared exactly.
        Text = "text",
        /// One of a few words.
        Word = "word",
        /// A number, compared by amount.
        Number = "number",
        /// A currency code of three letters, compared in upper case.
        Currency = "currency",
        /// A phone number, compared without punctuation.
        PhoneNumber = "phone_number",
        /// An email address, compared in lower case.
        Email = "email",
        /// A time, in any form of ISO 8601.
        Time = "time",
    }
}

impl ValueKind {
    /// The kind of a field's values.
    pub(super) fn of(field: &str) -> Self {
        match field {
            _ if words_of(field).is_some() => Self::Word,
            "value" | "probability" => Self::Number,
            "currency" => Self::Currency,
            "phoneNumber" => Self::PhoneNumber,
            "email" => Self::Email,
            "createdAt" | "updatedAt" | "expectedCloseDate" | "actualCloseDate" => Self::Time,
            _ => Self::Text,
        }
    }
}

/// The only values of a field that has words.
pub(super) fn words_of(field: &str) -> Option<&'static [&'static str]> {
    match field {
        "status" => Some(Status::WORDS),
        "priority" => Some(Priority::WORDS),
        _ => None,
    }
}

/// A field by which events of a type can be filtered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterField {
    /// Its name.
    pub field: String,
    /// What its values are.
    pub kind: ValueKind,
    /// The only values, if the kind is [`ValueKind::Word`].
    pub values: Option<&'static [&'static str]>,
    /// Whether a record has a list of values, of which one has to match.
    pub is_list: bool,
}

/// Fields for which nobody waits to change: the ids and times of a record, and what an event adds.
const NEVER_CHANGED: [&str; 4] = ["id", "createdAt", "updatedAt", "previousStage"];

/// Fields that can be compared: those that the records of all these events have and that are
/// not objects.
pub(super) fn comparable(types: EventTypes) -> Vec<String> {
    let sample = types.first().sample();
    common(types).filter(|field| !sample[field].is_object()).collect()
}

/// Fields that can be asked to have changed: those that the records of all these events have and that a
/// write can change.
pub(super) fn changing(types: EventTypes) -> Vec<String> {
    common(types).filter(|field| !NEVER_CHANGED.contains(&field.as_str())).collect()
}

/// Fields that the records of all these events have.
fn common(types: EventTypes) -> impl Iterator<Item = String> {
    let fields = types.first().fields().into_iter();
    fields.filter(move |field| types.iter().all(|event_type| event_type.fields().contains(field)))
}

impl EventType {
    /// The fields by which events of this type can be filtered.
    pub fn filter_fields(self) -> Vec<FilterField> {
        let sample = self.sample();
        let fields = comparable([self].into_iter().collect()).into_iter();
        fields
            .map(|field| FilterField {
                kind: ValueKind::of(&field),
                values: words_of(&field),
                is_list: sample[&field].is_array(),
                field,
            })
            .collect()
    }

    /// The fields that the filter `changed` can name for this type; none if the type is no change.
    pub fn changing_fields(self) -> Vec<String> {
        if self.is_change() { changing([self].into_iter().collect()) } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::events::{Change, Filters};
    use crate::model::words::Words;

    #[test]
    fn the_values_of_samples_are_of_the_kind_of_their_field() {
        for event_type in EventType::ALL {
            let sample = event_type.sample();
            let data = sample.to_string();
            for field in event_type.filter_fields() {
                let (name, value) = (&field.field, &sample[&field.field]);
                let filters = Filters::parse(&(*event_type).into(), &json!({ name: value })).unwrap();
                let change = Change { data: &data, previous: None, actor: None };
                assert!(filters.matches(change), "{event_type} {field:?}");
                let is_time = name.ends_with("At") || name.ends_with("Date");
                assert_eq!(field.kind == ValueKind::Time, is_time, "{event_type} {field:?}");
                assert_eq!(field.kind == ValueKind::Number, value.is_number(), "{event_type} {field:?}");
                assert_eq!(field.kind == ValueKind::Word, field.values.is_some(), "{event_type} {field:?}");
            }
        }
    }
}
