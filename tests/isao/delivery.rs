//! Delivery: signed, in order, retried, at least once.

use std::time::Duration;

use serde_json::json;

use crate::support::{Receiver, Reply, World, eventually};

/// Longer than the longest delay before a retry, jitter included, or an attempt may take.
const NEXT_ATTEMPT: Duration = Duration::from_secs(75);

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

    let secret: isao::webhooks::signature::Secret = subscription["secret"].as_str().unwrap().parse().unwrap();
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
        if attempt < 4 {
            receiver.expect_no_more_than(attempt).await;
            world.clock.advance(NEXT_ATTEMPT);
        }
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
