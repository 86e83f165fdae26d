//! Connections to the database that are cut at the worst moment: what was answered
//! happened exactly once, and what happened was answered.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Cut, Proxy, Receiver, World, eventually};

/// All statements of a write, in their order.
const STATEMENTS: [&str; 5] =
    ["BEGIN", "SELECT c.company_id", "INSERT INTO contacts", "UPDATE log_head", "COMMIT"];

async fn world() -> (World, Proxy, Receiver) {
    let (world, proxy) = World::behind_proxy().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    // The writer has its connection and its statements.
    world.contact("Zero", "+33100000000").await;
    receiver.expect(1).await;
    (world, proxy, receiver)
}

/// Exactly these contacts: stored, in the log without gaps, and delivered in its order.
async fn assert_once(world: &World, receiver: &Receiver, names: &[&str]) {
    let received = receiver.expect(names.len()).await;
    receiver.expect_no_more_than(names.len()).await;
    let arrived: Vec<_> = received.iter().map(|received| received.data()["name"].clone()).collect();
    assert_eq!(arrived, names);
    let stored: Vec<String> = sqlx::query_scalar("SELECT name FROM contacts ORDER BY created_at, id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(stored, names);
    let (events, last): (i64, i64) =
        sqlx::query_as("SELECT count(*), max(seq) FROM events").fetch_one(&world.pool).await.unwrap();
    assert_eq!((events, last), (names.len() as i64, names.len() as i64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    let (world, proxy, receiver) = world().await;
    proxy.arm(Cut::AnswerLost, "COMMIT");
    world.contact("One", "+33100000001").await;
    assert_eq!(proxy.cuts(), 1);
    world.contact("Two", "+33100000002").await;
    assert_once(&world, &receiver, &["Zero", "One", "Two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrived_is_made_again() {
    let (world, proxy, receiver) = world().await;
    proxy.arm(Cut::Before, "COMMIT");
    world.contact("One", "+33100000001").await;
    assert_eq!(proxy.cuts(), 1);
    world.contact("Two", "+33100000002").await;
    assert_once(&world, &receiver, &["Zero", "One", "Two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_survives_a_cut_at_any_of_its_statements() {
    let (world, proxy, receiver) = world().await;
    let mut names = vec!["Zero".to_owned()];
    for cut in [Cut::Before, Cut::AnswerLost] {
        for statement in STATEMENTS {
            let name = format!("{cut:?} {statement}");
            proxy.arm(cut, statement);
            world.contact(&name, &format!("+331000000{:02}", names.len())).await;
            assert_eq!(proxy.cuts(), names.len(), "{name}");
            names.push(name);
        }
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_once(&world, &receiver, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_replays_what_a_lost_commit_did() {
    let (world, proxy, receiver) = world().await;
    for (number, cut) in [(1, Cut::AnswerLost), (2, Cut::Before)] {
        let create = async || -> Answer {
            let body =
                json!({"name": format!("Number {number}"), "phoneNumber": format!("+3310000000{number}")});
            let request = world.request(Method::POST, "/contacts").json(&body);
            world.send(request.header("Idempotency-Key", format!("key {number}"))).await
        };
        proxy.arm(cut, "COMMIT");
        let first = create().await;
        assert_eq!((proxy.cuts(), first.status), (number, 201), "{}", first.text);
        assert!(!first.headers.contains_key("idempotent-replayed"));
        let again = create().await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(again.headers["idempotent-replayed"], "true");
    }
    assert_once(&world, &receiver, &["Zero", "Number 1", "Number 2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_survives_a_lost_commit_too() {
    let (world, proxy, _receiver) = world().await;
    for (number, cut) in [(1, Cut::AnswerLost), (2, Cut::Before)] {
        let receiver = Receiver::start().await;
        proxy.arm(cut, "COMMIT");
        world.subscribe("contact.created", &receiver.url("/")).await;
        assert_eq!(proxy.cuts(), number);
        world.contact("Somebody", &format!("+3320000000{number}")).await;
        receiver.expect(1).await;
        receiver.expect_no_more_than(1).await;
    }
    let list = world.get("/webhooks").await.data(200);
    assert_eq!(list.as_array().map(Vec::len), Some(3), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_in_a_batch_whose_commit_is_lost_is_answered() {
    let (world, proxy, receiver) = world().await;
    for (round, cut) in [(1, Cut::AnswerLost), (2, Cut::Before)] {
        proxy.arm(cut, "COMMIT");
        let creates = (0..30).map(|number| {
            let name = format!("{round} {number}");
            let world = &world;
            async move { world.contact(&name, &format!("+331{round}00{number:03}")).await }
        });
        futures_util::future::join_all(creates).await;
        assert_eq!(proxy.cuts(), round);
    }
    let received = receiver.expect(61).await;
    receiver.expect_no_more_than(61).await;
    let ids = |events: &[String]| events.join(" ");
    let arrived: Vec<_> = received.iter().map(|received| received.event_id()).collect();
    let log: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM events ORDER BY seq").fetch_all(&world.pool).await.unwrap();
    let log: Vec<_> = log.iter().map(|id| format!("event_{}", id.simple())).collect();
    assert_eq!(ids(&arrived), ids(&log));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_record_was_not_answered_is_recorded_once() {
    let (world, proxy, receiver) = world().await;
    proxy.arm(Cut::AnswerLost, "INSERT INTO attempts");
    world.contact("One", "+33100000001").await;
    let last: Value = world.contact("Two", "+33100000002").await;
    assert_eq!(receiver.expect(3).await[2].data(), last);
    let count = eventually("the record of the attempts", async || {
        let recorded: Vec<(i64, i64)> =
            sqlx::query_as("SELECT seq, count(*) FROM attempts GROUP BY seq ORDER BY seq")
                .fetch_all(&world.pool)
                .await
                .unwrap();
        Some(recorded).filter(|recorded| recorded.len() == 3)
    })
    .await;
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(count, [(1, 1), (2, 1), (3, 1)]);
}
