use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::ids::ContactId;

/// A person the company deals with. Unset optional fields are `null`, `tags` is `[]`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!(crate::model::events::EventType::ContactCreated.sample()))]
pub struct Contact {
    /// `contact_…`
    #[schema(value_type = String)]
    pub id: ContactId,
    /// The full name.
    pub name: String,
    /// Derived from `name` unless given.
    #[schema(required)]
    pub first_name: Option<String>,
    /// Derived from `name` unless given.
    #[schema(required)]
    pub last_name: Option<String>,
    /// The phone number as it was written; unique in the company once punctuation is removed.
    pub phone_number: String,
    /// Email address.
    #[schema(required)]
    pub email: Option<String>,
    /// Job title.
    #[schema(required)]
    pub position: Option<String>,
    /// The company the person works for.
    #[schema(required)]
    pub current_company: Option<String>,
    /// Industry.
    #[schema(required)]
    pub industry_sector: Option<String>,
    /// City.
    #[schema(required)]
    pub city: Option<String>,
    /// Country.
    #[schema(required)]
    pub country: Option<String>,
    /// Labels, each once.
    pub tags: Vec<String>,
    /// The time of creation.
    #[serde(serialize_with = "crate::model::time::serialize_time")]
    pub created_at: DateTime<Utc>,
    /// The time of the last change.
    #[serde(serialize_with = "crate::model::time::serialize_time")]
    pub updated_at: DateTime<Utc>,
}
