//! The bad-input table: whatever is sent to whichever route, the answer is a 4xx in
//! our shape, and nothing was written.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{Answer, World};

/// An operation that reads a body, and a body that it would accept.
struct Route {
    method: Method,
    path: String,
    /// The schemas of the fields of its body, by the OpenAPI document.
    fields: Map<String, Value>,
    good: Value,
}

fn document() -> Value {
    serde_json::from_str(&isao::server::router::openapi()).unwrap()
}

/// Every operation of the document that reads a body, on records that exist.
async fn routes(world: &World) -> Vec<Route> {
    let id = |record: Value| record["id"].as_str().unwrap().to_owned();
    let contact = id(world.contact("Jane", "100").await);
    let deal = id(world.deal(json!({"title": "Big"})).await);
    let hook = id(world.subscribe("deal.won", "https://example.com/").await);
    let target = json!({"target_url": "https://example.com/hook"});
    let subscribe = json!({"event": "contact.created", "target_url": "https://example.com/hook"});
    let replay = json!({"since": "2024-11-08T10:30:00.000Z", "only": "all", "dryRun": true});
    let mut bodies = BTreeMap::from([
        (("post", "/contacts"), json!({"name": "Joan", "phoneNumber": "200"})),
        (("put", "/contacts/{id}"), json!({"city": "Paris"})),
        (("patch", "/contacts/{id}"), json!({"city": "Paris"})),
        (("post", "/deals"), json!({"title": "Bigger"})),
        (("put", "/deals/{id}"), json!({"source": "fair"})),
        (("patch", "/deals/{id}"), json!({"source": "fair"})),
        (("put", "/deals/{id}/status"), json!({"stage": "x"})),
        (("post", "/webhooks/subscribe"), subscribe),
        (("patch", "/webhooks/{id}"), json!({"is_active": false})),
        (("post", "/webhooks/check-url"), target),
        (("post", "/webhooks/{id}/rotate-secret"), json!({"overlap": "1h"})),
        (("post", "/webhooks/{id}/replay"), replay),
        (("post", "/webhooks/preview"), json!({"event": "contact.created"})),
        (("delete", "/webhooks/unsubscribe"), json!({"subscription_id": "sub_1"})),
    ]);
    let document = document();
    let mut routes = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            if body.is_null() {
                continue;
            }
            let good = bodies.remove(&(method.as_str(), template.as_str()));
            let record = match template.split('/').nth(1) {
                Some("contacts") => &contact,
                Some("deals") => &deal,
                _ => &hook,
            };
            routes.push(Route {
                method: method.to_uppercase().parse().unwrap(),
                path: template.replace("{id}", record),
                fields: resolve(&document, body)["properties"].as_object().unwrap().clone(),
                good: good.unwrap_or_else(|| panic!("no body for {method} {template}")),
            });
        }
    }
    assert!(bodies.is_empty(), "the document does not have {bodies:?}");
    routes
}

/// A schema without references and without the choice of null.
fn resolve(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return resolve(document, document.pointer(reference.trim_start_matches('#')).unwrap());
    }
    match schema["oneOf"].as_array() {
        Some(options) => resolve(document, options.iter().find(|option| option["type"] != "null").unwrap()),
        None => schema.clone(),
    }
}

fn is_nullable(schema: &Value) -> bool {
    let null = |one: &Value| one == "null" || one["type"] == "null";
    [&schema["type"], &schema["oneOf"]]
        .iter()
        .any(|all| all.as_array().is_some_and(|all| all.iter().any(null)))
}

/// Is this value one that the field may take? Text never is: all of it is bad by its content.
fn is_taken(document: &Value, schema: &Value, raw: &str) -> bool {
    fn is_plain(value: &Value) -> bool {
        match value {
            Value::String(_) => false,
            Value::Array(items) => items.iter().all(is_plain),
            Value::Object(object) => object.is_empty(),
            Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() < 1e12),
            Value::Null | Value::Bool(_) => true,
        }
    }
    let Ok(value) = serde_json::from_str::<Value>(raw) else { return false };
    is_plain(&value) && jsonschema::is_valid(&resolve(document, schema), &value)
}

/// Values just beyond the limits that the schema names.
fn beyond(document: &Value, schema: &Value) -> Vec<String> {
    let nullable = is_nullable(schema);
    let schema = resolve(document, schema);
    let mut values = Vec::new();
    if !nullable {
        values.push("null".to_owned());
    }
    if let Some(length) = schema["maxLength"].as_u64() {
        values.push(format!("\"{}\"", "x".repeat(length as usize + 1)));
        values.push(format!("\"{}\"", "é".repeat(length as usize + 1)));
    }
    if let Some(length) = schema["minLength"].as_u64() {
        values.push(format!("\"{}\"", "X".repeat(length as usize - 1)));
    }
    values.extend(schema["minimum"].as_i64().map(|minimum| (minimum - 1).to_string()));
    values.extend(schema["maximum"].as_i64().map(|maximum| (maximum + 1).to_string()));
    if let Some(count) = schema["maxItems"].as_u64() {
        values.push(json!((0..=count).map(|number| number.to_string()).collect::<Vec<_>>()).to_string());
    }
    if schema["enum"].is_array() || schema["format"].is_string() && schema["type"] != "number" {
        values.extend([r#""nope""#.to_owned(), r#""NOW""#.to_owned()]);
    }
    values
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
    let (document, routes) = (document(), routes(&world).await);
    let before = world.everything_written().await;
    let long = format!("\"{}\"", "x".repeat(100_000));
    let many = format!("[{}1]", "1,".repeat(10_000));
    for Route { method, path, fields, good } in &routes {
        for (field, schema) in fields {
            let beyond = beyond(&document, schema);
            let kinds = [
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
            ];
            let wrong = kinds.into_iter().filter(|raw| !is_taken(&document, schema, raw));
            for raw in wrong.chain(beyond.iter().map(String::as_str)) {
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
        let known = fields.keys().next_back().unwrap();
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
