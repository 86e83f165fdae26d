//! `ETag`, `If-Match` and `If-None-Match`: nobody overwrites what somebody else changed meanwhile.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Receiver, Reply, World, eventually};

fn path(kind: &str, record: &Value) -> String {
    format!("/{kind}/{}", record["id"].as_str().unwrap())
}

async fn change(world: &World, method: Method, path: &str, if_match: &str, body: &Value) -> Answer {
    world.send(world.request(method, path).header("if-match", if_match).json(body)).await
}

async fn show(world: &World, path: &str, if_none_match: &str) -> Answer {
    world.send(world.request(Method::GET, path).header("if-none-match", if_none_match)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_that_shows_one_record_has_its_tag() {
    let world = World::new().await;
    for (kind, new, changes) in [
        ("contacts", json!({"name": "Jane", "phoneNumber": "100"}), json!({"city": "Rome"})),
        ("deals", json!({"title": "Big", "value": 10.50}), json!({"stage": "proposal"})),
    ] {
        let created = world.post(&format!("/{kind}"), new).await;
        let path = path(kind, &created.data(201));
        let first = created.header("etag").to_owned();
        assert!(first.starts_with('"') && first.ends_with('"') && first.len() > 10, "{first}");
        assert_eq!(world.get(&path).await.header("etag"), first);
        assert_eq!(world.put(&path, json!({})).await.header("etag"), first, "nothing changed");
        let changed = world.patch(&path, changes).await;
        assert_ne!(changed.header("etag"), first, "within one millisecond");
        assert_eq!(changed.data(200)["updatedAt"], created.data(201)["updatedAt"]);
        assert_eq!(world.get(&path).await.header("etag"), changed.header("etag"));
    }
    let deal = world.deal(json!({"title": "Small"})).await;
    let moved = world.put(&format!("{}/status", path("deals", &deal)), json!({"status": "won"})).await;
    assert_eq!(moved.header("etag"), world.get(&path("deals", &deal)).await.header("etag"));
    let upserted = world.post("/contacts/upsert", json!({"name": "Joan", "phoneNumber": "200"})).await;
    let path = path("contacts", &upserted.data(201));
    assert_eq!(upserted.header("etag"), world.get(&path).await.header("etag"));
    assert!(!world.get("/contacts").await.headers.contains_key("etag"));
    assert!(!world.delete(&path).await.headers.contains_key("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_clients_that_change_one_deal_one_is_told_and_nothing_is_lost() {
    let world = World::new().await;
    let created = world.post("/deals", json!({"title": "Big"})).await;
    let path = path("deals", &created.data(201));
    let mut etag = created.header("etag").to_owned();
    for round in 0..5 {
        let stage = format!("stage {round}");
        let bodies =
            [(path.clone(), json!({"title": stage})), (format!("{path}/status"), json!({"stage": stage}))];
        let answers =
            join_all(bodies.iter().map(|(path, body)| change(&world, Method::PUT, path, &etag, body))).await;
        let (done, told): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((done.len(), told.len()), (1, 1), "{answers:?}");
        let error = told[0].assert_error(412, "PRECONDITION_FAILED");
        let shown = world.get(&path).await;
        assert_eq!(shown.data(200), done[0].data(200));
        assert_eq!(error["details"], json!({"etag": shown.header("etag")}));
        assert_eq!(told[0].header("etag"), shown.header("etag"));
        etag = shown.header("etag").to_owned();
        // Who was told reads the record and changes it again.
        let again = change(&world, Method::PATCH, &path, &etag, &json!({"description": stage})).await;
        etag = again.header("etag").to_owned();
        again.data(200);
    }
    let deleted = world.delete(&path).await;
    assert_eq!(deleted.status, 200, "without a condition everything is as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_tag_deletes_and_changes_nothing() {
    let world = World::new().await;
    let subscription = world.subscribe("deal.won", "https://example.com/").await;
    let contact = world.contact("Jane", "100").await;
    let deal = world.deal(json!({"title": "Big", "contactId": contact["id"]})).await;
    for (path, changes) in [
        (path("deals", &deal), json!({"title": "Bigger"})),
        (path("contacts", &contact), json!({"name": "Joan"})),
        (path("webhooks", &subscription), json!({"is_active": false})),
    ] {
        let stale = world.get(&path).await.header("etag").to_owned();
        world.patch(&path, changes.clone()).await.data(200);
        let before = world.everything_written().await;
        let body = json!({"title": "x", "name": "x", "is_active": true});
        for tag in [&*stale, "\"x\"", "x", "", &format!("W/{stale}")] {
            for method in [Method::DELETE, Method::PATCH] {
                change(&world, method, &path, tag, &body).await.assert_error(412, "PRECONDITION_FAILED");
            }
        }
        assert_eq!(world.everything_written().await, before);
        let current = world.get(&path).await.header("etag").to_owned();
        for tag in [format!("{stale}, {current}"), current.trim_matches('"').to_owned(), "*".to_owned()] {
            change(&world, Method::PATCH, &path, &tag, &changes).await.data(200);
        }
        assert_eq!(change(&world, Method::DELETE, &path, &current, &json!({})).await.status, 200);
        for tag in ["*", &*current] {
            change(&world, Method::DELETE, &path, tag, &json!({})).await.assert_error(404, "NOT_FOUND");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_has_another_tag_when_its_contact_changed() {
    let world = World::new().await;
    let contact = world.contact("Jane", "100").await;
    let created = world.post("/deals", json!({"title": "Big", "contactId": contact["id"]})).await;
    let path = path("deals", &created.data(201));
    world.put(&self::path("contacts", &contact), json!({"name": "Joan"})).await.data(200);
    let told = change(&world, Method::PUT, &path, created.header("etag"), &json!({"title": "x"})).await;
    told.assert_error(412, "PRECONDITION_FAILED");
    assert_eq!(told.header("etag"), world.get(&path).await.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_record_already_is_not_sent_it_again() {
    let world = World::new().await;
    let contact = world.contact("Jane", "100").await;
    let deal = world.deal(json!({"title": "Big"})).await;
    let subscription = world.subscribe("deal.won", "https://example.com/").await;
    for path in [path("contacts", &contact), path("deals", &deal), path("webhooks", &subscription)] {
        let etag = world.get(&path).await.header("etag").to_owned();
        for known in [&*etag, &format!("\"x\", W/{etag}"), "*"] {
            let answer = show(&world, &path, known).await;
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{path} {known}");
            assert_eq!(answer.header("etag"), etag);
        }
        let changes = json!({"name": "Joan", "title": "Bigger", "is_active": false});
        world.patch(&path, changes).await.data(200);
        let answer = show(&world, &path, &etag).await;
        assert_ne!(answer.header("etag"), etag);
        answer.data(200);
    }
    show(&world, "/contacts/contact_1", "*").await.assert_error(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_of_a_subscription_is_about_its_definition() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let wanted = json!({"event": "contact.created", "target_url": receiver.url("/")});
    let subscribed = world
        .send(world.request(Method::POST, "/webhooks/subscribe").header("idempotency-key", "k").json(&wanted))
        .await;
    let etag = subscribed.header("etag").to_owned();
    let path = path("webhooks", &subscribed.data(201));
    assert_eq!(world.get(&path).await.header("etag"), etag);
    // It is the same in repeated answers, and while deliveries fail.
    let again = world
        .send(world.request(Method::POST, "/webhooks/subscribe").header("idempotency-key", "k").json(&wanted))
        .await;
    assert_eq!((again.header("idempotent-replayed"), again.header("etag")), ("true", &*etag));
    assert_eq!(world.post("/webhooks/subscribe", wanted).await.header("etag"), etag);
    world.contact("Jane", "100").await;
    world.expect_with_retries(&receiver, 4).await;
    eventually("the record of the attempts", async || {
        let shown = world.get(&path).await.data(200);
        (shown["delivery"]["consecutive_undelivered"] == 1).then_some(())
    })
    .await;
    assert_eq!(world.get(&path).await.header("etag"), etag);
    // What nobody is shown counts, too.
    let mut seen = vec![etag];
    for headers in [json!({"X-Token": "one"}), json!({"X-Token": "two"})] {
        let changed = world.patch(&path, json!({"headers": headers})).await;
        assert_eq!(changed.header("etag"), world.get(&path).await.header("etag"));
        let etag = changed.header("etag").to_owned();
        assert!(!seen.contains(&etag));
        seen.push(etag);
    }
    world.post(&format!("{path}/rotate-secret"), json!({})).await.data(200);
    assert!(!seen.contains(&world.get(&path).await.header("etag").to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_origin_may_read_tags_and_send_conditions() {
    let world = World::new().await;
    let preflight = world
        .http
        .request(Method::OPTIONS, world.url("/contacts"))
        .header("origin", "https://tool.example.com")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "if-match,if-none-match");
    let allowed = world.send(preflight).await;
    assert!(allowed.header("access-control-allow-headers").contains("if-match"), "{allowed:?}");
    let contact = world.contact("Jane", "100").await;
    let request = world.request(Method::GET, &path("contacts", &contact)).header("origin", "null");
    let shown = world.send(request).await;
    assert!(shown.headers.contains_key("etag"));
    assert!(shown.header("access-control-expose-headers").contains("etag"), "{shown:?}");
}
