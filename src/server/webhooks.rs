//! The `webhooks` section of the OpenAPI document: what a subscriber's server receives.

use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, Paths, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{PathItem, Ref, Required, ResponseBuilder};

use crate::model::event_schema;
use crate::model::events::EventType;
use crate::model::words::Words;

/// Headers of every delivery, each with what it holds.
const HEADERS: [(&str, &str); 5] = [
    ("webhook-id", "The id of the event: the same on every attempt, so that repeats can be recognised"),
    ("webhook-timestamp", "The time of the attempt, in seconds since 1970"),
    (
        "webhook-signature",
        "Standard Webhooks: `v1,` and the base64 of the HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>` with the signing secret; while a secret is rotated, one for each, separated by a space",
    ),
    ("x-isao-event", "The event type, as in the body"),
    ("x-isao-attempt", "The number of the attempt, from 1"),
];

/// One webhook per event type.
pub fn webhooks() -> Paths {
    EventType::ALL
        .iter()
        .fold(PathsBuilder::new(), |paths, event_type| {
            paths.path(event_type.word(), PathItem::new(HttpMethod::Post, operation(*event_type)))
        })
        .build()
}

fn operation(event_type: EventType) -> Operation {
    let example = json!({
        "event": event_type,
        "timestamp": "2024-11-08T10:30:00.000Z",
        "data": event_type.sample(),
        "metadata": {
            "companyId": "company_0192f3a4b5c67d8e9f0a1b2c3d4e5f60",
            "eventId": "event_0192f3a4b5c67d8e9f0a1b2c3d4e5f60",
            "source": "api",
        },
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(event_schema::name(event_type))))
        .example(Some(example))
        .build();
    let headers = HEADERS.map(|(name, description)| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    });
    let delivered = "Any 2xx: the event is delivered. Any other status, or none within the delivery timeout: \
                     the attempt failed, and the event is tried again";
    let gone = "The subscription is deactivated";
    OperationBuilder::new()
        .operation_id(Some(format!("on{}", event_type.camel_case())))
        .summary(Some(event_type.about().trim_end_matches('.')))
        .tag("Webhooks")
        .security(SecurityRequirement::default())
        .parameters(Some(headers))
        .request_body(Some(
            RequestBodyBuilder::new()
                .content("application/json", content)
                .required(Some(Required::True))
                .build(),
        ))
        .response("2XX", ResponseBuilder::new().description(delivered).build())
        .response("410", ResponseBuilder::new().description(gone).build())
        .build()
}
