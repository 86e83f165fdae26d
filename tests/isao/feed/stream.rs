//! The feed as a stream.

use isao::listeners::PER_COMPANY;
use isao::model::api_key::ApiKey;
use isao::model::permission::Permission;
use isao::model::words::Words;
use reqwest::Method;
use serde_json::json;

use super::follower::Follower;
use super::{CONTACTS, WRITERS, event_id, log, page, write_at_two_servers};
use crate::support::{Receiver, World, eventually};

/// Changes a column of the world's key, as the operator does.
async fn set_key(world: &World, assignment: &'static str) {
    let statement = format!("UPDATE api_keys SET {assignment} WHERE hash = $1");
    let hash = ApiKey::parse(&world.key).unwrap().hash();
    sqlx::query(sqlx::AssertSqlSafe(statement)).bind(&hash[..]).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_as_they_happen_byte_for_byte() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("Before", "100").await;
    let mut follower = Follower::connect(&world, "", None).await;
    world.contact("Jöhn \"the\" Doe\r\n", "200").await;
    let event = follower.event().await.unwrap();
    assert_eq!(event.event.as_deref(), Some("contact.created"));
    let delivered = receiver.expect(2).await[1].body.clone();
    assert_eq!(event.data.as_deref(), Some(std::str::from_utf8(&delivered).unwrap()));
    // Its id is a cursor of the list, and the other way round.
    let (rest, end, _) = page(&world.get(&format!("/events?after={}", event.id.unwrap())).await);
    assert!(rest.is_empty());
    let mut from_cursor = Follower::connect(&world, &format!("?after={end}"), None).await;
    world.contact("After", "300").await;
    assert_eq!(from_cursor.names(1).await, ["After"]);
    assert_eq!(follower.names(1).await, ["After"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_wanted_types_of_the_own_company_arrive() {
    let world = World::new().await;
    let other = world.add_company("Other").await;
    let stranger = world.add_key(other, Permission::ALL).await;
    let mut follower = Follower::connect(&world, "?types=deal.won,contact.updated", None).await;
    let body = json!({"title": "Theirs", "status": "won"});
    world.send(world.http.post(world.url("/deals")).bearer_auth(&stranger).json(&body)).await.data(201);
    let contact = world.contact("Jane", "100").await;
    world.deal(json!({"title": "Ours", "status": "won"})).await;
    world.put(&format!("/contacts/{}", contact["id"].as_str().unwrap()), json!({"city": "Paris"})).await;
    let won = follower.event().await.unwrap();
    assert_eq!((won.event.as_deref(), &won.envelope()["data"]["title"]), (Some("deal.won"), &json!("Ours")));
    assert_eq!(follower.event().await.unwrap().event.as_deref(), Some("contact.updated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_again_misses_nothing_and_gets_nothing_twice() {
    let world = World::new().await;
    let all = 2 * WRITERS * CONTACTS;
    let read = async {
        let mut seen = Vec::new();
        // Before anything has happened: the first message says where to go on.
        let mut last_id = Follower::connect(&world, "", None).await.last_id;
        while seen.len() < all {
            // The header goes before the parameter, which a browser sends again each time.
            let mut follower = Follower::connect(&world, "?after=now", Some(&last_id)).await;
            for _ in 0..(all - seen.len()).min(13) {
                seen.push(event_id(&follower.event().await.unwrap().envelope()));
            }
            last_id = follower.last_id;
        }
        seen
    };
    let ((), seen) = tokio::join!(write_at_two_servers(&world), read);
    assert_eq!(seen, log(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_is_read_to_its_end() {
    let world = World::new().await;
    let (_, start, _) = page(&world.get("/events").await);
    write_at_two_servers(&world).await;
    let mut follower = Follower::connect(&world, &format!("?after={start}"), None).await;
    let mut seen = Vec::new();
    for _ in 0..2 * WRITERS * CONTACTS {
        seen.push(event_id(&follower.event().await.unwrap().envelope()));
    }
    assert_eq!(seen, log(&world).await);
    world.contact("Live", "100").await;
    assert_eq!(follower.names(1).await, ["Live"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_writes_arrives_in_both_directions() {
    let mut world = World::new().await;
    let second = world.another_server().await;
    let first = world.url("");
    let mut at_first = Follower::connect(&world, "", None).await;
    world.turn_to(second.address());
    let mut at_second = Follower::connect(&world, "", None).await;
    world.contact("By the second", "100").await;
    let post = world.http.post(format!("{first}/contacts")).bearer_auth(&world.key);
    world.send(post.json(&json!({"name": "By the first", "phoneNumber": "200"}))).await.data(201);
    for follower in [&mut at_first, &mut at_second] {
        assert_eq!(follower.names(2).await, ["By the second", "By the first"]);
    }
    assert!(second.stop().await);
    assert_eq!(at_second.event().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_end_when_the_server_stops() {
    let mut world = World::new().await;
    let mut followers = Vec::new();
    for _ in 0..3 {
        followers.push(Follower::connect(&world, "", None).await);
    }
    world.contact("Jane", "100").await;
    world.stop_server().await;
    let mut last_id = String::new();
    for mut follower in followers {
        // Some may not have come to send it; they have not said so either.
        while follower.message().await.is_some() {}
        last_id = follower.last_id;
    }
    world.start_server().await;
    let (missed, ..) = page(&world.get(&format!("/events?after={last_id}")).await);
    let mut follower = Follower::connect(&world, "", Some(&last_id)).await;
    world.contact("John", "200").await;
    let expected = if missed.is_empty() { vec!["John"] } else { vec!["Jane", "John"] };
    assert_eq!(follower.names(expected.len()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_longer_good_ends_its_streams() {
    for change in [
        "revoked_at = created_at",
        "expires_at = created_at + interval '1 second'",
        "permissions = '{contacts:write}'",
    ] {
        let world = World::new().await;
        let mut follower = Follower::connect(&world, "", None).await;
        set_key(&world, change).await;
        follower.ends_in_time(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_has_so_many_streams_and_gets_places_back() {
    let world = World::new().await;
    let mut followers = Vec::new();
    for _ in 0..PER_COMPANY {
        followers.push(Follower::connect(&world, "", None).await);
    }
    let refused = world.get("/events/stream").await;
    refused.assert_error(429, "TOO_MANY_STREAMS");
    assert_eq!(refused.header("retry-after"), "30");
    let other = world.add_company("Other").await;
    let stranger = world.add_key(other, Permission::ALL).await;
    let theirs = world.http.get(world.url("/events/stream")).bearer_auth(&stranger).send().await.unwrap();
    assert_eq!(theirs.status(), 200);
    followers.pop();
    eventually("a place for one more", async || {
        let response = world.request(Method::GET, "/events/stream").send().await.unwrap();
        (response.status() == 200).then_some(())
    })
    .await;
    world.contact("Jane", "100").await;
    for mut follower in followers {
        assert_eq!(follower.names(1).await, ["Jane"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_is_kept_alive_and_its_place_recent() {
    let world = World::new().await;
    let mut follower = Follower::connect(&world, "?types=deal.lost", None).await;
    world.contact("Jane", "100").await;
    let (_, end, _) = page(&world.get("/events?after=now").await);
    let beats = async {
        loop {
            let beat = follower.message().await.expect("a heartbeat");
            assert!(beat.comment.is_some() && beat.data.is_none(), "{beat:?}");
            if beat.id.as_ref() == Some(&end) {
                return;
            }
        }
    };
    let time = async {
        loop {
            world.clock.advance(std::time::Duration::from_secs(1));
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::select! { () = beats => {}, () = time => {} }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_stream_ends_and_goes_on_later() {
    let (world, proxy) = World::behind_proxy().await;
    let mut follower = Follower::connect(&world, "", None).await;
    world.contact("Jane", "100").await;
    assert_eq!(follower.names(1).await, ["Jane"]);
    proxy.close();
    follower.ends_in_time(&world).await;
    proxy.open();
    eventually("a write", async || {
        let body = json!({"name": "John", "phoneNumber": "200"});
        (world.post("/contacts", body).await.status == 201).then_some(())
    })
    .await;
    eventually("a read", async || (world.get("/events").await.status == 200).then_some(())).await;
    let mut follower = Follower::connect(&world, "", Some(&follower.last_id)).await;
    assert_eq!(follower.names(1).await, ["John"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_place_is_told_by_the_name_it_was_sent_with() {
    let world = World::new().await;
    let request = world.request(Method::GET, "/events/stream").header("last-event-id", "x");
    let answer = world.send(request).await.assert_error(400, "INVALID_QUERY");
    assert_eq!(answer["details"]["parameter"], "Last-Event-ID");
    let answer = world.get("/events/stream?after=x").await.assert_error(400, "INVALID_QUERY");
    assert_eq!(answer["details"]["parameter"], "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_next_events_are_dropped_says_so_and_ends() {
    let world = World::new().await;
    let mut follower = Follower::connect(&world, "", None).await;
    world.contact("A", "100").await;
    assert_eq!(follower.names(1).await, ["A"]);
    // As if ten events had come and been dropped before the stream read them.
    sqlx::query("UPDATE log_head SET seq = seq + 10").execute(&world.pool).await.unwrap();
    world.contact("B", "200").await;
    let told = follower.event().await.expect("a word about the hole");
    assert_eq!((told.event.as_deref(), told.id.as_deref()), (Some("error"), None));
    assert_eq!(told.envelope()["code"], "CURSOR_EXPIRED");
    assert_eq!(follower.message().await, None, "it ends");
    let again = world.request(Method::GET, "/events/stream").header("last-event-id", &follower.last_id);
    assert_eq!(again.send().await.unwrap().status(), 410);
}
