//! Events again: subscribing since a time, replays, and single deliveries.

mod redeliver;

use std::time::Duration;

use isao::delivery::Tuning;
use serde_json::{Value, json};

use crate::support::{Received, Receiver, Reply, World, eventually};

/// Attempts and events follow each other at once, whatever fails.
async fn hasty() -> World {
    let retry_delays = "0s,0s,0s".parse().unwrap();
    World::tuned(Tuning { retry_delays, degraded_pause: Duration::ZERO, ..Tuning::default() }).await
}

fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", subscription["id"].as_str().unwrap())
}

/// Contacts, a moment after each other; when each was made.
async fn create(world: &World, numbers: std::ops::Range<usize>) -> Vec<Value> {
    let mut made = Vec::new();
    for number in numbers {
        let contact = world.contact(&number.to_string(), &format!("+331000000{number:02}")).await;
        made.push(contact["createdAt"].clone());
        world.clock.advance(Duration::from_millis(10));
    }
    made
}

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.data()["name"].as_str().unwrap().to_owned()).collect()
}

fn numbers(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

/// Waits until nothing waits, and all of it is on record.
async fn idle(world: &World, subscription: &Value) -> Value {
    eventually("the end of waiting", async || {
        let shown = world.get(&path(subscription)).await.data(200);
        Some(shown).filter(|shown| shown["delivery"]["waiting"] == false)
    })
    .await
}

async fn dry_run(world: &World, subscription: &Value, mut body: Value) -> Value {
    body["dryRun"] = json!(true);
    world.post(&format!("{}/replay", path(subscription)), body).await.data(200)
}

async fn replay(world: &World, subscription: &Value, body: Value) -> Value {
    let replay = world.post(&format!("{}/replay", path(subscription)), body).await.data(202);
    assert_eq!(
        (&replay["status"], &replay["subscription_id"]),
        (&json!("running"), &subscription["subscription_id"])
    );
    replay
}

/// Waits until the record says this of a replay.
async fn shown(world: &World, replay: &Value, what: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/webhooks/replays/{}", replay["id"].as_str().unwrap());
    eventually("the record of the replay", async || {
        Some(world.get(&path).await.data(200)).filter(|shown| what(shown))
    })
    .await
}

async fn done(world: &World, replay: &Value) -> Value {
    let shown = shown(world, replay, |shown| shown["status"] != "running").await;
    assert_eq!((&shown["status"], &shown["progress"]), (&json!("done"), &json!(1.0)), "{shown}");
    shown
}

/// The beginning of time.
const EVER: &str = "2000-01-01T00:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_may_begin_in_the_past() {
    let world = World::new().await;
    let made = create(&world, 0..2).await;
    // Two of the same millisecond.
    for number in [2, 3] {
        world.contact(&number.to_string(), &format!("+3310000000{number}")).await;
    }
    let same = world.clock.now();
    world.clock.advance(Duration::from_secs(1));
    create(&world, 4..5).await;
    let after = same + Duration::from_millis(1);
    let mut receivers = Vec::new();
    for (since, first) in [
        (json!(EVER), 0),
        (made[0].clone(), 0),
        (made[1].clone(), 1),
        (json!(same.to_rfc3339()), 2),
        (json!(after.to_rfc3339()), 4),
        (json!(world.clock.now().to_rfc3339()), 5),
        (json!("2099-01-01T00:00:00Z"), 5),
        (Value::Null, 5),
    ] {
        let receiver = Receiver::start().await;
        let body = json!({"event": "contact.created", "target_url": receiver.url("/"), "since": since});
        world.post("/webhooks/subscribe", body).await.data(201);
        receivers.push((receiver, first, since));
    }
    create(&world, 5..6).await;
    for (receiver, first, since) in receivers {
        assert_eq!(names(&receiver.expect(6 - first).await), numbers(first..6), "{since}");
    }
    let body =
        json!({"event": "contact.created", "target_url": "https://example.com/", "since": "yesterday"});
    let fields = world.post("/webhooks/subscribe", body).await.bad_fields();
    assert!(fields["since"].is_string(), "{fields}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_the_replay_then_sends() {
    let world = hasty().await;
    let receiver = Receiver::scripted(|_, received| {
        let failing = ["1", "4"].contains(&received.data()["name"].as_str().unwrap());
        Reply::Status(if failing { 500 } else { 200 })
    })
    .await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    let made = create(&world, 0..6).await;
    receiver.expect(4 + 2 * 4).await;
    idle(&world, &subscription).await;
    receiver.rescript(|_, _| Reply::Status(200));
    let sent = async |body: Value, expected: &[&str]| {
        let before = receiver.all().len();
        let rehearsed = dry_run(&world, &subscription, body.clone()).await;
        assert_eq!(
            (&rehearsed["dryRun"], &rehearsed["events"]),
            (&json!(true), &json!(expected.len())),
            "{body}"
        );
        assert_eq!(rehearsed["deliveries"].as_array().unwrap().len(), expected.len());
        assert_eq!(receiver.all().len(), before);
        let replay = replay(&world, &subscription, body.clone()).await;
        let done = done(&world, &replay).await;
        assert_eq!((&done["delivered"], &done["undelivered"]), (&json!(expected.len()), &json!(0)), "{body}");
        assert_eq!(names(&receiver.all()[before..]), expected, "{body}");
    };
    sent(json!({"since": made[2], "only": "undelivered", "until": made[4]}), &[]).await;
    sent(json!({"since": made[2], "only": "undelivered"}), &["4"]).await;
    sent(json!({"since": EVER, "only": "undelivered"}), &["1"]).await;
    // Now they are delivered.
    sent(json!({"since": EVER, "only": "undelivered"}), &[]).await;
    assert_eq!(world.get("/webhooks/undelivered").await.data(200), json!([]));
    sent(json!({"since": EVER, "only": "all"}), &["0", "1", "2", "3", "4", "5"]).await;
    sent(json!({"since": made[1], "until": made[3], "only": "all"}), &["1", "2"]).await;
    sent(json!({"since": "2099-01-01T00:00:00Z", "only": "all"}), &[]).await;
    // The filters as they are now; also where there is one event only.
    world.patch(&path(&subscription), json!({"filters": {"name": ["3", "5"]}})).await.data(200);
    sent(json!({"since": EVER, "only": "all"}), &["3", "5"]).await;
    sent(json!({"since": made[2], "until": made[3], "only": "all"}), &[]).await;
    sent(json!({"since": made[3], "until": made[4], "only": "all"}), &["3"]).await;
    let list = world.get(&format!("{}/replays", path(&subscription))).await.data(200);
    assert_eq!(list.as_array().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_replay_is_told_what_is_wrong() {
    let world = World::new().await;
    let subscription = world.subscribe("contact.created", "https://example.com/").await;
    let path = format!("{}/replay", path(&subscription));
    for (body, fields) in [
        (json!({}), vec!["only", "since"]),
        (json!({"since": "soon", "only": "some"}), vec!["only", "since"]),
        (json!({"since": EVER, "until": EVER, "only": "all"}), vec!["until"]),
        (json!({"since": EVER, "only": "all", "perSecond": 0}), vec!["perSecond"]),
        (
            json!({"since": EVER, "only": "all", "perSecond": 1001, "dryRun": "yes"}),
            vec!["dryRun", "perSecond"],
        ),
    ] {
        let told = world.post(&path, body.clone()).await.bad_fields();
        let mut told: Vec<_> = told.as_object().unwrap().keys().cloned().collect();
        told.sort();
        assert_eq!(told, fields, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_beside_live_deliveries_no_faster_than_asked_until_it_is_cancelled() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..40).await;
    receiver.expect(40).await;
    idle(&world, &subscription).await;
    let began = tokio::time::Instant::now();
    let replay = replay(&world, &subscription, json!({"since": EVER, "only": "all", "perSecond": 10})).await;
    create(&world, 40..50).await;
    let (mut again, mut live) = (Vec::new(), Vec::new());
    eventually("some of both", async || {
        let all = names(&receiver.all()[40..]);
        (live, again) = all.into_iter().partition(|name| name.parse::<usize>().unwrap() >= 40);
        (live.len() == 10 && again.len() >= 12).then_some(())
    })
    .await;
    assert!(began.elapsed() > Duration::from_secs(1), "twelve at ten a second");
    assert_eq!((live, again.clone()), (numbers(40..50), numbers(0..again.len())));
    let progress = shown(&world, &replay, |shown| shown["delivered"].as_i64() >= Some(5)).await;
    assert_eq!(progress["status"], "running");
    let part = progress["progress"].as_f64().unwrap();
    assert!((0.1..1.0).contains(&part), "{part}");

    let id = replay["id"].as_str().unwrap();
    let cancelled = world.delete(&format!("/webhooks/replays/{id}")).await.data(200);
    assert_eq!(cancelled["status"], "cancelled");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let sent = receiver.all().len();
    assert!(sent < 90, "{sent}");
    receiver.expect_no_more_than(sent).await;
    assert_eq!(shown(&world, &replay, |_| true).await["status"], "cancelled");
    world.delete(&format!("/webhooks/replays/{id}")).await.data(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_on_after_a_restart_and_waits_for_a_paused_subscription() {
    let mut world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..50).await;
    receiver.expect(50).await;
    idle(&world, &subscription).await;
    let replay = replay(&world, &subscription, json!({"since": EVER, "only": "all", "perSecond": 8})).await;
    receiver.expect(56).await;
    world.stop_server().await;
    let stored = receiver.all().len();
    world.start_server().await;
    receiver.expect(stored + 5).await;
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    // It hears of that in a moment.
    let mut arrived = 0;
    eventually("the pause", async || {
        let before = std::mem::replace(&mut arrived, receiver.all().len());
        tokio::time::sleep(Duration::from_millis(500)).await;
        (before == receiver.all().len()).then_some(())
    })
    .await;
    assert_eq!(shown(&world, &replay, |_| true).await["status"], "running");
    world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    let done = done(&world, &replay).await;
    assert_eq!(done["delivered"], 50);
    assert_eq!(names(&receiver.all()[50..]), numbers(0..50));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gives_up_without_harm_to_the_subscription() {
    let world = hasty().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..8).await;
    receiver.expect(8).await;
    idle(&world, &subscription).await;
    receiver.rescript(|_, _| Reply::Status(500));
    let replay =
        replay(&world, &subscription, json!({"since": EVER, "only": "all", "perSecond": 1000})).await;
    let failed = shown(&world, &replay, |shown| shown["status"] == "failed").await;
    assert_eq!(failed["status_reason"], "5 events in a row were not delivered");
    assert_eq!((&failed["delivered"], &failed["undelivered"]), (&json!(0), &json!(5)));
    assert_eq!(
        names(&receiver.all()[8..]),
        (0..5).flat_map(|number| vec![number.to_string(); 4]).collect::<Vec<_>>()
    );
    let subscription = idle(&world, &subscription).await;
    assert_eq!(
        (&subscription["status"], &subscription["delivery"]["consecutive_undelivered"]),
        (&json!("active"), &json!(0))
    );
    // They were delivered once: that stays so.
    assert_eq!(world.get("/webhooks/undelivered").await.data(200), json!([]));
    receiver.expect_no_more_than(28).await;

    // Gone is gone, also for a replay.
    receiver.rescript(|_, _| Reply::Status(410));
    let replay = self::replay(&world, &subscription, json!({"since": EVER, "only": "all"})).await;
    eventually("the deactivation", async || {
        let shown = world.get(&path(&subscription)).await.data(200);
        (shown["status"] == "deactivated").then_some(())
    })
    .await;
    receiver.expect_no_more_than(29).await;
    assert_eq!(shown(&world, &replay, |_| true).await["status"], "running");
}
