//! Every field survives the way: whatever the OpenAPI document says that a record takes is
//! written with a value of its own, by create and by update, and read back everywhere that the
//! record is shown. A new field is covered as soon as the document has it.

use serde_json::{Map, Value, json};

use crate::support::{Receiver, World};

/// A kind of record.
struct Kind {
    path: &'static str,
    input: &'static str,
    shown: &'static str,
    /// Its events by creating, and by updating every field.
    events: [&'static [&'static str]; 2],
}

const KINDS: [Kind; 2] = [
    Kind {
        path: "/contacts",
        input: "ContactInput",
        shown: "Contact",
        events: [&["contact.created"], &["contact.updated"]],
    },
    Kind {
        path: "/deals",
        input: "DealInput",
        shown: "Deal",
        events: [&["deal.created"], &["deal.updated", "deal.stage_changed", "deal.lost"]],
    },
];

fn document() -> Value {
    serde_json::from_str(&isao::server::router::openapi()).unwrap()
}

fn properties<'a>(document: &'a Value, schema: &str) -> &'a Map<String, Value> {
    document["components"]["schemas"][schema]["properties"].as_object().unwrap()
}

/// What a record refers to.
struct Others {
    contacts: [String; 2],
    members: [String; 2],
}

/// A value for a field that no other field of the record has, nor itself in another round.
fn value(
    document: &Value,
    name: &str,
    schema: &Value,
    (number, round): (usize, usize),
    others: &Others,
) -> Value {
    let options = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    if let Some(option) = options.and_then(|all| all.iter().find(|option| option["type"] != "null")) {
        return value(document, name, option, (number, round), others);
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        return value(document, name, schema, (number, round), others);
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[2 * round % words.len()].clone();
    }
    match name {
        "phoneNumber" => return json!(format!("+331234{number:02}{round}")),
        "currency" => return json!(["USD", "GBP"][round]),
        "contactId" => return json!(others.contacts[round]),
        "assignedToId" => return json!(others.members[round]),
        _ => {}
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        several => several.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect(),
    };
    match (types[0], schema["format"].as_str()) {
        ("string", Some("date-time")) => {
            json!(format!("2031-0{}-{:02}T10:30:00.000Z", round + 1, number + 1))
        }
        ("string", Some("email")) => json!(format!("{name}{round}@example.com")),
        ("string", None) => json!(format!("{name} {round}")),
        ("number", _) => json!(1000.25 + number as f64 + 100.0 * round as f64),
        ("integer", _) => json!(schema["minimum"].as_i64().unwrap_or(0) + 1 + (2 * number + round) as i64),
        ("array", _) if schema["items"]["type"] == "string" => {
            json!([format!("{name} {round} a"), format!("{name} {round} b")])
        }
        other => panic!("the test cannot make a value for {name}, which is {other:?}"),
    }
}

/// A body with every field of the input, all different.
fn body(document: &Value, input: &str, round: usize, others: &Others) -> Value {
    let fields: Map<_, _> = properties(document, input)
        .iter()
        .enumerate()
        .map(|(number, (name, schema))| {
            (name.clone(), value(document, name, schema, (number, round), others))
        })
        .collect();
    let mut seen: Vec<_> = fields.values().map(Value::to_string).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), fields.len(), "two fields have the same value: {fields:?}");
    Value::Object(fields)
}

/// Where the record shows what the field of the input says.
fn shown<'a>(record: &'a Value, name: &str) -> &'a Value {
    match name {
        "contactId" if record["contact"].is_object() => &record["contact"]["id"],
        "contactId" => &record["contact"],
        "assignedToId" if record["assignedTo"].is_object() => &record["assignedTo"]["id"],
        "assignedToId" => &record["assignedTo"],
        name => record.get(name).unwrap_or_else(|| panic!("a record without {name}: {record:#}")),
    }
}

#[track_caller]
fn assert_shows(record: &Value, body: &Value, place: &str) {
    for (name, expected) in body.as_object().unwrap() {
        let found = shown(record, name);
        let same = match (found.as_f64(), expected.as_f64()) {
            (Some(found), Some(expected)) => found == expected,
            _ => found == expected,
        };
        assert!(same, "{place}: {name} is {found}, not {expected}");
    }
}

/// Reads the record back from everywhere, after a write that `answer` came of.
async fn assert_shown_everywhere(
    world: &World,
    (kind, id): (&Kind, &str),
    body: &Value,
    (answer, events): (&Value, &[&str]),
    receiver: &Receiver,
    received_before: usize,
) {
    assert_shows(answer, body, "answer");
    assert_shows(&world.get(&format!("{}/{id}", kind.path)).await.data(200), body, "show");
    let find = |list: &Value| list.as_array().unwrap().iter().find(|record| record["id"] == id).cloned();
    let list = world.get(kind.path).await.data(200);
    assert_shows(&find(&list).unwrap(), body, "list");
    let feed = world.get("/events?limit=200").await.data(200);
    let received = receiver.expect(received_before + events.len()).await;
    for event in events {
        let recent = world.get(&format!("/triggers/{event}/recent")).await.json();
        assert_shows(&find(&recent).unwrap(), body, &format!("recent {event}"));
        let of_event = |entry: &&Value| entry["event"] == **event && entry["data"]["id"] == id;
        let entry = feed.as_array().unwrap().iter().rfind(of_event).unwrap();
        assert_shows(&entry["data"], body, &format!("feed {event}"));
        let received = received.iter().map(|received| received.json()).rfind(|body| body["event"] == **event);
        assert_shows(&received.unwrap()["data"], body, &format!("delivery {event}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_record_survives_the_way() {
    let document = document();
    for kind in &KINDS {
        let world = World::new().await;
        let company = world.company;
        let id = |record: Value| record["id"].as_str().unwrap().to_owned();
        let others = Others {
            contacts: [id(world.contact("A", "100").await), id(world.contact("B", "200").await)],
            members: [world.add_member(company, "A").await, world.add_member(company, "B").await],
        };
        let receiver = Receiver::start().await;
        for event in kind.events.concat() {
            world.subscribe(event, &receiver.url("/")).await;
        }

        let first = body(&document, kind.input, 0, &others);
        let created = world.post(kind.path, first.clone()).await.data(201);
        let record = id(created.clone());
        let written = (&created, kind.events[0]);
        assert_shown_everywhere(&world, (kind, &record), &first, written, &receiver, 0).await;

        let second = body(&document, kind.input, 1, &others);
        let path = format!("{}/{record}", kind.path);
        let updated = world.put(&path, second.clone()).await.data(200);
        let (written, before) = ((&updated, kind.events[1]), kind.events[0].len());
        assert_shown_everywhere(&world, (kind, &record), &second, written, &receiver, before).await;

        let cleared: Map<_, _> = properties(&document, kind.input)
            .keys()
            .filter(|name| is_nullable(&document, kind.shown, name))
            .map(|name| (name.clone(), Value::Null))
            .collect();
        assert!(!cleared.is_empty());
        let cleared = Value::Object(cleared);
        let answer = world.put(&path, cleared.clone()).await.data(200);
        let (written, before) = ((&answer, &kind.events[1][..1]), before + kind.events[1].len());
        assert_shown_everywhere(&world, (kind, &record), &cleared, written, &receiver, before).await;
    }
}

/// Returns whether the field of the record may be empty.
fn is_nullable(document: &Value, shown: &str, name: &str) -> bool {
    let schema = &properties(document, shown)[name.trim_end_matches("Id")];
    let any = |key: &str| {
        schema[key].as_array().is_some_and(|all| all.iter().any(|one| one == "null" || one["type"] == "null"))
    };
    any("type") || any("oneOf")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_subscription_survives_the_way() {
    let document = document();
    let world = World::new().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let given = |name: &str, round: usize| match name {
        "event" => json!("deal.won"),
        "target_url" => json!(format!("https://example.com/{round}")),
        "filters" => json!({"stage": [format!("stage {round}")]}),
        "secret" => json!(secret),
        "ordering" => json!("record"),
        "concurrency" => json!(7 + round),
        "since" => json!("2024-11-08T10:30:00.000Z"),
        "is_active" => json!(false),
        "resume" => json!("now"),
        name => panic!("the test has no value for {name}"),
    };
    let all = |input: &str, round: usize, without: &str| {
        let names = properties(&document, input).keys().filter(|name| *name != without);
        Value::Object(names.map(|name| (name.clone(), given(name, round))).collect())
    };
    let assert_shown = async |path: &str, body: &Value, answer: &Value| {
        let shown = world.get(path).await.data(200);
        let list = world.get("/webhooks?status=all").await.data(200);
        for record in [answer, &shown, &list[0]] {
            for (name, expected) in body.as_object().unwrap() {
                let name = match name.as_str() {
                    "event" if record.get("event").is_none() => "event_type",
                    // Shown once, or not at all.
                    "secret" | "since" | "resume" => continue,
                    name => name,
                };
                assert_eq!(&record[name], expected, "{name} of {record:#}");
            }
        }
    };

    let first = all("SubscribeInput", 0, "");
    let created = world.post("/webhooks/subscribe", first.clone()).await.data(201);
    assert_eq!(created["secret"], secret);
    let path = format!("/webhooks/{}", created["id"].as_str().unwrap());
    assert_shown(&path, &first, &created).await;

    // Pausing and resuming contradict each other.
    let second = all("ChangeInput", 1, "resume");
    let changed = world.patch(&path, second.clone()).await.data(200);
    assert_shown(&path, &second, &changed).await;
    let resumed = world.patch(&path, all("ChangeInput", 2, "is_active")).await.data(200);
    assert_eq!((&resumed["is_active"], &resumed["status"]), (&json!(true), &json!("active")));
    assert_shown(&path, &all("ChangeInput", 2, "is_active"), &resumed).await;
}
