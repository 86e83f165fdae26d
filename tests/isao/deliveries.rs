//! The delivery log: what was delivered, what was not, and why.

use std::collections::BTreeSet;
use std::time::Duration;

use isao::model::permission::Permission;
use isao::model::words::Words;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::receiver::blunt;
use crate::support::{Receiver, Reply, World, eventually};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The path of a subscription.
fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", text(&subscription["id"]))
}

/// The deliveries on the first page of a list.
async fn list(world: &World, path: &str) -> Vec<Value> {
    world.get(path).await.data(200).as_array().unwrap().clone()
}

/// Waits until the list of a subscription's deliveries is as it should be.
async fn listed(world: &World, subscription: &Value, check: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let path = format!("{}/deliveries", path(subscription));
    eventually("the delivery", async || Some(list(world, &path).await).filter(|list| check(list))).await
}

/// A list from its first page to its last.
async fn all_pages(world: &World, path: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("{path}{cursor}")).await.json();
        all.extend(page["data"].as_array().unwrap_or_else(|| panic!("{page}")).iter().cloned());
        match page["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn ids(list: &[Value]) -> Vec<&str> {
    list.iter().map(|delivery| text(&delivery["id"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_failure_is_told() {
    let world = World::new().await;
    let failing = Receiver::scripted(|_, _| Reply::With(500, "x-reason", "tired".into())).await;
    let silent = Receiver::scripted(|_, _| Reply::Never).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cut = blunt(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx").await;
    let plain = blunt(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let mut subscriptions = Vec::new();
    for (url, class, error, status) in [
        (format!("http://{free}/"), "connect", "could not connect: ", None),
        ("http://nowhere.invalid/".into(), "dns", "host name not resolved: ", None),
        (format!("https://{plain}/"), "tls", "no TLS connection: ", None),
        (format!("http://{cut}/"), "broken", "no complete answer: ", None),
        (failing.url("/"), "status", "answered 500", Some(500)),
        (silent.url("/"), "timeout", "no complete answer within 30s", None),
    ] {
        subscriptions.push((world.subscribe("contact.created", &url).await, url, class, error, status));
    }
    let contact = world.contact("Jane", "100").await;
    silent.expect(1).await;
    for (subscription, url, class, error, status) in subscriptions {
        if class == "timeout" {
            // Only now: it is the last one, and nothing else is to run out of time.
            world.clock.advance(Duration::from_secs(31));
        }
        let delivery = &listed(&world, &subscription, |list| list[0]["attempts"] != 0).await[0];
        assert_eq!(delivery["error_class"], class, "{delivery}");
        assert_eq!(delivery["last_status"], json!(status), "{delivery}");
        assert!(text(&delivery["last_error"]).starts_with(error), "{delivery}");
        assert_eq!(delivery["record_id"], contact["id"]);
        assert_eq!(delivery["target_url"], url);
        let shown = world.get(&format!("/webhooks/deliveries/{}", text(&delivery["id"]))).await.data(200);
        let attempt = shown["history"].as_array().unwrap().last().unwrap();
        assert_eq!((&attempt["number"], &attempt["outcome"]), (&json!(1), &json!("failed")));
        assert_eq!((&attempt["error_class"], &attempt["cause"]), (&json!(class), &json!("live")));
        if status.is_some() {
            assert_eq!(attempt["remote_addr"], failing.address.to_string());
            let headers = attempt["response"]["headers"].as_array().unwrap();
            assert!(headers.contains(&json!(["x-reason", "tired"])), "{attempt}");
        } else {
            assert_eq!((&attempt["remote_addr"], &attempt["response"]), (&Value::Null, &Value::Null));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_waits_is_retried_and_given_up_or_delivered() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "101").await;
    listed(&world, &subscription, |list| list.len() == 1 && list[0]["state"] == "retrying").await;
    world.contact("Second", "102").await;
    let found = listed(&world, &subscription, |list| list.len() == 2).await;
    let [second, first] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&first["state"], &first["attempts"]), (&json!("retrying"), &json!(1)));
    assert!(first["next_attempt_at"].is_string() && first["last_attempt_at"].is_string());
    assert_eq!((&second["state"], &second["attempts"]), (&json!("waiting"), &json!(0)));
    assert_eq!((&second["next_attempt_at"], &second["last_error"]), (&Value::Null, &Value::Null));
    let with_state = async |state: &str| {
        let path = format!("{}/deliveries?state={state}", path(&subscription));
        ids(&list(&world, &path).await).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let [first, second] = [first, second].map(|delivery| text(&delivery["id"]).to_owned());
    assert_eq!(with_state("retrying").await, [first.as_str()]);
    assert_eq!(with_state("waiting").await, [second.as_str()]);
    assert!(with_state("delivered").await.is_empty() && with_state("skipped").await.is_empty());
    let shown = world.get(&format!("/webhooks/deliveries/{second}")).await.data(200);
    assert_eq!(shown["request"]["headers"], Value::Null, "not sent yet");
    assert!(text(&shown["request"]["body"]).contains("Second"));

    receiver
        .rescript(|_, received| Reply::Status(if received.data()["name"] == "First" { 500 } else { 200 }));
    world.expect_with_retries(&receiver, 5).await;
    listed(&world, &subscription, |list| list[0]["state"] == "delivered").await;
    assert_eq!(with_state("undelivered").await, [first.as_str()]);
    assert_eq!(with_state("delivered").await, [second.as_str()]);
    assert!(with_state("retrying").await.is_empty() && with_state("waiting").await.is_empty());
    let undelivered = list(&world, "/webhooks/undelivered").await;
    assert_eq!(ids(&undelivered), [first.as_str()]);
    assert_eq!((&undelivered[0]["attempts"], &undelivered[0]["last_status"]), (&json!(4), &json!(500)));

    // What was sent last is told to the letter.
    let shown = world.get(&format!("/webhooks/deliveries/{first}")).await.data(200);
    let sent = &receiver.all()[3];
    assert_eq!(text(&shown["request"]["body"]).as_bytes(), sent.body);
    let headers = shown["request"]["headers"].as_array().unwrap();
    assert_eq!(headers.len(), sent.headers.len());
    for header in headers {
        assert_eq!(text(&header[1]), sent.header(text(&header[0])));
    }
    let numbers: Vec<_> =
        shown["history"].as_array().unwrap().iter().map(|made| made["number"].clone()).collect();
    assert_eq!(numbers, [4, 3, 2, 1]);

    // A replay that delivers makes it delivered.
    sqlx::query(
        "INSERT INTO attempts (company_id, subscription_id, seq, event_id, attempt, at, duration_ms, outcome, cause)
         SELECT company_id, subscription_id, seq, event_id, 1, at, 5, 'delivered', 'replay' FROM attempts
         WHERE outcome = 'undelivered'",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    assert!(list(&world, "/webhooks/undelivered").await.is_empty());
    assert!(with_state("undelivered").await.is_empty());
    assert_eq!(with_state("delivered").await, [second, first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_what_matches() {
    let world = World::new().await;
    let body =
        json!({"event": "contact.created", "target_url": "https://example.com/", "filters": {"tags": "vip"}});
    let subscription = world.post("/webhooks/subscribe", body).await.data(201);
    world.patch(&path(&subscription), json!({"is_active": false})).await.data(200);
    for (phone, tags) in [("101", json!(["vip"])), ("102", json!([])), ("103", json!(["vip"]))] {
        let body = json!({"name": "Jane", "phoneNumber": phone, "tags": tags});
        world.post("/contacts", body).await.data(201);
    }
    let waiting = list(&world, &format!("{}/deliveries?state=waiting", path(&subscription))).await;
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|delivery| delivery["state"] == "waiting"));
    assert_eq!(list(&world, &format!("{}/deliveries", path(&subscription))).await, waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_a_list() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let contacts = world.subscribe("contact.created", &receiver.url("/contacts")).await;
    let deals = world.subscribe("deal.created", &receiver.url("/deals")).await;
    let mut records = Vec::new();
    for number in 0..5 {
        records.push(world.contact(&format!("{number}"), &format!("10{number}")).await);
        // Only between attempts, so that none runs out of time.
        listed(&world, &contacts, |list| list[0]["state"] == "delivered").await;
        world.clock.advance(Duration::from_secs(60));
    }
    let deal = world.deal(json!({"title": "Big"})).await;
    listed(&world, &contacts, |list| list.len() == 5 && list[0]["state"] == "delivered").await;
    listed(&world, &deals, |list| list.len() == 1 && list[0]["state"] == "delivered").await;
    let [contact, deal] = [&records[2], &deal].map(|record| text(&record["id"]).to_owned());
    let cases = [
        ("".to_owned(), vec![4, 3, 2, 1, 0]),
        ("since=2024-11-08T10:32:00Z".into(), vec![4, 3, 2]),
        ("since=2024-11-08T10:31:00.001Z".into(), vec![4, 3, 2]),
        ("until=2024-11-08T10:32:00Z".into(), vec![1, 0]),
        ("since=2024-11-08T10:31:00Z&until=2024-11-08T10:33:00Z".into(), vec![2, 1]),
        ("since=2024-11-09".into(), vec![]),
        ("until=2024-11-08".into(), vec![]),
        (format!("recordId={contact}"), vec![2]),
        (format!("recordId={deal}"), vec![]),
        ("eventType=contact.created".into(), vec![4, 3, 2, 1, 0]),
        ("eventType=deal.won".into(), vec![]),
        ("limit=2".into(), vec![4, 3]),
    ];
    let check = async |list_path: &str| {
        for (query, expected) in &cases {
            let found = list(&world, &format!("{list_path}?{query}")).await;
            let found = found.iter().filter(|delivery| delivery["event"] == "contact.created");
            let found: Vec<_> = found.map(|delivery| &delivery["record_id"]).collect();
            let expected: Vec<_> = expected.iter().map(|index: &usize| &records[*index]["id"]).collect();
            assert_eq!(found, expected, "{list_path} {query}");
        }
    };
    check(&format!("{}/deliveries", path(&contacts))).await;
    // The same of what was not delivered, but for the deal, which happened last.
    sqlx::query("UPDATE attempts SET outcome = 'undelivered'").execute(&world.pool).await.unwrap();
    let of_deal = list(&world, &format!("/webhooks/undelivered?recordId={deal}")).await;
    assert_eq!(of_deal[0]["target_url"], receiver.url("/deals"));
    sqlx::query("UPDATE attempts SET outcome = 'delivered' WHERE subscription_id <> $1")
        .bind(isao::model::ids::SubscriptionId::parse(text(&contacts["subscription_id"])).unwrap().0)
        .execute(&world.pool)
        .await
        .unwrap();
    check("/webhooks/undelivered").await;

    for query in [
        "state=gone",
        "eventType=x",
        "recordId=7",
        "since=x",
        "until=x",
        "limit=0",
        "limit=201",
        "cursor=x",
        "page=1",
    ] {
        world
            .get(&format!("{}/deliveries?{query}", path(&contacts)))
            .await
            .assert_error(400, "INVALID_QUERY");
        world.get(&format!("/webhooks/undelivered?{query}")).await.assert_error(400, "INVALID_QUERY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_repeat_nor_leave_out() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscriptions = [
        world.subscribe("contact.created", &receiver.url("/1")).await,
        world.subscribe("contact.created", &receiver.url("/2")).await,
    ];
    let world = &world;
    let creates = (0..250).map(|number| async move {
        world.contact(&format!("{number}"), &format!("+331000000{number:03}")).await
    });
    futures_util::future::join_all(creates).await;
    receiver.expect(500).await;
    let mut expected = BTreeSet::new();
    for subscription in &subscriptions {
        let path = format!("{}/deliveries", path(subscription));
        eventually("the record of all attempts", async || {
            let delivered = all_pages(world, &format!("{path}?limit=200&state=delivered")).await;
            (delivered.len() == 250).then_some(())
        })
        .await;
        let all = all_pages(world, &format!("{path}?limit=7")).await;
        let found = ids(&all);
        assert_eq!(found.len(), 250);
        assert!(found.is_sorted_by(|newer, older| newer > older), "newest first, each once");
        expected.extend(found.into_iter().map(str::to_owned));
    }
    sqlx::query("UPDATE attempts SET outcome = 'undelivered'").execute(&world.pool).await.unwrap();
    let all = all_pages(world, "/webhooks/undelivered?limit=7").await;
    assert_eq!(all.len(), 500);
    assert_eq!(ids(&all).into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
    // A whole page with nothing behind it has no cursor.
    let page = world.get(&format!("{}/deliveries?limit=125", path(&subscriptions[0]))).await.json();
    let next = text(&page["meta"]["nextCursor"]);
    let last =
        world.get(&format!("{}/deliveries?limit=125&cursor={next}", path(&subscriptions[0]))).await.json();
    assert_eq!(last["data"].as_array().unwrap().len(), 125);
    assert_eq!(last["meta"], json!({"limit": 125}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_looks_at_so_many_and_what_is_no_longer_kept_is_said() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    let contact = world.contact("First", "101").await;
    let first = &listed(&world, &subscription, |list| list[0]["state"] == "delivered").await[0];
    // Many more came after it, and their events are gone.
    sqlx::query("UPDATE log_head SET seq = seq + 3000").execute(&world.pool).await.unwrap();
    sqlx::query(
        "INSERT INTO attempts (company_id, subscription_id, seq, event_id, attempt, at, duration_ms, outcome)
         SELECT company_id, subscription_id, seq + n, event_id, 1, at, 5, outcome
         FROM attempts, generate_series(1, 3000) AS n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let list_path = format!("{}/deliveries?recordId={}", path(&subscription), text(&contact["id"]));
    let page = world.get(&list_path).await.json();
    assert_eq!(page["data"], json!([]), "it stopped early");
    let next = text(&page["meta"]["nextCursor"]);
    let page = world.get(&format!("{list_path}&cursor={next}")).await.json();
    assert_eq!(page["data"], json!([first]));

    let gone = &list(&world, &format!("{}/deliveries", path(&subscription))).await[0];
    assert_eq!((&gone["record_id"], &gone["occurred_at"]), (&Value::Null, &Value::Null));
    assert_eq!((&gone["state"], &gone["event"]), (&json!("delivered"), &json!("contact.created")));
    let shown = world.get(&format!("/webhooks/deliveries/{}", text(&gone["id"]))).await.data(200);
    assert_eq!(shown["request"]["body"], Value::Null);
    assert!(text(&shown["request"]["note"]).contains("no longer kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deactivated_or_paused_subscription_keeps_waits_and_is_not_being_retried() {
    let world = World::new().await;
    let gone = Receiver::scripted(|_, _| Reply::Status(410)).await;
    let failing = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let deactivated = world.subscribe("contact.created", &gone.url("/")).await;
    let paused = world.subscribe("contact.created", &failing.url("/")).await;
    world.contact("First", "101").await;
    listed(&world, &paused, |list| list[0]["attempts"] != 0).await;
    world.patch(&path(&paused), json!({"is_active": false})).await.data(200);
    eventually("the deactivation", async || {
        let shown = world.get(&path(&deactivated)).await.data(200);
        (shown["status"] == "deactivated").then_some(())
    })
    .await;
    for subscription in [&deactivated, &paused] {
        let deliveries = format!("{}/deliveries", path(subscription));
        let delivery = &list(&world, &deliveries).await[0];
        let state = (&delivery["state"], &delivery["next_attempt_at"]);
        assert_eq!(state, (&json!("waiting"), &Value::Null), "{delivery}");
        assert_ne!(delivery["attempts"], 0, "{delivery}");
        let shown = world.get(&format!("/webhooks/deliveries/{}", text(&delivery["id"]))).await.data(200);
        assert_eq!(
            (&shown["state"], &shown["next_attempt_at"]),
            (&json!("waiting"), &Value::Null),
            "{shown}"
        );
        assert_eq!(list(&world, &format!("{deliveries}?state=waiting")).await.len(), 1);
        assert_eq!(list(&world, &format!("{deliveries}?state=retrying")).await.len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_company_s_own_deliveries_are_shown() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(410)).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "101").await;
    let delivery = &listed(&world, &subscription, |list| list[0]["attempts"] == 1).await[0];
    sqlx::query("UPDATE attempts SET outcome = 'undelivered'").execute(&world.pool).await.unwrap();
    let shown = format!("/webhooks/deliveries/{}", text(&delivery["id"]));
    let stranger = world.add_key(world.add_company("Other").await, Permission::ALL).await;
    let get =
        async |key: &str, path: &str| world.send(world.http.get(world.url(path)).bearer_auth(key)).await;
    get(&stranger, &shown).await.assert_error(404, "NOT_FOUND");
    get(&stranger, &format!("{}/deliveries", path(&subscription))).await.assert_error(404, "NOT_FOUND");
    assert_eq!(get(&stranger, "/webhooks/undelivered").await.data(200), json!([]));
    let nobody = world.add_key(world.company, &[Permission::ContactsWrite]).await;
    let reader = world.add_key(world.company, &[Permission::WebhooksRead]).await;
    for path in [&shown, &format!("{}/deliveries", path(&subscription)), "/webhooks/undelivered"] {
        get(&nobody, path).await.assert_error(403, "PERMISSION_DENIED");
        get(&reader, path).await.data(200);
    }
    assert_eq!(list(&world, "/webhooks/undelivered").await.len(), 1);
    // Nothing was ever to be delivered before the subscription was made, or after the log.
    let id = text(&delivery["id"]);
    for seq in ["0000000000000000", "0000000000ffffff", "7fffffffffffffff", "x"] {
        let other = format!("/webhooks/deliveries/{}{seq}", &id[..id.len() - 16]);
        world.get(&other).await.assert_error(404, "NOT_FOUND");
    }
    world.delete(&path(&subscription)).await;
    world.get(&shown).await.assert_error(404, "NOT_FOUND");
    assert_eq!(world.get("/webhooks/undelivered").await.data(200), json!([]));
}
