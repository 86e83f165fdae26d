//! Single deliveries again, and who may have what again.

use std::time::Duration;

use isao::model::ids::DeliveryId;
use isao::model::permission::Permission;
use isao::model::words::Words;
use isao::server::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{EVER, create, done, hasty, idle, names, path};
use crate::support::{Answer, Receiver, Reply, World, eventually};

/// The deliveries of a subscription, oldest first: their ids.
async fn deliveries(world: &World, subscription: &Value) -> Vec<String> {
    let list = world.get(&format!("{}/deliveries", path(subscription))).await.data(200);
    let id = |delivery: &Value| delivery["id"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().rev().map(id).collect()
}

async fn redeliver(world: &World, delivery: &str) -> Answer {
    world.post(&format!("/webhooks/deliveries/{delivery}/redeliver"), json!({})).await
}

/// A delivery: its state, and why each attempt was made, oldest first.
async fn state(world: &World, delivery: &str) -> (String, Vec<String>) {
    let shown = world.get(&format!("/webhooks/deliveries/{delivery}")).await.data(200);
    let mut causes: Vec<_> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["cause"].as_str().unwrap().to_owned())
        .collect();
    causes.sort();
    (shown["state"].as_str().unwrap().to_owned(), causes)
}

/// What is listed as undelivered: the ids.
async fn undelivered(world: &World) -> Vec<String> {
    let list = world.get("/webhooks/undelivered").await.data(200);
    list.as_array().unwrap().iter().map(|delivery| delivery["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_can_be_made_again_whatever_became_of_it() {
    let world = hasty().await;
    let receiver = Receiver::scripted(|_, received| {
        Reply::Status(if received.data()["name"] == "1" { 500 } else { 200 })
    })
    .await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..3).await;
    receiver.expect(6).await;
    idle(&world, &subscription).await;
    let all = deliveries(&world, &subscription).await;

    // A delivered one is delivered twice.
    let replay = redeliver(&world, &all[0]).await.data(202);
    assert_eq!((&replay["status"], &replay["progress"]), (&json!("running"), &json!(0.0)));
    assert_eq!(done(&world, &replay).await["delivered"], 1);
    let received = receiver.expect(7).await;
    assert_eq!(received[6].body, received[0].body);
    assert_eq!(state(&world, &all[0]).await, ("delivered".into(), vec!["live".into(), "replay".into()]));

    // An undelivered one remains so until it is delivered.
    assert_eq!(undelivered(&world).await, [all[1].clone()]);
    let replay = redeliver(&world, &all[1]).await.data(202);
    let shown = done(&world, &replay).await;
    assert_eq!((&shown["delivered"], &shown["undelivered"]), (&json!(0), &json!(1)));
    let mut causes = vec!["live".to_owned(); 4];
    causes.extend(vec!["replay".to_owned(); 4]);
    assert_eq!(state(&world, &all[1]).await, ("undelivered".into(), causes.clone()));
    assert_eq!(undelivered(&world).await, [all[1].clone()]);
    receiver.rescript(|_, _| Reply::Status(200));
    let replay = redeliver(&world, &all[1]).await.data(202);
    assert_eq!(done(&world, &replay).await["delivered"], 1);
    causes.push("replay".to_owned());
    assert_eq!(state(&world, &all[1]).await, ("delivered".into(), causes));
    assert_eq!(undelivered(&world).await, Vec::<String>::new());
    assert_eq!(names(&receiver.expect(12).await[6..]), ["0", "1", "1", "1", "1", "1"]);

    // The filters do not matter for what was named; but what never was wanted is no delivery.
    world.patch(&path(&subscription), json!({"filters": {"name": "other"}})).await.data(200);
    let replay = redeliver(&world, &all[2]).await.data(202);
    done(&world, &replay).await;
    assert_eq!(names(&receiver.expect(13).await[12..]), ["2"]);
    create(&world, 3..4).await;
    let other = world.post("/contacts", json!({"name": "other", "phoneNumber": "+33200000000"})).await;
    other.data(201);
    receiver.expect(14).await;
    idle(&world, &subscription).await;
    let last = DeliveryId::parse(&all[2]).unwrap();
    let next = DeliveryId { seq: last.seq + 1, ..last }.to_string();
    redeliver(&world, &next).await.assert_error(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_waits_is_not_made_again() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..2).await;
    eventually("the record of an attempt", async || {
        let shown = world.get(&path(&subscription)).await.data(200);
        (shown["delivery"]["head_attempts"] == 1).then_some(())
    })
    .await;
    let all = deliveries(&world, &subscription).await;
    assert_eq!(all.len(), 2);
    for delivery in &all {
        redeliver(&world, delivery).await.assert_error(409, "CONFLICT");
    }
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    redeliver(&world, &all[1]).await.assert_error(409, "CONFLICT");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_ten_replays_of_a_company_run() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..1).await;
    receiver.expect(1).await;
    idle(&world, &subscription).await;
    // Paused, they wait.
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    let replays = format!("{}/replay", path(&subscription));
    let wanted = json!({"since": EVER, "only": "all"});
    let answers = (0..15).map(|_| world.post(&replays, wanted.clone()));
    let answers = futures_util::future::join_all(answers).await;
    let (began, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!((began.len(), refused.len()), (10, 5));
    for refused in refused {
        refused.assert_error(409, "CONFLICT");
    }
    receiver.expect_no_more_than(1).await;
    let id = began[0].data(202)["id"].as_str().unwrap().to_owned();
    world.delete(&format!("/webhooks/replays/{id}")).await.data(200);
    world.post(&replays, wanted.clone()).await.data(202);
    world.post(&replays, wanted).await.assert_error(409, "CONFLICT");
    world.patch(&path(&subscription), json!({"is_active": true})).await.data(200);
    receiver.expect(11).await;
    for answer in &began[1..] {
        assert_eq!(done(&world, &answer.data(202)).await["delivered"], 1);
    }
    receiver.expect_no_more_than(11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_companies_find_nothing() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..1).await;
    receiver.expect(1).await;
    idle(&world, &subscription).await;
    let delivery = deliveries(&world, &subscription).await.remove(0);
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    let body = json!({"since": EVER, "only": "all"});
    let replay = super::replay(&world, &subscription, body.clone()).await;

    let company = world.add_company("Other").await;
    let key = world.add_key(company, Permission::ALL).await;
    let one = format!("/webhooks/replays/{}", replay["id"].as_str().unwrap());
    for (method, path) in [
        (Method::POST, format!("{}/replay", path(&subscription))),
        (Method::GET, format!("{}/replays", path(&subscription))),
        (Method::POST, format!("/webhooks/deliveries/{delivery}/redeliver")),
        (Method::GET, one.clone()),
        (Method::DELETE, one.clone()),
    ] {
        let request = world.http.request(method, world.url(&path)).bearer_auth(&key).json(&body);
        world.send(request).await.assert_error(404, "NOT_FOUND");
    }
    assert_eq!(world.get(&one).await.data(200)["status"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_skipped_is_listed_and_can_be_made_again() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let body = json!({
        "event": "contact.created",
        "target_url": receiver.url("/"),
        "filters": {"name": ["0", "2", "3", "4", "6"]},
    });
    let subscription = world.post("/webhooks/subscribe", body).await.data(201);
    let with_state = async |state: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{}/deliveries?state={state}&limit=2{cursor}", path(&subscription));
            let page = world.get(&path).await.json();
            found.extend(page["data"].as_array().unwrap().iter().map(|delivery| delivery["id"].clone()));
            match page["meta"]["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    let resume = async || {
        world.patch(&path(&subscription), json!({"resume": "now"})).await.data(200);
    };
    create(&world, 0..1).await;
    receiver.expect(1).await;
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    create(&world, 1..4).await;
    resume().await;
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    create(&world, 4..6).await;
    let all = deliveries(&world, &subscription).await;
    assert_eq!(all.len(), 4, "of those that match: one was delivered, two were skipped, one waits");
    assert_eq!(with_state("waiting").await, [all[3].as_str()]);
    resume().await;
    create(&world, 6..7).await;
    receiver.expect(2).await;
    let skipped = with_state("skipped").await;
    assert_eq!(skipped, [all[3].as_str(), &all[2], &all[1]]);
    assert_eq!(state(&world, &all[2]).await, ("skipped".into(), vec![]));

    // Now it is wanted all the same. While a replay retries it, it is one that is retried.
    receiver.rescript(|_, _| Reply::Status(500));
    let replay = redeliver(&world, &all[2]).await.data(202);
    eventually("the record of the attempt", async || {
        (with_state("retrying").await == [all[2].as_str()]).then_some(())
    })
    .await;
    receiver.rescript(|_, _| Reply::Status(200));
    eventually("the next attempt", async || {
        world.clock.advance(Duration::from_secs(1));
        (receiver.all().len() == 4).then_some(())
    })
    .await;
    assert_eq!(done(&world, &replay).await["delivered"], 1);
    assert_eq!(names(&receiver.all()), ["0", "6", "3", "3"]);
    assert_eq!(with_state("skipped").await, [all[3].as_str(), &all[1]]);
    assert!(with_state("retrying").await.is_empty());
    assert_eq!(state(&world, &all[2]).await.0, "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_skipped_is_done_before_any_process_that_delivers_hears_of_it() {
    let mut world = World::new().await;
    let receiver = Receiver::start().await;
    world.stop_server().await;
    let answering = world.server_as(Role::Api).await;
    world.turn_to(answering.address());
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    let resume = async || world.patch(&path(&subscription), json!({"resume": "now"})).await.data(200);
    let health = async || world.get(&path(&subscription)).await.data(200)["delivery"].clone();

    create(&world, 0..3).await;
    assert_eq!(health().await["waiting"], true);
    resume().await;
    let all = deliveries(&world, &subscription).await;
    assert_eq!(state(&world, &all[2]).await, ("skipped".into(), vec![]));
    assert_eq!(health().await["waiting"], false, "the subscription says the same as its deliveries");
    resume().await;
    let gaps = health().await["gaps"].clone();
    assert_eq!(gaps.as_array().unwrap().len(), 1, "nothing waited that could be skipped again: {gaps}");
    assert_eq!(gaps[0]["events"], 3);
    let replay = redeliver(&world, &all[2]).await.data(202);

    let delivering = world.server_as(Role::Deliver).await;
    assert_eq!(done(&world, &replay).await["delivered"], 1);
    assert_eq!(names(&receiver.expect(1).await), ["2"]);
    create(&world, 3..4).await;
    assert_eq!(names(&receiver.expect(2).await), ["2", "3"]);
    assert!(delivering.stop().await && answering.stop().await);
}
