//! The catalogue of event types grows: deletions, and types that only a newer server knows.

use isao::model::events::EventType;
use isao::model::words::Words;
use serde_json::json;

use crate::support::{Receiver, World, eventually};

/// A type of some later version.
const NEW: &str = "contact.archived";

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_carries_the_record_as_it_was() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let body = json!({"event": "contact.*", "target_url": receiver.url("/")});
    world.post("/webhooks/subscribe", body).await.data(201);
    let body =
        json!({"event": "deal.deleted", "target_url": receiver.url("/"), "filters": {"stage": "closing"}});
    world.post("/webhooks/subscribe", body).await.data(201);
    let contact = world.contact("Jane", "+33100000001").await;
    let contact_path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    let deal = json!({"title": "Big", "stage": "closing", "contactId": contact["id"]});
    let deal = world.deal(deal).await;
    let deal_path = format!("/deals/{}", deal["id"].as_str().unwrap());
    let other = world.deal(json!({"title": "Small"})).await;
    world.delete(&format!("/deals/{}", other["id"].as_str().unwrap())).await.data(200);
    world.delete(&deal_path).await.data(200);
    world.delete(&contact_path).await.data(200);
    world.delete(&contact_path).await.assert_error(404, "NOT_FOUND");
    let received = receiver.expect(3).await;
    let seen: Vec<_> =
        received.iter().map(|received| (received.json()["event"].clone(), received.data())).collect();
    assert_eq!(
        seen,
        [
            (json!("contact.created"), contact.clone()),
            (json!("deal.deleted"), deal.clone()),
            (json!("contact.deleted"), contact.clone()),
        ]
    );
    for (event, record) in [("contact.deleted", &contact), ("deal.deleted", &deal)] {
        let recent = world.get(&format!("/triggers/{event}/recent")).await.json();
        assert!(recent.as_array().unwrap().contains(record), "{event}: {recent}");
        let sample = world.get(&format!("/triggers/{event}/sample")).await.json();
        let keys =
            |record: &serde_json::Value| record.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&sample), keys(record), "{event}");
    }
    assert_eq!(world.get("/triggers/contact.created/recent").await.json(), json!([]), "it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_in_the_table_of_types() {
    let world = World::new().await;
    let mut known: Vec<String> =
        sqlx::query_scalar("SELECT type FROM event_types").fetch_all(&world.pool).await.unwrap();
    known.sort();
    let mut types = EventType::ALL.iter().map(|event_type| event_type.word().to_owned()).collect::<Vec<_>>();
    types.sort();
    assert_eq!(known, types, "a migration adds a row for each new type");
    for (events, wanted) in [
        ("*", types.clone()),
        ("contact.*", types.iter().filter(|word| word.starts_with("contact.")).cloned().collect()),
        ("deal.stage_changed,deal.won", vec!["deal.stage_changed".to_owned(), "deal.won".to_owned()]),
    ] {
        let mut found: Vec<String> = sqlx::query_scalar("SELECT unnest(wanted_types($1))")
            .bind(events)
            .fetch_all(&world.pool)
            .await
            .unwrap();
        found.sort();
        assert_eq!(found, wanted, "{events}");
    }
}

/// An event as a newer server would write it, whose migration has added the type.
async fn write_new(world: &World) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "BEGIN;
         UPDATE log_head SET seq = seq + 1;
         INSERT INTO event_types SELECT '{NEW}', seq FROM log_head ON CONFLICT DO NOTHING;
         INSERT INTO events (seq, company_id, type, id, record_id, source, at, data)
         SELECT log_head.seq, company_id, '{NEW}', gen_random_uuid(), record_id, source, now(), data
         FROM events, log_head WHERE events.seq = 1;
         SELECT pg_notify('isao_log', '');
         COMMIT;"
    )))
    .execute(&world.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_a_type_leaves_the_deliveries_to_those_that_do() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut subscriptions = 0;
    for number in 0..12 {
        let body = json!({"event": "contact.*", "target_url": receiver.url(&format!("/{number}"))});
        world.post("/webhooks/subscribe", body).await.data(201);
        subscriptions += 1;
    }
    world.contact("Before", "+33100000001").await;
    receiver.expect(subscriptions).await;
    write_new(&world).await;
    world.contact("After", "+33100000002").await;
    let holders = "SELECT count(*) FROM shards WHERE holder IS NOT NULL";
    eventually("the end of its deliveries", async || {
        let held: i64 = sqlx::query_scalar(holders).fetch_one(&world.pool).await.unwrap();
        let replicas: i64 =
            sqlx::query_scalar("SELECT count(*) FROM replicas").fetch_one(&world.pool).await.unwrap();
        (held == 0 && replicas == 0).then_some(())
    })
    .await;
    receiver.expect_no_more_than(subscriptions).await;

    // The feed goes as far as this version understands, and says why no further.
    let feed = world.get("/events").await.json();
    assert_eq!(feed["data"].as_array().unwrap().len(), 1);
    let cursor = feed["meta"]["nextCursor"].as_str().unwrap();
    let told = world.get(&format!("/events?after={cursor}")).await;
    assert!(told.assert_error(503, "OVERLOADED")["message"].as_str().unwrap().contains(NEW));
    assert_eq!(told.header("retry-after"), "30");
    world.get(&format!("/events/stream?after={cursor}")).await.assert_error(503, "OVERLOADED");

    // Servers that know the type, as these do once it has a name that they know.
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "UPDATE events SET type = 'contact.deleted' WHERE type = '{NEW}'; DELETE FROM event_types WHERE type = '{NEW}'"
    )))
    .execute(&world.pool)
    .await
    .unwrap();
    let newer = world.another_server().await;
    eventually("everything at everyone", async || {
        let received = receiver.all();
        let complete = (0..subscriptions).all(|number| {
            let at = format!("/{number}");
            let events: Vec<_> = received
                .iter()
                .filter(|received| received.path == at)
                .map(|received| received.header("x-isao-event").to_owned())
                .collect();
            events == ["contact.created", "contact.deleted", "contact.created"]
        });
        complete.then_some(())
    })
    .await;
    assert!(newer.stop().await);
}
