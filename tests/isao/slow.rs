//! Receivers that do not do well, and how little others notice of it.

use std::time::Duration;

use isao::delivery::Tuning;
use serde_json::json;
use tokio::sync::watch;

use crate::support::receiver::blunt;
use crate::support::{Receiver, Reply, World, eventually};

/// Little room, so that it is soon used up.
fn narrow(in_flight: usize, in_flight_per_host: usize) -> Tuning {
    Tuning { in_flight, in_flight_per_host, ..Tuning::default() }
}

async fn create(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers {
        world.contact(&number.to_string(), &format!("+331000{number:05}")).await;
    }
}

/// Stops the server, while attempts that hang run out of time.
async fn end(mut world: World) {
    let clock = world.clock.clone();
    tokio::select! {
        () = world.stop_server() => {}
        () = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                clock.advance(Duration::from_secs(10));
            }
        } => {}
    }
}

/// How many subscriptions have had an attempt on record.
async fn attempted(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM cursors WHERE last_attempt_at IS NOT NULL")
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_do_not_do_well_hold_up_nobody_else() {
    const BAD_OF_EACH_KIND: usize = 8;
    const GOOD: usize = 4;
    let world = World::tuned(narrow(8, 4)).await;
    let mut good = Vec::new();
    for _ in 0..GOOD {
        let receiver = Receiver::start().await;
        let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
        good.push((receiver, format!("/webhooks/{}", subscription["id"].as_str().unwrap())));
    }
    create(&world, 0..1).await;
    for (receiver, _) in &good {
        receiver.expect(1).await;
    }

    // They never answer, drip, answer late, hang up, and speak no TLS.
    let (answer, late) = watch::channel(false);
    let mut bad = Vec::new();
    for _ in 0..BAD_OF_EACH_KIND {
        let late = late.clone();
        bad.push(Receiver::scripted(|_, _| Reply::Never).await);
        bad.push(Receiver::scripted(|_, _| Reply::EndlessBody).await);
        bad.push(Receiver::scripted(move |_, _| Reply::When(late.clone())).await);
        for url in [format!("http://{}/", blunt(b"").await), format!("https://{}/", blunt(b"no").await)] {
            world.subscribe("contact.created", &url).await;
        }
    }
    for receiver in &bad {
        world.subscribe("contact.created", &receiver.url("/")).await;
    }

    // Nothing is known of them yet, and then that they are bad.
    for round in 0..4 {
        create(&world, round * 10 + 1..round * 10 + 11).await;
        for (receiver, path) in &good {
            receiver.expect(round * 10 + 11).await;
            // At rest, so that only the bad ones run out of time.
            eventually("the record of a good one", async || {
                let shown = world.get(path).await.data(200);
                (shown["delivery"]["waiting"] == false).then_some(())
            })
            .await;
        }
        world.clock.advance(Duration::from_secs(29));
        answer.send_replace(true);
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.clock.advance(Duration::from_secs(2));
    }
    for (receiver, _) in &good {
        let names: Vec<_> = receiver.all().iter().map(|received| received.data()["name"].clone()).collect();
        assert_eq!(names, (0..41).map(|number| json!(number.to_string())).collect::<Vec<_>>());
    }
    // They are not forgotten either.
    let all = i64::try_from(GOOD + 5 * BAD_OF_EACH_KIND).unwrap();
    eventually("an attempt for each", async || {
        world.clock.advance(Duration::from_secs(1));
        (attempted(&world).await == all).then_some(())
    })
    .await;
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_gets_so_many_requests_at_a_time() {
    const PER_HOST: usize = 3;
    let world = World::tuned(narrow(64, PER_HOST)).await;
    let (answer, answered) = watch::channel(false);
    let receiver = Receiver::scripted(move |_, _| Reply::When(answered.clone())).await;
    let elsewhere = Receiver::start().await;
    for number in 0..10 {
        world.subscribe("contact.created", &receiver.url(&format!("/{number}"))).await;
    }
    world.subscribe("contact.created", &elsewhere.url("/")).await;
    create(&world, 0..2).await;
    elsewhere.expect(2).await;
    receiver.expect(PER_HOST).await;
    receiver.expect_no_more_than(PER_HOST).await;
    answer.send_replace(true);
    receiver.expect(20).await;
    assert_eq!(receiver.most_at_once(), PER_HOST);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_busy_host_goes_elsewhere_when_told() {
    let world = World::tuned(narrow(8, 1)).await;
    let busy = Receiver::scripted(|_, _| Reply::Never).await;
    let free = Receiver::start().await;
    world.subscribe("contact.created", &busy.url("/first")).await;
    let waiting = world.subscribe("contact.updated", &busy.url("/second")).await;
    let contact = world.contact("Jane", "+33100000001").await;
    busy.expect(1).await;
    let contact = format!("/contacts/{}", contact["id"].as_str().unwrap());
    world.patch(&contact, json!({"name": "Jane Doe"})).await.data(200);
    busy.expect_no_more_than(1).await;
    let path = format!("/webhooks/{}", waiting["id"].as_str().unwrap());
    world.patch(&path, json!({"target_url": free.url("/")})).await.data(200);
    assert_eq!(free.expect(1).await[0].data()["name"], "Jane Doe");
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deliveries_at_a_time_leave_their_turn_to_others() {
    const EVENTS: usize = 150;
    let world = World::tuned(narrow(8, 8)).await;
    let receiver = Receiver::scripted(|_, _| Reply::After(Duration::from_millis(10), 200)).await;
    let many = json!({
        "event": "contact.created",
        "target_url": receiver.url("/many"),
        "ordering": "record",
        "concurrency": 64,
    });
    let many = world.post("/webhooks/subscribe", many).await.data(201);
    let single = world.subscribe("contact.created", &receiver.url("/single")).await;
    let active = async |active: bool| {
        for subscription in [&many, &single] {
            let path = format!("/webhooks/{}", subscription["id"].as_str().unwrap());
            world.patch(&path, json!({"is_active": active})).await.data(200);
        }
    };
    // With one delivered, both are known to do well.
    create(&world, 0..1).await;
    receiver.expect(2).await;
    active(false).await;
    let world_ref = &world;
    let creates = (1..EVENTS).map(|number| async move { create(world_ref, number..number + 1).await });
    futures_util::future::join_all(creates).await;
    active(true).await;
    let received = receiver.expect(2 * EVENTS).await;
    let places = |path: &str| -> Vec<usize> {
        (0..received.len()).filter(|place| received[*place].path == path).collect()
    };
    // While the one with many had work, the other had its turns: one of about eight.
    let (many, single) = (places("/many"), places("/single"));
    assert_eq!((many.len(), single.len()), (EVENTS, EVENTS));
    assert!(single[8] < many[EVENTS - 1], "{single:?}");
    assert!(receiver.most_at_once() <= 8);
}
