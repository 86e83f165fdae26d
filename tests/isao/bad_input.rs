//! The bad-input table, made from the OpenAPI document: whatever is sent to whichever
//! operation, the answer is a 4xx in our shape, and nothing was written. An operation or a field
//! that is new in the document is in the table at once.

mod bodies;
mod parameters;
mod wrong;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::schema::{Document, Operation};
use crate::support::{Answer, Receiver, World, eventually};

/// A world in which every path of the document leads to something.
struct Fixture {
    world: World,
    /// What `{id}` stands for, by the beginning of the path. Longer beginnings come first.
    ids: [(&'static str, String); 6],
    _receiver: Receiver,
}

impl Fixture {
    async fn new() -> Self {
        let (world, receiver) = (World::new().await, Receiver::start().await);
        let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
        let subscription = id(&world.subscribe("*", &receiver.url("/")).await);
        let contact = id(&world.contact("Jane", "100").await);
        let deal = id(&world.deal(json!({"title": "Big"})).await);
        let path = format!("/webhooks/{subscription}");
        let delivery = eventually("a delivery", async || {
            let list = world.get(&format!("{path}/deliveries?state=delivered")).await.data(200);
            list.get(0).map(id)
        })
        .await;
        let event = world.get("/events/history").await.data(200)[0]["metadata"]["eventId"].clone();
        let event = event.as_str().unwrap().to_owned();
        let wanted = json!({"since": "2024-01-01", "only": "all"});
        let replay = id(&world.post(&format!("{path}/replay"), wanted).await.data(202));
        eventually("the end of the replay", async || {
            let replay = world.get(&format!("/webhooks/replays/{replay}")).await.data(200);
            (replay["status"] == "done").then_some(())
        })
        .await;
        let ids = [
            ("/webhooks/deliveries/", delivery),
            ("/webhooks/replays/", replay),
            ("/webhooks/", subscription),
            ("/contacts/", contact),
            ("/deals/", deal),
            ("/events/", event),
        ];
        Self { world, ids, _receiver: receiver }
    }

    /// The path of an operation on what exists.
    fn path(&self, operation: &Operation) -> String {
        let mut path = operation.path.replace("{event_type}", "deal.won");
        if path.contains("{id}") {
            let found = self.ids.iter().find(|(begin, _)| path.starts_with(begin));
            path = path.replace("{id}", &found.unwrap_or_else(|| panic!("no {{id}} is known for {path}")).1);
        }
        assert!(!path.contains('{'), "nothing is known to put into {path}");
        path
    }

    /// A body that the operation accepts with any value in any of its fields that is right for
    /// the field: the document's example, with an id that exists, and without contradictions.
    fn body(&self, operation: &Operation) -> Map<String, Value> {
        let Some(body) = &operation.body else { return Map::new() };
        let mut example = body.example.clone();
        let mut set = |goes_with: &str, name: &str, value: Value| {
            let has = |name: &str| body.fields.iter().any(|field| field.name == name);
            if has(goes_with) && has(name) {
                example.insert(name.to_owned(), value);
            }
        };
        set("contactId", "contactId", json!(self.ids[3].1));
        set("concurrency", "ordering", json!("record"));
        set("resume", "is_active", json!(true));
        set("until", "since", json!("2020-01-01"));
        set("filters", "filters", json!({}));
        // What contacts are matched by cannot be left empty.
        set("matchBy", "matchBy", json!(["phoneNumber"]));
        // Not too many secrets at a time.
        set("overlap", "overlap", json!("0s"));
        example
    }
}

/// The operations that read a body, with the last of its fields.
fn with_bodies() -> Vec<(Operation, String)> {
    let operations = Document::committed().operations().into_iter();
    let found: Vec<_> = operations
        .filter_map(|operation| {
            let last = operation.body.as_ref()?.fields.last()?.name.clone();
            Some((operation, last))
        })
        .collect();
    assert!(!found.is_empty());
    found
}

/// A body with one field replaced by JSON text.
fn with(body: &Map<String, Value>, field: &str, raw: &str) -> String {
    // The one says in another way what the other says.
    let other = if field == "events" && raw != "null" { "event" } else { "" };
    let rest = body.iter().filter(|(name, _)| *name != field && *name != other);
    let fields = rest.map(|(name, value)| format!("{name:?}:{value},")).collect::<String>();
    format!("{{{fields}{field:?}:{raw}}}")
}

#[track_caller]
fn assert_refused(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text);
    let code = answer.json()["code"].as_str().unwrap_or_else(|| panic!("{what}: {}", answer.text)).to_owned();
    answer.assert_error(answer.status, &code);
}
