//! Trying out: tests and previews.

use std::time::Duration;

use isao::model::permission::Permission;
use isao::model::words::Words;
use isao::outbound::signature::Secret;
use serde_json::{Value, json};

use crate::support::{Receiver, Reply, World};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", text(&subscription["id"]))
}

fn header<'a>(headers: &'a Value, name: &str) -> &'a str {
    let all = headers.as_array().unwrap();
    let found = all.iter().find(|header| header[0] == name).unwrap_or_else(|| panic!("no {name}: {headers}"));
    text(&found[1])
}

/// The signature that belongs to these headers and this body.
fn signature(subscription: &Value, headers: &Value, body: &str) -> String {
    let secret: Secret = text(&subscription["secret"]).parse().unwrap();
    let timestamp = header(headers, "webhook-timestamp").parse().unwrap();
    secret.sign(header(headers, "webhook-id"), timestamp, body.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_arrives_signed_and_leaves_no_trace() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::With(200, "set-cookie", "a=b".into())).await;
    for event in ["contact.created", "deal.stage_changed"] {
        let subscription = world.subscribe(event, &receiver.url("/hook")).await;
        world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
        let before = world.get(&path(&subscription)).await.data(200);
        let tested = world.post(&format!("{}/test", path(&subscription)), json!({})).await.data(200);
        let received = receiver.all().pop().unwrap();
        assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(200)), "{tested}");
        assert_eq!((&tested["error"], &tested["error_class"]), (&Value::Null, &Value::Null));
        assert_eq!(tested["remote_addr"], receiver.address.to_string());
        let headers = tested["response"]["headers"].as_array().unwrap();
        assert!(headers.contains(&json!(["set-cookie", "…"])), "{tested}");
        let (headers, body) = (&tested["request"]["headers"], text(&tested["request"]["body"]));
        assert_eq!(body.as_bytes(), received.body, "told to the letter");
        assert_eq!(headers.as_array().unwrap().len(), received.headers.len());
        for sent in headers.as_array().unwrap() {
            assert_eq!(text(&sent[1]), received.header(text(&sent[0])));
        }
        assert_eq!(header(headers, "x-isao-test"), "true");
        assert_eq!(header(headers, "webhook-signature"), signature(&subscription, headers, body));
        let sample = world.get(&format!("/triggers/{event}/sample")).await.json();
        assert_eq!(received.data(), sample);
        assert_eq!(received.event_id(), header(headers, "webhook-id"));
        assert_eq!(world.get(&path(&subscription)).await.data(200), before);
        let deliveries = world.get(&format!("{}/deliveries", path(&subscription))).await.data(200);
        assert_eq!(deliveries, json!([]));
    }
    assert!(world.event_types().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_carries_fields_of_the_callers() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    let path = format!("/webhooks/{}/test", subscription["id"].as_str().unwrap());
    world.post(&path, json!({"data": {"name": "Ann Lee", "own": 1}})).await.data(200);
    let sent = receiver.expect(1).await[0].json()["data"].clone();
    assert_eq!(
        (&sent["name"], &sent["own"], &sent["id"]),
        (&json!("Ann Lee"), &json!(1), &json!("contact_sample"))
    );
    let bad = world.post(&path, json!({"data": [1]})).await.bad_fields();
    assert!(bad["data"].as_str().unwrap().contains("must be an object"), "{bad}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_tells_what_is_wrong() {
    let world = World::new().await;
    let failing = Receiver::scripted(|_, _| Reply::Status(503)).await;
    let subscription = world.subscribe("contact.created", &failing.url("/")).await;
    let test = format!("{}/test", path(&subscription));
    let tested = world.post(&test, json!({})).await.data(200);
    assert_eq!((&tested["delivered"], &tested["error_class"]), (&json!(false), &json!("status")));
    assert_eq!((&tested["error"], &tested["response"]["body"]), (&json!("answered 503"), &json!("ok")));
    let nowhere = world.subscribe("contact.created", "http://nowhere.invalid/").await;
    let tested = world.post(&format!("{}/test", path(&nowhere)), json!({})).await.data(200);
    assert_eq!((&tested["error_class"], &tested["response"]), (&json!("dns"), &Value::Null));
    // A subscription that may not reach this machine, such as one made from elsewhere.
    sqlx::query("UPDATE subscriptions SET loopback = false").execute(&world.pool).await.unwrap();
    let tested = world.post(&test, json!({})).await.data(200);
    assert_eq!((&tested["error_class"], &tested["status"]), (&json!("blocked"), &Value::Null));
    assert!(text(&tested["error"]).contains("ISAO_ALLOW_TARGETS"), "{tested}");
    assert_eq!(failing.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_are_bounded_in_time_and_number() {
    let world = World::new().await;
    let silent = Receiver::scripted(|_, _| Reply::Never).await;
    let subscription = world.subscribe("contact.created", &silent.url("/")).await;
    let test = format!("{}/test", path(&subscription));
    let hanging = futures_util::future::join_all((0..2).map(|_| world.post(&test, json!({}))));
    let meanwhile = async {
        silent.expect(2).await;
        let refused = world.post(&test, json!({})).await;
        refused.assert_error(503, "OVERLOADED");
        assert_eq!(refused.header("retry-after"), "2");
        world.clock.advance(Duration::from_secs(16));
    };
    let (answers, ()) = tokio::join!(hanging, meanwhile);
    for answer in answers {
        let tested = answer.data(200);
        assert_eq!(tested["error_class"], "timeout");
        assert_eq!(tested["error"], "no complete answer within 15s");
        assert_eq!(tested["duration_ms"], 16_000);
    }
    silent.rescript(|_, _| Reply::Status(204));
    assert_eq!(world.post(&test, json!({})).await.data(200)["delivered"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_what_then_arrives() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/all")).await;
    let picky =
        json!({"event": "contact.created", "target_url": receiver.url("/vip"), "filters": {"tags": "vip"}});
    let picky = world.post("/webhooks/subscribe", picky).await.data(201);
    world.subscribe("contact.updated", &receiver.url("/other")).await;
    let contact = world.contact("Zoë \"Ω\" Müller", "+33100000001").await;
    let received = &receiver.expect(1).await[0];

    let answer =
        world.post("/webhooks/preview", json!({"event": "contact.created", "recordId": contact["id"]})).await;
    for secret in [&subscription["secret"], &picky["secret"]] {
        assert!(!answer.text.contains(text(secret).trim_start_matches("whsec_")));
    }
    let preview = answer.data(200);
    let body = text(&preview["body"]);
    let [skipped, reached] = &preview["subscriptions"].as_array().unwrap()[..] else { panic!("{preview}") };
    assert_eq!((&skipped["id"], &skipped["matches"]), (&picky["id"], &json!(false)));
    assert_eq!((&skipped["headers"], &skipped["filters"]), (&Value::Null, &json!({"tags": ["vip"]})));
    assert_eq!((&reached["id"], &reached["matches"]), (&subscription["id"], &json!(true)));
    let headers = &reached["headers"];
    let event_id = header(headers, "webhook-id");
    let real = std::str::from_utf8(&received.body).unwrap();
    assert_eq!(body, real.replace(&received.event_id(), event_id), "the same bytes but for the id");
    // Whoever may only read gets nothing that a receiver would take for an event.
    assert_eq!(header(headers, "webhook-signature"), "v1,(not shown)");
    assert_eq!(headers.as_array().unwrap().len(), received.headers.len());
    for sent in headers.as_array().unwrap() {
        if !["webhook-id", "webhook-signature"].contains(&text(&sent[0])) {
            assert_eq!(text(&sent[1]), received.header(text(&sent[0])));
        }
    }
    receiver.expect_no_more_than(1).await;

    // A change is seen at once, and so is what matches then.
    let record = format!("/contacts/{}", text(&contact["id"]));
    world.put(&record, json!({"tags": ["vip"]})).await.data(200);
    let wanted = json!({"event": "contact.created", "recordId": contact["id"]});
    let preview = world.post("/webhooks/preview", wanted).await.data(200);
    assert_eq!(preview["subscriptions"][0]["matches"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_has_a_preview_with_the_keys_of_its_sample() {
    let world = World::new().await;
    let contact = world.contact("Jane", "100").await;
    let deal = world.deal(json!({"title": "Big", "contactId": contact["id"]})).await;
    let keys = |record: &Value| record.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for event in isao::model::events::EventType::WORDS {
        let sample = world.get(&format!("/triggers/{event}/sample")).await.json();
        let record = if event.starts_with("contact") { &contact } else { &deal };
        for record_id in [Value::Null, record["id"].clone()] {
            let wanted = json!({"event": event, "recordId": record_id});
            let preview = world.post("/webhooks/preview", wanted).await.data(200);
            assert_eq!(preview["subscriptions"], json!([]));
            let body: Value = serde_json::from_str(text(&preview["body"])).unwrap();
            assert_eq!(keys(&body["data"]), keys(&sample));
            let expected = if record_id.is_null() { &sample["id"] } else { &record_id };
            assert_eq!((&body["event"], &body["data"]["id"]), (&json!(event), expected));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_try_what() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    let contact = world.contact("Jane", "100").await;
    receiver.expect(1).await;
    let test = format!("{}/test", path(&subscription));
    let post = async |key: &str, path: &str, body: Value| {
        world.send(world.http.post(world.url(path)).bearer_auth(key).json(&body)).await
    };
    let preview = json!({"event": "contact.created", "recordId": contact["id"]});
    let stranger = world.add_key(world.add_company("Other").await, Permission::ALL).await;
    post(&stranger, &test, json!({})).await.assert_error(404, "NOT_FOUND");
    post(&stranger, "/webhooks/preview", preview.clone()).await.assert_error(404, "NOT_FOUND");
    let reader = world.add_key(world.company, &[Permission::WebhooksRead]).await;
    post(&reader, &test, json!({})).await.assert_error(403, "PERMISSION_DENIED");
    post(&reader, "/webhooks/preview", preview.clone()).await.data(200);
    let nobody = world.add_key(world.company, &[Permission::ContactsWrite]).await;
    post(&nobody, "/webhooks/preview", preview).await.assert_error(403, "PERMISSION_DENIED");
    world.post("/webhooks/hook_7/test", json!({})).await.assert_error(404, "NOT_FOUND");
    receiver.expect_no_more_than(1).await;

    for (body, field) in [
        (json!({}), "event"),
        (json!({"event": "contact.vanished"}), "event"),
        (json!({"event": "deal.won", "recordId": contact["id"]}), "recordId"),
        (json!({"event": "deal.won", "recordId": 7}), "recordId"),
    ] {
        assert!(world.post("/webhooks/preview", body).await.bad_fields()[field].is_string(), "{field}");
    }
    let unknown = format!("contact_{}", "0".repeat(32));
    let unknown =
        world.post("/webhooks/preview", json!({"event": "contact.created", "recordId": unknown})).await;
    unknown.assert_error(404, "NOT_FOUND");
}
