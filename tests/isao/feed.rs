//! The change feed: page by page, and as a stream.

mod follower;
mod stream;

use std::collections::HashSet;

use isao::model::permission::Permission;
use isao::model::words::Words;
use serde_json::{Value, json};

use crate::support::{Answer, Receiver, World};

/// Writers at each server.
const WRITERS: usize = 4;
/// Contacts that each of them makes.
const CONTACTS: usize = 20;

/// The ids of all events, in the order of the log.
async fn log(world: &World) -> Vec<String> {
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM events ORDER BY seq").fetch_all(&world.pool).await.unwrap();
    ids.into_iter().map(|id| format!("event_{}", id.simple())).collect()
}

fn event_id(envelope: &Value) -> String {
    envelope["metadata"]["eventId"].as_str().unwrap().to_owned()
}

/// What a page has: its events and its cursor.
#[track_caller]
fn page(answer: &Answer) -> (Vec<Value>, String, bool) {
    let meta = answer.json()["meta"].clone();
    let events = answer.data(200).as_array().unwrap().clone();
    (events, meta["nextCursor"].as_str().unwrap().to_owned(), meta["hasMore"].as_bool().unwrap())
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["data"]["name"].as_str().unwrap()).collect()
}

/// Makes contacts from many sides at two servers, until all are there.
async fn write_at_two_servers(world: &World) {
    let second = world.another_server().await;
    let bases = [world.url(""), format!("http://{}/api/external", second.address())];
    let writers: Vec<_> = (0..2 * WRITERS)
        .map(|writer| {
            let request = world.http.post(format!("{}/contacts", bases[writer % 2])).bearer_auth(&world.key);
            tokio::spawn(async move {
                for number in 0..CONTACTS {
                    let body =
                        json!({"name": "Jane", "phoneNumber": format!("+{}", 1000 * (writer + 1) + number)});
                    let answer = request.try_clone().unwrap().json(&body).send().await.unwrap();
                    assert_eq!(answer.status(), 201);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(second.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_bring_every_event_once_in_order_while_two_servers_write() {
    let world = World::new().await;
    let all = 2 * WRITERS * CONTACTS;
    let read = async {
        let (mut seen, mut path) = (Vec::new(), "/events?limit=7".to_owned());
        while seen.len() < all {
            let (events, next, more) = page(&world.get(&path).await);
            assert!(!more || events.len() == 7);
            seen.extend(events.iter().map(event_id));
            path = format!("/events?limit=7&after={next}");
        }
        seen
    };
    let ((), seen) = tokio::join!(write_at_two_servers(&world), read);
    assert_eq!(seen, log(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_what_webhooks_get_byte_for_byte() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("Jöhn \"the\" Doe\n", "100").await;
    let delivered = receiver.expect(1).await[0].body.clone();
    let answer = world.get("/events").await;
    let envelope = std::str::from_utf8(&delivered).unwrap();
    assert!(answer.text.starts_with(&format!(r#"{{"success":true,"data":[{envelope}],"meta":{{"#)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poller_goes_on_from_the_end() {
    let world = World::new().await;
    let (events, start, more) = page(&world.get("/events").await);
    assert!(events.is_empty() && !more, "nothing has happened yet");
    let (_, now, _) = page(&world.get("/events?after=now").await);
    assert_eq!(now, start);
    world.contact("A", "100").await;
    world.contact("B", "200").await;
    world.contact("C", "300").await;
    let (events, next, more) = page(&world.get(&format!("/events?limit=2&after={start}")).await);
    assert_eq!((names(&events), more), (vec!["A", "B"], true));
    let (events, end, more) = page(&world.get(&format!("/events?limit=2&after={next}")).await);
    assert_eq!((names(&events), more), (vec!["C"], false));
    let (events, still, _) = page(&world.get(&format!("/events?after={end}")).await);
    assert_eq!((events, &still), (vec![], &end));
    world.contact("D", "400").await;
    assert_eq!(names(&page(&world.get(&format!("/events?after={end}")).await).0), ["D"]);
    assert_eq!(names(&page(&world.get("/events").await).0), ["A", "B", "C", "D"], "from the oldest");
    assert!(page(&world.get("/events?after=now").await).0.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_chosen_and_keep_their_common_order() {
    let world = World::new().await;
    world.contact("A", "100").await;
    for (title, phone) in [("X", "200"), ("Y", "300")] {
        world.deal(json!({"title": title, "status": "won"})).await;
        world.contact(title, phone).await;
    }
    assert_eq!(world.event_types().await.len(), 7);
    let types = async |query: &str| {
        let (events, ..) = page(&world.get(&format!("/events?{query}")).await);
        events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        types("types=deal.won,contact.created").await,
        ["contact.created", "deal.won", "contact.created", "deal.won", "contact.created"]
    );
    assert_eq!(types("types=deal.lost").await, Vec::<String>::new());
    assert_eq!(types("types=").await, world.event_types().await);
    // Each page goes on where the one before ended, also between types.
    let (mut path, mut seen) = ("/events?types=deal.won,deal.created&limit=1".to_owned(), Vec::new());
    loop {
        let (events, next, more) = page(&world.get(&path).await);
        seen.extend(events.iter().map(|event| event["event"].clone()));
        if !more {
            break;
        }
        path = format!("/events?types=deal.won,deal.created&limit=1&after={next}");
    }
    assert_eq!(seen, ["deal.created", "deal.won", "deal.created", "deal.won"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused() {
    let world = World::new().await;
    for path in ["/events", "/events/stream"] {
        let unknown = world.get(&format!("{path}?types=contact.created,nope")).await;
        let error = unknown.assert_error(400, "INVALID_QUERY");
        assert!(error["message"].as_str().unwrap().contains("deal.stage_changed"), "{error}");
        for query in ["after=nothing", "after=AAAAAAAAAAA7", "limits=5", "after=__________8"] {
            world.get(&format!("{path}?{query}")).await.assert_error(400, "INVALID_QUERY");
        }
        // A cursor that this log has not come to.
        let error = world.get(&format!("{path}?after=AAAAAAAAAGQ")).await.assert_error(400, "INVALID_QUERY");
        assert!(error["message"].as_str().unwrap().contains("another database"), "{error}");
        let key = world.add_key(world.company, &[Permission::ContactsWrite]).await;
        let answer = world.send(world.http.get(world.url(path)).bearer_auth(&key)).await;
        assert_eq!(answer.assert_error(403, "PERMISSION_DENIED")["requiredPermission"], "webhooks:read");
    }
    for limit in ["0", "201", "x"] {
        world.get(&format!("/events?limit={limit}")).await.assert_error(400, "INVALID_QUERY");
    }
    let bad = world.request(reqwest::Method::GET, "/events/stream").header("last-event-id", "nothing");
    world.send(bad).await.assert_error(400, "INVALID_QUERY");
}

/// Appends events as if the writer of another process had.
async fn let_others_write(world: &World, events: i64) {
    sqlx::query(
        "WITH head AS (UPDATE log_head SET seq = seq + $1 RETURNING seq - $1 AS before, at)
         INSERT INTO events (seq, company_id, type, id, record_id, source, at, data)
         SELECT before + number, gen_random_uuid(), 'deal.lost', gen_random_uuid(), gen_random_uuid(), 'api', at, '{}'
         FROM head, generate_series(1, $1) AS number",
    )
    .bind(events)
    .execute(&world.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_however_much_others_write_between_them() {
    let world = World::new().await;
    world.contact("A", "100").await;
    for _ in 0..4 {
        let_others_write(&world, 26_000).await;
    }
    world.contact("B", "200").await;
    assert_eq!(names(&page(&world.get("/events").await).0), ["A", "B"]);
    let (first, next, more) = page(&world.get("/events?limit=1").await);
    assert_eq!((names(&first), more), (vec!["A"], true));
    let (second, end, more) = page(&world.get(&format!("/events?limit=1&after={next}")).await);
    assert_eq!((names(&second), more), (vec!["B"], false));
    assert!(page(&world.get(&format!("/events?after={end}")).await).0.is_empty());
    assert!(page(&world.get("/events?types=deal.lost").await).0.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_whose_events_are_gone_is_refused_and_not_skipped_over() {
    let world = World::new().await;
    let mut cursors = Vec::new();
    for (name, phone) in [("A", "100"), ("B", "200"), ("C", "300")] {
        cursors.push(page(&world.get("/events?after=now").await).1);
        world.contact(name, phone).await;
    }
    // As the retention does: the oldest first.
    sqlx::query("DELETE FROM events WHERE seq <= 2").execute(&world.pool).await.unwrap();
    for path in ["/events", "/events/stream"] {
        for cursor in &cursors[..2] {
            world.get(&format!("{path}?after={cursor}")).await.assert_error(410, "CURSOR_EXPIRED");
        }
    }
    for path in ["/events".to_owned(), format!("/events?after={}", cursors[2])] {
        assert_eq!(names(&page(&world.get(&path).await).0), ["C"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_a_place_and_shows_nothing_of_others() {
    let world = World::new().await;
    let other = world.add_company("Other").await;
    let stranger = world.add_key(other, Permission::ALL).await;
    let post = world.http.post(world.url("/contacts")).bearer_auth(&stranger);
    world.contact("Ours 1", "100").await;
    let (_, cursor, _) = page(&world.get("/events").await);
    for (name, phone) in [("Theirs 1", "100"), ("Theirs 2", "200")] {
        let body = json!({"name": name, "phoneNumber": phone});
        world.send(post.try_clone().unwrap().json(&body)).await.data(201);
    }
    world.contact("Ours 2", "200").await;
    let theirs = async |query: &str| {
        let get = world.http.get(world.url(&format!("/events{query}"))).bearer_auth(&stranger);
        page(&world.send(get).await)
    };
    let (events, ..) = theirs("").await;
    assert_eq!(names(&events), ["Theirs 1", "Theirs 2"]);
    let companies: HashSet<_> = events.iter().map(|event| event["metadata"]["companyId"].clone()).collect();
    assert_eq!(companies, HashSet::from([json!(other.to_string())]));
    assert_eq!(names(&theirs(&format!("?after={cursor}")).await.0), ["Theirs 1", "Theirs 2"]);
    let (first, next, more) = theirs("?limit=1").await;
    assert_eq!((names(&first), more), (vec!["Theirs 1"], true));
    assert_eq!(names(&page(&world.get(&format!("/events?after={next}")).await).0), ["Ours 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_begin_at_a_time() {
    let world = World::new().await;
    for (name, phone) in [("A", "100"), ("B", "200"), ("C", "300")] {
        world.contact(name, phone).await;
        world.clock.advance(std::time::Duration::from_secs(3600));
    }
    // A cursor goes first.
    let (_, after_a, _) = page(&world.get("/events?limit=1").await);
    for (query, found) in [
        ("since=2024-11-08T10:30:00Z", &["A", "B", "C"][..]),
        ("since=2024-11-08T10:30:01Z", &["B", "C"]),
        ("since=2024-11-08T12:30:00Z", &["C"]),
        ("since=2030-01-01", &[]),
        ("since=1970-01-01", &["A", "B", "C"]),
        (&format!("since=2030-01-01&after={after_a}"), &["B", "C"]),
    ] {
        assert_eq!(names(&page(&world.get(&format!("/events?{query}")).await).0), found, "{query}");
        let mut follower = follower::Follower::connect(&world, &format!("?{query}"), None).await;
        assert_eq!(follower.names(found.len()).await, found, "{query}");
    }
}
