//! Order per record: `ordering: "record"`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use isao::delivery::Tuning;
use serde_json::{Value, json};

use crate::support::{Process, Received, Receiver, Reply, World, eventually};

const CONTACTS: usize = 6;

/// Retries that the clock soon reaches.
fn impatient() -> Tuning {
    Tuning { retry_delays: "100ms,100ms,100ms".parse().unwrap(), ..Tuning::default() }
}

async fn subscribe(world: &World, receiver: &Receiver, concurrency: usize) -> String {
    let body = json!({
        "event": "contact.updated",
        "target_url": receiver.url("/"),
        "ordering": "record",
        "concurrency": concurrency,
    });
    let subscription = world.post("/webhooks/subscribe", body).await.data(201);
    assert_eq!(
        (&subscription["ordering"], &subscription["concurrency"]),
        (&json!("record"), &json!(concurrency))
    );
    format!("/webhooks/{}", subscription["id"].as_str().unwrap())
}

/// Contacts to update; their paths.
async fn contacts(world: &World) -> Vec<String> {
    let mut contacts = Vec::new();
    for number in 0..CONTACTS {
        let contact = world.contact("0", &format!("+3310000000{number}")).await;
        contacts.push(format!("/contacts/{}", contact["id"].as_str().unwrap()));
    }
    contacts
}

/// Updates each contact once for each number, one contact after the other.
async fn update(world: &World, contacts: &[String], numbers: std::ops::Range<usize>) {
    for number in numbers {
        for contact in contacts {
            world.patch(contact, json!({"position": number.to_string()})).await.data(200);
        }
    }
}

fn number(received: &Received) -> usize {
    received.data()["position"].as_str().unwrap().parse().unwrap()
}

/// What arrived of each contact, in order.
fn by_contact(received: &[Received]) -> HashMap<String, Vec<usize>> {
    let mut numbers: HashMap<_, Vec<_>> = HashMap::new();
    for received in received {
        let id = received.data()["id"].as_str().unwrap().to_owned();
        numbers.entry(id).or_default().push(number(received));
    }
    numbers
}

/// Waits until `count` requests have arrived, while time passes.
async fn expect(world: &World, receiver: &Receiver, count: usize) -> Vec<Received> {
    eventually(&format!("the arrival of {count} requests"), async || {
        world.clock.advance(Duration::from_millis(50));
        Some(receiver.all()).filter(|received| received.len() >= count)
    })
    .await
}

/// Every contact's events have arrived in order, whatever was repeated.
fn assert_in_order(received: &[Received], numbers: std::ops::Range<usize>) {
    let by_contact = by_contact(received);
    assert_eq!(by_contact.len(), CONTACTS);
    for (contact, mut arrived) in by_contact {
        arrived.dedup();
        assert_eq!(arrived, numbers.clone().collect::<Vec<_>>(), "{contact}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_per_record_whatever_fails_and_so_many_go_at_a_time() {
    let world = World::tuned(impatient()).await;
    // Up to three failures for each event, and answers that take their time.
    let receiver = Receiver::scripted(|request, received| {
        let attempt: usize = received.header("x-isao-attempt").parse().unwrap();
        let status = if attempt <= number(received) % 4 { 500 } else { 200 };
        Reply::After(Duration::from_millis(request as u64 % 7), status)
    })
    .await;
    subscribe(&world, &receiver, 4).await;
    let contacts = contacts(&world).await;
    update(&world, &contacts, 0..12).await;
    let requests = CONTACTS * (0..12).map(|number| 1 + number % 4).sum::<usize>();
    let received = expect(&world, &receiver, requests).await;
    assert_in_order(&received, 0..12);
    receiver.expect_no_more_than(requests).await;
    assert!((2..=4).contains(&receiver.most_at_once()), "{}", receiver.most_at_once());
}

#[tokio::test(flavor = "multi_thread")]
async fn others_pass_a_record_that_fails() {
    let mut world = World::new().await;
    let contacts = contacts(&world).await;
    let failing = contacts[0].trim_start_matches("/contacts/").to_owned();
    let failing = move |received: &Received| received.data()["id"] == failing.as_str();
    let fails = failing.clone();
    let receiver =
        Receiver::scripted(move |_, received| Reply::Status(if fails(received) { 500 } else { 200 })).await;
    let path = subscribe(&world, &receiver, 2).await;
    update(&world, &contacts, 0..5).await;
    let others = 5 * (CONTACTS - 1);
    receiver.expect(others + 1).await;
    receiver.expect_no_more_than(others + 1).await;
    let shown = world.get(&path).await.data(200);
    assert_eq!(
        (&shown["delivery"]["waiting"], &shown["delivery"]["head_attempts"]),
        (&json!(true), &json!(1))
    );

    // Also after a restart, which repeats nothing; the failing one keeps its place and attempts.
    world.stop_server().await;
    world.start_server().await;
    update(&world, &contacts, 5..6).await;
    receiver.expect(others + 1 + CONTACTS - 1).await;
    receiver.expect_no_more_than(others + 1 + CONTACTS - 1).await;
    receiver.rescript(|_, _| Reply::Status(200));
    let received = world.expect_with_retries(&receiver, 6 * CONTACTS + 1).await;
    assert_in_order(&received, 0..6);
    let late: Vec<_> = received.iter().filter(|received| failing(received)).collect();
    let attempts: Vec<_> = late.iter().map(|received| received.header("x-isao-attempt")).collect();
    assert_eq!(attempts, ["1", "2", "1", "1", "1", "1", "1"]);
    receiver.expect_no_more_than(6 * CONTACTS + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_repeats_only_what_was_in_flight() {
    const CONCURRENCY: usize = 4;
    let mut world = World::new().await;
    world.stop_server().await;
    let process = Process::serve(&world.database).await;
    world.turn_to(process.address);
    // From some request on it answers nothing.
    let receiver =
        Receiver::scripted(|request, _| if request < 20 { Reply::Status(200) } else { Reply::Never }).await;
    subscribe(&world, &receiver, CONCURRENCY).await;
    let contacts = contacts(&world).await;
    update(&world, &contacts, 0..10).await;
    receiver.expect(20 + CONCURRENCY).await;
    eventually("the record of what was answered", async || {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM attempts").fetch_one(&world.pool).await.unwrap();
        (count == 20).then_some(())
    })
    .await;
    receiver.expect_no_more_than(20 + CONCURRENCY).await;
    process.kill().await;
    receiver.rescript(|_, _| Reply::Status(200));
    world.start_server().await;
    let received = receiver.expect(10 * CONTACTS + CONCURRENCY).await;
    receiver.expect_no_more_than(10 * CONTACTS + CONCURRENCY).await;
    assert_in_order(&received, 0..10);
    let in_flight: HashSet<_> = received[20..20 + CONCURRENCY].iter().map(Received::event_id).collect();
    let mut seen = HashSet::new();
    let repeated: HashSet<_> =
        received.iter().map(Received::event_id).filter(|event| !seen.insert(event.clone())).collect();
    assert_eq!(repeated, in_flight);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ordering_can_be_changed_in_the_middle_of_work() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::After(Duration::from_millis(10), 200)).await;
    let subscription = world.subscribe("contact.updated", &receiver.url("/")).await;
    let path = format!("/webhooks/{}", subscription["id"].as_str().unwrap());
    let contacts = contacts(&world).await;
    update(&world, &contacts, 0..10).await;
    let change = async |body: Value| world.patch(&path, body).await.data(200);
    let changed = change(json!({"ordering": "record", "concurrency": 3})).await;
    assert_eq!((&changed["ordering"], &changed["concurrency"]), (&json!("record"), &json!(3)));
    update(&world, &contacts, 10..15).await;
    let changed = change(json!({"ordering": "subscription"})).await;
    assert_eq!((&changed["ordering"], &changed["concurrency"]), (&json!("subscription"), &json!(1)));
    update(&world, &contacts, 15..20).await;
    let changed = change(json!({"concurrency": 1})).await;
    assert_eq!(changed["ordering"], "subscription");
    let received = receiver.expect(20 * CONTACTS).await;
    receiver.expect_no_more_than(20 * CONTACTS).await;
    assert_in_order(&received, 0..20);
    assert!(receiver.most_at_once() <= 3);
    // What came last came strictly one after the other.
    let last: Vec<_> = received[15 * CONTACTS..].iter().map(number).collect();
    assert!(last.is_sorted(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_told() {
    let world = World::new().await;
    let url = "https://hooks.zapier.com/hooks/catch/12345/abcdef";
    let subscription = world.subscribe("contact.created", url).await;
    let path = format!("/webhooks/{}", subscription["id"].as_str().unwrap());
    let range = "must be a whole number from 1 to 64";
    let strict = "goes with ordering \"record\" only: otherwise each delivery waits for the one before";
    for (body, field, sentence) in [
        (json!({"ordering": "strict"}), "ordering", "must be one of subscription, record"),
        (json!({"ordering": 1}), "ordering", "must be one of subscription, record"),
        (json!({"ordering": "record", "concurrency": 0}), "concurrency", range),
        (json!({"ordering": "record", "concurrency": 65}), "concurrency", range),
        (json!({"ordering": "record", "concurrency": "4"}), "concurrency", range),
        (json!({"ordering": "record", "concurrency": 1.5}), "concurrency", range),
        (json!({"concurrency": 2}), "concurrency", strict),
        (json!({"ordering": "subscription", "concurrency": 2}), "concurrency", strict),
    ] {
        let mut whole = body.clone();
        whole["event"] = json!("contact.updated");
        whole["target_url"] = json!(url);
        for answer in [world.post("/webhooks/subscribe", whole).await, world.patch(&path, body.clone()).await]
        {
            assert_eq!(answer.bad_fields()[field], sentence, "{body}");
        }
    }
    let body = json!({"event": "contact.updated", "target_url": url, "ordering": "record"});
    assert_eq!(world.post("/webhooks/subscribe", body).await.data(201)["concurrency"], 16);
    let changed = world.patch(&path, json!({"ordering": "record", "concurrency": 64})).await.data(200);
    assert_eq!(changed["concurrency"], 64);
    assert_eq!(world.patch(&path, json!({"ordering": "record"})).await.data(200)["concurrency"], 64);
}
