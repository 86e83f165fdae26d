//! The database goes away and comes back.

use std::time::Duration;

use isao::database::postgres;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::database::Database;
use crate::support::{Receiver, Reply, World, eventually, waiting_statement};

/// Longer than the writer takes it for granted that its connection is there.
const NOTICED: Duration = Duration::from_millis(100);
/// Longer than a key is remembered.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// "A few seconds", for a machine that is busy.
const FEW_SECONDS: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_told_to_come_back_and_deliveries_go_on_later() {
    let (world, proxy) = World::behind_proxy().await;
    let receiver = Receiver::scripted(|number, _| Reply::Status(if number == 1 { 500 } else { 200 })).await;
    let late = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "+33100000001").await;
    receiver.expect(1).await;
    // Answered, attempted once, and then the database is gone.
    world.contact("Second", "+33100000002").await;
    receiver.expect(2).await;
    proxy.close();
    tokio::time::sleep(NOTICED).await;

    for forgotten in [false, true] {
        if forgotten {
            world.clock.advance(FORGOTTEN);
        }
        let read = world.get("/contacts");
        let write = world.post("/contacts", json!({"name": "Nobody", "phoneNumber": "+33100000009"}));
        let change =
            world.put("/contacts/contact_0192f3a4b5c67d8e9f0a1b2c3d4e5f60", json!({"name": "Nobody"}));
        let subscribe = world.post(
            "/webhooks/subscribe",
            json!({"event": "contact.created", "target_url": receiver.url("/never")}),
        );
        let answers =
            tokio::time::timeout(FEW_SECONDS, async { tokio::join!(read, write, change, subscribe) })
                .await
                .expect("answers within a few seconds");
        for answer in [answers.0, answers.1, answers.2, answers.3] {
            answer.assert_error(503, "DATABASE_UNAVAILABLE");
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
    let ready = world.http.get(format!("{}/readyz", world.root())).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let alive = world.http.get(format!("{}/healthz", world.root())).send().await.unwrap();
    assert_eq!(alive.status(), 200);

    proxy.open();
    eventually("an answer", async || (world.get("/contacts").await.status == 200).then_some(())).await;
    world.contact("Third", "+33100000003").await;
    world.subscribe("contact.created", &late.url("/")).await;
    world.contact("Fourth", "+33100000004").await;
    late.expect(1).await;
    // The second is attempted again, with or without a memory of its first attempt, but
    // before the later ones.
    let arrived = eventually("the fourth", async || {
        world.skip_to_retry().await;
        let names: Vec<_> = receiver
            .all()
            .iter()
            .map(|received| received.data()["name"].as_str().unwrap().to_owned())
            .collect();
        names.contains(&"Fourth".to_owned()).then_some(names)
    })
    .await;
    let mut first_arrivals = arrived.clone();
    first_arrivals.dedup();
    assert_eq!(first_arrivals, ["First", "Second", "Third", "Fourth"], "{arrived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_lost_when_the_database_comes_and_goes() {
    const ROUNDS: usize = 4;
    let (world, proxy) = World::behind_proxy().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        eventually("the way back", async || (world.get("/contacts").await.status == 200).then_some(())).await;
        let creates = (0..40).map(async |number| {
            let name = format!("{round} {number}");
            let body = json!({"name": name, "phoneNumber": format!("+331{round}0000{number:02}")});
            if number == 20 {
                proxy.close();
                tokio::time::sleep(Duration::from_millis(20)).await;
                proxy.open();
            }
            (name, world.post("/contacts", body).await)
        });
        for (name, answer) in futures_util::future::join_all(creates).await {
            match answer.status {
                201 => answered.push(name),
                _ => _ = answer.assert_error(503, "DATABASE_UNAVAILABLE"),
            }
        }
    }
    let stored: Vec<String> = sqlx::query_scalar(
        "SELECT c.name FROM events e JOIN contacts c ON c.id = e.record_id ORDER BY e.seq",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    // What was answered happened, and what was refused did not.
    let mut sorted = stored.clone();
    sorted.sort();
    answered.sort();
    assert_eq!(sorted, answered);
    let names =
        || receiver.all().iter().map(|received| received.data()["name"].to_string()).collect::<Vec<_>>();
    eventually("the last arrival", async || {
        names().contains(&json!(stored.last()).to_string()).then_some(())
    })
    .await;
    // An interruption may repeat some; first arrivals are in the order of the log.
    let mut seen = std::collections::HashSet::new();
    let firsts: Vec<_> = names().into_iter().filter(|name| seen.insert(name.clone())).collect();
    assert_eq!(firsts, stored.iter().map(|name| json!(name).to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_behind_a_write_that_is_in_doubt() {
    let (world, proxy) = World::behind_proxy().await;
    world.contact("First", "+33100000001").await;
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM log_head FOR UPDATE").execute(&mut *holder).await.unwrap();
    let others = async {
        waiting_statement(&world).await;
        // One waits already when it turns out that the database is away, one comes later.
        let waiting = world.post("/contacts", json!({"name": "Waiting", "phoneNumber": "+33100000003"}));
        let away = async {
            tokio::time::sleep(NOTICED).await;
            proxy.close();
        };
        let (waiting, ()) = tokio::join!(waiting, away);
        waiting.assert_error(503, "DATABASE_UNAVAILABLE");
        let late = world.post("/contacts", json!({"name": "Late", "phoneNumber": "+33100000004"})).await;
        late.assert_error(503, "DATABASE_UNAVAILABLE");
        holder.rollback().await.unwrap();
        proxy.open();
    };
    tokio::join!(world.contact("In doubt", "+33100000002"), others);
    world.contact("Last", "+33100000005").await;
    let stored: Vec<String> = sqlx::query_scalar("SELECT name FROM contacts ORDER BY created_at, id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(stored, ["First", "In doubt", "Last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_version_is_refused_with_what_to_do() {
    let database = Database::create().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    for (other, told) in [
        (
            "UPDATE _sqlx_migrations SET checksum = '\\x00'",
            ["another version of isao", "begin with an empty database"],
        ),
        (
            "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1",
            ["a newer version of isao", "start that version"],
        ),
    ] {
        sqlx::query(other).execute(&mut connection).await.unwrap();
        let error = postgres::open(&database.url).await.unwrap_err().to_string();
        assert!(told.iter().all(|told| error.contains(told)), "{error}");
    }
    database.drop().await;
}
