//! Triggers: what polling clients read.

use std::time::Duration;

use isao::model::events::EventType;
use serde_json::{Value, json};

use crate::support::{Receiver, World};

async fn recent(world: &World, event: &str, query: &str) -> Vec<Value> {
    let answer = world.get(&format!("/triggers/{event}/recent{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json().as_array().unwrap().clone()
}

/// The names of recent contacts of a type.
async fn names(world: &World, event: &str, query: &str) -> Vec<String> {
    let records = recent(world, event, query).await;
    records.iter().map(|record| record["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_of_contacts_is_the_page_s() {
    let world = World::new().await;
    let page = json!({
        "id": "contact_sample",
        "name": "John Doe",
        "firstName": "John",
        "lastName": "Doe",
        "phoneNumber": "+33123456789",
        "email": "john.doe@example.com",
        "position": "CEO",
        "currentCompany": "Tech Corp",
        "industrySector": "Technology",
        "city": "Paris",
        "country": "France",
        "tags": ["vip", "enterprise"],
        "createdAt": "2024-11-08T10:30:00.000Z",
        "updatedAt": "2024-11-08T10:30:00.000Z"
    });
    for event in ["contact.created", "contact.updated"] {
        let answer = world.get(&format!("/triggers/{event}/sample")).await;
        assert_eq!((answer.status, answer.text), (200, page.to_string()));
    }
}

/// Every key, those of objects inside too.
fn keys(record: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in record.as_object().unwrap() {
        keys.push(key.clone());
        if value.is_object() {
            keys.extend(self::keys(value).into_iter().map(|inner| format!("{key}.{inner}")));
        }
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_has_the_same_keys_wherever_it_is_shown() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    for event in EventType::WORDS {
        world.subscribe(event, &receiver.url(&format!("/{event}"))).await;
    }
    let contact = world.contact("Jane", "100").await;
    let contact_path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    world.put(&contact_path, json!({"city": "Paris"})).await.data(200);
    let member = world.add_member(world.company, "Alice").await;
    let body = json!({"title": "Big", "contactId": contact["id"], "assignedToId": member});
    let deal_path = format!("/deals/{}", world.deal(body).await["id"].as_str().unwrap());
    for change in [json!({"stage": "won", "status": "won"}), json!({"stage": "lost", "status": "lost"})] {
        world.put(&deal_path, change).await.data(200);
    }
    let mut received = receiver.expect(9).await;

    let contact = keys(&world.get(&contact_path).await.data(200));
    let deal = keys(&world.get(&deal_path).await.data(200));
    // Last those whose records are deleted: no other type shows them then.
    let (mut types, deletions): (Vec<&str>, Vec<&str>) =
        EventType::WORDS.iter().copied().partition(|event| !event.ends_with(".deleted"));
    types.extend(deletions.into_iter().rev());
    for event in types {
        if event.ends_with(".deleted") {
            let path = if event.starts_with("contact") { &contact_path } else { &deal_path };
            world.delete(path).await;
            received.push(receiver.expect(received.len() + 1).await[received.len()].clone());
        }
        let mut rest = if event.starts_with("contact") { contact.clone() } else { deal.clone() };
        if event == "deal.stage_changed" {
            rest.push("previousStage".into());
        }
        let hook = received.iter().find(|received| received.path == format!("/{event}")).unwrap();
        let sample = world.get(&format!("/triggers/{event}/sample")).await.json();
        let polled = recent(&world, event, "").await;
        assert_eq!(polled.len(), 1, "one item per record: {event}");
        assert_eq!(keys(&hook.data()), rest, "{event} in a delivery");
        assert_eq!(keys(&sample), rest, "{event} as a sample");
        assert_eq!(keys(&polled[0]), rest, "{event} in recent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_shows_each_record_once_as_of_its_latest_event() {
    let world = World::new().await;
    assert!(recent(&world, "contact.updated", "").await.is_empty());
    let mut paths = vec![];
    for (name, phone) in [("A", "101"), ("B", "102"), ("C", "103")] {
        let contact = world.contact(name, phone).await;
        paths.push(format!("/contacts/{}", contact["id"].as_str().unwrap()));
    }
    assert_eq!(names(&world, "contact.created", "").await, ["C", "B", "A"], "newest first");
    for (index, city) in [(0, "Paris"), (1, "Paris"), (0, "Lyon")] {
        world.put(&paths[index], json!({"city": city})).await.data(200);
    }
    let updated = recent(&world, "contact.updated", "").await;
    let shown: Vec<_> = updated.iter().map(|contact| (&contact["name"], &contact["city"])).collect();
    assert_eq!(shown, [(&json!("A"), &json!("Lyon")), (&json!("B"), &json!("Paris"))]);
    let created = recent(&world, "contact.created", "").await;
    assert!(created.iter().all(|contact| contact["city"].is_null()), "as of the event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_one_to_a_hundred_and_the_default_below() {
    let world = World::new().await;
    let bodies = (0..105).map(|n| world.deal(json!({"title": n.to_string()})));
    futures_util::future::join_all(bodies).await;
    for (query, count) in [
        ("", 100),
        ("?limit=", 100),
        ("?limit=-1", 100),
        ("?limit=0", 100),
        ("?limit=1", 1),
        ("?limit=99", 99),
        ("?limit=100", 100),
        ("?limit=-9223372036854775808", 100),
    ] {
        assert_eq!(recent(&world, "deal.created", query).await.len(), count, "{query}");
    }
    for query in [
        "?limit=101",
        "?limit=1.5",
        "?limit=ten",
        "?limit=99999999999999999999",
        "?limit=1&limit=2",
        "?page=2",
    ] {
        let answer = world.get(&format!("/triggers/deal.created/recent{query}")).await;
        answer.assert_error(400, "INVALID_QUERY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn since_is_inclusive_and_reads_any_iso_form() {
    let world = World::new().await;
    for (name, phone) in [("A", "101"), ("B", "102"), ("C", "103")] {
        world.contact(name, phone).await;
        world.clock.advance(Duration::from_millis(1));
    }
    for (since, found) in [
        ("2024-11-08T10:30:00.000Z", &["C", "B", "A"][..]),
        ("2024-11-08T10:30:00.001Z", &["C", "B"]),
        ("2024-11-08T10:30:00.002Z", &["C"]),
        ("2024-11-08T10:30:00.003Z", &[]),
        ("2024-11-08T10:30:00.001", &["C", "B"]),
        ("2024-11-08T11:30:00.001%2B01:00", &["C", "B"]),
        ("2024-11-08T11:30:00.001+01:00", &["C", "B"]),
        ("2024-11-08T05:30:00.001-0500", &["C", "B"]),
        ("2024-11-08%2010:30:00.001", &["C", "B"]),
        ("2024-11-08T10:30:00Z", &["C", "B", "A"]),
        ("2024-11-08T10:30", &["C", "B", "A"]),
        ("2024-11-08", &["C", "B", "A"]),
        ("2024-11-09", &[]),
        ("0001-01-01", &["C", "B", "A"]),
        ("9999-12-31", &[]),
        ("", &["C", "B", "A"]),
    ] {
        assert_eq!(names(&world, "contact.created", &format!("?since={since}")).await, found, "{since}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn since_goes_by_the_time_of_the_event() {
    let world = World::new().await;
    let old = world.contact("Old", "101").await;
    world.clock.advance(Duration::from_secs(60));
    world.contact("New", "102").await;
    world
        .put(&format!("/contacts/{}", old["id"].as_str().unwrap()), json!({"city": "Paris"}))
        .await
        .data(200);
    let since = "?since=2024-11-08T10:31:00Z";
    assert_eq!(names(&world, "contact.created", since).await, ["New"]);
    assert_eq!(names(&world, "contact.updated", since).await, ["Old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_event_type_is_404_and_told_the_known_ones() {
    let world = World::new().await;
    for path in [
        "/triggers/contact.vanished/sample",
        "/triggers/contact.vanished/recent",
        "/triggers/CONTACT.CREATED/recent",
    ] {
        let error = world.get(path).await.assert_error(404, "NOT_FOUND");
        assert_eq!(error["details"]["eventTypes"], json!(EventType::WORDS));
        assert!(error["message"].as_str().unwrap().contains("contact.created"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_records_do_not_appear() {
    let world = World::new().await;
    let contact = world.contact("Jane", "101").await;
    world.contact("Joan", "102").await;
    world.delete(&format!("/contacts/{}", contact["id"].as_str().unwrap())).await.data(200);
    assert_eq!(names(&world, "contact.created", "").await, ["Joan"]);
    let deal = world.deal(json!({"title": "Big", "status": "won"})).await;
    world.delete(&format!("/deals/{}", deal["id"].as_str().unwrap())).await.data(200);
    for event in ["deal.created", "deal.won"] {
        assert!(recent(&world, event, "").await.is_empty(), "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_speak_when_retention_has_taken_the_events() {
    let world = World::new().await;
    for (name, phone) in [("A", "101"), ("B", "102"), ("C", "103")] {
        world.contact(name, phone).await;
        world.clock.advance(Duration::from_secs(60));
    }
    let deal = world.deal(json!({"title": "Big", "status": "won"})).await;
    let before = recent(&world, "contact.created", "").await;
    sqlx::query("DELETE FROM events WHERE seq <= 2 OR type LIKE 'deal.%'")
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(recent(&world, "contact.created", "").await, before);
    assert_eq!(names(&world, "contact.created", "?limit=2").await, ["C", "B"]);
    assert_eq!(names(&world, "contact.created", "?since=2024-11-08T10:31:00Z").await, ["C", "B"]);
    assert_eq!(recent(&world, "deal.created", "").await, [deal]);
    assert!(recent(&world, "deal.won", "").await.is_empty(), "only creations can be told from records");
}
