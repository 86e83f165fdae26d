//! Every field survives the way: what a caller writes into any field that the OpenAPI document
//! has is found in every place that shows the record.

mod subscriptions;

use isao::model::events::EventType;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::schema::{Document, Field, Operation, Values};
use crate::support::{Answer, Receiver, World, eventually, in_one_batch};

/// Records of one kind, and everything that shows them.
struct Kind {
    world: World,
    document: Document,
    values: Values,
    receiver: Receiver,
    /// `/contacts`
    path: &'static str,
    /// The schema of a record.
    record: &'static str,
    /// The feed's cursor before the last write.
    cursor: String,
    subscriptions: Vec<String>,
}

/// A record: where it is, and what its fields must be.
struct Record {
    id: Value,
    expected: Map<String, Value>,
}

/// The value that a record has for a field of a request: under the same name, or, for
/// `contactId`, the id of `contact`.
fn shown<'r>(record: &'r Value, field: &str) -> &'r Value {
    if let Some(value) = record.get(field) {
        return value;
    }
    match field.strip_suffix("Id").and_then(|name| record.get(name)) {
        Some(Value::Null) => &Value::Null,
        Some(named) => &named["id"],
        None => panic!("the record does not show the field {field}: {record}"),
    }
}

/// Checks all fields of a record, and names those that are not as expected.
#[track_caller]
fn assert_fields(expected: &Map<String, Value>, record: &Value, place: &str) {
    let short = |value: &Value| value.to_string().chars().take(40).collect::<String>();
    let different = expected.iter().filter(|(field, value)| shown(record, field) != *value);
    let different: Vec<_> = different
        .map(|(field, value)| {
            format!("{field} is {} instead of {}", short(shown(record, field)), short(value))
        })
        .collect();
    assert!(different.is_empty(), "{place}: {different:#?}");
}

impl Kind {
    async fn new(path: &'static str, record: &'static str) -> Self {
        let (world, receiver) = (World::new().await, Receiver::start().await);
        let mut kind = Self {
            document: Document::committed(),
            values: Values::default(),
            path,
            record,
            cursor: String::new(),
            subscriptions: Vec::new(),
            receiver,
            world,
        };
        for event in kind.events() {
            let subscription = kind.world.subscribe(event, &kind.receiver.url("/")).await;
            kind.subscriptions.push(subscription["id"].as_str().unwrap().to_owned());
        }
        // With an event delivered, the server knows where the log is, and that nobody else
        // writes: the next new contact is one statement of its own.
        let warm = Receiver::start().await;
        kind.world.subscribe("contact.created", &warm.url("/warm")).await;
        kind.world.contact("Zero", "+33 1 98").await;
        warm.expect(1).await;
        kind.note_cursor().await;
        kind
    }

    /// The types of the events about such records.
    fn events(&self) -> impl Iterator<Item = &'static str> + use<> {
        let prefix = format!("{}.", self.record.to_lowercase());
        EventType::WORDS.iter().copied().filter(move |name| name.starts_with(&prefix))
    }

    /// Whatever is written from now on is looked for in the feed.
    async fn note_cursor(&mut self) {
        let meta = self.world.get("/events?after=now").await.json()["meta"].clone();
        self.cursor = meta["nextCursor"].as_str().unwrap().to_owned();
    }

    /// The operations that change a record.
    fn changes(&self) -> Vec<Operation> {
        let below = format!("{}/{{id}}", self.path);
        let mut operations = self.document.operations();
        operations.retain(|operation| {
            let changes = [Method::PUT, Method::PATCH].contains(&operation.method);
            changes && operation.path.starts_with(&below)
        });
        assert!(operations.len() >= 2, "PUT and PATCH at least");
        operations
    }

    /// A value for every field of an operation's body.
    fn all_fields(&mut self, operation: &Operation) -> Map<String, Value> {
        self.values.of(&operation.body.as_ref().unwrap().fields)
    }

    async fn send(&self, method: Method, path: &str, body: &Map<String, Value>) -> Answer {
        self.world.send(self.world.request(method, path).json(body)).await
    }

    /// A record of which all fields are set, by itself.
    async fn create(&mut self) -> Record {
        let expected = self.all_fields(&self.document.operation(&Method::POST, self.path));
        let created = self.send(Method::POST, self.path, &expected).await.data(201);
        let record = Record { id: created["id"].clone(), expected };
        self.assert_everywhere(&record, &created).await;
        self.assert_in_samples(&record).await;
        record
    }

    /// Sets all fields of a record to other values, in every way that there is.
    async fn change_all(&mut self, record: &mut Record) {
        for operation in self.changes() {
            let body = self.all_fields(&operation);
            for (field, value) in &body {
                assert_ne!(record.expected.get(field), Some(value), "{field} is to change");
            }
            let path = operation.path.replace("{id}", record.id.as_str().unwrap());
            let changed = self.send(operation.method, &path, &body).await.data(200);
            record.expected.extend(body);
            self.assert_everywhere(record, &changed).await;
        }
    }

    /// Clears each field that can be cleared, by itself: the others stay as they are.
    async fn clear_each(&mut self, record: &mut Record) {
        let path = format!("{}/{}", self.path, record.id.as_str().unwrap());
        let schema = self.document.component(self.record);
        let fields =
            self.document.operation(&Method::PUT, &format!("{}/{{id}}", self.path)).body.unwrap().fields;
        for field in fields.iter().filter(|field| field.nullable) {
            let shown = schema.iter().find(|shown| {
                shown.name == field.name || Some(shown.name.as_str()) == field.name.strip_suffix("Id")
            });
            let shown = shown.unwrap_or_else(|| panic!("{} does not show {}", self.record, field.name));
            let answer = self.world.put(&path, json!({ &field.name: null })).await;
            if let Some(cleared) = cleared(shown) {
                record.expected.insert(field.name.clone(), cleared);
                self.assert_everywhere(record, &answer.data(200)).await;
            } else {
                assert!(answer.bad_fields()[&field.name].is_string(), "{}", field.name);
                assert_fields(&record.expected, &self.world.get(&path).await.data(200), "after a refusal");
            }
        }
    }

    /// Creates a record and changes another one in the same batch.
    async fn create_in_a_batch(&mut self, other: &mut Record) -> Record {
        let operation = self.document.operation(&Method::POST, self.path);
        let (new, change) = (self.all_fields(&operation), self.all_fields(&operation));
        let other_path = format!("{}/{}", self.path, other.id.as_str().unwrap());
        let writes = [(Method::PUT, other_path.as_str(), &change), (Method::POST, self.path, &new)];
        let writes = writes.into_iter().map(|(method, path, body)| self.send(method, path, body));
        let answers = in_one_batch(&self.world, self.world.contact("First", "+33 1 99"), writes, || {}).await;
        other.expected = change;
        let record = Record { id: answers[1].data(201)["id"].clone(), expected: new };
        let cursor = self.cursor.clone();
        self.assert_everywhere(other, &answers[0].data(200)).await;
        self.cursor = cursor;
        self.assert_everywhere(&record, &answers[1].data(201)).await;
        record
    }

    /// Checks every place that shows the record after a write that was answered with `answer`.
    async fn assert_everywhere(&mut self, record: &Record, answer: &Value) {
        let world = &self.world;
        let assert_same = |shown: &Value, place: &str| {
            assert_fields(&record.expected, shown, place);
            let mut shown = shown.clone();
            // The one thing that events add.
            shown.as_object_mut().unwrap().remove("previousStage");
            assert_eq!(shown, *answer, "{place}");
        };
        let find = |list: &Value| {
            let found = list.as_array().unwrap().iter().find(|shown| shown["id"] == record.id);
            found.unwrap_or_else(|| panic!("{} is not in {list}", record.id)).clone()
        };
        assert_same(answer, "the answer to the write");
        let path = format!("{}/{}", self.path, record.id.as_str().unwrap());
        assert_same(&world.get(&path).await.data(200), "the record");
        assert_same(&find(&world.get(self.path).await.data(200)), "the list");

        let feed = world.get(&format!("/events?after={}", self.cursor)).await.data(200);
        let events: Vec<_> =
            feed.as_array().unwrap().iter().filter(|event| event["data"]["id"] == record.id).collect();
        assert!(!events.is_empty(), "the write is in the feed: {feed}");
        for event in events {
            let name = event["event"].as_str().unwrap();
            assert_same(&event["data"], &format!("{name} in the feed"));
            let recent = world.get(&format!("/triggers/{name}/recent")).await.json();
            assert_same(&find(&recent), &format!("the recent records of {name}"));
            let id = event["metadata"]["eventId"].as_str().unwrap();
            let received = eventually(&format!("the arrival of {name}"), async || {
                self.receiver.all().into_iter().find(|received| received.header("webhook-id") == id)
            })
            .await;
            assert_same(&received.data(), &format!("{name} as delivered"));
            assert_same(&self.on_record(name, id).await, &format!("the delivery of {name} on record"));
        }
        self.note_cursor().await;
    }

    /// The record in the body that the delivery log has for an event.
    async fn on_record(&self, event: &str, id: &str) -> Value {
        let subscription = &self.subscriptions[self.events().position(|name| name == event).unwrap()];
        let path = format!("/webhooks/{subscription}/deliveries?state=delivered");
        let delivery = eventually("the record of a delivery", async || {
            let list = self.world.get(&path).await.data(200);
            list.as_array().unwrap().iter().find(|delivery| delivery["event_id"] == id).cloned()
        })
        .await;
        let path = format!("/webhooks/deliveries/{}", delivery["id"].as_str().unwrap());
        let body = self.world.get(&path).await.data(200)["request"]["body"].clone();
        serde_json::from_str::<Value>(body.as_str().unwrap()).unwrap()["data"].clone()
    }

    /// Checks that the samples have every field.
    async fn assert_in_samples(&self, record: &Record) {
        for event in self.events() {
            let sample = self.world.get(&format!("/triggers/{event}/sample")).await.json();
            record.expected.keys().for_each(|field| _ = shown(&sample, field));
        }
    }

    /// Checks what is made from the records when the events are no longer kept.
    async fn assert_without_events(&self, records: &[&Record]) {
        sqlx::query("DELETE FROM events").execute(&self.world.pool).await.unwrap();
        let event = format!("{}.created", self.record.to_lowercase());
        let recent = self.world.get(&format!("/triggers/{event}/recent")).await.json();
        for record in records {
            let found = recent.as_array().unwrap().iter().find(|shown| shown["id"] == record.id);
            assert_fields(&record.expected, found.unwrap(), "the recent records without events");
        }
    }

    /// The whole way.
    async fn walk(&mut self) {
        let mut first = self.create().await;
        self.change_all(&mut first).await;
        self.clear_each(&mut first).await;
        let second = self.create_in_a_batch(&mut first).await;
        self.assert_without_events(&[&first, &second]).await;
    }
}

/// What a field shows when it is cleared; none if it cannot be.
fn cleared(shown: &Field) -> Option<Value> {
    match shown.kind() {
        _ if shown.nullable => Some(Value::Null),
        "array" => Some(json!([])),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_contact_survives() {
    Kind::new("/contacts", "Contact").await.walk().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_deal_survives() {
    let mut kind = Kind::new("/deals", "Deal").await;
    let create = kind.document.operation(&Method::POST, "/contacts").body.unwrap();
    let (mut contacts, mut ids, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for name in ["Alice", "Bob"] {
        let body = kind.values.of(&create.fields);
        let contact = kind.send(Method::POST, "/contacts", &body).await.data(201);
        ids.push(contact["id"].as_str().unwrap().to_owned());
        contacts.push(contact);
        members.push(kind.world.add_member(kind.world.company, name).await);
    }
    kind.values.ids = [("contact-id", ids), ("member-id", members)].into();
    kind.note_cursor().await;
    kind.walk().await;

    // A deal also shows fields of its contact and of its team member.
    for deal in kind.world.get("/deals").await.data(200).as_array().unwrap() {
        let contact = contacts.iter().find(|contact| contact["id"] == deal["contact"]["id"]).unwrap();
        for field in kind.document.component("DealContact") {
            assert_eq!(deal["contact"][&field.name], contact[&field.name], "contact.{}", field.name);
        }
        let name = deal["assignedTo"]["name"].as_str().unwrap();
        let email = format!("{}@example.com", name.to_lowercase());
        assert!(deal["assignedTo"] == json!({"id": deal["assignedTo"]["id"], "name": name, "email": email}));
    }
}
