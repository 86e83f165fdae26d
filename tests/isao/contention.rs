//! Two servers that write the same contacts and their deals at once: neither waits for
//! the other in a circle.

use futures_util::future::join_all;
use isao::server::Server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, World};

const CONTACTS: usize = 6;
/// Callers of each server, and what each of them writes one after the other.
const CALLERS: usize = 8;
const WRITES: usize = 40;

/// A request to one of the servers.
async fn send(server: &Server, world: &World, method: Method, path: &str, body: &Value) -> Answer {
    let url = format!("http://{}/api/external{path}", server.address());
    world.send(world.http.request(method, url).bearer_auth(&world.key).json(body)).await
}

fn path(collection: &str, record: &Value) -> String {
    format!("/{collection}/{}", record["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_and_their_deals_are_written_without_a_deadlock() {
    let mut world = World::new().await;
    let servers = [world.another_server().await, world.another_server().await];
    let contacts =
        join_all((0..CONTACTS).map(async |number| {
            world.contact(&format!("Contact {number}"), &format!("+331{number:08}")).await
        }))
        .await;
    let deals = join_all(
        contacts
            .iter()
            .map(async |contact| world.deal(json!({"title": "Shared", "contactId": contact["id"]})).await),
    )
    .await;

    let callers = servers.iter().flat_map(|server| (0..CALLERS).map(move |caller| (server, caller)));
    join_all(callers.map(async |(server, caller)| {
        for write in 0..WRITES {
            let number = (caller * 5 + write) % CONTACTS;
            let (contact, deal) = (&contacts[number], &deals[CONTACTS - 1 - number]);
            let text = format!("{caller} {write}");
            // New stages, which both servers use at the same time, in no common order.
            let stage = format!("stage {}", (write * 31 + caller) % 97);
            let (method, path, body) = match (caller + write) % 6 {
                0 => (Method::PUT, path("contacts", contact), json!({"city": text})),
                1 => (
                    Method::POST,
                    "/deals".into(),
                    json!({"title": text, "contactId": contact["id"], "stage": stage}),
                ),
                2 => (Method::PUT, path("deals", deal), json!({"title": text, "contactId": contact["id"]})),
                3 => (Method::PUT, path("deals", deal), json!({"value": write, "stage": stage})),
                // The number it has, and another one.
                4 => {
                    let body = json!({"city": text, "phoneNumber": format!("+331{number:08}")});
                    (Method::PUT, path("contacts", contact), body)
                }
                _ => {
                    let body = json!({"phoneNumber": format!("+332{number:08}")});
                    (Method::PUT, path("contacts", contact), body)
                }
            };
            let answer = send(server, &world, method, &path, &body).await;
            assert!([200, 201].contains(&answer.status), "{path}: {}", answer.text);
        }
    }))
    .await;

    // A deal's contact may have changed after the deal's last event.
    for (collection, records) in [("contacts", &contacts), ("deals", &deals)] {
        for record in records {
            let last: String =
                sqlx::query_scalar("SELECT data FROM events WHERE record_id = $1 ORDER BY seq DESC LIMIT 1")
                    .bind(
                        uuid::Uuid::parse_str(record["id"].as_str().unwrap().split_once('_').unwrap().1)
                            .unwrap(),
                    )
                    .fetch_one(&world.pool)
                    .await
                    .unwrap();
            let mut last: Value = serde_json::from_str(&last).unwrap();
            // What `deal.stage_changed` adds.
            last.as_object_mut().unwrap().shift_remove("previousStage");
            let mut now = world.get(&path(collection, record)).await.data(200);
            for record in [&mut last, &mut now] {
                if let Some(contact) = record.get_mut("contact") {
                    *contact = contact["id"].clone();
                }
            }
            assert_eq!(now, last);
        }
    }
    // What a connection counted is certain to be told when it ends.
    world.stop_server().await;
    for server in servers {
        assert!(server.stop().await);
    }
    let deadlocks: i64 =
        sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
}
