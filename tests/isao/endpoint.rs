//! The subscriptions to one URL: one order, one secret, one receiver.

use std::collections::BTreeMap;
use std::time::Duration;

use isao::delivery::Tuning;
use serde_json::{Value, json};

use crate::support::{Process, Received, Receiver, Reply, World, eventually};

/// A deal's life, in the order in which one write fires its events.
const LIFE: [&str; 4] = ["deal.created", "deal.updated", "deal.stage_changed", "deal.won"];

/// Retries that the clock soon reaches.
fn impatient() -> Tuning {
    Tuning { retry_delays: "100ms,100ms,100ms".parse().unwrap(), ..Tuning::default() }
}

/// Subscribes one URL to all of a deal's life, the last event first; the subscriptions.
async fn subscribe(world: &World, url: &str) -> Vec<Value> {
    let mut subscriptions = Vec::new();
    for event in LIFE.into_iter().rev() {
        subscriptions.push(world.subscribe(event, url).await);
    }
    subscriptions
}

/// A deal that is won.
async fn win(world: &World, title: &str) {
    let deal = world.deal(json!({"title": title, "value": 100})).await;
    let path = format!("/deals/{}/status", deal["id"].as_str().unwrap());
    world.put(&path, json!({"status": "won", "stage": "closing"})).await.data(200);
}

/// What arrived first of each event, in order: type, and the deal's title.
fn first_arrivals(received: &[Received]) -> Vec<(String, String)> {
    let mut ids = Vec::new();
    let mut first = Vec::new();
    for received in received {
        let (id, envelope) = (received.event_id(), received.json());
        if !ids.contains(&id) {
            ids.push(id);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            first.push((text(&envelope["event"]), text(&envelope["data"]["title"])));
        }
    }
    first
}

/// What should arrive of this number of deals.
fn lives(deals: usize) -> Vec<(String, String)> {
    let life = |deal: usize| LIFE.map(|event| (event.to_owned(), deal.to_string()));
    (0..deals).flat_map(life).collect()
}

/// Waits until `count` different events have arrived, while time passes.
async fn expect(world: &World, receiver: &Receiver, count: usize) -> Vec<(String, String)> {
    eventually(&format!("the arrival of {count} events"), async || {
        world.clock.advance(Duration::from_millis(50));
        Some(first_arrivals(&receiver.all())).filter(|first| first.len() >= count)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deals_life_arrives_in_order_over_several_subscriptions() {
    const DEALS: usize = 25;
    let world = World::new().await;
    let receiver = Receiver::start().await;
    subscribe(&world, &receiver.url("/")).await;
    for deal in 0..DEALS {
        win(&world, &deal.to_string()).await;
    }
    receiver.expect(DEALS * LIFE.len()).await;
    receiver.expect_no_more_than(DEALS * LIFE.len()).await;
    assert_eq!(first_arrivals(&receiver.all()), lives(DEALS));
    assert_eq!(receiver.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_an_event_that_is_retried_whatever_subscription_it_is_for() {
    const DEALS: usize = 12;
    let world = World::tuned(impatient()).await;
    // Every third request fails.
    let receiver =
        Receiver::scripted(|request, _| Reply::Status(if request % 3 == 0 { 500 } else { 200 })).await;
    subscribe(&world, &receiver.url("/")).await;
    for deal in 0..DEALS {
        win(&world, &deal.to_string()).await;
    }
    assert_eq!(expect(&world, &receiver, DEALS * LIFE.len()).await, lives(DEALS));
    assert_eq!(receiver.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_urls_do_not_wait_for_each_other() {
    let world = World::new().await;
    let (hanging, receiver) = (Receiver::scripted(|_, _| Reply::Never).await, Receiver::start().await);
    subscribe(&world, &hanging.url("/")).await;
    subscribe(&world, &receiver.url("/one")).await;
    subscribe(&world, &receiver.url("/two")).await;
    win(&world, "0").await;
    let received = receiver.expect(2 * LIFE.len()).await;
    let mut by_path: BTreeMap<String, Vec<Received>> = BTreeMap::new();
    for received in received {
        by_path.entry(received.path.clone()).or_default().push(received);
    }
    for (path, received) in by_path {
        assert_eq!(first_arrivals(&received), lives(1), "{path}");
    }
    hanging.expect_no_more_than(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_a_paused_subscription_comes_when_it_is_resumed_and_in_its_order() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscriptions = subscribe(&world, &receiver.url("/")).await;
    let won = format!("/webhooks/{}", subscriptions[0]["id"].as_str().unwrap());
    world.patch(&won, json!({"is_active": false})).await.data(200);
    win(&world, "0").await;
    win(&world, "1").await;
    receiver.expect(6).await;
    receiver.expect_no_more_than(6).await;
    world.patch(&won, json!({"is_active": true})).await.data(200);
    let first = first_arrivals(&receiver.expect(8).await);
    assert_eq!(first[6..], [("deal.won".to_owned(), "0".to_owned()), ("deal.won".into(), "1".into())]);
    win(&world, "2").await;
    assert_eq!(first_arrivals(&receiver.expect(12).await)[8..], lives(3)[8..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_per_record_over_several_subscriptions() {
    const DEALS: usize = 8;
    let world = World::tuned(impatient()).await;
    let receiver = Receiver::scripted(|request, received| {
        let attempt: usize = received.header("x-isao-attempt").parse().unwrap();
        let status = if attempt == 1 && request % 4 == 0 { 500 } else { 200 };
        Reply::After(Duration::from_millis(request as u64 % 7), status)
    })
    .await;
    for (event, concurrency) in LIFE.into_iter().rev().zip([9, 3, 8, 16]) {
        let body = json!({"event": event, "target_url": receiver.url("/"), "ordering": "record", "concurrency": concurrency});
        world.post("/webhooks/subscribe", body).await.data(201);
    }
    for deal in 0..DEALS {
        win(&world, &deal.to_string()).await;
    }
    let first = expect(&world, &receiver, DEALS * LIFE.len()).await;
    let mut by_deal: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (event, deal) in first {
        by_deal.entry(deal).or_default().push(event);
    }
    assert_eq!(by_deal.len(), DEALS);
    for (deal, events) in by_deal {
        assert_eq!(events, LIFE, "{deal}");
    }
    assert!(receiver.most_at_once() <= 3, "no more than each allows: {}", receiver.most_at_once());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_has_one_secret() {
    const OWN: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let url = receiver.url("/");
    let first = world.subscribe("deal.created", &url).await;
    let second = world.subscribe("deal.updated", &url).await;
    assert_eq!(first["secret"], second["secret"]);
    let elsewhere = world.subscribe("deal.updated", &receiver.url("/elsewhere")).await;
    assert_ne!(first["secret"], elsewhere["secret"]);
    let own = json!({"event": "deal.won", "target_url": url, "secret": OWN});
    let own = world.post("/webhooks/subscribe", own).await.data(201);
    assert_eq!(own["secret"], OWN, "whoever sends one has it");

    let rotate = format!("/webhooks/{}/rotate-secret", second["id"].as_str().unwrap());
    let rotated = world.post(&rotate, json!({})).await.data(200);
    let third = world.subscribe("deal.stage_changed", &url).await;
    assert_eq!(third["secret"], rotated["secret"], "they change it together");
    win(&world, "0").await;
    let received = receiver.expect(5).await;
    let received: Vec<_> = received.iter().filter(|received| received.path == "/").collect();
    for received in received {
        let signatures = received.header("webhook-signature").split(' ').count();
        let both = received.json()["event"] != "deal.won";
        assert_eq!(signatures, if both { 2 } else { 1 }, "{}", received.json());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_to_a_new_url_in_order_and_by_one_process() {
    let world = World::tuned(impatient()).await;
    let other = world.another_server().await;
    let failing = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let receiver = Receiver::start().await;
    // Many URLs: some move to another shard, and some to another process.
    const ENDPOINTS: usize = 6;
    let mut subscriptions = Vec::new();
    for number in 0..ENDPOINTS {
        subscriptions.push(subscribe(&world, &failing.url(&format!("/{number}"))).await);
    }
    win(&world, "0").await;
    failing.expect(ENDPOINTS).await;
    for (number, subscriptions) in subscriptions.iter().enumerate() {
        // Together, so that none goes ahead of the others.
        for (change, of) in [
            (json!({"is_active": false}), 0..4),
            (json!({"target_url": receiver.url(&format!("/{number}"))}), 0..4),
            (json!({"is_active": true}), 0..4),
        ] {
            for subscription in &subscriptions[of] {
                let path = format!("/webhooks/{}", subscription["id"].as_str().unwrap());
                world.patch(&path, change.clone()).await.data(200);
            }
        }
    }
    win(&world, "1").await;
    eventually("both deals at all new URLs", async || {
        let mut by_path: BTreeMap<String, Vec<Received>> = BTreeMap::new();
        for received in receiver.all() {
            by_path.entry(received.path.clone()).or_default().push(received);
        }
        let complete = |received: &Vec<Received>| first_arrivals(received).len() == 2 * LIFE.len();
        (by_path.len() == ENDPOINTS && by_path.values().all(complete)).then_some(())
    })
    .await;
    for number in 0..ENDPOINTS {
        let at = format!("/{number}");
        let received: Vec<_> = receiver.all().into_iter().filter(|received| received.path == at).collect();
        let first = first_arrivals(&received);
        // What was resumed first may have gone first; from then on they have one order.
        assert_eq!(first[LIFE.len()..], lives(2)[LIFE.len()..], "{at}");
    }
    assert!(other.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_holds_with_three_servers_one_of_which_is_killed() {
    const ENDPOINTS: usize = 8;
    const DEALS: usize = 20;
    let world = World::new().await;
    let receiver = Receiver::start().await;
    for number in 0..ENDPOINTS {
        subscribe(&world, &receiver.url(&format!("/{number}"))).await;
    }
    let (process, other) = tokio::join!(Process::serve(&world.database), world.another_server());
    for deal in 0..DEALS / 2 {
        win(&world, &deal.to_string()).await;
    }
    process.kill().await;
    for deal in DEALS / 2..DEALS {
        win(&world, &deal.to_string()).await;
    }
    let by_path = eventually("all deals at all URLs", async || {
        let mut by_path: BTreeMap<String, Vec<Received>> = BTreeMap::new();
        for received in receiver.all() {
            by_path.entry(received.path.clone()).or_default().push(received);
        }
        let complete = |received: &Vec<Received>| first_arrivals(received).len() == DEALS * LIFE.len();
        (by_path.len() == ENDPOINTS && by_path.values().all(complete)).then_some(by_path)
    })
    .await;
    for (path, received) in by_path {
        assert_eq!(first_arrivals(&received), lives(DEALS), "{path}");
    }
    assert!(other.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_waits_behind_another_says_behind_which() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let subscriptions = subscribe(&world, &receiver.url("/")).await;
    win(&world, "0").await;
    receiver.expect(1).await;
    let deliveries = async |number: usize, state: &str| {
        let id = subscriptions[number]["id"].as_str().unwrap();
        world.get(&format!("/webhooks/{id}/deliveries?state={state}")).await.data(200)
    };
    let retrying = eventually("the record of the first attempt", async || {
        deliveries(3, "retrying").await.get(0).cloned()
    })
    .await;
    assert_eq!((&retrying["event"], &retrying["waits_behind"]), (&json!("deal.created"), &Value::Null));
    for number in 0..3 {
        let waiting = deliveries(number, "waiting").await[0].clone();
        assert_eq!(waiting["waits_behind"], retrying["id"], "{waiting}");
        let shown =
            world.get(&format!("/webhooks/deliveries/{}", waiting["id"].as_str().unwrap())).await.data(200);
        assert_eq!(shown["waits_behind"], retrying["id"]);
    }
}
