//! Subscriptions that are filtered, paused, resumed, moved, deactivated and ended, and
//! servers that are started again: what waits, what goes out, and that nothing goes twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Received, Receiver, Reply, World, eventually};

/// Longer than any retry waits by itself.
const LONG: Duration = Duration::from_secs(75);

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.data()["name"].as_str().unwrap().to_owned()).collect()
}

fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", subscription["subscription_id"].as_str().unwrap())
}

async fn create(world: &World, names: std::ops::Range<usize>) {
    for number in names {
        world.contact(&number.to_string(), &format!("+331000000{number:02}")).await;
    }
}

/// Waits until the record says this of the subscription.
async fn shown(world: &World, subscription: &Value, what: impl Fn(&Value) -> bool) -> Value {
    eventually("the record of the subscription", async || {
        Some(world.get(&path(subscription)).await.data(200)).filter(|shown| what(shown))
    })
    .await
}

fn failed(times: u64) -> impl Fn(&Value) -> bool {
    move |shown| shown["delivery"]["head_attempts"] == times
}

fn idle(shown: &Value) -> bool {
    shown["delivery"]["waiting"] == false
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_meets_the_filters_is_delivered() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let body = json!({
        "event": "contact.created",
        "target_url": receiver.url("/"),
        "filters": {"tags": ["vip", "lead"], "city": "Paris"},
    });
    let subscription = world.post("/webhooks/subscribe", body).await.data(201);
    let contact = async |number: usize, tags: Value, city: Option<&str>| {
        let phone = format!("+3310000000{number}");
        let body = json!({"name": number.to_string(), "phoneNumber": phone, "tags": tags, "city": city});
        world.post("/contacts", body).await.data(201);
    };
    contact(0, json!(["vip", "other"]), Some("Paris")).await;
    contact(1, json!(["other"]), Some("Paris")).await;
    contact(2, json!(["lead"]), Some("Rome")).await;
    contact(3, json!([]), None).await;
    contact(4, json!(["lead"]), Some("Paris")).await;
    assert_eq!(names(&receiver.expect(2).await), ["0", "4"]);
    world.patch(&path(&subscription), json!({"filters": {"city": null}})).await.data(200);
    contact(5, json!(["lead"]), Some("Paris")).await;
    contact(6, json!([]), None).await;
    assert_eq!(names(&receiver.expect(3).await), ["0", "4", "6"]);
    world.patch(&path(&subscription), json!({"filters": null})).await.data(200);
    contact(7, json!([]), Some("Rome")).await;
    assert_eq!(names(&receiver.expect(4).await), ["0", "4", "6", "7"]);
    receiver.expect_no_more_than(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_during_a_pause_goes_out_in_order_after_it() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..3).await;
    receiver.expect(3).await;
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    create(&world, 3..80).await;
    receiver.expect_no_more_than(3).await;
    assert_eq!(world.get("/webhooks").await.data(200), json!([]));
    world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    create(&world, 80..90).await;
    let received = receiver.expect(90).await;
    assert_eq!(names(&received), (0..90).map(|number| number.to_string()).collect::<Vec<_>>());
    receiver.expect_no_more_than(90).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_retries_and_resuming_goes_on_with_them() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|number, _| Reply::Status(if number < 1 { 500 } else { 200 })).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..2).await;
    shown(&world, &subscription, failed(1)).await;
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    // Its lane hears of it in a moment.
    receiver.expect_no_more_than(1).await;
    world.clock.advance(LONG);
    receiver.expect_no_more_than(1).await;
    world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    let received = receiver.expect(3).await;
    assert_eq!(names(&received), ["0", "0", "1"]);
    assert_eq!(received[1].header("x-isao-attempt"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_deactivates_at_once_and_resuming_delivers_what_waited() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|number, _| Reply::Status(if number == 2 { 410 } else { 200 })).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..5).await;
    let gone = shown(&world, &subscription, |shown| shown["status"] == "deactivated").await;
    assert_eq!(gone["is_active"], false);
    assert_eq!(gone["status_reason"], "the receiver answered 410 Gone");
    create(&world, 5..8).await;
    world.clock.advance(LONG);
    receiver.expect_no_more_than(3).await;
    let waiting = shown(&world, &subscription, failed(1)).await;
    assert_eq!(waiting["delivery"]["waiting"], true);
    let resumed = world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    assert_eq!((&resumed["is_active"], &resumed["status_reason"]), (&json!(true), &Value::Null));
    let received = receiver.expect(9).await;
    assert_eq!(names(&received), ["0", "1", "2", "2", "3", "4", "5", "6", "7"]);
    receiver.expect_no_more_than(9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_url_is_tried_at_once() {
    let world = World::new().await;
    let (old, new) = (Receiver::scripted(|_, _| Reply::Status(500)).await, Receiver::start().await);
    let subscription = world.subscribe("contact.created", &old.url("/")).await;
    create(&world, 0..2).await;
    shown(&world, &subscription, failed(1)).await;
    world.patch(&path(&subscription), json!({"target_url": new.url("/new")})).await.data(200);
    let received = new.expect(2).await;
    assert_eq!(names(&received), ["0", "1"]);
    assert_eq!((received[0].path.as_str(), received[0].header("x-isao-attempt")), ("/new", "2"));
    assert_eq!(received[0].event_id(), old.all()[0].event_id());
    old.expect_no_more_than(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unsubscribing_ends_it_at_once() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..3).await;
    shown(&world, &subscription, failed(1)).await;
    world.delete(&path(&subscription)).await.data(200);
    create(&world, 3..5).await;
    receiver.expect_no_more_than(1).await;
    world.clock.advance(LONG);
    receiver.expect_no_more_than(1).await;
    world.get(&path(&subscription)).await.assert_error(404, "NOT_FOUND");
    // One like it is a new one, and begins where it is made.
    receiver.rescript(|_, _| Reply::Status(200));
    let again = world.subscribe("contact.created", &receiver.url("/")).await;
    assert_ne!(again["id"], subscription["id"]);
    create(&world, 5..6).await;
    assert_eq!(names(&receiver.expect(2).await), ["0", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_made_before_a_restart_count() {
    let mut world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..1).await;
    world.expect_with_retries(&receiver, 2).await;
    let before = shown(&world, &subscription, failed(2)).await;
    world.stop_server().await;
    create_elsewhere(&world).await;
    world.start_server().await;
    let after = world.get(&path(&subscription)).await.data(200);
    assert_eq!(after["delivery"]["next_attempt_at"], before["delivery"]["next_attempt_at"]);
    receiver.expect_no_more_than(2).await;
    let received = world.expect_with_retries(&receiver, 5).await;
    let attempts: Vec<_> = received.iter().map(|received| received.header("x-isao-attempt")).collect();
    assert_eq!(attempts, ["1", "2", "3", "4", "1"]);
    assert_eq!(names(&received), ["0", "0", "0", "0", "Elsewhere"]);
}

/// A contact that another server took while the world's own was away.
async fn create_elsewhere(world: &World) {
    let server = world.another_server().await;
    let body = json!({"name": "Elsewhere", "phoneNumber": "+33299999999"});
    let url = format!("http://{}/api/external/contacts", server.address());
    world.send(world.http.post(url).bearer_auth(&world.key).json(&body)).await.data(201);
    assert!(server.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_delivered_twice_over_clean_restarts() {
    let mut world = World::new().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    for round in 0..3 {
        create(&world, round * 20..(round + 1) * 20).await;
        // In the middle of it.
        world.stop_server().await;
        world.start_server().await;
    }
    let received = receiver.expect(60).await;
    receiver.expect_no_more_than(60).await;
    assert_eq!(names(&received), (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_matched_nothing_is_not_scanned_again() {
    let mut world = World::new().await;
    let receiver = Receiver::start().await;
    let body =
        json!({"event": "contact.created", "target_url": receiver.url("/"), "filters": {"city": "Nowhere"}});
    let subscription = world.post("/webhooks/subscribe", body).await.data(201);
    let rows = async || -> (bool, i64) {
        sqlx::query_as("SELECT lagging, seq FROM cursors").fetch_one(&world.pool).await.unwrap()
    };
    eventually("the record of the subscription", async || (rows().await == (false, 0)).then_some(())).await;
    create(&world, 0..30).await;
    assert_eq!(rows().await, (false, 0), "what does not match costs nothing");
    world.stop_server().await;
    let (checkpoint, head): (i64, i64) =
        sqlx::query_as("SELECT min(checkpoint), min(seq) FROM shards, log_head")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!((checkpoint, head), (30, 30));
    // It would be delivered if it were looked at once more.
    sqlx::query("UPDATE events SET data = replace(data, '\"city\":null', '\"city\":\"Nowhere\"')")
        .execute(&world.pool)
        .await
        .unwrap();
    world.start_server().await;
    shown(&world, &subscription, idle).await;
    receiver.expect_no_more_than(0).await;
}
