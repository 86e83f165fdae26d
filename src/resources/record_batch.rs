//! Many records in one request. Each of them is a command of its own, which succeeds or fails by
//! itself; they are carried out in one transaction, in their order, and have one answer.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::table::RowHeld;
use super::{Command, DecisionResult, SUCCESS, State, parsed, record_in};
use crate::http::body::Payload;
use crate::http::error::{ApiError, Code};
use crate::http::field::{Field, FromJson, Problems};
use crate::model::ids::CompanyId;
use crate::writer::{Answer, WriteError};

/// Records in one request: each has a place in the queue of writes, of which a company has 512.
const MAX_RECORDS: usize = 500;

/// Commands with one answer.
pub struct RecordBatch(Vec<Part>);

/// What one record comes to.
enum Part {
    /// To be decided.
    Do(Box<Command>),
    /// Bad as it was sent.
    Refused(ApiError),
}

impl From<RecordBatch> for Command {
    fn from(batch: RecordBatch) -> Self {
        Self::RecordBatch(batch)
    }
}

/// The body of a batch, whose records are read one by one.
#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    records: Field<Records>,
}

/// As many JSON objects as may be.
struct Records(Vec<Box<RawValue>>);

impl FromJson for Records {
    fn from_json(json: &str) -> Result<Self, String> {
        let records: Option<Vec<Box<RawValue>>> = serde_json::from_str(json).ok();
        records
            .filter(|records| (1..=MAX_RECORDS).contains(&records.len()))
            .filter(|records| records.iter().all(|record| record.get().starts_with('{')))
            .map(Self)
            .ok_or_else(|| format!("must be a list of 1 to {MAX_RECORDS} objects"))
    }
}

impl RecordBatch {
    /// Reads the records of a body; `command` makes a command of each.
    pub(super) fn read<T: DeserializeOwned>(
        payload: &Payload,
        mut command: impl FnMut(T) -> Result<Command, ApiError>,
    ) -> Result<Self, ApiError> {
        let mut problems = Problems::default();
        let records = problems.required("records", payload.json::<Input>()?.records);
        problems.finish()?;
        let records = records.map_or_else(Vec::new, |Records(records)| records);
        let parts = records.iter().map(|record| {
            parsed(record.get())
                .and_then(&mut command)
                .map_or_else(Part::Refused, |command| Part::Do(Box::new(command)))
        });
        Ok(Self(parts.collect()))
    }

    /// How many records it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The commands that are to be decided.
    pub(super) fn commands(&self) -> impl Iterator<Item = &Command> {
        self.0.iter().filter_map(|part| match part {
            Part::Do(command) => Some(&**command),
            Part::Refused(_) => None,
        })
    }

    /// Decides the commands in their order. If one of them has to wait, all of them wait: nothing may
    /// be noted of what is decided again.
    pub(super) fn decide(&self, state: &mut State, company: CompanyId, now: DateTime<Utc>) -> DecisionResult {
        if self.commands().any(|command| state.is_held(company, command)) {
            return Err(RowHeld);
        }
        let (mut body, mut events) = (format!(r#"{SUCCESS}"data":["#), Vec::new());
        let (mut succeeded, mut failed) = (0, 0);
        for (index, part) in self.0.iter().enumerate() {
            let outcome = match part {
                Part::Do(command) => {
                    state.decide(company, command, now).unwrap_or_else(|RowHeld| Err(WriteError::Held.into()))
                }
                Part::Refused(error) => Err(error.clone()),
            };
            let separator = if index == 0 { "" } else { "," };
            // Writing to text does not fail.
            let _ = match outcome {
                Ok((answer, new)) => {
                    succeeded += 1;
                    events.extend(new);
                    let (status, record) = (answer.status, record_in(&answer.body).unwrap_or("null"));
                    let created = status == 201;
                    write!(
                        body,
                        r#"{separator}{{"index":{index},"status":{status},"created":{created},"data":{record}}}"#
                    )
                }
                Err(error) => {
                    failed += 1;
                    let (status, error) = (error.code.status().as_u16(), error.of_one());
                    write!(body, r#"{separator}{{"index":{index},"status":{status},"error":{error}}}"#)
                }
            };
        }
        let _ = write!(body, r#"],"meta":{{"succeeded":{succeeded},"failed":{failed}}}}}"#);
        Ok(Ok((Answer { status: 200, body, etag: None, replayed: false }, events)))
    }
}

/// The answer to a batch.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the writer makes the text")]
pub(super) struct BatchAnswer<T> {
    /// Always true: what became of each record stands in `data`.
    #[schema(example = true)]
    success: bool,
    /// One entry for each record, in their order.
    data: Vec<BatchEntry<T>>,
    meta: BatchMeta,
}

/// What became of one record of a batch.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the writer makes the text")]
struct BatchEntry<T> {
    /// The place of the record in the request, from 0 on.
    #[schema(example = 0)]
    index: usize,
    /// The status that a request with this record alone would have had.
    #[schema(example = 201)]
    status: u16,
    /// Whether the record was created; absent if it was refused.
    created: Option<bool>,
    /// The record as it is now; absent if it was refused.
    data: Option<T>,
    /// Why the record was refused; absent otherwise.
    error: Option<BatchError>,
}

/// Why one record of a batch was refused.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the writer makes the text")]
struct BatchError {
    /// A short description.
    #[schema(example = "Validation failed")]
    error: String,
    /// An explanation for people: what is wrong and what to do.
    #[schema(example = "Please correct `phoneNumber` and send the request again")]
    message: String,
    /// The kind of error, for programs; one of a closed list.
    code: Code,
    /// Further details; which ones depends on `code`.
    #[schema(value_type = Object, example = json!({"fields": {"phoneNumber": "is required"}}))]
    details: serde_json::Value,
}

/// How many records a batch changed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the writer makes the text")]
struct BatchMeta {
    /// Records that were created or changed, or were as they should be already.
    #[schema(example = 1)]
    succeeded: usize,
    /// Records that were refused.
    #[schema(example = 0)]
    failed: usize,
}
