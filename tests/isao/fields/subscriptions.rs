//! Every field of a subscription survives: from the request into all that shows it.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::assert_fields;
use crate::support::World;
use crate::support::schema::{Document, Field, Values};

/// Fields that no view shows, each of which is checked by itself below.
const NOT_SHOWN: [&str; 4] = ["secret", "since", "resume", "headers"];

/// A value for each field; filters are objects of which the document names no fields.
fn values(values: &mut Values, fields: &[Field]) -> Map<String, Value> {
    let (free, others): (Vec<_>, Vec<_>) =
        fields.iter().cloned().partition(|field| ["filters", "headers"].contains(&&*field.name));
    let mut made = values.of(&others);
    let text = format!("stage {}", made.len());
    let free_value = |field: &Field| match &*field.name {
        "headers" => json!({"x-own": text}),
        _ => json!({"stage": [&text]}),
    };
    made.extend(free.iter().map(|field| (field.name.clone(), free_value(field))));
    made
}

/// What the views must show, by what was written.
fn expect(expected: &mut Map<String, Value>, written: &Map<String, Value>) {
    for (field, value) in written {
        let name = if field == "event" { "event_type" } else { field };
        if !NOT_SHOWN.contains(&name) {
            expected.insert(name.to_owned(), value.clone());
        }
    }
    if written.contains_key("resume") {
        expected.insert("is_active".into(), json!(true));
    }
    if expected["ordering"] == "subscription" {
        expected.insert("concurrency".into(), json!(1));
    }
}

async fn assert_shown(world: &World, id: &str, expected: &Map<String, Value>, what: &str) {
    let path = format!("/webhooks/{id}");
    assert_fields(expected, &world.get(&path).await.data(200), &format!("{what}: the subscription"));
    let list = world.get("/webhooks?status=all").await.data(200);
    let listed = list.as_array().unwrap().iter().find(|shown| shown["id"] == id).unwrap();
    assert_fields(expected, listed, &format!("{what}: the list"));
}

/// The secret, which is not shown.
async fn secret(world: &World, id: &str) -> String {
    sqlx::query_scalar("SELECT secret FROM subscriptions WHERE id = $1")
        .bind(id.trim_start_matches("hook_").parse::<uuid::Uuid>().unwrap())
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_subscription_survives() {
    let (world, document, mut made) = (World::new().await, Document::committed(), Values::default());
    let create = document.operation(&Method::POST, "/webhooks/subscribe").body.unwrap();
    let other = world.subscribe("contact.created", "https://example.com/other").await;
    let mut body = values(&mut made, &create.fields);
    // The one that these filters and the deal are for.
    body["event"] = json!("deal.lost");
    body["events"] = json!(["deal.lost"]);
    // The same key writes the deal.
    body["ignore_own"] = json!(false);
    world.deal(json!({"title": "Big", "status": "lost", "stage": body["filters"]["stage"][0]})).await;
    let answer = world.post("/webhooks/subscribe", json!(body)).await.data(201);
    for field in body.keys().filter(|field| !["since", "resume", "headers"].contains(&field.as_str())) {
        assert_eq!(answer[field], body[field], "{field} in the answer");
    }
    let id = answer["id"].as_str().unwrap();
    let mut expected = json!({"is_active": true, "status": "active"}).as_object().unwrap().clone();
    expect(&mut expected, &body);
    assert_shown(&world, id, &expected, "subscribed").await;
    assert_eq!(secret(&world, id).await, body["secret"], "the secret");
    let deliveries = world.get(&format!("/webhooks/{id}/deliveries")).await.data(200);
    assert_eq!(deliveries[0]["event"], body["event"], "the event before it, because of since");

    let change = document.operation(&Method::PATCH, "/webhooks/{id}").body.unwrap();
    let mut changes = values(&mut made, &change.fields);
    changes["ignore_own"] = json!(true);
    for field in &change.fields {
        let mut body: Map<_, _> = [(field.name.clone(), changes[&field.name].clone())].into_iter().collect();
        if field.name == "concurrency" {
            // The one goes with the other only.
            body.insert("ordering".into(), json!("record"));
        }
        let changed = world.patch(&format!("/webhooks/{id}"), json!(body)).await.data(200);
        if field.name == "headers" {
            // Shown without their values; another test looks at what is sent.
            assert_eq!(changed["headers"], json!({"x-own": "…"}));
            continue;
        }
        let before = expected.clone();
        expect(&mut expected, &body);
        expected["status"] = json!(if expected["is_active"] == true { "active" } else { "paused" });
        assert_ne!(expected, before, "{} is to change", field.name);
        assert_fields(&expected, &changed, &format!("{}: the answer", field.name));
        assert_shown(&world, id, &expected, &field.name).await;
        if field.nullable {
            let body = json!({ &field.name: null });
            let cleared = world.patch(&format!("/webhooks/{id}"), body).await.data(200);
            expected[&field.name] = match field.kind() {
                "array" => json!([]),
                "boolean" => json!(false),
                _ => json!({}),
            };
            assert_fields(&expected, &cleared, &format!("{} cleared: the answer", field.name));
            assert_shown(&world, id, &expected, &field.name).await;
        }
    }
    assert_eq!(secret(&world, id).await, body["secret"], "no change touches the secret");
    let list = world.get(&format!("/webhooks/{}", other["id"].as_str().unwrap())).await.data(200);
    assert_eq!((&list["target_url"], &list["event_type"]), (&other["target_url"], &other["event"]));
}
