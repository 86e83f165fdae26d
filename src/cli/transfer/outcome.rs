//! What the server says about each record of a batch.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::http::error::ApiError;

/// The answer to a batch.
#[derive(Debug, Default, Deserialize)]
pub struct Outcome {
    data: Vec<Entry>,
}

/// What became of one record.
#[derive(Debug, Deserialize)]
pub struct Entry {
    #[serde(default)]
    pub created: bool,
    pub error: Option<Refusal>,
}

/// Why a record was refused.
#[derive(Debug, Deserialize)]
pub struct Refusal {
    message: String,
    #[serde(default)]
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    fields: BTreeMap<String, Value>,
}

impl Outcome {
    /// What became of each of `records` records, in their order; none if it is not told of each.
    pub fn entries(self, records: usize) -> Option<Vec<Entry>> {
        Some(self.data).filter(|entries| entries.len() == records)
    }
}

impl Refusal {
    /// In a sentence, field by field where fields are bad.
    pub fn reason(&self) -> String {
        if self.details.fields.is_empty() {
            return self.message.clone();
        }
        let told = self.details.fields.iter().map(|(field, why)| match why {
            Value::String(why) => format!("{field} {why}"),
            why => format!("{field} {why}"),
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

/// The reason of an error that did not come from a server.
pub fn reason(error: &ApiError) -> String {
    match serde_json::from_value::<Refusal>(error.of_one()) {
        Ok(refusal) => refusal.reason(),
        Err(_) => error.code.name().to_owned(),
    }
}
