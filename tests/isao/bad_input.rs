//! The bad-input table: whatever is sent to whichever route, the answer is a 4xx in
//! our shape, and nothing was written.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, World};

/// A route that writes, with the fields it reads and a body that it would accept.
struct Route {
    method: Method,
    path: String,
    fields: &'static [&'static str],
    good: Value,
}

const CONTACT: &[&str] = &[
    "name",
    "phoneNumber",
    "firstName",
    "lastName",
    "email",
    "position",
    "currentCompany",
    "industrySector",
    "city",
    "country",
    "tags",
];
const DEAL: &[&str] = &[
    "title",
    "description",
    "value",
    "currency",
    "stage",
    "priority",
    "probability",
    "status",
    "expectedCloseDate",
    "actualCloseDate",
    "source",
    "contactId",
    "assignedToId",
];

/// Every route that reads a body, on records that exist.
async fn routes(world: &World) -> Vec<Route> {
    let id = |record: Value| record["id"].as_str().unwrap().to_owned();
    let contact = format!("/contacts/{}", id(world.contact("Jane", "100").await));
    let deal = format!("/deals/{}", id(world.deal(json!({"title": "Big"})).await));
    let hook = format!("/webhooks/{}", id(world.subscribe("deal.won", "https://example.com/").await));
    let unsubscribe = "/webhooks/unsubscribe".to_owned();
    let target = json!({"target_url": "https://example.com/hook"});
    let subscribe = json!({"event": "contact.created", "target_url": "https://example.com/hook"});
    let route = |method, path: &str, fields, good| Route { method, path: path.to_owned(), fields, good };
    vec![
        route(Method::POST, "/contacts", CONTACT, json!({"name": "Joan", "phoneNumber": "200"})),
        route(Method::PUT, &contact, CONTACT, json!({"city": "Paris"})),
        route(Method::PATCH, &contact, CONTACT, json!({"city": "Paris"})),
        route(Method::POST, "/deals", DEAL, json!({"title": "Bigger"})),
        route(Method::PUT, &deal, DEAL, json!({"source": "fair"})),
        route(Method::PATCH, &deal, DEAL, json!({"source": "fair"})),
        route(
            Method::PUT,
            &format!("{deal}/status"),
            &["status", "stage", "probability", "actualCloseDate"],
            json!({"stage": "x"}),
        ),
        route(Method::POST, "/webhooks/subscribe", &["event", "target_url", "filters", "secret"], subscribe),
        route(Method::PATCH, &hook, &["is_active", "target_url", "filters"], json!({"is_active": false})),
        route(Method::POST, "/webhooks/check-url", &["target_url"], target),
        route(
            Method::POST,
            &format!("{hook}/rotate-secret"),
            &["secret", "overlap"],
            json!({"overlap": "1h"}),
        ),
        route(Method::DELETE, &unsubscribe, &["subscription_id"], json!({"subscription_id": "sub_1"})),
    ]
}

/// Is this value one that the field takes?
fn is_taken(field: &str, raw: &str) -> bool {
    match field {
        "value" => ["1", "-1", "1.5"].contains(&raw),
        "probability" => raw == "1",
        "tags" => raw == "[]",
        "is_active" => raw == "true",
        "filters" => raw == "{}",
        _ => false,
    }
}

/// A body with one field replaced by JSON text.
fn with(good: &Value, field: &str, raw: &str) -> String {
    let rest = good.as_object().unwrap().iter().filter(|(name, _)| *name != field);
    let fields = rest.map(|(name, value)| format!("{name:?}:{value},")).collect::<String>();
    format!("{{{fields}{field:?}:{raw}}}")
}

#[track_caller]
fn assert_refused(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text);
    let code = answer.json()["code"].as_str().unwrap_or_else(|| panic!("{what}: {}", answer.text)).to_owned();
    answer.assert_error(answer.status, &code);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_wrong_kind_is_named() {
    let world = World::new().await;
    let routes = routes(&world).await;
    let before = world.everything_written().await;
    let long = format!("\"{}\"", "x".repeat(100_000));
    let many = format!("[{}1]", "1,".repeat(10_000));
    for Route { method, path, fields, good } in &routes {
        for field in *fields {
            for raw in [
                "1",
                "-1",
                "1.5",
                "1e400",
                "123456789012345678901234567890",
                "true",
                "{}",
                "[]",
                "[[]]",
                "[null]",
                r#"{"a":1}"#,
                r#"["\u0000"]"#,
                r#""\u0000""#,
                r#""https://example.com/\u0000""#,
                r#""a\u0000b@example.com""#,
                r#""\ud800""#,
                r#""\udc00\ud800""#,
                r#"["\ud800"]"#,
                r#"{"tags":"\ud800"}"#,
                r#"{"stage":"\u0000"}"#,
                r#"{"\ud800":1}"#,
                &long,
                &many,
            ] {
                if is_taken(field, raw) {
                    continue;
                }
                let what = format!("{method} {path} {field}: {:.40}", raw);
                let answer = world.send_text(method.clone(), path, with(good, field, raw)).await;
                assert_refused(&answer, &what);
                assert_eq!(answer.status, 422, "{what}: {}", answer.text);
                assert!(answer.bad_fields()[field].is_string(), "{what}: {}", answer.text);
            }
        }
    }
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_object_is_refused() {
    let world = World::new().await;
    let routes = routes(&world).await;
    let before = world.everything_written().await;
    let deep = |field: &str, open: &str, close: &str| {
        format!("{{\"{field}\":{}1{}}}", open.repeat(10_000), close.repeat(10_000))
    };
    for Route { method, path, fields, good } in &routes {
        let known = fields[fields.len() - 1];
        let mut bodies: Vec<Vec<u8>> = vec![
            deep(known, "[", "]").into(),
            deep(known, "{\"a\":", "}").into(),
            deep("unknown", "[", "]").into(),
            deep("unknown", "{\"a\":", "}").into(),
            "[".repeat(10_000).into(),
            format!("[{good}]").into(),
            format!("{good},").into(),
            format!("{good}{good}").into(),
            good.to_string().replace('"', "'").into(),
            with(good, known, "01").into(),
            with(good, known, "NaN").into(),
            with(good, known, "\"\u{1}\"").into(),
            with(good, known, "\"a\nb\"").into(),
            with(good, known, r#""\x""#).into(),
            with(good, known, r#""\ud8""#).into(),
            with(good, known, "undefined").into(),
            r#"{"\ud800":1}"#.into(),
            "\"text\"".into(),
            "null".into(),
            "1".into(),
            vec![b'{', 0xff, b'}'],
            vec![0; 100],
        ];
        let mut invalid = with(good, known, "\"?\"").into_bytes();
        let at = invalid.iter().position(|byte| *byte == b'?').unwrap();
        invalid[at] = 0xc3;
        bodies.push(invalid);
        for body in bodies {
            let what = format!("{method} {path} {:.60}", String::from_utf8_lossy(&body));
            let answer = world.send_text(method.clone(), path, body).await;
            assert_refused(&answer, &what);
            assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        }
        let huge = with(good, known, &format!("\"{}\"", "x".repeat(2 * 1024 * 1024)));
        world.send_text(method.clone(), path, huge).await.assert_error(413, "PAYLOAD_TOO_LARGE");
    }
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_there_twice_is_refused() {
    let world = World::new().await;
    let body = r#"{"name":"Jane","name":"Joan","phoneNumber":"100"}"#;
    world.send_text(Method::POST, "/contacts", body).await.assert_error(400, "INVALID_JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_may_hold_anything_that_is_json() {
    let world = World::new().await;
    let routes = routes(&world).await;
    for Route { method, path, good, .. } in routes.iter().filter(|route| route.method != Method::DELETE) {
        for raw in ["\"\\u0000\"", "\"\\ud800\"", "1e400", "[[[]]]", "null", "\"\u{10ffff}\""] {
            let answer = world.send_text(method.clone(), path, with(good, "unknown", raw)).await;
            assert!(answer.status < 300 || answer.status == 409, "{method} {path} {raw}: {}", answer.text);
        }
    }
}

/// The lists with their parameters, and values that are bad for each.
const PARAMETERS: &[(&str, &[&str], &[&str])] = &[
    ("/contacts", &["page", "limit"], NUMBERS),
    ("/contacts", &["createdSince", "updatedSince"], TIMES),
    ("/contacts", &["cursor"], CURSORS),
    ("/contacts", &["search", "tags", "email", "phoneNumber"], &[]),
    ("/deals", &["page", "limit"], NUMBERS),
    ("/deals", &["createdSince", "updatedSince"], TIMES),
    ("/deals", &["cursor"], CURSORS),
    ("/deals", &["status", "priority"], &["x", "OPEN", "all", "open,won"]),
    (
        "/deals",
        &["contactId", "assignedToId"],
        &["x", "contact_", "deal_0192f3a4b5c67d8e9f0a1b2c3d4e5f60", "1"],
    ),
    ("/deals", &["stage", "search"], &[]),
    ("/webhooks", &["status"], &["x", "deleted", "ACTIVE"]),
    (
        "/triggers/contact.created/recent",
        &["limit"],
        &["101", "x", "1.5", "9223372036854775808", "1e1", "%2B%2B1"],
    ),
    ("/triggers/contact.created/recent", &["since"], TIMES),
];
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

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_query_value_is_400() {
    let world = World::new().await;
    let long = "x".repeat(300);
    for (path, names, bad) in PARAMETERS {
        for name in *names {
            for value in bad.iter().chain(&["%00", "a%00b", "%ff", "%c3", "%ed%a0%80", &long]) {
                let target = format!("{path}?{name}={value}");
                world.get(&target).await.assert_error(400, "INVALID_QUERY");
            }
            world.get(&format!("{path}?{name}=1&{name}=2")).await.assert_error(400, "INVALID_QUERY");
            assert_eq!(world.get(&format!("{path}?{name}=")).await.status, 200, "{path} {name} left blank");
        }
        for unknown in ["nope=1", "Limit=1", "limit%00=1", "%ff=1", "offset=10", "per_page=5", "limit[]=1"] {
            world.get(&format!("{path}?{unknown}")).await.assert_error(400, "INVALID_QUERY");
        }
    }
    world.get("/contacts?page=1&cursor=x").await.assert_error(400, "INVALID_QUERY");
    world.delete("/webhooks/unsubscribe?id=sub_1").await.assert_error(400, "INVALID_QUERY");
    world.delete("/webhooks/unsubscribe?subscription_id=%00").await.assert_error(400, "INVALID_QUERY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_path_is_no_more_than_4xx() {
    let world = World::new().await;
    routes(&world).await;
    let before = world.everything_written().await;
    let long = "x".repeat(5_000);
    let long_id = format!("contact_{}", "0".repeat(5_000));
    for part in [
        "%ff",
        "%c3%28",
        "%ed%a0%80",
        "%00",
        "contact_%00",
        "contact_0192f3a4b5c67d8e9f0a1b2c3d4e5f6%00",
        &long,
        &long_id,
        "x%2Fy",
        "..%2F..",
        "%2e%2e%2f",
        "'%20OR%201=1--",
        "contact_0192F3A4B5C67D8E9F0A1B2C3D4E5F60",
        "0192f3a4b5c67d8e9f0a1b2c3d4e5f60",
        "%25",
        "%",
        "%zz",
        "💥",
        "contact_",
        "null",
        "0",
    ] {
        for (path, methods) in [
            (format!("/contacts/{part}"), &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE][..]),
            (format!("/deals/{part}"), &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE]),
            (format!("/deals/{part}/status"), &[Method::PUT]),
            (format!("/webhooks/{part}"), &[Method::GET, Method::PATCH, Method::DELETE]),
            (format!("/triggers/{part}/sample"), &[Method::GET]),
            (format!("/triggers/{part}/recent"), &[Method::GET]),
            (format!("/{part}"), &[Method::GET]),
        ] {
            for method in methods {
                let answer = world.send_text(method.clone(), &path, r#"{"city":"Paris","stage":"x"}"#).await;
                assert_refused(&answer, &format!("{method} {path:.60}"));
            }
        }
    }
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_parameter_that_a_route_does_not_know_is_400_on_every_route() {
    let world = World::new().await;
    let document = world.get("/openapi.json").await.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            let path = format!("{}?nope=1", path.replace("{event_type}", "deal.won").replace("{id}", "x"));
            let answer = world.send(world.request(method, &path)).await;
            let body = answer.assert_error(400, "INVALID_QUERY");
            assert_eq!(body["details"]["parameter"], "nope", "{path}");
        }
    }
}
