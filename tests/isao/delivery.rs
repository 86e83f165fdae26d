//! Delivery: signed, in order, retried, at least once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::world::time;
use crate::support::{Received, Receiver, Reply, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_signed() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/hook")).await;
    let contact = world.contact("Jane Smith", "+33987654321").await;

    let received = &receiver.expect(1).await[0];
    let envelope = received.json();
    assert_eq!(envelope["event"], "contact.created");
    assert_eq!(envelope["data"], contact);
    assert_eq!(envelope["metadata"]["companyId"], world.company.to_string());
    assert_eq!(envelope["metadata"]["source"], "api");
    assert_eq!(received.path, "/hook");
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("user-agent"), concat!("ISAO-Webhooks/", env!("CARGO_PKG_VERSION")));
    assert_eq!(received.header("webhook-id"), received.event_id());
    assert_eq!(received.header("x-isao-event"), "contact.created");
    assert_eq!(received.header("x-isao-attempt"), "1");

    let secret: isao::outbound::signature::Secret = subscription["secret"].as_str().unwrap().parse().unwrap();
    let timestamp = received.header("webhook-timestamp").parse().unwrap();
    assert_eq!(timestamp, world.clock.now().timestamp());
    assert_eq!(
        received.header("webhook-signature"),
        secret.sign(&received.event_id(), timestamp, &received.body)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_event_is_tried_four_times_while_later_ones_wait() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|number, _| Reply::Status(if number < 4 { 500 } else { 200 })).await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "+33100000001").await;
    world.contact("Second", "+33100000002").await;

    for attempt in 1..=4 {
        let received = receiver.expect(attempt).await;
        assert_eq!(received[attempt - 1].data()["name"], "First");
        assert_eq!(received[attempt - 1].header("x-isao-attempt"), attempt.to_string());
        // After the last one it pauses before the next event.
        receiver.expect_no_more_than(attempt).await;
        next_retry(&world).await;
    }
    let received = receiver.expect(5).await;
    assert_eq!(received[4].data()["name"], "Second");
    assert_eq!(received[4].header("x-isao-attempt"), "1");
    let same: Vec<_> =
        received[..4].iter().map(|attempt| (attempt.event_id(), attempt.body.clone())).collect();
    assert!(same.windows(2).all(|pair| pair[0] == pair[1]), "the same bytes every time");

    // Given up is not forgotten.
    let undelivered: i64 = eventually("the record of the attempts", async || {
        sqlx::query_scalar("SELECT count(*) FROM attempts WHERE outcome = 'undelivered' AND attempt = 4")
            .fetch_one(&world.pool)
            .await
            .ok()
            .filter(|count| *count > 0)
    })
    .await;
    assert_eq!(undelivered, 1);
    let list = world.get("/webhooks").await.data(200);
    assert_eq!(list[0]["is_active"], json!(true));
}

/// Moves the clock to the one retry that there is.
async fn next_retry(world: &World) {
    eventually("the record of a retry", async || world.skip_to_retry().await.then_some(())).await;
}

/// Waits until `count` attempts are on record: then their lanes know what comes next.
async fn recorded(world: &World, count: i64) {
    eventually(&format!("the record of {count} attempts"), async || {
        let found: i64 =
            sqlx::query_scalar("SELECT count(*) FROM attempts").fetch_one(&world.pool).await.unwrap();
        (found >= count).then_some(())
    })
    .await;
}

/// How a subscription's deliveries go, once its record says so.
async fn health(world: &World, subscription: &Value, what: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/webhooks/{}", subscription["id"].as_str().unwrap());
    eventually("the record of the subscription", async || {
        Some(world.get(&path).await.data(200)).filter(|shown| what(shown))
    })
    .await
}

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.data()["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_arrives_in_order_whatever_has_to_be_retried() {
    let world = World::new().await;
    // Every fifth request fails, retries included.
    let receiver =
        Receiver::scripted(|number, _| Reply::Status(if number % 5 == 2 { 503 } else { 200 })).await;
    let undisturbed = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.subscribe("contact.created", &undisturbed.url("/")).await;
    // More than a lane keeps in memory.
    let creates = (0..150).map(|number| {
        let (world, phone) = (&world, format!("+331000000{number:03}"));
        async move { world.contact(&format!("{number}"), &phone).await }
    });
    futures_util::future::join_all(creates).await;
    let order = names(&undisturbed.expect(150).await);
    let received = world.expect_with_retries(&receiver, 187).await;
    let mut arrived = names(&received);
    arrived.dedup();
    assert_eq!(arrived, order);
    receiver.expect_no_more_than(187).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_wish_to_wait_is_honoured_within_an_hour() {
    for (status, wish, least, most) in
        [(429, "600", 600, 720), (503, "9999999", 3600, 4320), (503, "nonsense", 2, 3), (500, "600", 2, 3)]
    {
        let world = World::new().await;
        let receiver = Receiver::scripted(move |number, _| match number {
            0 => Reply::With(status, "retry-after", wish.to_owned()),
            _ => Reply::Status(200),
        })
        .await;
        let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
        let failed_at = world.clock.now();
        world.contact("First", "+33100000001").await;
        let shown = health(&world, &subscription, |shown| shown["delivery"]["head_attempts"] == 1).await;
        let wait = time(&shown["delivery"]["next_attempt_at"]) - failed_at;
        assert!((least..=most).contains(&wait.num_seconds()), "{status} {wish}: {wait}");
        assert_eq!(shown["delivery"]["last_error"], format!("answered {status}"));
        world.clock.advance(wait.to_std().unwrap() - Duration::from_millis(5));
        receiver.expect_no_more_than(1).await;
        world.clock.advance(Duration::from_millis(10));
        assert_eq!(receiver.expect(2).await[1].header("x-isao-attempt"), "2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failure_and_not_followed() {
    let world = World::new().await;
    let elsewhere = Receiver::start().await;
    let url = elsewhere.url("/");
    let receiver = Receiver::scripted(move |number, _| match number {
        0 => Reply::With(301, "location", url.clone()),
        1 => Reply::With(307, "location", url.clone()),
        2 => Reply::Status(304),
        _ => Reply::Status(204),
    })
    .await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "+33100000001").await;
    let received = world.expect_with_retries(&receiver, 4).await;
    assert_eq!(received[3].header("x-isao-attempt"), "4");
    recorded(&world, 4).await;
    let outcomes: Vec<(String, Option<i16>)> =
        sqlx::query_as("SELECT outcome, status FROM attempts ORDER BY attempt")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let failed = |status| ("failed".to_owned(), Some(status));
    assert_eq!(outcomes, [failed(301), failed(307), failed(304), ("delivered".into(), Some(204))]);
    elsewhere.expect_no_more_than(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_never_finish_time_out_and_hold_only_themselves() {
    for (reply, status) in [(Reply::Never, None), (Reply::EndlessBody, None::<i16>)] {
        let world = World::new().await;
        let stuck = Receiver::scripted(move |_, _| reply.clone()).await;
        let prompt = Receiver::start().await;
        let subscription = world.subscribe("contact.created", &stuck.url("/")).await;
        world.subscribe("contact.created", &prompt.url("/")).await;
        for number in 0..3 {
            world.contact(&format!("{number}"), &format!("+3310000000{number}")).await;
        }
        prompt.expect(3).await;
        stuck.expect(1).await;
        world.clock.advance(Duration::from_secs(29));
        stuck.expect_no_more_than(1).await;
        world.clock.advance(Duration::from_secs(2));
        let shown = health(&world, &subscription, |shown| shown["delivery"]["head_attempts"] == 1).await;
        assert_eq!(shown["delivery"]["last_error"], "no complete answer within 30s");
        let found: Option<i16> = sqlx::query_scalar("SELECT status FROM attempts WHERE outcome = 'failed'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        assert_eq!(found, status);
        stuck.rescript(|_, _| Reply::Status(200));
        let received = world.expect_with_retries(&stuck, 4).await;
        assert_eq!(names(&received), ["0", "0", "1", "2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_gets_the_same_bytes() {
    let world = World::new().await;
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    for receiver in &receivers {
        world.subscribe("contact.created", &receiver.url("/")).await;
    }
    world.contact("Zoë \"Ω\" Müller\u{1f980}", "+33100000001").await;
    let mut bodies = Vec::new();
    for receiver in &receivers {
        let received = receiver.expect(1).await.remove(0);
        assert_eq!(received.header("webhook-id"), received.event_id());
        bodies.push(received.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}
