//! The catalogue of event types, for those who build on it: what there is to subscribe, the fields to
//! filter by, and the schema of what is delivered.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::http::allowed::{Allowed, WebhooksRead};
use crate::http::answer::{self, Answered};
use crate::http::error::{ApiError, Code, ErrorBody};
use crate::http::openapi::ReadErrors;
use crate::model::event_schema::json_schema;
use crate::model::events::{EventType, FilterField, ValueKind};
use crate::model::words::Words;

/// The schemas as JSON text. They are the same for everybody, and are asked for without a key.
static SCHEMAS: LazyLock<BTreeMap<EventType, String>> =
    LazyLock::new(|| EventType::ALL.iter().map(|known| (*known, json_schema(*known).to_string())).collect());

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The routes that need no key.
pub fn public_router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(schema))
}

/// Reads the event type of a path.
pub(super) fn parse(name: &str) -> Result<EventType, ApiError> {
    EventType::parse(name).ok_or_else(|| {
        let known = EventType::WORDS.join(", ");
        ApiError::new(
            Code::NotFound,
            "Unknown event type",
            format!("There is no such event type; known are {known}"),
        )
        .detail("eventTypes", EventType::WORDS.to_vec())
    })
}

/// An event type.
#[derive(Debug, Serialize, ToSchema)]
struct EventTypeInfo {
    /// Its name.
    r#type: EventType,
    /// What has happened when such an event occurs.
    #[schema(example = "A deal moved to another stage.")]
    description: &'static str,
    /// The fields that `filters` of a subscription can compare.
    filters: Vec<FilterInfo>,
    /// The fields that the filter `changed` can name. Empty for events that change no field.
    #[schema(example = json!(["title", "stage"]))]
    changed: Vec<String>,
}

/// A field to filter by.
#[derive(Debug, Serialize, ToSchema)]
struct FilterInfo {
    /// The name of the field.
    #[schema(example = "status")]
    field: String,
    /// What its values are, and how they are compared.
    kind: ValueKind,
    /// The only values that there are; null unless the kind is `word`.
    #[schema(required, value_type = Option<Vec<String>>, example = json!(["open", "won", "lost"]))]
    values: Option<&'static [&'static str]>,
    /// Whether a record has a list of values, of which one has to match.
    list: bool,
}

impl From<FilterField> for FilterInfo {
    fn from(FilterField { field, kind, values, is_list }: FilterField) -> Self {
        Self { field, kind, values, list: is_list }
    }
}

/// List event types
///
/// Lists all event types that there are to subscribe, each with the fields by which its events can be
/// filtered.
#[utoipa::path(get, path = "/events/types", operation_id = "listEventTypes", tag = "Events",
    responses((status = 200, description = "All event types", body = Answered<Vec<EventTypeInfo>>), ReadErrors))]
async fn list(_: Allowed<WebhooksRead>) -> Response {
    let types = EventType::ALL.iter().map(|event_type| EventTypeInfo {
        r#type: *event_type,
        description: event_type.about(),
        filters: event_type.filter_fields().into_iter().map(FilterInfo::from).collect(),
        changed: event_type.changing_fields(),
    });
    answer::json(StatusCode::OK, &answer::data(types.collect::<Vec<_>>()))
}

/// Show the JSON Schema of an event type
///
/// Shows, bare, the JSON Schema (draft 2020-12) of the body of a delivery of this type. It needs no API
/// key. Later versions may add fields; none is taken away.
#[utoipa::path(get, path = "/events/types/{event_type}/schema", operation_id = "getEventSchema", tag = "Events",
    params(("event_type" = EventType, Path)), security(()),
    responses(
        (status = 200, description = "The schema", body = Object,
            example = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "contact.created", "type": "object"})),
        (status = 400, description = "A query parameter is unknown.", body = ErrorBody),
        (status = 404, description = "No such event type. The message and `details.eventTypes` list those that there are.", body = ErrorBody),
        (status = 500, description = "A fault of the server; quote `X-Request-Id`.", body = ErrorBody)))]
async fn schema(Path(event_type): Path<String>) -> Result<Response, ApiError> {
    let event_type = parse(&event_type)?;
    let schema =
        SCHEMAS.get(&event_type).ok_or_else(|| ApiError::internal(&"an event type has no schema"))?;
    Ok(answer::json_text(StatusCode::OK, schema.clone()))
}
