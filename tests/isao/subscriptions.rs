//! Webhook subscriptions over REST.

use std::time::Duration;

use isao::model::events::EventType;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::START;
use crate::support::{Answer, Receiver, Reply, World, eventually};

const URL: &str = "https://hooks.zapier.com/hooks/catch/12345/abcdef";

fn body() -> Value {
    json!({"event": "contact.created", "target_url": URL, "filters": {"tags": ["lead", "enterprise"]}})
}

async fn subscribe(world: &World, body: Value) -> Answer {
    world.post("/webhooks/subscribe", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_serves_both_snippets_of_the_page() {
    let world = World::new().await;
    let answer = subscribe(&world, body()).await;
    let data = answer.data(201);
    let text = |field: &str| data[field].as_str().unwrap().to_owned();
    assert!(text("id").starts_with("hook_"));
    assert!(text("subscription_id").starts_with("sub_"));
    assert!(text("secret").starts_with("whsec_"));
    let expected = json!({
        "success": true,
        "data": {
            "id": text("id"),
            "subscription_id": text("subscription_id"),
            "event": "contact.created",
            "target_url": URL,
            "created_at": START,
            "events": ["contact.created"],
            "filters": {"tags": ["enterprise", "lead"]},
            "headers": {},
            "include": [],
            "ignore_own": false,
            "is_active": true,
            "secret": text("secret"),
            "ordering": "subscription",
            "concurrency": 1,
        },
        "id": text("id"),
        "subscription_id": text("subscription_id"),
    });
    assert_eq!(answer.text, expected.to_string(), "also in this order");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_type_can_be_subscribed_to() {
    let world = World::new().await;
    for event in EventType::WORDS {
        assert_eq!(world.subscribe(event, URL).await["filters"], json!({}));
    }
    assert_eq!(world.get("/webhooks").await.data(200).as_array().unwrap().len(), EventType::WORDS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribing_again_returns_the_first() {
    let world = World::new().await;
    let first = subscribe(&world, body()).await;
    world.clock.advance(Duration::from_secs(1));
    let twins = [
        body(),
        json!({"event": "contact.created", "target_url": URL, "filters": {"tags": ["enterprise", "lead", "lead"]}}),
    ];
    for twin in twins {
        let again = subscribe(&world, twin).await;
        assert_eq!((again.status, &again.text), (200, &first.text), "secret included");
    }
    let others = [
        json!({"event": "contact.updated", "target_url": URL, "filters": {"tags": ["lead", "enterprise"]}}),
        json!({"event": "contact.created", "target_url": format!("{URL}/"), "filters": {"tags": ["lead", "enterprise"]}}),
        json!({"event": "contact.created", "target_url": URL}),
    ];
    for other in others {
        assert_eq!(subscribe(&world, other).await.status, 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_twin_is_returned_too() {
    let world = World::new().await;
    let first = subscribe(&world, body()).await.data(201);
    let path = format!("/webhooks/{}", first["id"].as_str().unwrap());
    world.patch(&path, json!({"is_active": false})).await.data(200);
    let again = subscribe(&world, body()).await.data(200);
    assert_eq!((&again["id"], &again["is_active"]), (&first["id"], &json!(false)));
    world.delete(&path).await;
    assert_ne!(subscribe(&world, body()).await.data(201)["id"], first["id"], "what is gone has no twins");
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_twins_get_one_subscription() {
    let world = World::new().await;
    let answers = futures_util::future::join_all((0..10).map(|_| subscribe(&world, body()))).await;
    assert!(answers.iter().all(|answer| answer.text == answers[0].text));
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subscriber_may_send_its_own_secret() {
    let world = World::new().await;
    let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let mut wanted = body();
    wanted["secret"] = json!(secret);
    assert_eq!(subscribe(&world, wanted.clone()).await.data(201)["secret"], secret);
    for bad in [json!("mine"), json!("whsec_c2hvcnQ="), json!(7), json!("whsec_\0")] {
        wanted["secret"] = bad.clone();
        assert!(subscribe(&world, wanted.clone()).await.bad_fields()["secret"].is_string(), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_only_to_whoever_subscribes() {
    let world = World::new().await;
    let data = subscribe(&world, body()).await.data(201);
    let secret = data["secret"].as_str().unwrap();
    let path = format!("/webhooks/{}", data["id"].as_str().unwrap());
    for answer in [
        world.get("/webhooks?status=all").await,
        world.get(&path).await,
        world.patch(&path, json!({"is_active": false})).await,
    ] {
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains("secret") && !answer.text.contains(secret), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_subscription_is_told_what_is_allowed() {
    let world = World::new().await;
    let told =
        subscribe(&world, json!({"event": "contact.vanished", "target_url": "nope"})).await.bad_fields();
    let allowed = format!("{}, *, contact.*, deal.*", EventType::WORDS.join(", "));
    let sentence = "must be an event type, a pattern, or a list of these; allowed are";
    assert_eq!(told["event"], format!("{sentence}: {allowed}"));
    assert!(told["target_url"].as_str().unwrap().contains("https://example.com/hook"), "{told}");
    let told = subscribe(&world, json!({})).await.bad_fields();
    let event = format!("is required (or `events`, a list); allowed are: {allowed}");
    assert_eq!(told, json!({"event": event, "target_url": "is required"}));

    for (event, filters, says) in [
        (
            "contact.created",
            json!({"stage": "new"}),
            "allowed for contact.created: id, name, firstName, lastName, phoneNumber, email, position, currentCompany, industrySector, city, country, tags, createdAt, updatedAt",
        ),
        (
            "deal.won",
            json!({"tags": "x"}),
            "allowed for deal.won: id, title, description, value, currency, stage, priority, probability, status, expectedCloseDate, actualCloseDate, source, createdAt, updatedAt",
        ),
        ("deal.stage_changed", json!({"nope": 1}), "previousStage"),
        ("deal.won", json!({"contact": {"id": "x"}}), "not a field to filter by"),
        ("deal.won", json!({"stage": []}), "list of one to 100"),
        ("deal.won", json!("new"), "must be an object"),
        ("deal.won", json!(["new"]), "must be an object"),
    ] {
        let wanted = json!({"event": event, "target_url": URL, "filters": filters});
        let told = subscribe(&world, wanted).await.bad_fields();
        assert!(told["filters"].as_str().is_some_and(|told| told.contains(says)), "{filters}: {told}");
    }
    for url in [
        "",
        "example.com",
        "ftp://example.com/",
        "https://user:pw@example.com/",
        "https://",
        "//example.com",
        "javascript:alert(1)",
    ] {
        let told = subscribe(&world, json!({"event": "deal.won", "target_url": url})).await.bad_fields();
        assert!(told["target_url"].is_string(), "{url}");
    }
    assert!(world.get("/webhooks?status=all").await.data(200).as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_public_internet_is_delivered_to() {
    let world = World::new().await;
    for url in [
        "http://10.0.0.1/",
        "http://192.168.1.1/hook",
        "http://172.16.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://[::ffff:10.0.0.1]/",
        "http://0x0a.1/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
    ] {
        let told = subscribe(&world, json!({"event": "deal.won", "target_url": url})).await.bad_fields();
        let told = told["target_url"].as_str().unwrap();
        assert!(told.starts_with("is refused: ") && told.contains("ISAO_ALLOW_TARGETS"), "{url}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_is_for_those_who_are_here() {
    let world = World::new().await;
    let here = world.subscribe("deal.won", "http://127.0.0.1:9/").await;
    let path = format!("/webhooks/{}", here["id"].as_str().unwrap());
    let targets = ["http://127.0.0.1:8/", "http://localhost:8/", "http://[::1]:8/", "http://a.localhost/"];
    for header in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] {
        for url in targets {
            let proxied = |method, path: &str| world.request(method, path).header(header, "for=203.0.113.7");
            let wanted = json!({"event": "deal.won", "target_url": url});
            let refused = world.send(proxied(Method::POST, "/webhooks/subscribe").json(&wanted)).await;
            assert!(refused.bad_fields()["target_url"].as_str().unwrap().starts_with("is refused"), "{url}");
            let refused = world.send(proxied(Method::PATCH, &path).json(&json!({"target_url": url}))).await;
            assert!(refused.bad_fields()["target_url"].as_str().unwrap().starts_with("is refused"), "{url}");
        }
    }
    for url in targets {
        assert_eq!(
            subscribe(&world, json!({"event": "deal.won", "target_url": url})).await.status,
            201,
            "{url}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsubscribing_takes_the_id_wherever_it_stands() {
    let world = World::new().await;
    let by_body = async |id: &str| {
        world
            .send(
                world.request(Method::DELETE, "/webhooks/unsubscribe").json(&json!({"subscription_id": id})),
            )
            .await
    };
    let by_query =
        async |id: &str| world.delete(&format!("/webhooks/unsubscribe?subscription_id={id}")).await;
    let by_path = async |id: &str| world.delete(&format!("/webhooks/{id}")).await;
    for name in ["id", "subscription_id"] {
        for way in 0..3 {
            let data = subscribe(&world, body()).await.data(201);
            let id = data[name].as_str().unwrap();
            for status in [200, 404] {
                let answer = match way {
                    0 => by_body(id).await,
                    1 => by_query(id).await,
                    _ => by_path(id).await,
                };
                if status == 200 {
                    let expected = r#"{"success":true,"message":"Webhook unsubscribed successfully"}"#;
                    assert_eq!((answer.status, answer.text.as_str()), (200, expected));
                } else {
                    answer.assert_error(404, "NOT_FOUND");
                }
            }
            world.get(&format!("/webhooks/{id}")).await.assert_error(404, "NOT_FOUND");
        }
    }
    assert_eq!(by_body("").await.bad_fields(), json!({"subscription_id": "is required"}));
    assert_eq!(
        world.delete("/webhooks/unsubscribe").await.bad_fields(),
        json!({"subscription_id": "is required"})
    );
    by_body("sub_abc123").await.assert_error(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_subscription_can_be_seen_resumed_and_unsubscribed() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Status(410)).await;
    let data = world.subscribe("contact.created", &receiver.url("/")).await;
    let path = format!("/webhooks/{}", data["id"].as_str().unwrap());
    world.contact("Jane", "100").await;
    let seen = eventually("the deactivation", async || {
        Some(world.get(&path).await.data(200)).filter(|seen| seen["status"] == "deactivated")
    })
    .await;
    assert_eq!(seen["is_active"], false);
    assert!(seen["status_reason"].as_str().unwrap().contains("410"), "{seen}");
    assert!(world.get("/webhooks").await.data(200).as_array().unwrap().is_empty());
    assert_eq!(world.get("/webhooks?status=deactivated").await.data(200)[0]["id"], data["id"]);

    let resumed = world.patch(&path, json!({"is_active": true})).await.data(200);
    assert_eq!((&resumed["status"], &resumed["status_reason"]), (&json!("active"), &Value::Null));
    let id = json!({"subscription_id": data["subscription_id"]});
    let gone = world.send(world.request(Method::DELETE, "/webhooks/unsubscribe").json(&id)).await;
    assert_eq!(gone.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_active_ones_unless_asked_otherwise() {
    let world = World::new().await;
    let first = subscribe(&world, body()).await.data(201);
    world.clock.advance(Duration::from_secs(1));
    let second = world.subscribe("deal.won", URL).await;
    let path = format!("/webhooks/{}", first["subscription_id"].as_str().unwrap());
    let ids = async |query: &str| {
        let data = world.get(&format!("/webhooks{query}")).await.data(200);
        data.as_array().unwrap().iter().map(|view| view["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("").await, [second["id"].clone(), first["id"].clone()], "newest first");
    world.patch(&path, json!({"is_active": false})).await.data(200);
    let (first, second) = (vec![first["id"].clone()], vec![second["id"].clone()]);
    for (query, expected) in [
        ("", second.clone()),
        ("?status=", second.clone()),
        ("?status=active", second.clone()),
        ("?status=paused", first.clone()),
        ("?status=deactivated", vec![]),
        ("?status=all", [second, first].concat()),
    ] {
        assert_eq!(ids(query).await, expected, "{query}");
    }
    world.get("/webhooks?status=deleted").await.assert_error(400, "INVALID_QUERY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_subscription_has_the_keys_of_the_page_and_its_health() {
    let world = World::new().await;
    let made = subscribe(&world, body()).await.data(201);
    let view = world.get("/webhooks").await.data(200)[0].clone();
    let keys: Vec<_> = view.as_object().unwrap().keys().map(String::as_str).collect();
    let page = ["id", "subscription_id", "event_type", "target_url", "is_active", "created_at"];
    assert_eq!(keys[..6], page);
    assert_eq!((&view["id"], &view["event_type"]), (&made["id"], &json!("contact.created")));
    assert_eq!(view["filters"], made["filters"]);
    assert_eq!(view["delivery"]["waiting"], false);
    assert_eq!(world.get(&format!("/webhooks/{}", made["id"].as_str().unwrap())).await.data(200), view);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_can_be_paused_resumed_and_redirected() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let made = world.subscribe("contact.created", &receiver.url("/old")).await;
    let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
    let paused = world.patch(&path, json!({"is_active": false})).await.data(200);
    assert_eq!((&paused["is_active"], &paused["status"]), (&json!(false), &json!("paused")));
    world.contact("First", "101").await;
    receiver.expect_no_more_than(0).await;

    let change =
        json!({"is_active": true, "target_url": receiver.url("/new"), "filters": {"name": "Second"}});
    let resumed = world.patch(&path, change).await.data(200);
    assert_eq!((&resumed["is_active"], &resumed["filters"]), (&json!(true), &json!({"name": ["Second"]})));
    world.contact("Second", "102").await;
    world.contact("Third", "103").await;
    // The first one occurred before the filters.
    let received = receiver.expect(2).await;
    for (received, name) in received.iter().zip(["First", "Second"]) {
        assert_eq!((received.path.as_str(), &received.data()["name"]), ("/new", &json!(name)));
    }
    receiver.expect_no_more_than(2).await;
    assert_eq!(world.patch(&path, json!({"filters": null})).await.data(200)["filters"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_change_changes_nothing() {
    let world = World::new().await;
    world.subscribe("deal.won", "https://example.com/other").await;
    let made = world.subscribe("deal.won", URL).await;
    let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
    let before = world.everything_written().await;
    for (change, field) in [
        (json!({}), "is_active"),
        (json!({"event": "deal.lost"}), "is_active"),
        (json!({"is_active": null}), "is_active"),
        (json!({"is_active": "yes"}), "is_active"),
        (json!({"target_url": null}), "target_url"),
        (json!({"target_url": "http://10.0.0.1/"}), "target_url"),
        (json!({"filters": {"tags": "x"}}), "filters"),
        (json!({"filters": []}), "filters"),
    ] {
        let told = world.patch(&path, change.clone()).await.bad_fields();
        assert!(told[field].is_string(), "{change}: {told}");
    }
    let twin = world.patch(&path, json!({"target_url": "https://example.com/other"})).await;
    twin.assert_error(409, "ALREADY_EXISTS");
    assert_eq!(world.everything_written().await, before);
}
