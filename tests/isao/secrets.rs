//! Changing the secret of a subscription without losing a delivery.

use std::time::Duration;

use chrono::TimeDelta;
use isao::model::permission::Permission;
use isao::outbound::signature::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::time;
use crate::support::{Answer, Received, Receiver, World, eventually};

const OWN: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A receiver, and the subscription that leads to it.
async fn subscribed(world: &World) -> (Receiver, Value) {
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    (receiver, subscription)
}

fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", subscription["id"].as_str().unwrap())
}

async fn rotate(world: &World, subscription: &Value, body: Value) -> Answer {
    world.post(&format!("{}/rotate-secret", path(subscription)), body).await
}

/// The signatures of the next delivery must be by these secrets, in this order.
async fn assert_signed_by(world: &World, receiver: &Receiver, secrets: &[&Value]) {
    let before = receiver.all().len();
    world.contact("Jane", &format!("+33 {before}")).await;
    let received: Received = receiver.expect(before + 1).await[before].clone();
    let timestamp = received.header("webhook-timestamp").parse().unwrap();
    let signatures: Vec<_> = secrets
        .iter()
        .map(|secret| {
            let secret: Secret = secret.as_str().unwrap().parse().unwrap();
            secret.sign(&received.event_id(), timestamp, &received.body)
        })
        .collect();
    assert_eq!(received.header("webhook-signature"), signatures.join(" "));
    // Until its answer has arrived, a clock that moves would let the attempt time out.
    eventually("the record of the delivery", async || {
        let delivered = "SELECT count(*) FROM attempts WHERE outcome = 'delivered'";
        let delivered: i64 = sqlx::query_scalar(delivered).fetch_one(&world.pool).await.unwrap();
        (delivered > i64::try_from(before).unwrap()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_in_the_overlap_and_the_new_one_after_it() {
    let world = World::new().await;
    let (receiver, subscription) = subscribed(&world).await;
    let old = &subscription["secret"];
    assert_signed_by(&world, &receiver, &[old]).await;

    let answer = rotate(&world, &subscription, json!({})).await;
    let rotated = answer.data(200);
    let new = &rotated["secret"];
    assert!(new.as_str().unwrap().starts_with("whsec_") && new != old);
    let until = world.clock.now() + TimeDelta::hours(24);
    let expected = json!({
        "success": true,
        "data": {
            "id": subscription["id"],
            "subscription_id": subscription["subscription_id"],
            "secret": new,
            "previous_secret_valid_until": isao::model::time::wire_time(until),
        },
    });
    assert_eq!(answer.json(), expected);
    assert_signed_by(&world, &receiver, &[new, old]).await;

    let seen = world.get(&path(&subscription)).await;
    assert_eq!(time(&seen.data(200)["previous_secret_valid_until"]), until);
    for secret in [new, old] {
        assert!(!seen.text.contains(secret.as_str().unwrap()), "shown once");
    }

    world.clock.advance(Duration::from_secs(24 * 60 * 60) - Duration::from_millis(1));
    assert_signed_by(&world, &receiver, &[new, old]).await;
    world.clock.advance(Duration::from_millis(1));
    assert_signed_by(&world, &receiver, &[new]).await;
    assert!(world.get(&path(&subscription)).await.data(200).get("previous_secret_valid_until").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_signs_no_more_is_erased() {
    let world = World::new().await;
    let (receiver, subscription) = subscribed(&world).await;
    let new = rotate(&world, &subscription, json!({})).await.data(200)["secret"].clone();
    let (_other, longer) = subscribed(&world).await;
    rotate(&world, &longer, json!({"overlap": "7d"})).await.data(200);
    let kept = async || -> Vec<Value> {
        let rows = "SELECT known.secret ->> 0 FROM subscriptions, jsonb_array_elements(previous_secrets) AS known (secret) ORDER BY id";
        let kept: Vec<String> = sqlx::query_scalar(rows).fetch_all(&world.pool).await.unwrap();
        kept.into_iter().map(Value::String).collect()
    };
    assert_eq!(kept().await, [subscription["secret"].clone(), longer["secret"].clone()]);
    world.clock.advance(Duration::from_secs(24 * 60 * 60));
    eventually("the erasure", async || {
        // It is looked for once in a while.
        world.clock.advance(Duration::from_secs(60));
        (kept().await == [longer["secret"].clone()]).then_some(())
    })
    .await;
    assert!(!world.everything_written().await.contains(subscription["secret"].as_str().unwrap()));
    assert_signed_by(&world, &receiver, &[&new]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_secret_signs_as_long_as_it_was_promised_to() {
    let world = World::new().await;
    let (receiver, subscription) = subscribed(&world).await;
    let second = rotate(&world, &subscription, json!({"overlap": "7d"})).await.data(200);
    world.clock.advance(Duration::from_secs(60));
    let third = rotate(&world, &subscription, json!({"secret": OWN, "overlap": "1h"})).await.data(200);
    assert_eq!(third["secret"], OWN);
    let week = world.clock.now() + TimeDelta::days(7) - TimeDelta::seconds(60);
    assert_eq!(time(&third["previous_secret_valid_until"]), week);
    let all = [&third["secret"], &second["secret"], &subscription["secret"]];
    assert_signed_by(&world, &receiver, &all).await;
    world.clock.advance(Duration::from_secs(60 * 60));
    assert_signed_by(&world, &receiver, &[all[0], all[2]]).await;
    // Five at a time, so that the header stays short.
    for _ in 0..4 {
        rotate(&world, &subscription, json!({})).await.data(200);
    }
    let told = rotate(&world, &subscription, json!({})).await.assert_error(409, "CONFLICT");
    assert!(told["message"].as_str().unwrap().contains("0s"), "{told}");
    // Without an overlap there is nothing to wait for.
    let fourth = rotate(&world, &subscription, json!({"overlap": "0s"})).await.data(200);
    assert_eq!(fourth["previous_secret_valid_until"], Value::Null);
    assert_signed_by(&world, &receiver, &[&fourth["secret"]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_survives_a_restart_and_a_change() {
    let mut world = World::new().await;
    let (receiver, subscription) = subscribed(&world).await;
    let new = rotate(&world, &subscription, json!(null)).await;
    new.assert_error(400, "INVALID_JSON");
    let no_body = world.request(Method::POST, &format!("{}/rotate-secret", path(&subscription)));
    let new = world.send(no_body).await.data(200);
    let changed = world.patch(&path(&subscription), json!({"filters": {"name": "Jane"}})).await.data(200);
    assert_eq!(changed["previous_secret_valid_until"], new["previous_secret_valid_until"]);
    world.stop_server().await;
    world.start_server().await;
    assert_signed_by(&world, &receiver, &[&new["secret"], &subscription["secret"]]).await;
    // A twin is shown the secret that is in force.
    let twin =
        json!({"event": "contact.created", "target_url": receiver.url("/"), "filters": {"name": "Jane"}});
    let twin = world.post("/webhooks/subscribe", twin).await.data(200);
    assert_eq!((&twin["id"], &twin["secret"]), (&subscription["id"], &new["secret"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_rotates_once() {
    let world = World::new().await;
    let (receiver, subscription) = subscribed(&world).await;
    let path = format!("{}/rotate-secret", path(&subscription));
    let request =
        || world.request(Method::POST, &path).header("idempotency-key", "rotation").json(&json!({}));
    let first = world.send(request()).await;
    assert_eq!(world.send(request()).await.text, first.text);
    assert_signed_by(&world, &receiver, &[&first.data(200)["secret"], &subscription["secret"]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_rotation_changes_nothing() {
    let world = World::new().await;
    let (_receiver, subscription) = subscribed(&world).await;
    let before = world.everything_written().await;
    for (body, field) in [
        (json!({"secret": "mine"}), "secret"),
        (json!({"secret": "whsec_c2hvcnQ="}), "secret"),
        (json!({"secret": 7}), "secret"),
        (json!({"secret": subscription["secret"]}), "secret"),
        (json!({"overlap": "8d"}), "overlap"),
        (json!({"overlap": "169h"}), "overlap"),
        (json!({"overlap": "-1s"}), "overlap"),
        (json!({"overlap": "a day"}), "overlap"),
        (json!({"overlap": 24}), "overlap"),
    ] {
        let told = rotate(&world, &subscription, body.clone()).await.bad_fields();
        assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), [field], "{body}: {told}");
    }
    let told = rotate(&world, &subscription, json!({"secret": "mine", "overlap": "8d"})).await.bad_fields();
    assert_eq!(told.as_object().unwrap().len(), 2);
    let unknown = world.post("/webhooks/sub_00000000000000000000000000000000/rotate-secret", json!({})).await;
    unknown.assert_error(404, "NOT_FOUND");
    let reader = world.add_key(world.company, &[Permission::WebhooksRead]).await;
    let url = world.url(&format!("{}/rotate-secret", path(&subscription)));
    world.send(world.http.post(url).bearer_auth(reader)).await.assert_error(403, "PERMISSION_DENIED");
    assert_eq!(world.everything_written().await, before);
}
