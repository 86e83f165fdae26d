//! The newest events, and one event with those who got it.

use isao::model::permission::Permission;

use crate::support::{Receiver, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_events_come_first_page_by_page_by_type_record_and_time() {
    let world = World::new().await;
    let jane = world.contact("Jane", "+33100000001").await["id"].as_str().unwrap().to_owned();
    let john = world.contact("John", "+33100000002").await["id"].as_str().unwrap().to_owned();
    world.clock.advance(std::time::Duration::from_secs(60));
    let later = isao::model::time::wire_time(world.clock.now());
    for (id, city) in [(&jane, "Paris"), (&john, "Lyon"), (&jane, "Nice")] {
        world.put(&format!("/contacts/{id}"), serde_json::json!({"city": city})).await.data(200);
    }
    let list = async |query: &str| {
        let found = world.get(&format!("/events/history?{query}")).await.json();
        let events = found["data"].as_array().unwrap().iter();
        let events = events.map(|event| {
            let name = event["data"]["name"].as_str().unwrap();
            format!(
                "{} {name} {}",
                event["event"].as_str().unwrap(),
                event["data"]["city"].as_str().unwrap_or("-")
            )
        });
        (events.collect::<Vec<_>>(), found["meta"]["nextCursor"].as_str().map(str::to_owned))
    };
    let all = [
        "contact.updated Jane Nice",
        "contact.updated John Lyon",
        "contact.updated Jane Paris",
        "contact.created John -",
        "contact.created Jane -",
    ];
    assert_eq!(list("").await, (all.map(str::to_owned).to_vec(), None));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = list(&format!("limit=2{cursor}")).await;
        seen.extend(page);
        let Some(next) = next else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all);
    assert_eq!(list(&format!("recordId={john}")).await.0, [all[1], all[3]]);
    assert_eq!(list(&format!("recordId={jane}&types=contact.created")).await.0, [all[4]]);
    assert_eq!(list("types=contact.created").await.0, [all[3], all[4]]);
    assert_eq!(list(&format!("since={later}")).await.0, all[..3]);
    assert_eq!(list(&format!("until={later}")).await.0, all[3..]);
    for bad in ["recordId=x", "types=nope", "cursor=!", "limit=0", "since=yesterday"] {
        world.get(&format!("/events/history?{bad}")).await.assert_error(400, "INVALID_QUERY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_found_by_its_id_with_those_who_got_it() {
    let world = World::with_local_receivers().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/a")).await;
    world.subscribe("deal.created", &receiver.url("/b")).await;
    world.contact("Jane", "+33100000001").await;
    let received = receiver.expect(1).await;
    let event = received[0].json();
    let id = event["metadata"]["eventId"].as_str().unwrap();
    assert_eq!(world.get(&format!("/events/{id}")).await.data(200), event, "as it was delivered");
    let path = format!("/events/{id}/deliveries");
    eventually("it is recorded", async || {
        let found = world.get(&path).await.data(200);
        let found = found.as_array().unwrap();
        assert_eq!(found.len(), 1, "only who wants it");
        (found[0]["state"] == "delivered" && found[0]["event_id"] == id).then_some(())
    })
    .await;
    let other = world.add_company("Other").await;
    let key = world.add_key(other, &[Permission::WebhooksRead]).await;
    for path in [path.clone(), format!("/events/{id}")] {
        let request = world.http.get(world.url(&path)).bearer_auth(&key);
        assert_eq!(world.send(request).await.status, 404, "{path}");
    }
    let nobodys = format!("event_{}", "f".repeat(32));
    assert_eq!(world.get(&format!("/events/{nobodys}")).await.status, 404);
}
