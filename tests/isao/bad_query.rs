//! The table of bad query parameters: every parameter of the OpenAPI document, and what it refuses.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::World;

fn document() -> Value {
    serde_json::from_str(&isao::server::router::openapi()).unwrap()
}

/// The query parameters of every operation, and values that are bad for each.
const PARAMETERS: &[(&str, &[&str], &[&str])] = &[
    ("/contacts", &["page", "limit"], NUMBERS),
    ("/contacts", &["createdSince", "updatedSince"], TIMES),
    ("/contacts", &["cursor"], CURSORS),
    ("/contacts", &["search", "tags", "email", "phoneNumber"], &[]),
    ("/deals", &["page", "limit"], NUMBERS),
    ("/deals", &["createdSince", "updatedSince"], TIMES),
    ("/deals", &["cursor"], CURSORS),
    ("/deals", &["status", "priority"], &["x", "OPEN", "all", "open,won"]),
    ("/deals", &["contactId", "assignedToId"], IDS),
    ("/deals", &["stage", "search"], &[]),
    ("/webhooks", &["status"], &["x", "deleted", "ACTIVE"]),
    ("/webhooks/undelivered", &["limit"], NUMBERS),
    ("/webhooks/undelivered", &["since", "until"], TIMES),
    ("/webhooks/undelivered", &["cursor"], CURSORS),
    ("/webhooks/undelivered", &["recordId"], &["x", "contact_", "1"]),
    ("/webhooks/undelivered", &["eventType"], &["x", "deal", "DEAL.WON"]),
    ("/webhooks/{id}/deliveries", &["limit"], NUMBERS),
    ("/webhooks/{id}/deliveries", &["since", "until"], TIMES),
    ("/webhooks/{id}/deliveries", &["cursor"], CURSORS),
    ("/webhooks/{id}/deliveries", &["recordId"], &["x", "contact_", "1"]),
    ("/webhooks/{id}/deliveries", &["eventType", "state"], &["x", "deal", "WAITING"]),
    ("/events", &["limit"], NUMBERS),
    ("/events", &["after"], CURSORS),
    ("/events", &["types"], &["x", "deal.won,x", "deal", "DEAL.WON"]),
    ("/events/stream", &["after"], CURSORS),
    ("/events/stream", &["types"], &["x", "deal.won,x", "deal", "DEAL.WON"]),
    (
        "/triggers/{event_type}/recent",
        &["limit"],
        &["101", "x", "1.5", "9223372036854775808", "1e1", "%2B%2B1"],
    ),
    ("/triggers/{event_type}/recent", &["since"], TIMES),
];
const IDS: &[&str] = &["x", "contact_", "deal_0192f3a4b5c67d8e9f0a1b2c3d4e5f60", "1"];
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "10001",
    "x",
    "1.5",
    "1e2",
    "0x10",
    "9223372036854775808",
    "99999999999999999999",
    "1,2",
    "null",
];
const TIMES: &[&str] = &[
    "x",
    "yesterday",
    "1731061800",
    "2024-13-01",
    "2024-02-30",
    "2024-11-08T25:00:00Z",
    "2024-11-08T10:30:00%2B99:00",
    "0000-01-01",
    "10000-01-01",
    "99999-01-01T00:00:00Z",
    "-2024-01-01",
    "%2B12024-01-01",
    "2024-11-08T10:30:00.000Zx",
    "infinity",
    "now",
];
const CURSORS: &[&str] = &[
    "x",
    "AAAA",
    "%3D%3D%3D%3D",
    "f39_f39_f39_f39_f39_f39_f39_f39_",
    "gICAgICAgICAgICAgICAgICAgICAgICA",
    "null",
];

#[test]
fn the_table_has_every_query_parameter_of_the_document() {
    let mut documented = BTreeSet::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "query" {
                documented.insert((path.clone(), parameter["name"].as_str().unwrap().to_owned()));
            }
        }
    }
    let table = PARAMETERS
        .iter()
        .flat_map(|(path, names, _)| names.iter().map(|name| ((*path).to_owned(), (*name).to_owned())));
    assert_eq!(table.collect::<BTreeSet<_>>(), documented);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_query_value_is_400() {
    let world = World::new().await;
    let hook = world.subscribe("deal.won", "https://example.com/").await;
    let long = "x".repeat(300);
    for (template, names, bad) in PARAMETERS {
        let path =
            template.replace("{id}", hook["id"].as_str().unwrap()).replace("{event_type}", "contact.created");
        for name in *names {
            for value in bad.iter().chain(&["%00", "a%00b", "%ff", "%c3", "%ed%a0%80", &long]) {
                let target = format!("{path}?{name}={value}");
                world.get(&target).await.assert_error(400, "INVALID_QUERY");
            }
            world.get(&format!("{path}?{name}=1&{name}=2")).await.assert_error(400, "INVALID_QUERY");
            // A stream that is good has no end.
            if !path.ends_with("/stream") {
                assert_eq!(
                    world.get(&format!("{path}?{name}=")).await.status,
                    200,
                    "{path} {name} left blank"
                );
            }
        }
        for unknown in ["nope=1", "Limit=1", "limit%00=1", "%ff=1", "offset=10", "per_page=5", "limit[]=1"] {
            world.get(&format!("{path}?{unknown}")).await.assert_error(400, "INVALID_QUERY");
        }
    }
    world.get("/contacts?page=1&cursor=x").await.assert_error(400, "INVALID_QUERY");
    world.delete("/webhooks/unsubscribe?id=sub_1").await.assert_error(400, "INVALID_QUERY");
    world.delete("/webhooks/unsubscribe?subscription_id=%00").await.assert_error(400, "INVALID_QUERY");
}
