//! What deliveries carry beyond the page's envelope, whose writes are left out, and which changes
//! are wanted.

use isao::model::permission::Permission;
use serde_json::{Value, json};

use crate::support::{Receiver, World, eventually};

async fn subscribe(world: &World, receiver: &Receiver, mut body: Value) -> Value {
    body["target_url"] = json!(receiver.url("/"));
    world.post("/webhooks/subscribe", body).await.data(201)
}

fn path(record: &Value, kind: &str) -> String {
    format!("/{kind}/{}", record["id"].as_str().unwrap())
}

/// The id of the key that the world uses.
async fn key_id(world: &World) -> String {
    let id: uuid::Uuid = sqlx::query_scalar("SELECT id FROM api_keys").fetch_one(&world.pool).await.unwrap();
    format!("key_{}", id.simple())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_included_stands_where_the_contract_says() {
    let world = World::new().await;
    let (plain, full) = (Receiver::start().await, Receiver::start().await);
    subscribe(&world, &plain, json!({"event": "*"})).await;
    let made = subscribe(&world, &full, json!({"event": "*", "include": ["actor", "previous"]})).await;
    assert_eq!((&made["include"], &made["ignore_own"]), (&json!(["previous", "actor"]), &json!(false)));

    let contact = world.contact("Jane Doe", "+33100000001").await;
    let change = json!({"city": "Lyon", "name": "Jane Roe", "tags": ["vip"]});
    world.put(&path(&contact, "contacts"), change).await.data(200);
    let deal = world.deal(json!({"title": "Big", "value": 0.1, "contactId": contact["id"]})).await;
    let change = json!({"stage": "closing", "status": "won", "value": 2.5, "contactId": null});
    world.put(&path(&deal, "deals"), change).await.data(200);
    world.delete(&path(&contact, "contacts")).await;

    let deal_before = json!({"actualCloseDate": null, "contact": deal["contact"], "stage": "new", "status": "open", "value": 0.1});
    let previous = [
        ("contact.created", Value::Null),
        ("contact.updated", json!({"city": null, "lastName": "Doe", "name": "Jane Doe", "tags": []})),
        ("deal.created", Value::Null),
        ("deal.updated", deal_before.clone()),
        ("deal.stage_changed", deal_before),
        ("deal.won", Value::Null),
        ("contact.deleted", Value::Null),
    ];
    let actor = json!({"type": "api_key", "id": key_id(&world).await});
    let received = full.expect(previous.len()).await;
    for (received, (event, previous)) in received.iter().zip(&previous) {
        let body = received.json();
        let keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        let expected: &[&str] = match previous {
            Value::Null => &["event", "timestamp", "data", "metadata"],
            _ => &["event", "timestamp", "data", "previous", "metadata"],
        };
        assert_eq!((body["event"].as_str(), &keys[..]), (Some(*event), expected));
        assert_eq!((&body["previous"], &body["metadata"]["actor"]), (previous, &actor), "{event}");
    }
    for received in plain.expect(previous.len()).await {
        let body = received.json();
        assert_eq!((&body["previous"], &body["metadata"]["actor"]), (&Value::Null, &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_included_can_be_changed_and_is_tested_and_previewed() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let made = subscribe(&world, &receiver, json!({"event": "deal.updated"})).await;
    let hook = path(&made, "webhooks");
    let changed = world.patch(&hook, json!({"include": "previous"})).await.data(200);
    assert_eq!(changed["include"], json!(["previous"]));
    let again =
        json!({"event": "deal.updated", "target_url": receiver.url("/"), "include": ["actor", "previous"]});
    assert_eq!(world.post("/webhooks/subscribe", again).await.data(200)["id"], made["id"]);
    assert_eq!(world.get(&hook).await.data(200)["include"], json!(["previous", "actor"]));

    let tested = world.post(&format!("{hook}/test"), json!({})).await.data(200);
    let body: Value = serde_json::from_str(tested["request"]["body"].as_str().unwrap()).unwrap();
    assert!(body["previous"].is_object() && body["metadata"]["actor"].is_object(), "{body}");
    let preview = world.post("/webhooks/preview", json!({"event": "deal.updated"})).await.data(200);
    let own = preview["subscriptions"][0]["body"].as_str().unwrap();
    assert!(
        own.contains(r#""previous":{"#) && !preview["body"].as_str().unwrap().contains("previous"),
        "{preview}"
    );

    let nothing = world.patch(&hook, json!({"include": null})).await.data(200);
    assert_eq!(nothing["include"], json!([]));
    let bad = world.patch(&hook, json!({"include": ["next"]})).await;
    assert!(bad.bad_fields()["include"].as_str().unwrap().contains("previous, actor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writes_of_the_key_that_subscribed_can_be_left_out() {
    let mut world = World::new().await;
    let (own, all) = (Receiver::start().await, Receiver::start().await);
    let made = subscribe(&world, &own, json!({"event": "contact.*", "ignore_own": true})).await;
    assert_eq!(made["ignore_own"], true);
    subscribe(&world, &all, json!({"event": "contact.*"})).await;
    world.contact("Mine", "+33100000001").await;
    let permissions = [Permission::ContactsWrite, Permission::WebhooksWrite];
    let other = world.add_key(world.company, &permissions).await;
    let first = std::mem::replace(&mut world.key, other);
    world.contact("Theirs", "+33100000002").await;
    assert_eq!(own.expect(1).await[0].data()["name"], "Theirs");
    all.expect(2).await;
    // The list tells the same.
    let hook = path(&made, "webhooks");
    let listed = eventually("the delivery", async || {
        let listed = world.get(&format!("{hook}/deliveries")).await.data(200);
        (listed[0]["state"] == "delivered").then_some(listed)
    });
    assert_eq!(listed.await.as_array().unwrap().len(), 1);

    // What waits is judged alike when it is read from the log.
    world.patch(&hook, json!({"is_active": false})).await.data(200);
    world.contact("Theirs, later", "+33100000003").await;
    world.key = first;
    world.contact("Mine, later", "+33100000004").await;
    let waiting = world.get(&format!("{hook}/deliveries?state=waiting")).await.data(200);
    assert_eq!(waiting.as_array().unwrap().len(), 1, "{waiting}");
    world.patch(&hook, json!({"is_active": true})).await.data(200);
    assert_eq!(own.expect(2).await[1].data()["name"], "Theirs, later");
    world.patch(&hook, json!({"ignore_own": false})).await.data(200);
    world.contact("Mine, wanted", "+33100000005").await;
    assert_eq!(own.expect(3).await[2].data()["name"], "Mine, wanted");
    own.expect_no_more_than(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_changes_of_some_fields_can_be_asked_for() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let wanted =
        json!({"event": "contact.updated", "filters": {"changed": ["city", "tags"], "country": "FR"}});
    let made = subscribe(&world, &receiver, wanted).await;
    assert_eq!(made["filters"], json!({"country": ["FR"], "changed": ["city", "tags"]}));
    let contact = world.contact("Jane", "+33100000001").await;
    let contact = path(&contact, "contacts");
    for change in [
        json!({"country": "FR"}),
        json!({"position": "CTO"}),
        json!({"position": "CEO", "city": "Lyon"}),
        json!({"city": "Bern", "country": "CH"}),
        json!({"country": "FR", "tags": ["vip"]}),
    ] {
        world.put(&contact, change).await.data(200);
    }
    let received = receiver.expect(2).await;
    let seen: Vec<_> = received.iter().map(|received| received.data()["city"].clone()).collect();
    assert_eq!(seen, ["Lyon", "Bern"]);
    assert_eq!(received[1].data()["tags"], json!(["vip"]));
    receiver.expect_no_more_than(2).await;
    let twin = json!({"event": "contact.updated", "target_url": receiver.url("/"),
                      "filters": {"country": ["FR"], "changed": ["tags", "city"]}});
    assert_eq!(world.post("/webhooks/subscribe", twin).await.data(200)["id"], made["id"]);
    for (event, changed, sentence) in [
        ("contact.created", "city", "`changed` goes with contact.updated"),
        ("contact.*", "city", "`changed` goes with contact.updated"),
        ("contact.updated", "stage", "`stage` is not a field"),
    ] {
        let body = json!({"event": event, "target_url": receiver.url("/"), "filters": {"changed": changed}});
        let refused = world.post("/webhooks/subscribe", body).await.bad_fields();
        assert!(refused["filters"].as_str().unwrap().starts_with(sentence), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_waits_is_judged_by_the_filters_of_its_time() {
    let mut world = World::new().await;
    let receiver = Receiver::start().await;
    let made =
        subscribe(&world, &receiver, json!({"event": "deal.created", "filters": {"stage": "a"}})).await;
    let hook = path(&made, "webhooks");
    world.patch(&hook, json!({"is_active": false})).await.data(200);
    let mut titles = Vec::new();
    for wanted in ["a", "b", "c"] {
        world.patch(&hook, json!({"filters": {"stage": wanted}})).await.data(200);
        for stage in ["a", "b", "c"] {
            world.deal(json!({"title": format!("{stage} while {wanted}"), "stage": stage})).await;
        }
        titles.push(format!("{wanted} while {wanted}"));
    }
    let waiting = world.get(&format!("{hook}/deliveries?state=waiting")).await.data(200);
    assert_eq!(waiting.as_array().unwrap().len(), 3, "{waiting}");
    // Another process that takes over judges alike.
    world.stop_server().await;
    world.start_server().await;
    world.patch(&hook, json!({"is_active": true})).await.data(200);
    let received = receiver.expect(3).await;
    let received: Vec<_> = received.iter().map(|received| received.data()["title"].clone()).collect();
    assert_eq!(received, titles);
    receiver.expect_no_more_than(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_of_before_are_kept_as_long_as_events_wait() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let made =
        subscribe(&world, &receiver, json!({"event": "deal.created", "filters": {"stage": "a"}})).await;
    let hook = path(&made, "webhooks");
    let change = async |number: usize| {
        world.deal(json!({"title": "Another"})).await;
        world.patch(&hook, json!({"filters": {"stage": format!("{number}")}})).await
    };
    world.patch(&hook, json!({"is_active": false})).await.data(200);
    for number in 0..10 {
        change(number).await.data(200);
        // Without an event in between, a change leaves nothing to be kept.
        world.patch(&hook, json!({"filters": {"stage": "z"}})).await.data(200);
    }
    let refused = change(10).await.assert_error(409, "CONFLICT");
    assert!(refused["message"].as_str().unwrap().contains("resume"), "{refused}");
    world.patch(&hook, json!({"resume": "now"})).await.data(200);
    change(11).await.data(200);
    let kept: Value =
        sqlx::query_scalar("SELECT earlier_filters FROM subscriptions").fetch_one(&world.pool).await.unwrap();
    assert!(kept.as_array().unwrap().len() <= 1, "{kept}");
    let values: Vec<_> = (0..100).map(|number| format!("{number:0200}")).collect();
    let large = json!({"filters": {"stage": values}});
    let refused = world.patch(&hook, large).await;
    assert_eq!(refused.bad_fields()["filters"], "must be at most 16 KiB of JSON in all");
}
