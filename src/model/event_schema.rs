//! What deliveries look like: the schema of the envelope of each event type. The `webhooks` section of
//! the OpenAPI document, the feed and the JSON Schemas are made of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, Discriminator, KnownFormat, Object, ObjectBuilder, OneOfBuilder,
    Schema, SchemaFormat, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::events::EventType;
use super::records::{Contact, Deal, StageChange};
use super::words::Words;

/// Where schemas refer to each other: in OpenAPI, and in a JSON Schema.
const COMPONENTS: &str = "#/components/schemas/";
const DEFINITIONS: &str = "#/$defs/";
/// The version of JSON Schema, which is also that of OpenAPI 3.1.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const METADATA: &str = "EventMetadata";

/// An event of any type, for the OpenAPI document: `event` says which, and thereby what `data` is.
#[derive(Debug)]
pub enum AnyEvent {}

impl PartialSchema for AnyEvent {
    fn schema() -> RefOr<Schema> {
        let names = EventType::ALL.iter().map(|event_type| (event_type.word(), name(*event_type)));
        let mapping = names.clone().map(|(word, name)| (word, format!("{COMPONENTS}{name}")));
        let any = OneOfBuilder::new()
            .description(Some("An event, exactly as it is delivered to webhooks; `event` is its type"))
            .discriminator(Some(Discriminator::with_mapping("event", mapping)));
        names.fold(any, |any, (_, name)| any.item(Ref::from_schema_name(name))).into()
    }
}

impl ToSchema for AnyEvent {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(
            EventType::ALL.iter().map(|event_type| (name(*event_type), envelope(*event_type).into())),
        );
        schemas.push((METADATA.to_owned(), metadata().into()));
        add::<Contact>(schemas);
        add::<Deal>(schemas);
        add::<StageChange<'_>>(schemas);
    }
}

/// A record of an event of any type, for the OpenAPI document.
#[derive(Debug)]
pub enum AnyRecord {}

impl PartialSchema for AnyRecord {
    fn schema() -> RefOr<Schema> {
        // The narrower one first: a change of stage is also a deal.
        [StageChange::name(), Deal::name(), Contact::name()]
            .into_iter()
            .fold(AnyOfBuilder::new(), |any, name| any.item(Ref::from_schema_name(name)))
            .description(Some("The record of an event of the type that was asked for"))
            .into()
    }
}

impl ToSchema for AnyRecord {
    fn name() -> Cow<'static, str> {
        "Record".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add::<Contact>(schemas);
        add::<Deal>(schemas);
        add::<StageChange<'_>>(schemas);
    }
}

/// Adds the schema of a type and of what it refers to.
fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// The name of the schema of the envelope: `deal.stage_changed` has `DealStageChangedEvent`.
pub fn name(event_type: EventType) -> String {
    event_type.camel_case() + "Event"
}

/// The name of the schema of the record that an event carries.
fn record(event_type: EventType) -> Cow<'static, str> {
    match event_type {
        EventType::ContactCreated | EventType::ContactUpdated | EventType::ContactDeleted => Contact::name(),
        EventType::DealStageChanged => StageChange::name(),
        EventType::DealCreated
        | EventType::DealUpdated
        | EventType::DealWon
        | EventType::DealLost
        | EventType::DealDeleted => Deal::name(),
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// What [`Event::envelope`](super::events::Event::envelope) writes.
fn envelope(event_type: EventType) -> Object {
    let previous = ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some(
            "The values before the change of the fields that changed; with `include: [\"previous\"]` only",
        ));
    let time = text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("The time of the event"));
    let envelope = ObjectBuilder::new()
        .description(Some(event_type.about()))
        .property("event", text().enum_values(Some([event_type.word()])))
        .property("timestamp", time)
        .property("data", Ref::from_schema_name(record(event_type)));
    let envelope = if event_type.is_change() { envelope.property("previous", previous) } else { envelope };
    envelope
        .property("metadata", Ref::from_schema_name(METADATA))
        .required("event")
        .required("timestamp")
        .required("data")
        .required("metadata")
        .build()
}

fn metadata() -> Object {
    ObjectBuilder::new()
        .description(Some("The origin of an event"))
        .property("companyId", text().description(Some("`company_…`")))
        .property(
            "eventId",
            text().description(Some(
                "`event_…`, the same on every attempt and for every subscription, and the same as the header `webhook-id`",
            )),
        )
        .property("source", text().enum_values(Some(["api", "ui"])).description(Some("What caused the event")))
        .property(
            "actor",
            ObjectBuilder::new()
                .property("type", text().enum_values(Some(["api_key", "user"])))
                .property("id", text().description(Some("`key_…` of an API key, `user_…` of somebody on a page of the dashboard")))
                .required("type")
                .required("id")
                .description(Some("Who caused the event; with `include: [\"actor\"]` only")),
        )
        .required("companyId")
        .required("eventId")
        .required("source")
        .build()
}

/// The JSON Schema (draft 2020-12) of the envelope of a type, complete in itself.
pub fn json_schema(event_type: EventType) -> Value {
    let mut schemas = Vec::new();
    AnyEvent::schemas(&mut schemas);
    let mut schemas: BTreeMap<_, _> = schemas
        .into_iter()
        .map(|(name, schema)| (name, standard(serde_json::to_value(schema).unwrap_or_default())))
        .collect();
    let envelope = schemas.remove(&name(event_type)).unwrap_or_default();
    let mut wanted = BTreeSet::new();
    refer(&envelope, &schemas, &mut wanted);
    schemas.retain(|name, _| wanted.contains(name));
    let mut document = Map::new();
    document.insert("$schema".to_owned(), DIALECT.into());
    document.insert("title".to_owned(), event_type.word().into());
    if let Value::Object(envelope) = envelope {
        document.extend(envelope);
    }
    document.insert("$defs".to_owned(), json!(schemas));
    document.into()
}

/// Collects the names of all schemas that a schema refers to, also by way of others.
fn refer(schema: &Value, schemas: &BTreeMap<String, Value>, wanted: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            let reference = object.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|reference| reference.strip_prefix(DEFINITIONS))
                && wanted.insert(name.to_owned())
                && let Some(schema) = schemas.get(name)
            {
                refer(schema, schemas, wanted);
            }
            object.values().for_each(|value| refer(value, schemas, wanted));
        }
        Value::Array(items) => items.iter().for_each(|item| refer(item, schemas, wanted)),
        _ => {}
    }
}

/// A schema of the OpenAPI document in the words of JSON Schema alone: `example` is a word of OpenAPI,
/// which strict validators refuse, and references lead elsewhere.
fn standard(schema: Value) -> Value {
    let Value::Object(schema) = schema else { return schema };
    let each = |values: Value| match values {
        Value::Object(named) => named.into_iter().map(|(name, value)| (name, standard(value))).collect(),
        Value::Array(items) => items.into_iter().map(standard).collect(),
        other => other,
    };
    let words = schema.into_iter().map(|(word, value)| match (word.as_str(), value) {
        ("example", value) => ("examples".to_owned(), Value::Array(vec![value])),
        ("$ref", Value::String(reference)) => (word, reference.replace(COMPONENTS, DEFINITIONS).into()),
        ("properties" | "allOf" | "oneOf" | "anyOf", value) => (word, each(value)),
        ("items" | "additionalProperties", value) => (word, standard(value)),
        (_, value) => (word, value),
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_complete_and_has_no_more_than_it_needs() {
        let definitions = |event_type| {
            let schema = json_schema(event_type);
            assert!(!schema.to_string().contains(COMPONENTS), "{schema}");
            schema["$defs"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(definitions(EventType::ContactCreated), ["Contact", "EventMetadata"]);
        let of_deals = ["AssignedTo", "Deal", "DealContact", "EventMetadata", "Priority", "Status"];
        assert_eq!(definitions(EventType::DealWon), of_deals);
        assert!(definitions(EventType::DealStageChanged).contains(&"StageChange".to_owned()));
    }

    #[test]
    fn words_of_openapi_become_words_of_json_schema_but_names_of_fields_stay() {
        let schema = json!({"example": 1, "properties": {"example": {"example": 2, "$ref": "#/components/schemas/A"}}});
        assert_eq!(
            standard(schema),
            json!({"examples": [1], "properties": {"example": {"examples": [2], "$ref": "#/$defs/A"}}})
        );
    }
}
