//! Connections to the database that are cut at the worst moment: what was answered
//! happened exactly once, and what happened was answered.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Cut, Proxy, Receiver, World, eventually, in_one_batch};

/// All statements of a create with an Idempotency-Key, in their order.
const LONG_WAY: [&str; 8] = [
    "BEGIN",
    "SELECT i.company_id",
    "SELECT c.company_id",
    "INSERT INTO contacts",
    "DELETE FROM idempotency_keys",
    "INSERT INTO idempotency_keys",
    "UPDATE log_head",
    "COMMIT",
];
/// The only one without.
const SHORT_WAY: &str = "WITH stored AS (INSERT INTO contacts";

async fn world() -> (World, Proxy, Receiver) {
    let (world, proxy) = World::behind_proxy().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    // The writer has its connection and its statements.
    world.contact("Zero", "+33100000000").await;
    receiver.expect(1).await;
    (world, proxy, receiver)
}

/// A create that takes the long way.
async fn create_with_key(world: &World, name: &str, phone: &str, key: &str) -> Answer {
    let request = world.request(Method::POST, "/contacts").header("Idempotency-Key", key);
    world.send(request.json(&json!({"name": name, "phoneNumber": phone}))).await
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
async fn a_write_survives_a_cut_at_any_of_its_statements() {
    let (world, proxy, receiver) = world().await;
    let mut names = vec!["Zero".to_owned()];
    for cut in [Cut::Before, Cut::AnswerLost, Cut::Midway] {
        for statement in LONG_WAY {
            let name = format!("{cut:?} {statement}");
            proxy.arm(cut, statement);
            let phone = format!("+331000000{:02}", names.len());
            create_with_key(&world, &name, &phone, &name).await.data(201);
            assert_eq!(proxy.cuts(), names.len(), "{name}");
            names.push(name);
        }
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_once(&world, &receiver, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_commits_by_itself_survives_a_cut_too() {
    let (world, proxy, receiver) = world().await;
    let mut names = vec!["Zero".to_owned()];
    for round in 1..=10 {
        for cut in [Cut::Before, Cut::AnswerLost, Cut::Midway] {
            proxy.arm(cut, SHORT_WAY);
            for name in [format!("{round} {cut:?}"), format!("{round} after {cut:?}")] {
                // The second finds out where the log is, for the next round.
                world.contact(&name, &format!("+331000000{:02}", names.len())).await;
                names.push(name);
            }
            assert_eq!(proxy.cuts(), names.len() / 2);
        }
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_once(&world, &receiver, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_what_became_of_a_write_may_be_cut_off_too() {
    let (world, proxy, receiver) = world().await;
    for (name, cut) in [("One", Cut::AnswerLost), ("Two", Cut::Before)] {
        proxy.arm(cut, SHORT_WAY);
        for cut in [Cut::Before, Cut::AnswerLost] {
            for question in ["pg_backend_pid()", "pg_terminate_backend", "FROM events WHERE seq > $1 AND id"]
            {
                proxy.arm(cut, question);
            }
        }
        let before = proxy.cuts();
        world.contact(name, &format!("+3330000000{before}")).await;
        assert_eq!(proxy.cuts() - before, 7);
        world.contact(&format!("After {name}"), &format!("+3320000000{before}")).await;
    }
    assert_once(&world, &receiver, &["Zero", "One", "After One", "Two", "After Two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_still_at_work_is_ended_before_its_work_is_done_again() {
    let (world, proxy, receiver) = world().await;
    let mut transaction = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM log_head FOR UPDATE").execute(&mut *transaction).await.unwrap();
    let at_work = async || -> bool {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1 || '%')",
        )
        .bind(SHORT_WAY)
        .fetch_one(&world.pool)
        .await
        .unwrap()
    };
    let release = async {
        eventually("the statement", async || at_work().await.then_some(())).await;
        proxy.close();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(at_work().await, "it knows nothing of the cut");
        proxy.open();
        // Before it gives up by itself. If it were at work yet, it would go on now.
        let end = eventually("its end", async || (!at_work().await).then_some(()));
        let _ = tokio::time::timeout(Duration::from_secs(2), end).await;
        transaction.rollback().await.unwrap();
    };
    tokio::join!(world.contact("One", "+33100000001"), release);
    world.contact("Two", "+33100000002").await;
    assert_once(&world, &receiver, &["Zero", "One", "Two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_replays_what_a_lost_commit_did() {
    let (world, proxy, receiver) = world().await;
    for (number, cut) in [(1, Cut::AnswerLost), (2, Cut::Before)] {
        let (name, phone) = (format!("Number {number}"), format!("+3310000000{number}"));
        proxy.arm(cut, "COMMIT");
        let first = create_with_key(&world, &name, &phone, &name).await;
        assert_eq!((proxy.cuts(), first.status), (number, 201), "{}", first.text);
        assert!(!first.headers.contains_key("idempotent-replayed"));
        let again = create_with_key(&world, &name, &phone, &name).await;
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
    const BATCH: usize = 30;
    let (world, proxy, receiver) = world().await;
    let mut rounds = 0;
    for statement in ["COMMIT", SHORT_WAY] {
        for cut in [Cut::AnswerLost, Cut::Before, Cut::Midway] {
            rounds += 1;
            let create = async |number: usize| {
                let (name, phone) = (format!("{rounds} {number}"), format!("+331{rounds}00000{number:02}"));
                match statement {
                    SHORT_WAY => world.contact(&name, &phone).await,
                    _ => create_with_key(&world, &name, &phone, &name).await.data(201),
                }
            };
            // It finds out where the log is.
            create(BATCH).await;
            let others = (0..BATCH).map(create);
            in_one_batch(&world, create(BATCH + 1), others, || proxy.arm(cut, statement)).await;
            assert_eq!(proxy.cuts(), rounds);
        }
    }
    let count = 1 + rounds * (BATCH + 2);
    let received = receiver.expect(count).await;
    receiver.expect_no_more_than(count).await;
    let arrived: Vec<_> = received.iter().map(|received| received.event_id()).collect();
    let log: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM events ORDER BY seq").fetch_all(&world.pool).await.unwrap();
    let log: Vec<_> = log.iter().map(|id| format!("event_{}", id.simple())).collect();
    assert_eq!(arrived, log);
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

#[tokio::test(flavor = "multi_thread")]
async fn where_lanes_stand_is_written_again_when_the_connection_is_lost() {
    let (world, proxy, _receiver) = world().await;
    let other = Receiver::start().await;
    world.subscribe("deal.created", &other.url("/")).await;
    let cursor = async || -> i64 {
        let cursor = "SELECT max(seq) FROM cursors JOIN subscriptions ON id = subscription_id
                      WHERE events = 'contact.created'";
        sqlx::query_scalar(cursor).fetch_one(&world.pool).await.unwrap()
    };
    eventually("the record", async || (cursor().await == 1).then_some(())).await;
    // What a crash of PostgreSQL does to a record that was not on disk.
    sqlx::query("UPDATE cursors SET seq = 0").execute(&world.pool).await.unwrap();
    proxy.arm(Cut::Before, "INSERT INTO attempts");
    world.deal(json!({"title": "Another"})).await;
    other.expect(1).await;
    eventually("the record, again", async || (cursor().await == 1).then_some(())).await;
    assert_eq!(proxy.cuts(), 1);
}
