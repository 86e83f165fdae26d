//! Subscriptions whose events are not delivered: patience, deactivation, alerts, and how
//! they come back.

use std::time::Duration;

use isao::delivery::Tuning;
use isao::delivery::health::AlertTarget;
use isao::model::time::wire_time;
use isao::outbound::signature::Secret;
use isao::server::Role;
use serde_json::{Value, json};

use crate::support::{Received, Receiver, Reply, World, eventually};

/// Attempts follow each other at once; what remains is the pause after undelivered events.
fn hasty(deactivate_after: i32) -> Tuning {
    Tuning { retry_delays: "0s,0s,0s".parse().unwrap(), deactivate_after, ..Tuning::default() }
}

fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", subscription["id"].as_str().unwrap())
}

async fn create(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers {
        world.contact(&number.to_string(), &format!("+331000000{number:02}")).await;
    }
}

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.data()["name"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the record says this of the subscription.
async fn shown(world: &World, subscription: &Value, what: impl Fn(&Value) -> bool) -> Value {
    eventually("the record of the subscription", async || {
        Some(world.get(&path(subscription)).await.data(200)).filter(|shown| what(shown))
    })
    .await
}

fn in_row(count: u64) -> impl Fn(&Value) -> bool {
    move |shown| shown["delivery"]["consecutive_undelivered"] == count
}

fn idle(shown: &Value) -> bool {
    shown["delivery"]["waiting"] == false
}

fn deactivated(shown: &Value) -> bool {
    shown["status"] == "deactivated"
}

const ALERT_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Alerts that go to this receiver.
fn alerts(operator: &Receiver) -> AlertTarget {
    AlertTarget {
        url: operator.url("/alerts").parse().unwrap(),
        secret: Some(ALERT_SECRET.parse().unwrap()),
        public_url: "https://isao.example.com/".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_twenty_undelivered_events_in_a_row_it_is_deactivated_and_told() {
    let operator = Receiver::start().await;
    let world = World::tuned(Tuning { alerts: Some(alerts(&operator)), ..hasty(20) }).await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/secret-path")).await;
    create(&world, 0..23).await;
    let received = world.expect_with_retries(&receiver, 80).await;
    let shown = shown(&world, &subscription, deactivated).await;
    assert_eq!(shown["is_active"], false);
    let reason = "20 events in a row were not delivered; the last error: answered 500";
    assert_eq!(shown["status_reason"], reason);
    let listed = world.get("/webhooks?status=deactivated").await.data(200);
    assert_eq!((&listed[0]["id"], &listed[0]["status_reason"]), (&subscription["id"], &json!(reason)));

    // Four attempts each, and pauses that double from half a minute to half an hour.
    let expected: Vec<_> = (0..20).flat_map(|number| vec![number.to_string(); 4]).collect();
    assert_eq!(names(&received), expected);
    let times: Vec<i64> =
        received.iter().map(|received| received.header("webhook-timestamp").parse().unwrap()).collect();
    for number in 1..20 {
        let pause = times[4 * number] - times[4 * number - 1];
        let wanted = 30 * (1 << (number - 1).min(6));
        assert!((wanted..=wanted + 2).contains(&pause), "{number}: {pause} instead of {wanted}");
    }
    world.clock.advance(Duration::from_secs(24 * 60 * 60));
    receiver.expect_no_more_than(80).await;

    let told = operator.expect(2).await;
    for alert in &told {
        let secret: Secret = ALERT_SECRET.parse().unwrap();
        let timestamp = alert.header("webhook-timestamp").parse().unwrap();
        let signature = secret.sign(alert.header("webhook-id"), timestamp, &alert.body);
        assert_eq!(alert.header("webhook-signature"), signature, "signed like a webhook");
    }
    assert_ne!(told[0].header("webhook-id"), told[1].header("webhook-id"));
    let alerts: Vec<_> = told.iter().map(Received::json).collect();
    assert_eq!(
        (&alerts[0]["alert"], &alerts[1]["alert"]),
        (&json!("subscription.failing"), &json!("subscription.deactivated"))
    );
    let first = "10 events in a row were not delivered; after 20 the subscription is deactivated; the last error: answered 500";
    assert_eq!((&alerts[0]["reason"], &alerts[1]["reason"]), (&json!(first), &json!(reason)));
    for alert in &alerts {
        assert_eq!(alert["subscription_id"], subscription["subscription_id"]);
        assert_eq!(alert["companyId"], world.company.to_string());
        assert_eq!(alert["target"], format!("http://{}", receiver.address));
        let event = &alert["event"];
        assert_eq!(
            (&event["type"], &event["attempt"], &event["error"], &event["error_class"]),
            (&json!("contact.created"), &json!(4), &json!("answered 500"), &json!("status"))
        );
        assert!(event["eventId"].as_str().unwrap().starts_with("event_"), "{alert}");
        assert_eq!(alert["deactivated_after"], 20);
        let link = format!("https://isao.example.com/api/external{}", path(&subscription));
        assert_eq!(alert["link"], link);
    }
    assert_eq!(
        (&alerts[0]["consecutive_undelivered"], &alerts[1]["consecutive_undelivered"]),
        (&json!(10), &json!(20))
    );
    operator.expect_no_more_than(2).await;

    // Nothing that waited is lost.
    receiver.rescript(|_, _| Reply::Status(200));
    world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    assert_eq!(names(&receiver.expect(83).await[80..]), ["20", "21", "22"]);
    let shown = self::shown(&world, &subscription, in_row(0)).await;
    assert_eq!((&shown["status"], &shown["status_reason"]), (&json!("active"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_counts_more_than_failures_before_it() {
    let operator = Receiver::start().await;
    let world = World::tuned(Tuning { alerts: Some(alerts(&operator)), ..hasty(3) }).await;
    let receiver = Receiver::scripted(|_, received| {
        let number: usize = received.data()["name"].as_str().unwrap().parse().unwrap();
        Reply::Status(if number % 3 == 2 { 200 } else { 500 })
    })
    .await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..9).await;
    world.expect_with_retries(&receiver, 3 * 9).await;
    let shown = shown(&world, &subscription, idle).await;
    assert_eq!(
        (&shown["status"], &shown["delivery"]["consecutive_undelivered"]),
        (&json!("active"), &json!(0))
    );
    // Half of three, rounded up, each time anew.
    let alerts: Vec<_> = operator.expect(3).await.iter().map(|alert| alert.json()["alert"].clone()).collect();
    assert_eq!(alerts, ["subscription.failing"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_after_an_undelivered_event_outlives_a_restart_but_not_a_new_url() {
    let mut world = World::tuned(hasty(20)).await;
    let (old, new) = (Receiver::scripted(|_, _| Reply::Status(500)).await, Receiver::start().await);
    let subscription = world.subscribe("contact.created", &old.url("/")).await;
    create(&world, 0..3).await;
    old.expect(4).await;
    shown(&world, &subscription, in_row(1)).await;
    world.stop_server().await;
    world.start_server().await;
    old.expect_no_more_than(4).await;
    world.clock.advance(Duration::from_secs(29));
    old.expect_no_more_than(4).await;
    world.clock.advance(Duration::from_secs(2));
    old.expect(8).await;
    shown(&world, &subscription, in_row(2)).await;
    // It says nothing about the new receiver how the old one did.
    world.patch(&path(&subscription), json!({"target_url": new.url("/")})).await.data(200);
    assert_eq!(names(&new.expect(1).await), ["2"]);
    shown(&world, &subscription, in_row(0)).await;
    old.expect_no_more_than(8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_and_resuming_ends_the_patience() {
    let world = World::tuned(hasty(2)).await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..3).await;
    receiver.expect(4).await;
    shown(&world, &subscription, in_row(1)).await;
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    // Its lane hears of it in a moment.
    receiver.expect_no_more_than(4).await;
    world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    // Without waiting, and counting from the beginning.
    receiver.expect(8).await;
    shown(&world, &subscription, |shown| {
        in_row(1)(shown) && shown["status"] == "degraded" && shown["delivery"]["head_attempts"] == 0
    })
    .await;
    assert_eq!(names(&receiver.all()[4..]), ["1"; 4]);
    receiver.expect_no_more_than(8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_can_be_skipped_and_is_counted() {
    let world = World::tuned(hasty(2)).await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..7).await;
    world.expect_with_retries(&receiver, 8).await;
    shown(&world, &subscription, |shown| deactivated(shown) && in_row(2)(shown)).await;
    receiver.rescript(|_, _| Reply::Status(200));
    let contradiction = json!({"resume": "now", "is_active": false});
    let fields = world.patch(&path(&subscription), contradiction).await.bad_fields();
    assert_eq!(fields["resume"], "contradicts is_active: false");
    let fields = world.patch(&path(&subscription), json!({"resume": "later"})).await.bad_fields();
    assert_eq!(fields["resume"], "must be one of now, waiting");

    let resumed = world.patch(&path(&subscription), json!({"resume": "now"})).await.data(200);
    assert_eq!(resumed["status"], "active");
    create(&world, 7..9).await;
    assert_eq!(names(&receiver.expect(10).await[8..]), ["7", "8"]);
    receiver.expect_no_more_than(10).await;
    let idle = shown(&world, &subscription, idle).await;
    let gap = json!({"reason": "skipped", "events": 5, "at": wire_time(world.clock.now())});
    assert_eq!(idle["delivery"]["gaps"], json!([gap]));
    // Nothing waits now: nothing is skipped.
    world.patch(&path(&subscription), json!({"resume": "now"})).await.data(200);
    create(&world, 9..10).await;
    receiver.expect(11).await;
    let idle = shown(&world, &subscription, self::idle).await;
    assert_eq!(idle["delivery"]["gaps"], json!([gap]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_delivers_next_hears_of_a_resumption_that_nobody_heard() {
    for resume in ["waiting", "now"] {
        let mut world = World::tuned(hasty(2)).await;
        // The third one begins, is told that the receiver is gone, and has an attempt on record.
        let receiver =
            Receiver::scripted(|number, _| Reply::Status(if number < 4 { 500 } else { 410 })).await;
        let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
        create(&world, 0..3).await;
        receiver.expect(4).await;
        shown(&world, &subscription, in_row(1)).await;
        world.clock.advance(Duration::from_secs(31));
        receiver.expect(5).await;
        shown(&world, &subscription, |shown| deactivated(shown) && shown["delivery"]["head_attempts"] == 1)
            .await;

        world.stop_server().await;
        let elsewhere = world.server_as(Role::Api).await;
        world.turn_to(elsewhere.address());
        world.patch(&path(&subscription), json!({"resume": resume})).await.data(200);
        create(&world, 3..4).await;
        assert!(elsewhere.stop().await);
        receiver.rescript(|_, _| Reply::Status(500));
        world.start_server().await;
        let (attempts, waiting) = if resume == "now" { (4, "3") } else { (3, "1") };
        let received = receiver.expect(5 + attempts).await;
        assert_eq!(names(&received[5..]), vec![waiting; attempts], "{resume}");
        assert_eq!(received[5].header("x-isao-attempt"), (5 - attempts).to_string());
        // One is not two in a row.
        shown(&world, &subscription, |shown| in_row(1)(shown) && shown["status"] == "degraded").await;
        receiver.expect_no_more_than(5 + attempts).await;
    }
}
