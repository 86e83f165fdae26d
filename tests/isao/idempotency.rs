//! `Idempotency-Key`: a POST that is repeated is carried out once.

use std::time::Duration;

use isao::model::permission::Permission;
use isao::model::words::Words;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::schema::Document;
use crate::support::{Answer, Receiver, World};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn post(world: &World, key: &str, path: &str, body: &Value) -> Answer {
    world.send(world.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

fn jane() -> Value {
    json!({"name": "Jane", "phoneNumber": "100"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_post_gets_the_first_answer() {
    let world = World::new().await;
    let bodies = [
        ("/contacts", jane()),
        ("/deals", json!({"title": "Big"})),
        ("/webhooks/subscribe", json!({"event": "deal.won", "target_url": "https://example.com/"})),
    ];
    for (number, (path, body)) in bodies.iter().enumerate() {
        let key = format!("key {number}");
        let first = post(&world, &key, path, body).await;
        assert_eq!(first.status, 201);
        assert!(!is_replayed(&first));
        world.clock.advance(Duration::from_secs(1));
        let again = post(&world, &key, path, body).await;
        assert!(is_replayed(&again));
        assert_eq!((again.status, again.text), (201, first.text));
    }
    assert_eq!(world.event_types().await, ["contact.created", "deal.created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_stays_even_when_the_record_is_gone() {
    let world = World::new().await;
    let first = post(&world, "a", "/contacts", &jane()).await;
    world.delete(&format!("/contacts/{}", first.data(201)["id"].as_str().unwrap())).await.data(200);
    let again = post(&world, "a", "/contacts", &jane()).await;
    assert_eq!((again.status, again.text), (201, first.text));
    assert!(world.get("/contacts").await.data(200).as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_with_the_key_is_409() {
    let world = World::new().await;
    post(&world, "a", "/contacts", &jane()).await.data(201);
    let others = [
        ("/contacts", json!({"name": "Joan", "phoneNumber": "200"})),
        ("/contacts?", jane()),
        ("/deals", json!({"title": "Big", "name": "Jane", "phoneNumber": "100"})),
    ];
    for (path, body) in others {
        let refused = post(&world, "a", path, &body).await;
        refused.assert_error(409, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(world.event_types().await, ["contact.created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_twins_get_one_record() {
    let world = World::new().await;
    let body = json!({"title": "Big"});
    let answers = futures_util::future::join_all((0..20).map(|_| post(&world, "a", "/deals", &body))).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
    assert_eq!(answers.iter().filter(|answer| !is_replayed(answer)).count(), 1);
    assert_eq!(world.event_types().await, ["deal.created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_on_two_servers_get_one_record() {
    let world = World::new().await;
    let other = world.another_server().await;
    let elsewhere = format!("http://{}/api/external/deals", other.address());
    for number in 0..10 {
        let key = format!("key-{number}");
        let body = json!({"title": key});
        let there =
            world.http.post(&elsewhere).bearer_auth(&world.key).header("idempotency-key", &key).json(&body);
        let (one, two) = tokio::join!(post(&world, &key, "/deals", &body), world.send(there));
        assert_eq!((one.status, &one.text), (201, &two.text));
    }
    assert_eq!(world.event_types().await, ["deal.created"; 10]);
    assert!(other.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_the_key_is_new_again() {
    let world = World::new().await;
    let body = json!({"title": "Big"});
    let first = post(&world, "a", "/deals", &body).await;
    world.clock.advance(DAY - Duration::from_millis(1));
    assert_eq!(post(&world, "a", "/deals", &body).await.text, first.text);
    world.clock.advance(Duration::from_millis(1));
    let second = post(&world, "a", "/deals", &body).await;
    assert!(!is_replayed(&second));
    assert_ne!(second.data(201)["id"], first.data(201)["id"]);
    assert_eq!(post(&world, "a", "/deals", &body).await.text, second.text, "kept for another day");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_company() {
    let world = World::new().await;
    let other = world.add_company("Other").await;
    let stranger = world.add_key(other, Permission::ALL).await;
    let first = post(&world, "a", "/contacts", &jane()).await;
    let request = world.http.post(world.url("/contacts")).bearer_auth(&stranger);
    let second = world.send(request.header("idempotency-key", "a").json(&jane())).await;
    assert!(!is_replayed(&second));
    assert_ne!(second.data(201)["id"], first.data(201)["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_answer_too() {
    let world = World::new().await;
    let contact = world.contact("Joan", "100").await;
    let refused = post(&world, "a", "/contacts", &jane()).await;
    refused.assert_error(409, "ALREADY_EXISTS");
    world.delete(&format!("/contacts/{}", contact["id"].as_str().unwrap())).await.data(200);
    world.clock.advance(Duration::from_secs(1));
    let again = post(&world, "a", "/contacts", &jane()).await;
    assert!(is_replayed(&again));
    assert_eq!((again.status, again.text), (409, refused.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_not_understood_leaves_the_key_free() {
    let world = World::new().await;
    post(&world, "a", "/contacts", &json!({"name": "Jane"})).await.bad_fields();
    assert_eq!(post(&world, "a", "/contacts", &jane()).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_know_no_keys() {
    let world = World::new().await;
    let contact = world.contact("Jane", "100").await;
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    for city in ["Paris", "Lyon"] {
        let request = world.request(Method::PUT, &path).header("idempotency-key", "a");
        let answer = world.send(request.json(&json!({"city": city}))).await;
        assert!(!is_replayed(&answer));
        assert_eq!(answer.data(200)["city"], city);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_printable_ascii() {
    let world = World::new().await;
    let longest = "k".repeat(255);
    for (number, good) in ["k", &longest, "{\"a\": 1}"].into_iter().enumerate() {
        assert_eq!(post(&world, good, "/deals", &json!({"title": number.to_string()})).await.status, 201);
    }
    for bad in ["", "é", "a\tb", &format!("{longest}k")] {
        post(&world, bad, "/deals", &json!({"title": "x"})).await.assert_error(400, "BAD_REQUEST");
    }
    // A dry run refuses a malformed key like the replay itself.
    let subscription = world.subscribe("deal.won", "https://example.com/").await;
    let path = format!("/webhooks/{}/replay", subscription["id"].as_str().unwrap());
    let dry_run = json!({"since": "2024-11-08", "only": "all", "dryRun": true});
    post(&world, "é", &path, &dry_run).await.assert_error(400, "BAD_REQUEST");
    assert_eq!(post(&world, "another", &path, &dry_run).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_changes_nothing_is_answered_once_too() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let subscription = world.subscribe("deal.won", &receiver.url("/")).await;
    let id = subscription["subscription_id"].as_str().unwrap();
    for (path, body) in [
        (format!("/webhooks/{id}/test"), json!({})),
        (format!("/webhooks/{id}/replay"), json!({"since": "2024-01-01", "only": "all", "dryRun": true})),
        ("/webhooks/preview".to_owned(), json!({"event": "deal.won"})),
        ("/webhooks/check-url".to_owned(), json!({"target_url": receiver.url("/")})),
    ] {
        let first = post(&world, &path, &path, &body).await;
        assert!(first.status == 200 && !is_replayed(&first), "{path}: {}", first.text);
        world.clock.advance(Duration::from_secs(1));
        let again = post(&world, &path, &path, &body).await;
        assert!(is_replayed(&again) && again.text == first.text, "{path}: {}", again.text);
        let other = json!({"event": "deal.won", "note": "another request"});
        let other = post(&world, &path, &path, &other).await;
        assert!(matches!(other.status, 409 | 422), "{path}: {}", other.text);
    }
    receiver.expect_no_more_than(1).await;
    receiver.expect(1).await;
}

#[test]
fn every_post_takes_a_key() {
    let posts = Document::committed().operations();
    let posts: Vec<_> = posts.iter().filter(|operation| operation.method == Method::POST).collect();
    assert!(posts.len() > 5);
    for post in posts {
        assert!(post.parameters.iter().any(|known| known.field.name == "Idempotency-Key"), "{}", post.path);
    }
}
