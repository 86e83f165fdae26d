//! Several events in one subscription: a list, or a pattern.

use serde_json::{Value, json};

use crate::support::{Received, Receiver, Reply, World, eventually};

async fn subscribe(world: &World, receiver: &Receiver, body: Value) -> Value {
    let mut body = body;
    body["target_url"] = json!(receiver.url("/"));
    world.post("/webhooks/subscribe", body).await.data(201)
}

fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", subscription["id"].as_str().unwrap())
}

fn types(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.header("x-isao-event").to_owned()).collect()
}

/// A contact, and a deal that is won: five events.
async fn five_events(world: &World) {
    world.contact("Jane", "+33100000001").await;
    let deal = world.deal(json!({"title": "Big"})).await;
    let path = format!("/deals/{}/status", deal["id"].as_str().unwrap());
    world.put(&path, json!({"status": "won", "stage": "closing"})).await.data(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_subscription_gets_all_events_of_its_pattern_or_list_in_order() {
    let world = World::new().await;
    let life = ["deal.created", "deal.updated", "deal.stage_changed", "deal.won"];
    for (body, shown, expected) in [
        (json!({"event": "deal.*"}), json!(["deal.*"]), life.to_vec()),
        (
            json!({"events": ["deal.won", "contact.created"]}),
            json!(["contact.created", "deal.won"]),
            vec!["contact.created", "deal.won"],
        ),
        (json!({"event": "*"}), json!(["*"]), [&["contact.created"][..], &life].concat()),
        (
            json!({"event": "deal.won,deal.created"}),
            json!(["deal.created", "deal.won"]),
            vec!["deal.created", "deal.won"],
        ),
        (json!({"event": "deal.lost", "events": ["deal.lost"]}), json!(["deal.lost"]), vec![]),
    ] {
        let world = &world;
        let receiver = Receiver::start().await;
        let made = subscribe(world, &receiver, body.clone()).await;
        let joined =
            shown.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(",");
        assert_eq!((&made["events"], &made["event"]), (&shown, &json!(joined)), "{body}");
        let seen = world.get(&path(&made)).await.data(200);
        assert_eq!((&seen["events"], &seen["event_type"]), (&shown, &json!(joined)), "{body}");
        let mut again = body.clone();
        again["target_url"] = json!(receiver.url("/"));
        let again = world.post("/webhooks/subscribe", again).await.data(200);
        assert_eq!(again["id"], made["id"], "the same once more");
        let contact = world
            .contact(
                "Jane",
                &format!("+331{}", made["id"].as_str().unwrap().len() + receiver.address.port() as usize),
            )
            .await;
        let deal = world.deal(json!({"title": "Big"})).await;
        let status = format!("/deals/{}/status", deal["id"].as_str().unwrap());
        world.put(&status, json!({"status": "won", "stage": "closing"})).await.data(200);
        let received = receiver.expect(expected.len()).await;
        assert_eq!(types(&received), expected, "{body}");
        receiver.expect_no_more_than(expected.len()).await;
        // What was sent is listed, by its own type.
        let listed = eventually("the deliveries", async || {
            let listed = world.get(&format!("{}/deliveries", path(&made))).await.data(200);
            let done = listed.as_array().unwrap().iter().all(|delivery| delivery["state"] == "delivered");
            (done && listed.as_array().unwrap().len() == expected.len()).then_some(listed)
        })
        .await;
        let listed: Vec<_> =
            listed.as_array().unwrap().iter().rev().map(|delivery| delivery["event"].clone()).collect();
        assert_eq!(listed, expected, "{body}");
        let won = world.get(&format!("{}/deliveries?eventType=deal.won", path(&made))).await.data(200);
        assert_eq!(won.as_array().unwrap().len(), usize::from(expected.contains(&"deal.won")), "{body}");
        world.delete(&path(&made)).await;
        world.delete(&format!("/contacts/{}", contact["id"].as_str().unwrap())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_selection_is_told_what_is_allowed() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    for (body, field, part) in [
        (json!({}), "event", "deal.*"),
        (json!({"event": "deal"}), "event", "deal.*"),
        (json!({"event": "ticket.*"}), "event", "contact.created"),
        (json!({"events": []}), "events", "deal.*"),
        (json!({"events": ["deal.won", "nope"]}), "events", "deal.*"),
        (json!({"events": [1]}), "events", "text"),
        (json!({"event": "deal.won", "events": ["deal.lost"]}), "events", "contradicts"),
        (json!({"event": "*", "filters": {"city": "Paris"}}), "filters", "allowed for *"),
        (json!({"event": "contact.*", "filters": {"stage": "new"}}), "filters", "city"),
    ] {
        let mut body = body;
        body["target_url"] = json!(receiver.url("/"));
        let fields = world.post("/webhooks/subscribe", body.clone()).await.bad_fields();
        assert!(fields[field].as_str().is_some_and(|text| text.contains(part)), "{body}: {fields}");
    }
    subscribe(&world, &receiver, json!({"event": "contact.*", "filters": {"city": "Paris"}})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_around_a_subscription_knows_all_its_events() {
    let world = World::new().await;
    let failing = Receiver::scripted(|_, _| Reply::Status(500)).await;
    let made = subscribe(&world, &failing, json!({"events": ["contact.created", "deal.*"]})).await;
    world.patch(&path(&made), json!({"is_active": false})).await.data(200);
    five_events(&world).await;
    let waiting = world.get(&format!("{}/deliveries?state=waiting", path(&made))).await.data(200);
    assert_eq!(waiting.as_array().unwrap().len(), 5);
    assert_eq!(world.get(&path(&made)).await.data(200)["delivery"]["waiting"], true);

    // A test with one of its events, a preview of another.
    let test = format!("{}/test", path(&made));
    let tested = world.post(&test, json!({"event": "deal.won"})).await.data(200);
    assert!(tested["request"]["body"].as_str().unwrap().starts_with(r#"{"event":"deal.won""#));
    let tested = world.send(world.request(reqwest::Method::POST, &test)).await.data(200);
    assert!(tested["request"]["body"].as_str().unwrap().starts_with(r#"{"event":"contact.created""#));
    let fields = world.post(&test, json!({"event": "contact.updated"})).await.bad_fields();
    assert!(fields["event"].as_str().unwrap().contains("deal.stage_changed"), "{fields}");
    for (event, count) in [("deal.won", 1), ("contact.updated", 0)] {
        let preview = world.post("/webhooks/preview", json!({"event": event})).await.data(200);
        assert_eq!(preview["subscriptions"].as_array().unwrap().len(), count, "{event}");
    }

    // Skipped, counted, and sent again.
    world.patch(&path(&made), json!({"resume": "now"})).await.data(200);
    let seen = world.get(&path(&made)).await.data(200);
    assert_eq!(seen["delivery"]["gaps"][0]["events"], 5, "{seen}");
    let skipped = world.get(&format!("{}/deliveries?state=skipped", path(&made))).await.data(200);
    assert_eq!(skipped.as_array().unwrap().len(), 5);
    failing.rescript(|_, _| Reply::Status(200));
    let replay = json!({"since": "2024-11-08T00:00:00Z", "only": "all", "dryRun": true});
    let dry = world.post(&format!("{}/replay", path(&made)), replay).await.data(200);
    assert_eq!(dry["events"], 5);
    let listed: Vec<_> =
        dry["deliveries"].as_array().unwrap().iter().map(|delivery| delivery["event"].clone()).collect();
    assert_eq!(listed, world.event_types().await);
    let before = failing.all().len();
    let replay = json!({"since": "2024-11-08T00:00:00Z", "only": "all", "perSecond": 1000});
    world.post(&format!("{}/replay", path(&made)), replay).await.data(202);
    let received = failing.expect(before + 5).await;
    assert_eq!(types(&received[before..]), world.event_types().await);
    let delivery = skipped[0]["id"].as_str().unwrap();
    world.post(&format!("/webhooks/deliveries/{delivery}/redeliver"), json!({})).await.data(202);
    failing.expect(before + 6).await;

    // The feed takes patterns, too.
    let feed = world.get("/events?types=deal.*").await.json();
    assert_eq!(feed["data"].as_array().unwrap().len(), 4);
    world.get("/events?types=nope.*").await.assert_error(400, "INVALID_QUERY");
}
