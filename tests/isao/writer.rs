//! The writer, alone and beside another one: one order of the log, one owner of each
//! phone number, one process that delivers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use isao::model::permission::Permission;
use isao::server::Server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Receiver, Reply, World, eventually};

/// A request to another server than the world's own.
async fn to(server: &Server, world: &World, method: Method, path: &str, body: Value) -> Answer {
    let url = format!("http://{}/api/external{path}", server.address());
    world.send(world.http.request(method, url).bearer_auth(&world.key).json(&body)).await
}

/// The same request, to one server or the other.
async fn either(second: Option<&Server>, world: &World, method: Method, path: &str, body: Value) -> Answer {
    match second {
        Some(server) => to(server, world, method, path, body).await,
        None => world.send(world.request(method, path).json(&body)).await,
    }
}

fn event_ids(receiver: &Receiver) -> Vec<String> {
    receiver.all().iter().map(|received| received.event_id()).collect()
}

async fn assert_log_is_gapless(world: &World, events: i64) {
    let log: Vec<(i64, chrono::DateTime<chrono::Utc>)> =
        sqlx::query_as("SELECT seq, at FROM events ORDER BY seq").fetch_all(&world.pool).await.unwrap();
    let numbers: Vec<_> = log.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=events).collect::<Vec<_>>());
    assert!(log.is_sorted_by_key(|(_, at)| *at));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_sees_updates_by_two_servers_in_one_order() {
    const UPDATES: usize = 120;
    let world = World::new().await;
    let second = world.another_server().await;
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    for receiver in &receivers {
        world.subscribe("contact.updated", &receiver.url("/")).await;
    }
    let contact = world.contact("Jane Smith", "+33987654321").await;
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());

    let updates = (0..UPDATES).map(|number| {
        let server = (number % 2 == 0).then_some(&second);
        let body = json!({"position": format!("Position {number}")});
        either(server, &world, Method::PUT, &path, body)
    });
    for answer in join_all(updates).await {
        answer.data(200);
    }
    for receiver in &receivers {
        receiver.expect(UPDATES).await;
        receiver.expect_no_more_than(UPDATES).await;
    }
    let orders = receivers.each_ref().map(event_ids);
    assert_eq!(orders[0], orders[1]);
    assert_eq!(orders[0], orders[2]);
    let last = receivers[0].all().last().unwrap().data();
    assert_eq!(last, world.get(&path).await.data(200));
    assert_log_is_gapless(&world, UPDATES as i64 + 1).await;
    assert!(second.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_meet_in_opposite_orders_are_all_answered() {
    const RECORDS: usize = 12;
    let world = World::new().await;
    let second = world.another_server().await;
    let mut paths = Vec::new();
    for number in 0..RECORDS {
        let contact = world.contact("Somebody", &format!("+331000000{number:02}")).await;
        paths.push((contact["id"].clone(), format!("/contacts/{}", contact["id"].as_str().unwrap())));
    }
    // Each server gets the same wishes, one of them in the opposite order.
    let mut wishes = Vec::new();
    for round in 0..3 {
        for (number, (id, path)) in paths.iter().enumerate() {
            let other = &paths[(number + 1) % RECORDS].0;
            wishes.push((Method::PUT, path.clone(), json!({"position": format!("{round}")})));
            wishes.push((
                Method::POST,
                "/contacts".into(),
                json!({"name": "New", "phoneNumber": format!("+332{round}0000{number:02}")}),
            ));
            wishes.push((Method::POST, "/deals".into(), json!({"title": "Deal", "contactId": other})));
            wishes.push((
                Method::PUT,
                path.clone(),
                json!({"city": format!("{round}"), "phoneNumber": format!("+3310{round}000{number:02}")}),
            ));
            wishes.push((Method::POST, "/deals".into(), json!({"title": "Deal", "contactId": id})));
        }
    }
    let there = wishes.iter().map(|(method, path, body)| (None, method, path, body));
    let back = wishes.iter().rev().map(|(method, path, body)| (Some(&second), method, path, body));
    let answers = join_all(there.chain(back).map(async |(server, method, path, body)| {
        let answer = either(server, &world, method.clone(), path, body.clone()).await;
        (method, path, answer)
    }))
    .await;

    let mut counts = BTreeMap::new();
    for (method, path, answer) in &answers {
        match answer.status {
            200 | 201 => {}
            409 => assert_eq!(answer.json()["details"]["field"], "phoneNumber"),
            _ => panic!("{method} {path}: {} {}", answer.status, answer.text),
        }
        if (*method, path.as_str()) == (&Method::POST, "/contacts") {
            *counts.entry(answer.status).or_insert(0) += 1;
        }
    }
    // Exactly one of the two got each number.
    assert_eq!(counts, BTreeMap::from([(201, 3 * RECORDS), (409, 3 * RECORDS)]));
    let events: i64 = sqlx::query_scalar("SELECT seq FROM log_head").fetch_one(&world.pool).await.unwrap();
    assert_log_is_gapless(&world, events).await;
    assert!(second.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_swapped_at_the_same_time_do_not_stop_each_other() {
    let world = World::new().await;
    let one = world.contact("One", "+33100000001").await;
    let two = world.contact("Two", "+33100000002").await;
    let put = |contact: &Value, phone: &'static str| {
        let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
        let world = &world;
        async move { world.put(&path, json!({"phoneNumber": phone})).await }
    };
    // In one batch the second takes the number that the first just gave up.
    for _ in 0..5 {
        join_all([put(&one, "+33100000009"), put(&two, "+33100000001")]).await;
        put(&two, "+33100000002").await.data(200);
        put(&one, "+33100000001").await.data(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_write_that_cannot_be_stored_harms_nobody_else() {
    let world = World::new().await;
    sqlx::raw_sql("ALTER TABLE contacts ADD CONSTRAINT poison CHECK (name <> 'Poison')")
        .execute(&world.pool)
        .await
        .unwrap();
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF new.name = 'Venom' THEN RAISE 'no'; END IF; RETURN new; END $$;
         CREATE TRIGGER venom BEFORE INSERT ON contacts FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let creates = (0..40).map(|number| {
        let name = match number {
            13 => "Poison",
            27 => "Venom",
            _ => "Good",
        };
        let body = json!({"name": name, "phoneNumber": format!("+331000000{number:02}")});
        let world = &world;
        async move { (name, world.post("/contacts", body).await) }
    });
    for (name, answer) in join_all(creates).await {
        if name == "Good" {
            answer.data(201);
        } else {
            answer.assert_error(500, "INTERNAL_ERROR");
            assert!(
                !answer.text.contains("poison") && !answer.text.contains("constraint"),
                "{}",
                answer.text
            );
        }
    }
    assert_log_is_gapless(&world, 38).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_with_too_many_writes_waiting_is_told_to_come_back_and_others_are_not() {
    let world = World::new().await;
    let other = world.add_company("Other").await;
    let key = world.add_key(other, &[Permission::ContactsWrite]).await;
    // Nobody can append to the log for a while.
    let mut transaction = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM log_head FOR UPDATE").execute(&mut *transaction).await.unwrap();
    let refused = AtomicUsize::new(0);
    let creates = join_all((0..540).map(async |number| {
        let body = json!({"name": "Somebody", "phoneNumber": format!("+33100000{number:03}")});
        let answer = world.post("/contacts", body).await;
        refused.fetch_add(usize::from(answer.status == 503), Ordering::Relaxed);
        answer
    }));
    let others = async {
        eventually("a refusal", async || (refused.load(Ordering::Relaxed) > 0).then_some(())).await;
        let body = json!({"name": "Somebody", "phoneNumber": "+33100000000"});
        let request = world.http.post(world.url("/contacts")).bearer_auth(&key).json(&body);
        tokio::join!(world.send(request), async {
            // The others' write is to wait with the rest; if it does not yet, nothing is lost.
            tokio::time::sleep(Duration::from_millis(100)).await;
            transaction.rollback().await.unwrap();
        })
        .0
    };
    let (answers, others) = tokio::join!(creates, others);
    others.data(201);
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    for answer in refused {
        answer.assert_error(503, "OVERLOADED");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_log_is_gapless(&world, made.len() as i64 + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_subscribed_on_one_server_holds_for_events_of_the_other() {
    let world = World::new().await;
    let second = world.another_server().await;
    let (plain, filtered) = (Receiver::start().await, Receiver::start().await);
    let mut number = 0;
    for round in 0..5 {
        let servers = if round % 2 == 0 { [None, Some(&second)] } else { [Some(&second), None] };
        let [here, there] = servers;
        let subscribe = |url: String| {
            let body = json!({"event": "contact.created", "target_url": url, "filters": {"city": "Paris"}});
            either(here, &world, Method::POST, "/webhooks/subscribe", body)
        };
        subscribe(plain.url(&format!("/{round}"))).await.data(201);
        let id = subscribe(filtered.url(&format!("/{round}"))).await.data(201)["id"].clone();
        let path = format!("/webhooks/{}", id.as_str().unwrap());
        either(here, &world, Method::PATCH, &path, json!({"filters": {"city": "Rome"}})).await.data(200);
        for city in ["Paris", "Rome"] {
            number += 1;
            let body = json!({"name": city, "phoneNumber": format!("+331000000{number:02}"), "city": city});
            either(there, &world, Method::POST, "/contacts", body).await.data(201);
        }
    }
    // Round n has n + 1 subscriptions of either kind.
    for (receiver, city) in [(&plain, "Paris"), (&filtered, "Rome")] {
        let received = receiver.expect(15).await;
        receiver.expect_no_more_than(15).await;
        assert!(received.iter().all(|received| received.data()["city"] == city));
    }
    assert!(second.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_server_that_delivers_stops_the_other_takes_over() {
    let mut world = World::new().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "+33100000001").await;
    receiver.expect(1).await;
    let second = world.another_server().await;
    let third = world.another_server().await;

    let create = async |server: &Server, number: usize| {
        let body = json!({"name": format!("{number}"), "phoneNumber": format!("+332000000{number:02}")});
        to(server, &world, Method::POST, "/contacts", body).await.data(201);
    };
    for number in 0..10 {
        create(if number % 2 == 0 { &second } else { &third }, number).await;
    }
    receiver.expect(11).await;
    eventually("an even share", async || {
        let shares: Vec<i64> = sqlx::query_scalar("SELECT count(*) FROM shards GROUP BY holder ORDER BY 1")
            .fetch_all(&world.pool)
            .await
            .unwrap();
        (shares == [5, 5, 6]).then_some(())
    })
    .await;
    for number in 10..20 {
        create(&second, number).await;
    }
    world.stop_server().await;
    let create = async |server: &Server, number: usize| {
        let body = json!({"name": format!("{number}"), "phoneNumber": format!("+332000000{number:02}")});
        to(server, &world, Method::POST, "/contacts", body).await.data(201);
    };
    for number in 20..30 {
        create(if number % 2 == 0 { &second } else { &third }, number).await;
    }
    receiver.expect(31).await;
    receiver.expect_no_more_than(31).await;
    let names: Vec<_> = receiver.all()[1..].iter().map(|received| received.data()["name"].clone()).collect();
    assert_eq!(names, (0..30).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(second.stop().await);
    assert!(third.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_subscription_misses_nothing_that_was_offered_before_it_was_heard_of() {
    let mut world = World::new().await;
    world.stop_server().await;
    // As if another process delivered: this is its lock.
    let mut leader = world.pool.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(0x6973_616f_0001_i64)
        .execute(&mut *leader)
        .await
        .unwrap();
    world.start_server().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "+33100000001").await;
    // It has offered the event to those it knew, and dies.
    sqlx::query("UPDATE shards SET checkpoint = 1").execute(&mut *leader).await.unwrap();
    leader.close().await.unwrap();
    assert_eq!(receiver.expect(1).await[0].data()["name"], "First");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_go_on_when_the_lock_on_them_is_lost() {
    let world = World::new().await;
    let second = world.another_server().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    for number in 0..3 {
        world.contact("Somebody", &format!("+3310000000{number}")).await;
        receiver.expect(number + 1).await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
             WHERE locktype = 'advisory' AND d.datname = current_database()",
        )
        .execute(&world.pool)
        .await
        .unwrap();
    }
    // Whoever delivers now.
    world.contact("Last", "+33200000000").await;
    eventually("the last one", async || {
        receiver.all().iter().any(|received| received.data()["name"] == "Last").then_some(())
    })
    .await;
    assert!(second.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_the_deliveries_can_no_longer_move_a_cursor() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Never).await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "+33100000001").await;
    receiver.expect(1).await;
    // What another process does that takes over, as far as this one can see.
    sqlx::query("UPDATE shards SET epoch = epoch + 1").execute(&world.pool).await.unwrap();
    receiver.rescript(|_, _| Reply::Status(200));
    world.clock.advance(Duration::from_secs(31));
    // It notices, begins again where the cursor stands, and delivers.
    let received = receiver.expect(2).await;
    assert_eq!(received[1].event_id(), received[0].event_id());
    assert_eq!(
        received[1].header("x-isao-attempt"),
        "1",
        "what was attempted under the old epoch is not known"
    );
    eventually("the cursor's move", async || {
        let seq: i64 = sqlx::query_scalar("SELECT seq FROM cursors").fetch_one(&world.pool).await.unwrap();
        (seq == 1).then_some(())
    })
    .await;
}
