//! Several processes that deliver: they share the work, and take over from each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use isao::server::{Role, Server};
use serde_json::json;
use tokio::sync::{RwLock, watch};
use tokio::time::Instant;

use crate::support::{Process, Receiver, Reply, World, eventually};

/// By then others have taken over without waiting for the lease, which is twice as long.
const AT_ONCE: Duration = Duration::from_secs(5);

/// How many shards each holds, fewest first.
async fn shares(world: &World) -> Vec<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM shards WHERE holder IS NOT NULL GROUP BY holder ORDER BY count(*)",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

/// Waits until the shards are shared like that; answers how long it took.
async fn shared(world: &World, expected: &[i64]) -> Duration {
    let began = Instant::now();
    eventually(&format!("sharing as {expected:?}"), async || (shares(world).await == expected).then_some(()))
        .await;
    began.elapsed()
}

/// The events of the log, by their ids on the wire.
async fn log(world: &World) -> Vec<String> {
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM events ORDER BY seq").fetch_all(&world.pool).await.unwrap();
    ids.into_iter().map(|id| format!("event_{}", id.simple())).collect()
}

/// Events that arrived, by path.
fn arrived(receiver: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut arrived: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for received in receiver.all() {
        arrived.entry(received.path.clone()).or_default().push(received.event_id());
    }
    arrived
}

/// Enough subscriptions that some are in every server's share.
async fn subscribe_many(world: &World, receiver: &Receiver, count: usize) {
    for number in 0..count {
        world.subscribe("contact.created", &receiver.url(&format!("/{number}"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_come_and_go_and_nothing_is_sent_twice_or_out_of_order() {
    const SUBSCRIPTIONS: usize = 12;
    let world = World::new().await;
    let receiver = Receiver::start().await;
    subscribe_many(&world, &receiver, SUBSCRIPTIONS).await;
    shared(&world, &[16]).await;

    // Each write goes to the next server there is; none leaves while it answers.
    let servers = RwLock::new(vec![world.root().to_owned()]);
    let (written, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let write = async || {
        while !stop.load(Ordering::Relaxed) {
            let number = written.fetch_add(1, Ordering::Relaxed);
            let servers = servers.read().await;
            let url = format!("{}/api/external/contacts", servers[number % servers.len()]);
            let body = json!({"name": number.to_string(), "phoneNumber": format!("+331{number:08}")});
            world.send(world.http.post(url).bearer_auth(&world.key).json(&body)).await.data(201);
            drop(servers);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let join = async |expected: &[i64]| -> Server {
        let server = world.another_server().await;
        servers.write().await.push(format!("http://{}", server.address()));
        shared(&world, expected).await;
        server
    };
    let leave = async |server: Server, expected: &[i64]| {
        servers.write().await.retain(|url| *url != format!("http://{}", server.address()));
        let (stopped, took) = tokio::join!(server.stop(), shared(&world, expected));
        assert!(stopped && took < AT_ONCE, "{took:?}");
    };
    let change = async {
        let second = join(&[8, 8]).await;
        let third = join(&[5, 5, 6]).await;
        leave(second, &[8, 8]).await;
        let fourth = join(&[5, 5, 6]).await;
        leave(fourth, &[8, 8]).await;
        leave(third, &[16]).await;
        // However fast that was.
        eventually("enough writes", async || (written.load(Ordering::Relaxed) > 60).then_some(())).await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(change, write(), write(), write());

    let log = log(&world).await;
    assert!(log.len() >= 50, "{}", log.len());
    receiver.expect(log.len() * SUBSCRIPTIONS).await;
    receiver.expect_no_more_than(log.len() * SUBSCRIPTIONS).await;
    let arrived = arrived(&receiver);
    assert_eq!(arrived.len(), SUBSCRIPTIONS);
    for (path, events) in arrived {
        assert!(events == log, "{path}: {events:?} instead of {log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_take_over_from_a_server_that_is_killed() {
    const SUBSCRIPTIONS: usize = 24;
    let world = World::new().await;
    let receiver = Receiver::start().await;
    subscribe_many(&world, &receiver, SUBSCRIPTIONS).await;
    let process = Process::serve(&world.database).await;
    shared(&world, &[8, 8]).await;
    world.contact("Before", "+33100000001").await;
    receiver.expect(SUBSCRIPTIONS).await;
    process.kill().await;
    world.contact("After", "+33100000002").await;
    let took = shared(&world, &[16]).await;
    assert!(took < AT_ONCE, "{took:?}");
    let log = log(&world).await;
    // What was not on record yet comes once more.
    eventually("both events, in order, at everyone", async || {
        let arrived = arrived(&receiver);
        let complete = arrived.into_iter().all(|(_, mut events)| {
            events.dedup();
            events == log
        });
        complete.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_says_who_answers_and_who_delivers() {
    let mut world = World::new().await;
    let receiver = Receiver::start().await;
    world.stop_server().await;
    let answering = world.server_as(Role::Api).await;
    world.turn_to(answering.address());
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("Jane", "+33100000001").await;
    receiver.expect_no_more_than(0).await;
    assert!(shares(&world).await.is_empty());
    let shown = world.get("/webhooks").await.data(200);
    assert_eq!(shown[0]["delivery"]["waiting"], true, "it waits, although no lane knows of it");

    let delivering = world.server_as(Role::Deliver).await;
    assert_eq!(receiver.expect(1).await[0].data()["name"], "Jane");
    assert_eq!(shares(&world).await, [16]);
    world.contact("John", "+33100000002").await;
    receiver.expect(2).await;
    let status = async |path: &str| {
        let url = format!("http://{}{path}", delivering.address());
        world.send(world.http.get(url).bearer_auth(&world.key)).await.status
    };
    for (path, expected) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/api/external/test", 404),
        ("/api/external/contacts", 404),
        ("/api/external/openapi.json", 404),
    ] {
        assert_eq!(status(path).await, expected, "{path}");
    }
    assert!(delivering.stop().await && answering.stop().await);
    receiver.expect_no_more_than(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_given_up_moves_no_cursor_and_joins_again() {
    let mut world = World::new().await;
    world.stop_server().await;
    let process = Process::with_lease(&world.database, "2s").await;
    world.turn_to(process.address);
    let (answer, answered) = watch::channel(false);
    let receiver = Receiver::scripted(move |_, _| Reply::When(answered.clone())).await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    for number in 0..3 {
        world.contact(&number.to_string(), &format!("+3310000000{number}")).await;
    }
    receiver.expect(1).await;

    // It is frozen in the middle of an attempt. It keeps its lock, but its lease ends, and
    // the next server deletes it.
    process.signal("STOP").await;
    receiver.rescript(|_, _| Reply::Status(200));
    world.start_server().await;
    receiver.expect(4).await;
    shared(&world, &[16]).await;
    let cursor = async || -> (i64, i64) {
        sqlx::query_as("SELECT seq, (SELECT count(*) FROM attempts) FROM cursors")
            .fetch_one(&world.pool)
            .await
            .unwrap()
    };
    eventually("the record", async || (cursor().await == (3, 3)).then_some(())).await;

    // What it finds out now is not recorded, but it takes its share again.
    answer.send_replace(true);
    process.signal("CONT").await;
    shared(&world, &[8, 8]).await;
    world.contact("3", "+33100000003").await;
    let received = receiver.expect(5).await;
    let names: Vec<_> = received.iter().map(|received| received.data()["name"].clone()).collect();
    assert_eq!(names, ["0", "0", "1", "2", "3"]);
    eventually("the record", async || (cursor().await == (4, 4)).then_some(())).await;
    process.signal("TERM").await;
    assert!(process.ended().await.success());
    shared(&world, &[16]).await;
    assert_eq!(cursor().await, (4, 4));
    receiver.expect_no_more_than(5).await;
}
