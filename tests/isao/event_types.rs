//! What a developer is told about event types: the list, and the schema of each.

use isao::model::events::EventType;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{Receiver, World};

/// The schema as anybody gets it.
async fn schema(world: &World, event: &str) -> Value {
    let path = format!("/events/types/{event}/schema");
    let answer = world.send(world.http.get(world.url(&path))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_listed_with_the_fields_to_filter_by() {
    let world = World::new().await;
    let types = world.get("/events/types").await.data(200);
    let types = types.as_array().unwrap();
    let names: Vec<_> = types.iter().map(|listed| listed["type"].as_str().unwrap()).collect();
    assert_eq!(names, EventType::WORDS);
    let of = |name: &str| types.iter().find(|listed| listed["type"] == name).unwrap();
    assert_eq!(of("deal.stage_changed")["description"], "A deal moved to another stage.");
    let field = |name: &str, field: &str| {
        let filters = of(name)["filters"].as_array().unwrap();
        filters.iter().find(|filter| filter["field"] == field).cloned()
    };
    for (event, name, kind, values, list) in [
        ("contact.created", "tags", "text", Value::Null, true),
        ("contact.created", "phoneNumber", "phone_number", Value::Null, false),
        ("contact.created", "email", "email", Value::Null, false),
        ("deal.won", "status", "word", json!(["open", "won", "lost"]), false),
        ("deal.won", "value", "number", Value::Null, false),
        ("deal.won", "currency", "currency", Value::Null, false),
        ("deal.won", "actualCloseDate", "time", Value::Null, false),
        ("deal.stage_changed", "previousStage", "text", Value::Null, false),
    ] {
        let expected = json!({"field": name, "kind": kind, "values": values, "list": list});
        assert_eq!(field(event, name), Some(expected), "{event}");
    }
    assert_eq!(field("deal.won", "previousStage"), None);
    assert_eq!(field("deal.won", "contact"), None, "objects cannot be compared");
    assert_eq!(of("deal.won")["changed"], json!([]), "it is no change");
    let changed = of("contact.updated")["changed"].as_array().unwrap();
    assert!(changed.contains(&json!("city")) && !changed.contains(&json!("updatedAt")), "{changed:?}");
}

/// What is listed is what subscribing accepts, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn the_fields_that_are_listed_are_those_that_subscriptions_accept() {
    let world = World::new().await;
    let subscribe = async |event: &Value, filters: Value| {
        let body = json!({"event": event, "target_url": "https://example.com/", "filters": filters});
        world.post("/webhooks/subscribe", body).await
    };
    for listed in world.get("/events/types").await.data(200).as_array().unwrap() {
        let (event, filters) = (&listed["type"], listed["filters"].as_array().unwrap());
        let fields: Vec<_> = filters.iter().map(|filter| filter["field"].as_str().unwrap()).collect();
        let nulls: Value = fields.iter().map(|field| ((*field).to_owned(), Value::Null)).collect();
        subscribe(event, nulls).await.data(201);
        for filter in filters.iter().filter(|filter| !["text"].contains(&filter["kind"].as_str().unwrap())) {
            let field = filter["field"].as_str().unwrap();
            subscribe(event, json!({ field: "?" })).await.bad_fields();
            if let Some(words) = filter["values"].as_array() {
                subscribe(event, json!({ field: words })).await.data(201);
            }
        }
        let refused = subscribe(event, json!({"nope": 1})).await.bad_fields();
        let allowed = format!("allowed for {}: {}", event.as_str().unwrap(), fields.join(", "));
        assert!(refused["filters"].as_str().unwrap().ends_with(&allowed), "{refused}");
        let changed = &listed["changed"];
        if *changed != json!([]) {
            subscribe(event, json!({ "changed": changed })).await.data(201);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_needs_no_key_and_is_of_draft_2020_12() {
    let world = World::new().await;
    for event in EventType::WORDS {
        let schema = schema(&world, event).await;
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], *event);
        assert_eq!(schema["properties"]["event"]["enum"], json!([event]));
        jsonschema::meta::validate(&schema).unwrap();
    }
    // Whoever has a key, or a wrong one, may send it.
    let path = "/events/types/deal.won/schema";
    assert_eq!(world.get(path).await.status, 200);
    let request = world.http.get(world.url(path)).bearer_auth("nonsense");
    assert_eq!(world.send(request).await.status, 200);
    world.get(&format!("{path}?nope=1")).await.assert_error(400, "INVALID_QUERY");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_type_has_no_schema_and_the_answer_lists_the_known_ones() {
    let world = World::new().await;
    let request = world.http.get(world.url("/events/types/contact.vanished/schema"));
    let error = world.send(request).await.assert_error(404, "NOT_FOUND");
    assert!(error["message"].as_str().unwrap().ends_with(&EventType::WORDS.join(", ")), "{error}");
    assert_eq!(error["details"]["eventTypes"], json!(EventType::WORDS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_each_type_fits_its_schema_and_no_other() {
    let world = World::new().await;
    let mut validators: Vec<(&str, Validator)> = Vec::new();
    for event in EventType::WORDS {
        validators.push((event, jsonschema::validator_for(&schema(&world, event).await).unwrap()));
    }
    let receiver = Receiver::start().await;
    for (path, include) in [("/plain", json!([])), ("/rich", json!(["previous", "actor"]))] {
        let body = json!({"event": "*", "target_url": receiver.url(path), "include": include});
        world.post("/webhooks/subscribe", body).await.data(201);
    }
    let caused = world.cause_every_event().await;
    let received = receiver.expect(2 * caused).await;
    for path in ["/plain", "/rich"] {
        for event in EventType::WORDS {
            let mut found = received
                .iter()
                .filter(|delivery| delivery.path == path && delivery.json()["event"] == *event);
            let body = found.next().unwrap_or_else(|| panic!("no {event} at {path}")).json();
            assert_eq!(body["metadata"].get("actor").is_some(), path == "/rich", "{event}");
            for (other, validator) in &validators {
                let errors: Vec<_> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
                assert_eq!(
                    errors.is_empty(),
                    other == event,
                    "{event} by the schema of {other}: {errors:#?}"
                );
            }
            // Whatever is taken away of the record or of the envelope is missed.
            let (_, validator) = validators.iter().find(|(other, _)| other == event).unwrap();
            for part in ["", "/data", "/metadata"] {
                let keys: Vec<_> = body.pointer(part).unwrap().as_object().unwrap().keys().cloned().collect();
                for key in keys.iter().filter(|key| !["previous", "actor"].contains(&key.as_str())) {
                    let mut less = body.clone();
                    less.pointer_mut(part).unwrap().as_object_mut().unwrap().shift_remove(key);
                    assert!(!validator.is_valid(&less), "{event} without {part}/{key}");
                }
            }
        }
    }
}
