//! Where webhooks may go, when a name says where: asked of a real name server.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use isao::model::permission::Permission;
use isao::model::words::Words;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Dns, Receiver, World, eventually};

/// What the name server of this chapter knows.
fn known(name: &str, _: usize) -> Option<Vec<&'static str>> {
    match name {
        "public.example" => Some(vec!["93.184.215.14", "2606:2800:21f::1"]),
        "private.example" => Some(vec!["10.0.0.5", "fd00::5"]),
        "mixed.example" => Some(vec!["10.0.0.5", "93.184.215.14"]),
        "metadata.example" => Some(vec!["169.254.169.254"]),
        "here.example" => Some(vec!["127.0.0.1"]),
        "silent.example" => None,
        _ => Some(vec![]),
    }
}

async fn world() -> (World, Dns) {
    let dns = Dns::scripted(known).await;
    (World::asking(&dns).await, dns)
}

async fn check(world: &World, url: &str) -> Value {
    world.post("/webhooks/check-url", json!({"target_url": url})).await.data(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_subscribing_would_say() {
    let (world, _dns) = world().await;
    for (url, status) in [
        ("https://public.example/hook", 201),
        ("https://private.example/hook", 422),
        ("https://mixed.example/hook", 201),
        ("https://metadata.example/hook", 422),
        ("http://here.example/hook", 201),
        ("https://unknown.example/hook", 201),
        ("http://localhost:9/hook", 201),
        ("http://0x0a.1/", 422),
        ("http://[::ffff:192.168.0.1]/", 422),
        ("http://93.184.215.14/", 201),
    ] {
        let checked = check(&world, url).await;
        assert_eq!(checked["target_url"], url);
        assert_eq!(checked["allowed"], status == 201, "{checked}");
        assert!(world.get("/webhooks?status=all").await.data(200).as_array().unwrap().is_empty());

        let wanted = json!({"event": "deal.won", "target_url": url});
        let subscribed = world.post("/webhooks/subscribe", wanted).await;
        assert_eq!(subscribed.status, status, "{url}: {}", subscribed.text);
        if status == 422 {
            let told = subscribed.bad_fields()["target_url"].as_str().unwrap().to_owned();
            let refusal = told.strip_prefix("is refused: ").unwrap();
            assert!(checked["message"].as_str().unwrap().ends_with(refusal), "{told}: {checked}");
            assert_eq!(checked["addresses"][0]["message"], refusal);
        } else {
            let id = subscribed.json()["id"].as_str().unwrap().to_owned();
            world.delete(&format!("/webhooks/{id}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_address_rule_and_setting() {
    let (world, _dns) = world().await;
    let private = "private.example resolves to 10.0.0.5, a private address (10.0.0.0/8), which webhooks may not \
                   reach; to allow it, add private.example or 10.0.0.5 to ISAO_ALLOW_TARGETS";
    let also = private.replace("10.0.0.5", "fd00::5").replace("10.0.0.0/8", "fc00::/7");
    assert_eq!(
        check(&world, "https://Private.example/?key=s").await,
        json!({
            "target_url": "https://Private.example/?key=s",
            "allowed": false,
            "host": "private.example",
            "addresses": [
                {"ip": "10.0.0.5", "allowed": false, "rule": "private", "range": "10.0.0.0/8", "message": private},
                {"ip": "fd00::5", "allowed": false, "rule": "private", "range": "fc00::/7", "message": also},
            ],
            "message": format!("private.example is refused: {private}"),
            "setting": "ISAO_ALLOW_TARGETS",
        })
    );
    let mixed = check(&world, "https://mixed.example/").await;
    let verdicts: Vec<_> = [0, 1].map(|at| mixed["addresses"][at]["allowed"].clone()).into();
    assert_eq!((&mixed["allowed"], &verdicts[..]), (&json!(true), &[json!(false), json!(true)][..]));
    assert!(mixed["message"].as_str().unwrap().contains("1 of its 2 addresses are refused"), "{mixed}");
    assert_eq!(mixed["setting"], "ISAO_ALLOW_TARGETS");

    let public = check(&world, "https://public.example/").await;
    assert_eq!(
        public["addresses"],
        json!([
            {"ip": "93.184.215.14", "allowed": true, "rule": null, "range": null, "message": null},
            {"ip": "2606:2800:21f::1", "allowed": true, "rule": null, "range": null, "message": null},
        ])
    );
    assert_eq!((&public["message"], &public["setting"]), (&json!("public.example is allowed"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_said_so_and_can_be_subscribed() {
    let (world, _dns) = world().await;
    for (name, says) in
        [("unknown.example", "there is no such name"), ("silent.example", "did not answer in time")]
    {
        let url = format!("https://{name}/");
        let checked = check(&world, &url).await;
        assert_eq!((&checked["allowed"], &checked["addresses"]), (&json!(true), &json!([])));
        let message = checked["message"].as_str().unwrap();
        assert!(message.contains("does not resolve") && message.contains(says), "{message}");
        world.subscribe("deal.won", &url).await;
    }
    // With no name server at all it is the same.
    let world = World::new().await;
    assert_eq!(check(&world, "https://public.example/").await["addresses"], json!([]));
    world.subscribe("deal.won", "https://public.example/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_connects_to_nothing() {
    let (world, _dns) = world().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "here.example"] {
        assert_eq!(check(&world, &format!("http://{host}:{port}/")).await["allowed"], true);
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_subscribe_may_not_ask() {
    let (world, _dns) = world().await;
    let reader = world.add_key(world.company, &[Permission::WebhooksRead]).await;
    let asked = world.http.post(world.url("/webhooks/check-url")).bearer_auth(reader);
    let refused = world.send(asked.json(&json!({"target_url": "https://private.example/"}))).await;
    refused.assert_error(403, "PERMISSION_DENIED");
    for url in [json!(null), json!("nope"), json!("ftp://example.com/"), json!(7)] {
        let told = world.post("/webhooks/check-url", json!({"target_url": url})).await.bad_fields();
        assert!(told["target_url"].is_string(), "{told}");
    }
    // Loopback is for those who are here.
    let proxied = world.request(Method::POST, "/webhooks/check-url").header("x-forwarded-for", "203.0.113.7");
    let checked = world.send(proxied.json(&json!({"target_url": "http://here.example/"}))).await.data(200);
    assert_eq!((&checked["allowed"], &checked["addresses"][0]["rule"]), (&json!(false), &json!("loopback")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_target_is_judged_alike() {
    let (world, _dns) = world().await;
    let made = world.subscribe("deal.won", "https://public.example/").await;
    let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
    let told = world.patch(&path, json!({"target_url": "https://private.example/"})).await.bad_fields();
    assert!(told["target_url"].as_str().unwrap().contains("resolves to 10.0.0.5"), "{told}");
    world.patch(&path, json!({"target_url": "https://mixed.example/"})).await.data(200);
}

/// Subscribes as somebody who came through a proxy and may not use loopback.
async fn subscribe_from_elsewhere(world: &World, url: &str) -> String {
    let request = world.request(Method::POST, "/webhooks/subscribe").header("x-forwarded-for", "203.0.113.7");
    let wanted = json!({"event": "contact.created", "target_url": url});
    let data = world.send(request.json(&wanted)).await.data(201);
    format!("/webhooks/{}", data["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_its_mind_after_the_check_reaches_nothing() {
    // Public when it is checked, this machine when it is connected to.
    let dns =
        Dns::scripted(|_, number| Some(vec![if number == 0 { "93.184.215.14" } else { "127.0.0.1" }])).await;
    let world = World::asking(&dns).await;
    let receiver = Receiver::start().await;
    let url = format!("http://rebind.example:{}/", receiver.address.port());
    let path = subscribe_from_elsewhere(&world, &url).await;
    assert_eq!(dns.asked("rebind.example"), 1, "the check");

    world.contact("Jane", "100").await;
    eventually("the refusal of every attempt", async || {
        world.skip_to_retry().await;
        let refused: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM attempts WHERE error LIKE 'target refused: rebind.example resolves to 127.0.0.1%'",
        )
        .fetch_one(&world.pool)
        .await
        .unwrap();
        (refused == 4).then_some(())
    })
    .await;
    assert_eq!(dns.asked("rebind.example"), 1 + 4, "nobody asks once more between judging and connecting");
    let seen = world.get(&path).await.data(200);
    assert!(seen["delivery"]["last_error"].as_str().unwrap().contains("ISAO_ALLOW_TARGETS"), "{seen}");
    assert!(receiver.all().is_empty());
}

/// Gives the company `count` more subscriptions like this one, to names that hang. Not
/// over REST, which would look each of them up.
async fn multiply(world: &World, subscription: &Value, count: i32) {
    let id = subscription["subscription_id"].as_str().unwrap().trim_start_matches("sub_");
    let mut transaction = world.pool.begin().await.unwrap();
    sqlx::query("UPDATE subscription_version SET version = version + 1")
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::query(
        "WITH made AS (
             INSERT INTO subscriptions (company_id, id, events, target_url, filters, secret, status, loopback,
                                        created_at, updated_at, version)
             SELECT company_id, gen_random_uuid(), events, 'http://' || number || '.slow.example/', filters,
                    secret, status, loopback, created_at, updated_at, v.version
             FROM subscriptions, subscription_version v, generate_series(1, $2) AS number WHERE id = $1
             RETURNING company_id, id, target_url)
         INSERT INTO cursors (company_id, subscription_id, seq, lagging, shard)
         SELECT company_id, id, log_head.seq, true, endpoint_shard(company_id, target_url) FROM made, log_head",
    )
    .bind(uuid::Uuid::parse_str(id).unwrap())
    .bind(count)
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_hang_hold_up_nobody_else() {
    const HANGING: usize = 120;
    // A machine may be so busy that lookups give up while it is at something else.
    const ROUNDS: usize = 3;
    let dns =
        Dns::scripted(|name, _| if name.ends_with("slow.example") { None } else { Some(vec!["127.0.0.1"]) })
            .await;
    let mut world = World::asking_with_local_receivers(&dns).await;
    let hanging = world.subscribe("contact.created", "http://localhost/").await;
    multiply(&world, &hanging, HANGING as i32).await;
    world.delete(&format!("/webhooks/{}", hanging["id"].as_str().unwrap())).await;
    world.contact("Jane", "100").await;
    // From here on it is about another company.
    let other = world.add_company("Other").await;
    world.key = world.add_key(other, Permission::ALL).await;
    let receiver = Receiver::start().await;
    let url = format!("http://quick.example:{}/", receiver.address.port());
    world.subscribe("contact.created", &url).await;

    let given_up = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM attempts WHERE error LIKE 'host name not resolved%'")
            .fetch_one(&world.pool)
            .await
            .unwrap()
    };
    for round in 1..=ROUNDS {
        // Every lookup asks twice.
        let asked = || {
            (1..=HANGING)
                .filter(|number| dns.asked(&format!("{number}.slow.example")) >= 2 * round - 1)
                .count()
        };
        eventually("that many names hang", async || (asked() > HANGING / 2).then_some(())).await;
        let before = given_up().await;
        world.contact("John", &format!("20{round}")).await;
        receiver.expect(round).await;
        if given_up().await == before {
            return;
        }
        let all = (HANGING * round) as i64;
        eventually("the end of all lookups", async || (given_up().await >= all).then_some(())).await;
        world.clock.advance(Duration::from_secs(60 * 60));
    }
    panic!("every time a delivery came after names that hung");
}
