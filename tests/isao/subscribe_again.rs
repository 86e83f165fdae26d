//! Subscribing again, resuming and trying again: as Zapier, Make and n8n do after an outage.

use std::time::Duration;

use isao::delivery::Tuning;
use serde_json::{Value, json};

use crate::support::{Receiver, Reply, World, eventually};

/// Given up soon, and then paused for long.
fn impatient() -> Tuning {
    Tuning {
        retry_delays: "100ms,100ms,100ms".parse().unwrap(),
        degraded_pause: Duration::from_secs(1000),
        deactivate_after: 2,
        ..Tuning::default()
    }
}

fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", subscription["id"].as_str().unwrap())
}

async fn names(receiver: &Receiver, count: usize) -> Vec<Value> {
    receiver.expect(count).await.iter().map(|received| received.data()["name"].clone()).collect()
}

/// A receiver that answers 410 at first, and its subscription, which is deactivated by that.
async fn deactivated(world: &World) -> (Receiver, Value) {
    let receiver = Receiver::scripted(|_, _| Reply::Status(410)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("Gone", "+33100000001").await;
    eventually("the deactivation", async || {
        let seen = world.get(&path(&subscription)).await.data(200);
        (seen["status"] == "deactivated").then_some(())
    })
    .await;
    receiver.rescript(|_, _| Reply::Status(200));
    (receiver, subscription)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_a_deactivated_subscription_comes_when_it_is_subscribed_again() {
    let world = World::new().await;
    let (receiver, first) = deactivated(&world).await;
    world.contact("Waited", "+33100000002").await;
    let body = json!({"event": "contact.created", "target_url": receiver.url("/")});
    let again = world.post("/webhooks/subscribe", body).await.data(200);
    assert_eq!(
        (&again["id"], &again["is_active"], &again["secret"]),
        (&first["id"], &json!(true), &first["secret"])
    );
    let arrived = names(&receiver, 3).await;
    assert_eq!(arrived[arrived.len() - 1], "Waited");
    let seen = world.get("/webhooks?status=all").await.data(200);
    assert_eq!(seen.as_array().unwrap().len(), 1, "there is no second one");
    assert_eq!((&seen[0]["status"], &seen[0]["status_reason"]), (&json!("active"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_is_skipped_if_that_is_asked_for() {
    let world = World::new().await;
    let (receiver, first) = deactivated(&world).await;
    world.contact("Waited", "+33100000002").await;
    let body = json!({"event": "contact.created", "target_url": receiver.url("/"), "resume": "now"});
    assert_eq!(world.post("/webhooks/subscribe", body).await.data(200)["id"], first["id"]);
    world.contact("New", "+33100000003").await;
    let arrived = names(&receiver, 2).await;
    assert_eq!(arrived[1..], ["New"]);
    receiver.expect_no_more_than(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_differently_is_taken_over() {
    const OWN: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let first = world.subscribe("contact.created", &receiver.url("/")).await;
    let other = world.subscribe("contact.updated", &receiver.url("/")).await;
    let again = async |more: Value| {
        let mut body = json!({"event": "contact.created", "target_url": receiver.url("/")});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.post("/webhooks/subscribe", body).await
    };
    let changed = again(json!({"ordering": "record", "concurrency": 8})).await.data(200);
    assert_eq!((&changed["ordering"], &changed["concurrency"]), (&json!("record"), &json!(8)));
    let kept = again(json!({})).await.data(200);
    assert_eq!(
        (&kept["ordering"], &kept["concurrency"]),
        (&json!("record"), &json!(8)),
        "what is not asked stays"
    );
    let changed = again(json!({"secret": OWN})).await.data(200);
    assert_eq!((&changed["id"], &changed["secret"]), (&first["id"], &json!(OWN)));
    for shown in [&first, &other] {
        let seen = world.get(&path(shown)).await.data(200);
        assert!(seen["previous_secret_valid_until"].is_string(), "both changed it together: {seen}");
    }
    world.contact("Jane", "+33100000001").await;
    let received = receiver.expect(1).await;
    assert_eq!(received[0].header("webhook-signature").split(' ').count(), 2, "with the usual overlap");
    let told = again(json!({"since": "2024-01-01"})).await.assert_error(409, "ALREADY_EXISTS");
    assert_eq!(
        (&told["details"]["existingId"], &told["details"]["field"]),
        (&first["subscription_id"], &json!("since"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_subscription_that_pauses_after_a_failure_says_so_and_can_be_told_to_try_now() {
    let world = World::tuned(impatient()).await;
    let receiver = Receiver::scripted(|_, received| {
        Reply::Status(if received.data()["name"] == "Bad" { 500 } else { 200 })
    })
    .await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    let other = world.subscribe("deal.created", &receiver.url("/")).await;
    world.contact("Bad", "+33100000001").await;
    world.contact("Good", "+33100000002").await;
    let degraded = eventually("the pause", async || {
        world.clock.advance(Duration::from_millis(60));
        let seen = world.get(&path(&subscription)).await.data(200);
        (seen["status"] == "degraded").then_some(seen)
    })
    .await;
    let reason = degraded["status_reason"].as_str().unwrap();
    assert!(reason.contains("500") && reason.contains("is_active: true"), "{reason}");
    assert!(degraded["degraded_until"].is_string() && degraded["is_active"] == true, "{degraded}");
    let seen = world.get(&path(&other)).await.data(200);
    assert_eq!(seen["status"], "degraded", "it is one receiver: {seen}");
    let listed = world.get("/webhooks?status=degraded").await.data(200);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    receiver.expect_no_more_than(4).await;
    world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    assert_eq!(names(&receiver, 5).await[4], "Good");
    eventually("the end of the pause", async || {
        let seen = world.get(&path(&subscription)).await.data(200);
        (seen["status"] == "active" && seen["status_reason"].is_null()).then_some(())
    })
    .await;
    assert_eq!(world.get("/webhooks?status=degraded").await.data(200), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_a_paused_subscription_says_what_it_waits_for() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("Jane", "+33100000001").await;
    receiver.expect(1).await;
    let delivery = eventually("the record", async || {
        let listed =
            world.get(&format!("{}/deliveries?state=delivered", path(&subscription))).await.data(200);
        listed.get(0).map(|delivery| delivery["id"].as_str().unwrap().to_owned())
    })
    .await;
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    let replay = world.post(&format!("/webhooks/deliveries/{delivery}/redeliver"), json!({})).await.data(202);
    assert!(replay["waits_for"].as_str().unwrap().contains("paused"), "{replay}");
    let shown = format!("/webhooks/replays/{}", replay["id"].as_str().unwrap());
    assert_eq!(world.get(&shown).await.data(200)["waits_for"], replay["waits_for"]);
    receiver.expect_no_more_than(1).await;
    world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    receiver.expect(2).await;
    assert_eq!(world.get(&shown).await.data(200)["waits_for"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_ones_own_go_with_every_delivery_and_are_not_shown_again() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let body = json!({"event": "contact.created", "target_url": receiver.url("/"),
                      "headers": {"Authorization": "Bearer s3cret", "X-Team": "crm"}});
    let made = world.post("/webhooks/subscribe", body).await;
    let shown = json!({"authorization": "…", "x-team": "…"});
    assert_eq!(made.data(201)["headers"], shown);
    assert!(!made.text.contains("s3cret"), "{}", made.text);
    let subscription = made.data(201);
    world.contact("Jane", "+33100000001").await;
    let received = receiver.expect(1).await;
    assert_eq!((received[0].header("authorization"), received[0].header("x-team")), ("Bearer s3cret", "crm"));
    let tested = world.post(&format!("{}/test", path(&subscription)), json!({})).await;
    assert!(!tested.text.contains("s3cret") && tested.text.contains("not shown"), "{}", tested.text);
    assert_eq!(receiver.expect(2).await[1].header("authorization"), "Bearer s3cret");
    let listed = eventually("the record", async || {
        let listed =
            world.get(&format!("{}/deliveries?state=delivered", path(&subscription))).await.data(200);
        listed.get(0).map(|delivery| delivery["id"].as_str().unwrap().to_owned())
    })
    .await;
    let delivery = world.get(&format!("/webhooks/deliveries/{listed}")).await;
    assert!(
        !delivery.text.contains("s3cret") && delivery.text.contains("authorization"),
        "{}",
        delivery.text
    );

    let again =
        json!({"event": "contact.created", "target_url": receiver.url("/"), "headers": {"X-Team": "sales"}});
    let again = world.post("/webhooks/subscribe", again).await.data(200);
    assert_eq!((&again["id"], &again["headers"]), (&subscription["id"], &json!({"x-team": "…"})));
    world.contact("Joan", "+33100000002").await;
    let received = receiver.expect(3).await;
    assert!(received[2].header("x-team") == "sales" && received[2].headers.get("authorization").is_none());
    let cleared = world.patch(&path(&subscription), json!({"headers": null})).await.data(200);
    assert_eq!(cleared["headers"], json!({}));
    let body = json!({"event": "deal.won", "target_url": receiver.url("/"), "headers": {"Host": "x"}});
    let told = world.post("/webhooks/subscribe", body).await.bad_fields();
    assert!(told["headers"].as_str().unwrap().contains("by itself"), "{told}");
}
