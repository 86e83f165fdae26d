//! The OpenAPI document: committed, served, complete and true.

use isao::model::events::EventType;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Receiver, Reply, World, eventually};

/// The committed document.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

fn document() -> Value {
    serde_json::from_str(&isao::server::router::openapi()).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a wish of whoever runs the tests")]
fn the_committed_document_is_up_to_date() {
    let made = isao::server::router::openapi();
    if std::env::var("UPDATE_OPENAPI").is_ok() {
        std::fs::write(COMMITTED, &made).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == made,
        "openapi.json is out of date; refresh it with UPDATE_OPENAPI=1 cargo test openapi"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_served_to_everyone_and_is_of_version_3_1() {
    let world = World::new().await;
    let served = world.send(world.http.get(world.url("/openapi.json"))).await;
    assert_eq!((served.status, served.text), (200, isao::server::router::openapi()));
    assert!(document()["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[test]
fn every_operation_has_a_name_of_its_own_that_says_what_it_does_to_what() {
    let document = document();
    let items =
        ["paths", "webhooks"].into_iter().flat_map(|section| document[section].as_object().unwrap().values());
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    let mut names: Vec<_> =
        operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect();
    for name in &names {
        // A verb alone would be taken for any resource's; these three are about nothing else.
        let speaks = name.contains(|c: char| c.is_ascii_uppercase())
            || ["subscribe", "unsubscribe", "redeliver"].contains(&name.as_str());
        assert!(speaks && name.chars().all(|c| c.is_ascii_alphabetic()), "{name}");
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "code generators make one function of each name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_has_the_documented_methods_and_no_others() {
    let world = World::new().await;
    for (path, item) in document()["paths"].as_object().unwrap() {
        let mut methods: Vec<_> = item.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
        if methods.contains(&"GET".to_owned()) {
            methods.push("HEAD".into());
        }
        methods.sort();
        let path = path.replace("{id}", "nothing").replace("{event_type}", "nothing");
        // A stream that is granted does not end.
        let path = path.replace("/events/stream", "/events/stream?after=nothing");
        let answer = world.send(world.request(Method::TRACE, &path)).await;
        answer.assert_error(405, "METHOD_NOT_ALLOWED");
        let mut allowed: Vec<_> = answer.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed, methods, "{path}");
        for method in methods {
            let answer = world.send(world.request(method.parse().unwrap(), &path)).await;
            assert!(answer.status < 500 && !answer.text.contains("Route not found"), "{method} {path}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

/// Checks answers and deliveries against the schemas that the document has for them.
struct Judge(Value);

impl Judge {
    /// Refuses keys that the document does not name.
    fn new() -> Self {
        let mut document = document();
        close(&mut document["components"]["schemas"]);
        Self(document)
    }

    #[track_caller]
    fn check(&self, answer: &Answer, method: &str, path: &str) {
        let pointer = format!(
            "/paths/{}/{method}/responses/{}/content/application~1json/schema",
            path.replace('/', "~1"),
            answer.status
        );
        self.check_value(&answer.json(), &pointer);
    }

    /// Checks a value against the schema at `pointer`.
    #[track_caller]
    fn check_value(&self, value: &Value, pointer: &str) {
        let found = self.0.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
        let schema = json!({"allOf": [found], "components": self.0["components"]});
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{pointer}: {errors:#?}\n{value:#}");
    }
}

/// Forbids keys that an object schema does not name.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            if object.contains_key("properties") {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_answers_are_as_documented() {
    let world = World::new().await;
    let judge = Judge::new();
    judge.check(&world.get("/test").await, "get", "/test");

    let rich =
        json!({"name": "Jane Smith", "phoneNumber": "100", "email": "jane@example.com", "tags": ["lead"]});
    let contact = world.post("/contacts", rich.clone()).await;
    judge.check(&contact, "post", "/contacts");
    judge.check(&world.post("/contacts", rich).await, "post", "/contacts");
    let contact = contact.data(201);
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    judge.check(&world.get(&path).await, "get", "/contacts/{id}");
    judge.check(&world.put(&path, json!({"email": null})).await, "put", "/contacts/{id}");
    world.contact("John", "200").await;
    judge.check(&world.get("/contacts?limit=1").await, "get", "/contacts");
    judge.check(&world.get("/contacts?limit=0").await, "get", "/contacts");

    for (path, record) in [
        ("/contacts", json!({"name": "Jim", "phoneNumber": "300"})),
        ("/contacts/upsert", json!({"phoneNumber": "300", "city": "Rome"})),
        ("/deals", json!({"title": "Small"})),
    ] {
        if path == "/contacts/upsert" {
            judge.check(&world.post(path, record.clone()).await, "post", path);
            judge.check(&world.post(path, json!({"name": "Joe", "phoneNumber": "400"})).await, "post", path);
        }
        let batch = world.post(&format!("{path}/batch"), json!({"records": [record, {}]})).await;
        judge.check(&batch, "post", &format!("{path}/batch"));
    }
    let stale = world.request(Method::PUT, &path).header("if-match", "x").json(&json!({}));
    judge.check(&world.send(stale).await, "put", "/contacts/{id}");

    let member = world.add_member(world.company, "Alice").await;
    for body in [
        json!({"title": "Small"}),
        json!({"title": "Big", "value": 0.1, "probability": 5, "contactId": contact["id"], "assignedToId": member,
               "status": "won", "expectedCloseDate": "2024-12-31"}),
    ] {
        let deal = world.post("/deals", body).await;
        judge.check(&deal, "post", "/deals");
        let path = format!("/deals/{}", deal.data(201)["id"].as_str().unwrap());
        judge.check(&world.get(&path).await, "get", "/deals/{id}");
        judge.check(
            &world.put(&format!("{path}/status"), json!({"stage": "x"})).await,
            "put",
            "/deals/{id}/status",
        );
    }
    judge.check(&world.get("/deals").await, "get", "/deals");
    judge.check(&world.get("/members").await, "get", "/members");
    judge.check(&world.get("/deals/stages").await, "get", "/deals/stages");
    judge.check(&world.get("/events/types").await, "get", "/events/types");
    judge.check(
        &world.get("/events/types/deal.won/schema").await,
        "get",
        "/events/types/{event_type}/schema",
    );

    let wanted =
        json!({"event": "deal.won", "target_url": "https://example.com/", "filters": {"stage": "new"}});
    for _ in 0..2 {
        judge.check(&world.post("/webhooks/subscribe", wanted.clone()).await, "post", "/webhooks/subscribe");
    }
    let list = world.get("/webhooks").await;
    judge.check(&list, "get", "/webhooks");
    let path = format!("/webhooks/{}", list.data(200)[0]["id"].as_str().unwrap());
    judge.check(&world.get(&path).await, "get", "/webhooks/{id}");
    judge.check(&world.patch(&path, json!({"is_active": false})).await, "patch", "/webhooks/{id}");
    judge.check(&world.get("/events?limit=1").await, "get", "/events");
    let preview = world.post("/webhooks/preview", json!({"event": "deal.won"})).await;
    judge.check(&preview, "post", "/webhooks/preview");
    for overlap in ["1h", "0s"] {
        let rotated = world.post(&format!("{path}/rotate-secret"), json!({"overlap": overlap})).await;
        judge.check(&rotated, "post", "/webhooks/{id}/rotate-secret");
        judge.check(&world.get(&path).await, "get", "/webhooks/{id}");
    }
    for url in ["http://10.0.0.1/", "http://8.8.8.8/", "https://example.com/"] {
        let checked = world.post("/webhooks/check-url", json!({"target_url": url})).await;
        judge.check(&checked, "post", "/webhooks/check-url");
    }
    for event in ["contact.created", "deal.won"] {
        judge.check(
            &world.get(&format!("/triggers/{event}/sample")).await,
            "get",
            "/triggers/{event_type}/sample",
        );
        judge.check(
            &world.get(&format!("/triggers/{event}/recent")).await,
            "get",
            "/triggers/{event_type}/recent",
        );
    }
    for delivering in [true, false] {
        let receiver =
            Receiver::scripted(move |_, _| Reply::Status(if delivering { 200 } else { 500 })).await;
        let subscription = world.subscribe("deal.created", &receiver.url("/")).await;
        world.deal(json!({"title": "Small"})).await;
        world.expect_with_retries(&receiver, if delivering { 1 } else { 4 }).await;
        let path = format!("/webhooks/{}", subscription["id"].as_str().unwrap());
        let state = if delivering { "delivered" } else { "undelivered" };
        let list = eventually("the record of the attempts", async || {
            let list = world.get(&format!("{path}/deliveries?state={state}")).await;
            Some(list).filter(|list| list.json()["data"] != json!([]))
        })
        .await;
        judge.check(&list, "get", "/webhooks/{id}/deliveries");
        let shown = format!("/webhooks/deliveries/{}", list.data(200)[0]["id"].as_str().unwrap());
        judge.check(&world.get(&shown).await, "get", "/webhooks/deliveries/{id}");
        judge.check(&world.get("/webhooks/undelivered").await, "get", "/webhooks/undelivered");
        judge.check(&world.post(&format!("{path}/test"), json!({})).await, "post", "/webhooks/{id}/test");
    }
    judge.check(&world.delete(&path).await, "delete", "/webhooks/{id}");
    judge.check(&world.delete("/webhooks/unsubscribe").await, "delete", "/webhooks/unsubscribe");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_errors_are_as_documented() {
    let world = World::new().await;
    let judge = Judge::new();
    judge.check(&world.get("/contacts/nothing").await, "get", "/contacts/{id}");
    judge.check(&world.get("/events?types=nothing").await, "get", "/events");
    judge.check(&world.get("/events/stream?types=nothing").await, "get", "/events/stream");
    judge.check(&world.get("/triggers/nothing/recent").await, "get", "/triggers/{event_type}/recent");
    let path = "/events/types/{event_type}/schema";
    for wrong in ["nothing/schema", "deal.won/schema?nope=1"] {
        judge.check(&world.get(&format!("/events/types/{wrong}")).await, "get", path);
    }
    judge.check(&world.get("/deals/stages?nope=1").await, "get", "/deals/stages");
    judge.check(&world.get("/members?nope=1").await, "get", "/members");
    judge.check(&world.send_text(Method::POST, "/contacts", "{").await, "post", "/contacts");
    judge.check(&world.post("/deals", json!({"value": "x"})).await, "post", "/deals");
    let text = world.request(Method::POST, "/deals").header("content-type", "text/plain");
    judge.check(&world.send(text.body("x")).await, "post", "/deals");
    let nobody = world.add_key(world.company, &[]).await;
    for key in ["", &nobody] {
        let request = world.http.get(world.url("/contacts")).bearer_auth(key);
        judge.check(&world.send(request).await, "get", "/contacts");
    }
}

#[test]
fn what_records_must_have_is_said_to_be_required() {
    let document = document();
    let required = |schema: &str| document["components"]["schemas"][schema]["required"].clone();
    let fields = |schema: &str| {
        let properties = document["components"]["schemas"][schema]["properties"].as_object().unwrap();
        properties.keys().cloned().collect::<Vec<_>>()
    };
    for record in ["Contact", "Deal"] {
        assert_eq!(required(record), json!(fields(record)), "every key is always there: {record}");
    }
}

/// Where an event of any type can stand, `event` tells clients that are made from the document which one it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_told_from_the_others_by_its_type() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let any = &schemas["Event"];
    assert_eq!(any["discriminator"]["propertyName"], "event");
    let mapping = any["discriminator"]["mapping"].as_object().unwrap();
    let choices: Vec<_> = any["oneOf"].as_array().unwrap().iter().map(|choice| &choice["$ref"]).collect();
    assert_eq!((mapping.len(), choices.len()), (EventType::WORDS.len(), EventType::WORDS.len()));
    for event in EventType::WORDS {
        let reference = &mapping[*event];
        assert!(choices.contains(&reference), "{event}");
        let schema = document.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap();
        assert_eq!(schema["properties"]["event"]["enum"], json!([event]));
        let operation = &document["webhooks"][event]["post"];
        assert_eq!(operation["requestBody"]["content"]["application/json"]["schema"]["$ref"], *reference);
    }
    // Not closed: two parts make one record of `deal.stage_changed`, and each has keys of its own.
    let (world, judge) = (World::new().await, Judge(document.clone()));
    world.cause_every_event().await;
    judge.check(&world.get("/events?limit=200").await, "get", "/events");
}

/// A delivery of each event type fits what the `webhooks` section says about it.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_as_the_webhooks_section_says() {
    let judge = Judge(document());
    let mut documented: Vec<_> = judge.0["webhooks"].as_object().unwrap().keys().cloned().collect();
    let mut types = EventType::WORDS.to_vec();
    types.sort_unstable();
    documented.sort_unstable();
    assert_eq!(documented, types);

    let world = World::new().await;
    let receiver = Receiver::start().await;
    for event in &types {
        world.subscribe(event, &receiver.url("/")).await;
    }
    let caused = world.cause_every_event().await;
    let mut seen = Vec::new();
    for received in receiver.expect(caused).await {
        let body = received.json();
        let event = body["event"].as_str().unwrap().to_owned();
        let operation = format!("/webhooks/{event}/post");
        for parameter in judge.0.pointer(&format!("{operation}/parameters")).unwrap().as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            assert!(!received.header(name).is_empty(), "{event}: {name}");
        }
        judge.check_value(&body, &format!("{operation}/requestBody/content/application~1json/schema"));
        seen.push(event);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, types);
}
