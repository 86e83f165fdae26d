use crate::model::deal_words::{Priority, Status};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Contact, Money};
use crate::model::ids::{ContactId, DealId, MemberId};

/// An opportunity. Unset optional fields are `null`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!(crate::model::events::EventType::DealCreated.sample()))]
pub struct Deal {
    /// `deal_…`
    #[schema(value_type = String)]
    pub id: DealId,
    /// The title.
    pub title: String,
    /// A longer description.
    #[schema(required)]
    pub description: Option<String>,
    /// Exact amount; trailing zeros are trimmed.
    #[schema(value_type = Option<f64>, required)]
    pub value: Option<Money>,
    /// ISO 4217.
    pub currency: String,
    /// Free text, `new` at first.
    pub stage: String,
    /// The priority.
    pub priority: Priority,
    /// Percent, 0–100.
    #[schema(required)]
    pub probability: Option<i16>,
    /// The status.
    pub status: Status,
    /// The date on which the deal should close.
    #[serde(serialize_with = "crate::model::time::serialize_time_option")]
    #[schema(required)]
    pub expected_close_date: Option<DateTime<Utc>>,
    /// The time at which the deal was won or lost.
    #[serde(serialize_with = "crate::model::time::serialize_time_option")]
    #[schema(required)]
    pub actual_close_date: Option<DateTime<Utc>>,
    /// The source, such as a fair or a website.
    #[schema(required)]
    pub source: Option<String>,
    /// The contact.
    #[schema(required)]
    pub contact: Option<DealContact>,
    /// The team member that the deal is assigned to.
    #[schema(required)]
    pub assigned_to: Option<AssignedTo>,
    /// The time of creation.
    #[serde(serialize_with = "crate::model::time::serialize_time")]
    pub created_at: DateTime<Utc>,
    /// The time of the last change.
    #[serde(serialize_with = "crate::model::time::serialize_time")]
    pub updated_at: DateTime<Utc>,
}

/// The contact of a deal, with its present data.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DealContact {
    /// `contact_…`
    #[schema(value_type = String)]
    pub id: ContactId,
    /// The full name.
    pub name: String,
    /// Email address.
    #[schema(required)]
    pub email: Option<String>,
    /// Phone number.
    pub phone_number: String,
    /// The company the person works for.
    #[schema(required)]
    pub current_company: Option<String>,
}

impl From<&Contact> for DealContact {
    fn from(contact: &Contact) -> Self {
        Self {
            id: contact.id,
            name: contact.name.clone(),
            email: contact.email.clone(),
            phone_number: contact.phone_number.clone(),
            current_company: contact.current_company.clone(),
        }
    }
}

/// The team member a deal is assigned to.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AssignedTo {
    /// `member_…`
    #[schema(value_type = String)]
    pub id: MemberId,
    /// The full name.
    pub name: String,
    /// Email address.
    pub email: String,
}

/// A deal as `deal.stage_changed` shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageChange<'a> {
    /// The deal after the change.
    #[serde(flatten)]
    pub deal: &'a Deal,
    /// The stage before it.
    pub previous_stage: &'a str,
}
