//! Forms: what is asked for, and what is wrong with what was sent.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::inside::Told;
use super::texts::Texts;

/// What somebody sent.
pub(super) type Sent = HashMap<String, String>;

/// How a field is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Long,
    Number,
    Date,
    Choice,
    /// Text, with suggestions that are looked up while somebody types.
    Suggested(&'static str),
}

/// A field of a form.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) kind: Kind,
    /// What there is to choose from, or what is suggested: values and what they are called.
    pub(super) options: Vec<(String, String)>,
    pub(super) required: bool,
    pub(super) hint: &'static str,
    pub(super) problem: Option<String>,
    /// What somebody else made of it meanwhile.
    pub(super) theirs: Option<String>,
}

impl Field {
    pub(super) fn new(name: &'static str, label: &'static str, value: String) -> Self {
        Self {
            name,
            label,
            value,
            kind: Kind::Text,
            options: Vec::new(),
            required: false,
            hint: "",
            problem: None,
            theirs: None,
        }
    }

    pub(super) fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn options(self, options: Vec<(String, String)>) -> Self {
        Self { options, ..self }
    }

    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    pub(super) fn is_choice(&self) -> bool {
        self.kind == Kind::Choice
    }

    pub(super) fn is_long(&self) -> bool {
        self.kind == Kind::Long
    }

    pub(super) fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }

    pub(super) fn input_type(&self) -> &'static str {
        match self.kind {
            Kind::Date => "date",
            _ => "text",
        }
    }

    /// Where suggestions are looked up.
    pub(super) fn suggestions(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Suggested(path) => Some(path),
            _ => None,
        }
    }
}

/// Writes down beside the fields what is wrong with them; answers what is wrong with the whole.
pub(super) fn judge(fields: &mut [Field], told: &Told, t: &Texts) -> String {
    let mut known = false;
    for field in fields {
        field.problem = told.field(field.name).map(str::to_owned);
        known |= field.problem.is_some();
    }
    if known { t.correct.to_owned() } else { told.message().to_owned() }
}

/// Writes down beside the fields what others made of them meanwhile, where it differs.
pub(super) fn compare(fields: &mut [Field], theirs: impl Fn(&str) -> String) {
    for field in fields {
        let now = theirs(field.name);
        field.theirs = (now != field.value.trim()).then_some(now);
    }
}

/// The body that the API takes, of those fields that were sent.
pub(super) fn body(sent: &Sent, names: &[&str]) -> Value {
    let fields = names.iter().filter_map(|name| Some(((*name).to_owned(), sent.get(*name)?.clone().into())));
    fields.collect::<Map<_, _>>().into()
}

/// What was sent for a field.
pub(super) fn value(sent: &Sent, name: &str) -> String {
    sent.get(name).cloned().unwrap_or_default()
}

/// A value or a list of values, for people.
pub(super) fn listed(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(listed).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
