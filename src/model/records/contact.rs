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
    /// Derived from `name` when it is not given.
    #[schema(required)]
    pub first_name: Option<String>,
    /// Derived from `name` when it is not given.
    #[schema(required)]
    pub last_name: Option<String>,
    /// As the caller wrote it; unique in the company after normalising.
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
    /// Labels, without repeats.
    pub tags: Vec<String>,
    /// When it was created.
    #[serde(serialize_with = "crate::model::time::serialize_time")]
    pub created_at: DateTime<Utc>,
    /// When its data last changed.
    #[serde(serialize_with = "crate::model::time::serialize_time")]
    pub updated_at: DateTime<Utc>,
}
