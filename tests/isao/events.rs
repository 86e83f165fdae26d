//! Which write fires which events, in which order, and what they say.

use std::time::Duration;

use isao::model::events::EventType;
use serde_json::{Value, json};

use crate::support::{Receiver, World};

fn contact_path(contact: &Value) -> String {
    format!("/contacts/{}", contact["id"].as_str().unwrap())
}

fn deal_path(deal: &Value) -> String {
    format!("/deals/{}", deal["id"].as_str().unwrap())
}

/// The types of the events that a write fires.
async fn fired(world: &World, write: impl Future<Output = crate::support::Answer>) -> Vec<String> {
    let before = world.event_types().await.len();
    let answer = write.await;
    assert!(answer.status < 300, "{}", answer.text);
    world.event_types().await.split_off(before)
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_fire_when_they_are_created_or_really_change() {
    let world = World::new().await;
    let body = json!({"name": "Jane", "phoneNumber": "+33 100", "tags": ["lead"]});
    assert_eq!(fired(&world, world.post("/contacts", body)).await, ["contact.created"]);
    let contact = world.get("/contacts").await.data(200)[0].clone();
    let path = &contact_path(&contact);
    for (change, events) in [
        (json!({"city": "Paris"}), &["contact.updated"][..]),
        (json!({"city": "Paris"}), &[]),
        (json!({"city": " Paris "}), &[]),
        (json!({}), &[]),
        (json!({"unknown": 1}), &[]),
        (json!({"email": null, "tags": ["lead", " lead", ""]}), &[]),
        (json!({"phoneNumber": "+33100"}), &["contact.updated"]),
        (json!({"city": null}), &["contact.updated"]),
    ] {
        assert_eq!(fired(&world, world.put(path, change.clone())).await, events, "PUT {change}");
    }
    let change = || json!({"country": "France"});
    assert_eq!(fired(&world, world.patch(path, change())).await, ["contact.updated"]);
    assert!(fired(&world, world.patch(path, change())).await.is_empty());
    assert_eq!(fired(&world, world.delete(path)).await, ["contact.deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_change_leaves_updated_at_alone() {
    let world = World::new().await;
    let contact = world.contact("Jane", "100").await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.put(&contact_path(&contact), json!({"name": "Jane"})).await.data(200), contact);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_write_of_a_deal_can_fire_several() {
    let world = World::new().await;
    let created = async |body| fired(&world, world.post("/deals", body)).await;
    assert_eq!(created(json!({"title": "A"})).await, ["deal.created"]);
    assert_eq!(created(json!({"title": "B", "stage": "proposal"})).await, ["deal.created"]);
    assert_eq!(created(json!({"title": "C", "status": "won"})).await, ["deal.created", "deal.won"]);
    assert_eq!(created(json!({"title": "D", "status": "lost"})).await, ["deal.created", "deal.lost"]);

    let deal = world.get("/deals?search=A").await.data(200)[0].clone();
    let (path, status_path) = (deal_path(&deal), format!("{}/status", deal_path(&deal)));
    let updated = "deal.updated";
    for (change, events) in [
        (json!({"probability": 10}), &[updated][..]),
        (json!({"probability": 10}), &[]),
        (json!({"stage": "proposal"}), &[updated, "deal.stage_changed"]),
        (json!({"stage": "proposal"}), &[]),
        (json!({"stage": "closed", "status": "won"}), &[updated, "deal.stage_changed", "deal.won"]),
        (json!({"status": "won"}), &[]),
        (json!({"status": "lost"}), &[updated, "deal.lost"]),
        (json!({"status": "open"}), &[updated]),
        (json!({"status": "won"}), &[updated, "deal.won"]),
        (json!({"actualCloseDate": "2024-11-01"}), &[updated]),
    ] {
        assert_eq!(fired(&world, world.put(&status_path, change.clone())).await, events, "{change}");
    }
    for (change, events) in [
        (json!({"title": "A"}), &[][..]),
        (json!({"title": "A+", "stage": "new", "status": "open"}), &[updated, "deal.stage_changed"]),
        (json!({"status": "lost"}), &[updated, "deal.lost"]),
        (json!({"value": 1.0}), &[updated]),
        (json!({"value": 1}), &[]),
    ] {
        assert_eq!(fired(&world, world.patch(&path, change.clone())).await, events, "{change}");
    }
    assert_eq!(fired(&world, world.delete(&path)).await, ["deal.deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_fires_no_event_of_its_deals() {
    let world = World::new().await;
    let contact = world.contact("Jane", "100").await;
    world.deal(json!({"title": "Big", "contactId": contact["id"]})).await;
    let path = &contact_path(&contact);
    assert_eq!(fired(&world, world.put(path, json!({"name": "Joan"}))).await, ["contact.updated"]);
    assert_eq!(fired(&world, world.delete(path)).await, ["contact.deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_fires_nothing() {
    let world = World::new().await;
    world.contact("Jane", "100").await;
    world
        .post("/contacts", json!({"name": "Joan", "phoneNumber": "100"}))
        .await
        .assert_error(409, "ALREADY_EXISTS");
    world.post("/contacts", json!({"name": "Joan"})).await.bad_fields();
    world.post("/deals", json!({"title": "x", "status": "done"})).await.bad_fields();
    assert_eq!(world.event_types().await, ["contact.created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_each_type_get_its_events_as_the_page_prints_them() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    for event in EventType::WORDS {
        world.subscribe(event, &receiver.url(&format!("/{event}"))).await;
    }
    let contact = world.contact("Jane", "100").await;
    world.put(&contact_path(&contact), json!({"city": "Paris"})).await.data(200);
    let deal = world.deal(json!({"title": "Big", "contactId": contact["id"]})).await;
    let status = format!("{}/status", deal_path(&deal));
    let won = world.put(&status, json!({"stage": "closed", "status": "won"})).await.data(200);
    world.put(&status, json!({"status": "lost"})).await.data(200);
    world.delete(&deal_path(&deal)).await.data(200);
    world.delete(&contact_path(&contact)).await.data(200);

    let received = receiver.expect(10).await;
    receiver.expect_no_more_than(10).await;
    let of = |event: &str| {
        let path = format!("/{event}");
        let mut found = received.iter().filter(|received| received.path == path);
        let first = found.next().unwrap_or_else(|| panic!("no {event}"));
        assert!(found.all(|_| event == "deal.updated"), "one {event}");
        first.json()
    };
    for event in EventType::WORDS {
        let envelope = of(event);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&envelope), ["event", "timestamp", "data", "metadata"]);
        assert_eq!(keys(&envelope["metadata"]), ["companyId", "eventId", "source"]);
        assert_eq!(envelope["event"], *event);
        assert_eq!(envelope["timestamp"], "2024-11-08T10:30:00.000Z");
        assert_eq!(envelope["metadata"]["companyId"], world.company.to_string());
        assert_eq!(envelope["metadata"]["source"], "api");
        assert!(envelope["metadata"]["eventId"].as_str().unwrap().starts_with("event_"));
    }
    assert_eq!(of("contact.created")["data"], contact, "as it was then");
    assert_eq!(of("contact.updated")["data"]["city"], "Paris");
    assert_eq!(of("deal.created")["data"], deal);
    assert_eq!(of("deal.updated")["data"], won);
    assert_eq!(of("deal.won")["data"], won);
    let mut moved = won.clone();
    moved["previousStage"] = json!("new");
    assert_eq!(of("deal.stage_changed")["data"], moved);
    assert_eq!(of("deal.lost")["data"]["status"], "lost");

    let mut ids: Vec<_> = received.iter().map(crate::support::Received::event_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 10, "every event has an id of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_is_told_the_same_event_id() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    for name in ["/a", "/b"] {
        world.subscribe("contact.created", &receiver.url(name)).await;
    }
    world.contact("Jane", "100").await;
    let received = receiver.expect(2).await;
    assert_eq!(received[0].body, received[1].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_filters_match_is_delivered() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscribe = async |path: &str, filters: Value| {
        let body = json!({"event": "contact.created", "target_url": receiver.url(path), "filters": filters});
        world.post("/webhooks/subscribe", body).await.data(201);
    };
    subscribe("/any-tag", json!({"tags": ["lead", "enterprise"]})).await;
    subscribe("/both", json!({"tags": "lead", "city": ["Paris", "Lyon"]})).await;
    subscribe("/no-city", json!({"city": null})).await;
    for (phone, tags, city) in [
        ("101", json!(["lead", "x"]), json!("Lyon")),
        ("102", json!(["enterprise"]), json!("Paris")),
        ("103", json!(["vip"]), Value::Null),
    ] {
        let body = json!({"name": "Jane", "phoneNumber": phone, "tags": tags, "city": city});
        world.post("/contacts", body).await.data(201);
    }
    let received = receiver.expect(4).await;
    receiver.expect_no_more_than(4).await;
    let mut seen: Vec<_> = received
        .iter()
        .map(|received| format!("{} {}", received.path, received.data()["phoneNumber"].as_str().unwrap()))
        .collect();
    seen.sort();
    assert_eq!(seen, ["/any-tag 101", "/any-tag 102", "/both 101", "/no-city 103"]);
}
