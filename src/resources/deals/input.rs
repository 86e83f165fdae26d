//! What callers send.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use super::currency::Currency;
use crate::http::error::ApiError;
use crate::http::field::{Field, FromJson, Percent, Problems, Text, Time};
use crate::model::ids::{ContactId, MemberId};
use crate::model::patch::Patch;
use crate::model::records::{Money, Priority, Status};

/// What is said about a `contactId` that names no contact of the company.
pub const NO_SUCH_CONTACT: &str = "must be the id of a contact of your company, like contact_…";
/// What is said about an `assignedToId` that names no team member of the company.
pub const NO_SUCH_MEMBER: &str = "must be the id of a team member of your company, like member_…";

impl FromJson for ContactId {
    fn from_json(json: &str) -> Result<Self, String> {
        let text = Text::<255>::from_json(json).ok();
        text.and_then(|Text(id)| Self::parse(&id)).ok_or_else(|| NO_SUCH_CONTACT.to_owned())
    }
}

impl FromJson for MemberId {
    fn from_json(json: &str) -> Result<Self, String> {
        let text = Text::<255>::from_json(json).ok();
        text.and_then(|Text(id)| Self::parse(&id)).ok_or_else(|| NO_SUCH_MEMBER.to_owned())
    }
}

/// A deal to create, or changes to one. Unknown fields are ignored, and named
/// under `warnings`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"title": "Enterprise License", "value": 25000, "currency": "EUR", "stage": "proposal"}))]
pub struct DealInput {
    /// Required when a record is created. At most 255 characters.
    #[serde(default)]
    #[schema(value_type = String, max_length = 255)]
    title: Field<Text<255>>,
    /// At most 10000 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 10000)]
    description: Field<Text<10_000>>,
    /// Exact amount: at most 15 digits before and 6 after the decimal point.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    value: Field<Money>,
    /// ISO 4217 code, in any case; `EUR` when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 3, max_length = 3, format = "currency")]
    currency: Field<Currency>,
    /// Free text of at most 100 characters; `new` when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 100)]
    stage: Field<Text<100>>,
    /// `medium` when absent.
    #[serde(default)]
    #[schema(value_type = Option<Priority>)]
    priority: Field<Priority>,
    /// Percent, a whole number.
    #[serde(default)]
    #[schema(value_type = Option<i16>, minimum = 0, maximum = 100)]
    probability: Field<Percent>,
    /// `open` when absent.
    #[serde(default)]
    #[schema(value_type = Option<Status>)]
    status: Field<Status>,
    /// The date on which the deal should close (ISO 8601).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    expected_close_date: Field<Time>,
    /// The time at which the deal was won or lost (ISO 8601); the present when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    actual_close_date: Field<Time>,
    /// The source, such as a fair or a website. At most 255 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    source: Field<Text<255>>,
    /// A contact of the company.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "contact-id")]
    contact_id: Field<ContactId>,
    /// A team member of the company.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "member-id")]
    assigned_to_id: Field<MemberId>,
}

/// The fields that a move changes; at least one is required. Unknown fields are ignored, and named
/// under `warnings`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"status": "won", "stage": "closed", "probability": 100}))]
pub struct StatusInput {
    /// The status.
    #[serde(default)]
    #[schema(value_type = Status)]
    status: Field<Status>,
    /// Free text of at most 100 characters.
    #[serde(default)]
    #[schema(value_type = String, max_length = 100)]
    stage: Field<Text<100>>,
    /// Percent, a whole number.
    #[serde(default)]
    #[schema(value_type = Option<i16>, minimum = 0, maximum = 100)]
    probability: Field<Percent>,
    /// The time at which the deal was won or lost (ISO 8601); the present when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    actual_close_date: Field<Time>,
}

/// A deal to create.
pub struct NewDeal {
    pub(super) title: String,
    /// The rest; `title` is not in it.
    pub(super) rest: Changes,
}

/// Fields to change.
#[derive(Default)]
pub struct Changes {
    pub(super) title: Option<String>,
    pub(super) description: Patch<String>,
    pub(super) value: Patch<Money>,
    pub(super) currency: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) priority: Option<Priority>,
    pub(super) probability: Patch<i16>,
    pub(super) status: Option<Status>,
    pub(super) expected_close_date: Patch<DateTime<Utc>>,
    pub(super) actual_close_date: Patch<DateTime<Utc>>,
    pub(super) source: Patch<String>,
    pub(super) contact: Patch<ContactId>,
    pub(super) assigned_to: Patch<MemberId>,
}

/// A body with bad fields. What it names may not exist either.
pub(super) struct RefusedBody {
    pub(super) problems: Problems,
    pub(super) contact: Option<ContactId>,
    pub(super) assigned_to: Option<MemberId>,
}

impl RefusedBody {
    fn new(problems: Problems, changes: &Changes) -> Self {
        Self { problems, contact: changes.contact.value(), assigned_to: changes.assigned_to.value() }
    }

    /// The error that names the bad fields.
    pub(super) fn into_error(self) -> ApiError {
        let refused = self.problems.finish();
        refused.err().unwrap_or_else(|| ApiError::internal(&"a body was refused without a problem"))
    }
}

impl DealInput {
    /// Reads a deal to create. Blank means the default.
    pub(super) fn into_new(mut self) -> Result<NewDeal, RefusedBody> {
        let mut problems = Problems::default();
        let title = problems.required("title", std::mem::take(&mut self.title));
        let defaulted = Self {
            currency: self.currency.null_as_absent(),
            stage: self.stage.null_as_absent(),
            priority: self.priority.null_as_absent(),
            status: self.status.null_as_absent(),
            ..self
        };
        let rest = defaulted.changes(&mut problems);
        match title {
            Some(Text(title)) if problems.is_empty() => Ok(NewDeal { title, rest }),
            _ => Err(RefusedBody::new(problems, &rest)),
        }
    }

    /// Reads changes to a deal.
    pub(super) fn into_changes(self) -> Result<Changes, RefusedBody> {
        let mut problems = Problems::default();
        let changes = self.changes(&mut problems);
        if problems.is_empty() { Ok(changes) } else { Err(RefusedBody::new(problems, &changes)) }
    }

    fn changes(self, problems: &mut Problems) -> Changes {
        let mut time = |name, field: Field<Time>| problems.optional(name, field).map(|Time(time)| time);
        let expected_close_date = time("expectedCloseDate", self.expected_close_date);
        let actual_close_date = time("actualCloseDate", self.actual_close_date);
        Changes {
            title: problems.kept("title", self.title).map(|Text(title)| title),
            description: problems
                .optional("description", self.description)
                .map(|Text(description)| description),
            value: problems.optional("value", self.value),
            currency: problems.kept("currency", self.currency).map(|Currency(code)| code),
            stage: problems.kept("stage", self.stage).map(|Text(stage)| stage),
            priority: problems.kept("priority", self.priority),
            probability: problems.optional("probability", self.probability).map(|Percent(percent)| percent),
            status: problems.kept("status", self.status),
            source: problems.optional("source", self.source).map(|Text(source)| source),
            contact: problems.optional("contactId", self.contact_id),
            assigned_to: problems.optional("assignedToId", self.assigned_to_id),
            expected_close_date,
            actual_close_date,
        }
    }
}

impl StatusInput {
    /// Reads changes to a deal.
    pub(super) fn into_changes(self) -> Result<Changes, RefusedBody> {
        let Self { status, stage, probability, actual_close_date } = self;
        let nothing = status.is_absent()
            && stage.is_absent()
            && probability.is_absent()
            && actual_close_date.is_absent();
        if nothing {
            let mut problems = Problems::default();
            problems.add("status", "must be given, or else stage, probability or actualCloseDate");
            return Err(RefusedBody::new(problems, &Changes::default()));
        }
        DealInput { status, stage, probability, actual_close_date, ..DealInput::default() }.into_changes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn bad_fields<T>(read: Result<T, RefusedBody>) -> Vec<String> {
        let Err(refused) = read else { return vec![] };
        let error = refused.problems.finish().unwrap_err();
        let body: Value = serde_json::from_str(&error.body(DateTime::UNIX_EPOCH)).unwrap();
        body["details"]["fields"].as_object().unwrap().keys().cloned().collect()
    }

    fn deal(body: &Value) -> DealInput {
        serde_json::from_str(&body.to_string()).unwrap()
    }

    fn status(body: &Value) -> StatusInput {
        serde_json::from_str(&body.to_string()).unwrap()
    }

    #[test]
    fn every_bad_field_is_told() {
        let bad = json!({
            "title": "t".repeat(256), "description": "d".repeat(10_001), "value": "a dozen", "currency": "EURO",
            "stage": "s".repeat(101), "priority": "urgent", "probability": 101, "status": "done",
            "expectedCloseDate": "soon", "actualCloseDate": 0, "source": "\0", "contactId": "deal_1",
            "assignedToId": 7,
        });
        let mut told = bad_fields(deal(&bad).into_new());
        told.sort();
        let mut sent: Vec<_> = bad.as_object().unwrap().keys().cloned().collect();
        sent.sort();
        assert_eq!(told, sent);
    }

    #[test]
    fn what_has_a_default_is_not_cleared() {
        let blank = json!({"title": null, "currency": "", "stage": null, "priority": "", "status": null});
        assert_eq!(bad_fields(deal(&blank).into_new()), ["title"]);
        let mut told = bad_fields(deal(&blank).into_changes());
        told.sort();
        assert_eq!(told, ["currency", "priority", "stage", "status", "title"]);
    }

    #[test]
    fn a_move_says_where_to() {
        assert_eq!(bad_fields(status(&json!({"title": "x"})).into_changes()), ["status"]);
        assert_eq!(bad_fields(status(&json!({"stage": ""})).into_changes()), ["stage"]);
        let changes = status(&json!({"probability": null})).into_changes().ok().unwrap();
        assert_eq!(changes.probability, Patch::Clear);
    }
}
