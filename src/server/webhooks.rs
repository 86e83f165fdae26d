//! The `webhooks` section of the OpenAPI document: what a subscriber's server receives.

use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, Paths, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{PathItem, Ref, Required, ResponseBuilder};

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

/// The schema of the record that an event carries.
fn record_schema(event_type: EventType) -> &'static str {
    match event_type {
        EventType::ContactCreated | EventType::ContactUpdated | EventType::ContactDeleted => "Contact",
        EventType::DealStageChanged => "StageChange",
        EventType::DealCreated
        | EventType::DealUpdated
        | EventType::DealWon
        | EventType::DealLost
        | EventType::DealDeleted => "Deal",
    }
}

fn operation(event_type: EventType) -> Operation {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let metadata = ObjectBuilder::new()
        .property("companyId", text())
        .property("eventId", text().description(Some("The same as `webhook-id`")))
        .property("source", text().enum_values(Some(["api", "ui"])))
        .property(
            "actor",
            ObjectBuilder::new()
                .property("type", text().enum_values(Some(["api_key"])))
                .property("id", text())
                .required("type")
                .required("id")
                .description(Some("Who caused the event; with `include: [\"actor\"]` only")),
        )
        .required("companyId")
        .required("eventId")
        .required("source");
    let previous = ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some(
            "The values before the change of the fields that changed; with `include: [\"previous\"]` only",
        ));
    let body = ObjectBuilder::new()
        .property("event", text().enum_values(Some([event_type.word()])))
        .property("timestamp", text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))))
        .property("data", Ref::from_schema_name(record_schema(event_type)))
        .property("metadata", metadata);
    let body = if event_type.is_change() { body.property("previous", previous) } else { body };
    let body = body.required("event").required("timestamp").required("data").required("metadata");
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
    let content = ContentBuilder::new().schema(Some(body)).example(Some(example)).build();
    let headers = HEADERS.map(|(name, description)| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(text()))
            .build()
    });
    let delivered = "Any 2xx: the event is delivered. Any other status, or none within the delivery timeout: \
                     the attempt failed, and the event is tried again";
    let gone = "The subscription is deactivated";
    OperationBuilder::new()
        .operation_id(Some(operation_id(event_type)))
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

/// `deal.stage_changed` becomes `onDealStageChanged`.
fn operation_id(event_type: EventType) -> String {
    let words = event_type.word().split(['.', '_']);
    let capitalised = words.map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    format!("on{}", capitalised.collect::<String>())
}
