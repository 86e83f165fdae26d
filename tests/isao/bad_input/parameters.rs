//! Paths, query strings and headers that are wrong.

use reqwest::header::HeaderValue;

use super::*;
use crate::support::schema::Parameter;

/// What is wrong for every parameter of a query string, escaped.
const NO_TEXTS: [&str; 5] = ["%00", "a%00b", "%ff", "%c3", "%ed%a0%80"];
/// The longest text that a parameter takes.
const LONGEST: usize = 255;
/// Parameters that no operation has.
const UNKNOWN: [&str; 7] =
    ["nope=1", "Limit=1", "limit%00=1", "%ff=1", "offset=10", "per_page=5", "limit[]=1"];
/// Parts of a path that name nothing.
const NO_PARTS: [&str; 19] = [
    "%ff",
    "%c3%28",
    "%ed%a0%80",
    "%00",
    "contact_%00",
    "contact_0192f3a4b5c67d8e9f0a1b2c3d4e5f6%00",
    "x%2Fy",
    "..%2F..",
    "%2e%2e%2f",
    "'%20OR%201=1--",
    "contact_0192F3A4B5C67D8E9F0A1B2C3D4E5F60",
    "0192f3a4b5c67d8e9f0a1b2c3d4e5f60",
    "event_0192f3a4b5c67d8e9f0a1b2c3d4e5f60",
    "%25",
    "%",
    "%zz",
    "💥",
    "contact_",
    "0",
];

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A request with the body that the operation would accept.
fn request(fixture: &Fixture, operation: &Operation, target: &str) -> reqwest::RequestBuilder {
    let request = fixture.world.request(operation.method.clone(), target);
    if operation.body.is_some() { request.json(&fixture.body(operation)) } else { request }
}

async fn assert_bad_query(fixture: &Fixture, operation: &Operation, parameter: &Parameter) {
    let (path, name) = (fixture.path(operation), &parameter.field.name);
    let send = async |query: String| {
        let target = format!("{path}?{query}");
        (fixture.world.send(request(fixture, operation, &target)).await, target)
    };
    let mut values: Vec<_> = wrong::in_a_query(&parameter.field).iter().map(|text| escaped(text)).collect();
    values.extend(NO_TEXTS.map(str::to_owned));
    values.push("x".repeat(LONGEST + 1));
    for value in values {
        let (answer, target) = send(format!("{name}={value}")).await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.text);
        assert_eq!(answer.assert_error(400, "INVALID_QUERY")["details"]["parameter"], *name, "{target}");
    }
    let (twice, target) = send(format!("{name}=1&{name}=2")).await;
    let message = twice.assert_error(400, "INVALID_QUERY")["message"].to_string();
    assert!(message.contains(&format!("`{name}`")), "{target}: {message}");
    // A stream that is granted does not end.
    if operation.method == Method::GET && operation.path != "/events/stream" {
        // What is blank is left out.
        let mut right = vec![String::new()];
        right.extend(parameter.field.words().into_iter().flatten().map(str::to_owned));
        let schema = &parameter.field.schema;
        right.extend(
            ["minimum", "maximum"].iter().filter_map(|bound| schema.get(bound)).map(Value::to_string),
        );
        for value in right {
            let (answer, target) = send(format!("{name}={value}")).await;
            assert_eq!(answer.status, 200, "{target}: {}", answer.text);
        }
    }
}

async fn assert_bad_header(fixture: &Fixture, operation: &Operation, parameter: &Parameter) {
    let name = &parameter.field.name;
    let values = match name.as_str() {
        "Idempotency-Key" => vec![vec![], vec![b'x'; 256], "é".into(), b"a\tb".into()],
        "Last-Event-ID" => vec![b"x".into(), b"AAAA".into(), "é".into()],
        // Any text is a tag, which fits the record or does not.
        "If-Match" | "If-None-Match" => return,
        _ => panic!("nothing is known to be wrong for the header {name}"),
    };
    for value in values {
        let header = HeaderValue::from_bytes(&value).unwrap();
        let path = fixture.path(operation);
        let answer = fixture.world.send(request(fixture, operation, &path).header(name, header)).await;
        let what = format!("{} {path} {name}: {:?}: {}", operation.method, value, answer.text);
        assert_eq!(answer.status, 400, "{what}");
        assert_refused(&answer, &what);
        assert!(answer.text.contains(name), "{what}");
    }
}

async fn assert_bad_path(fixture: &Fixture, operation: &Operation, parameter: &Parameter) {
    let place = format!("{{{}}}", parameter.field.name);
    let (long, long_id) = ("x".repeat(5_000), format!("contact_{}", "0".repeat(5_000)));
    for part in NO_PARTS.into_iter().chain([long.as_str(), long_id.as_str()]) {
        let path = operation.path.replace(&place, part);
        assert!(!path.contains('{'), "one part at a time: {path}");
        let answer = fixture.world.send(request(fixture, operation, &path)).await;
        let what = format!("{} {path:.60}", operation.method);
        assert_refused(&answer, &what);
        assert!([400, 404].contains(&answer.status), "{what}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_of_every_operation_is_checked() {
    let fixture = &Fixture::new().await;
    let before = fixture.world.everything_written().await;
    for operation in Document::committed().operations() {
        for parameter in &operation.parameters {
            match parameter.place.as_str() {
                "query" => assert_bad_query(fixture, &operation, parameter).await,
                "header" => assert_bad_header(fixture, &operation, parameter).await,
                "path" => assert_bad_path(fixture, &operation, parameter).await,
                place => panic!("nothing is known to be wrong in a {place}: {}", parameter.field.name),
            }
        }
        for unknown in UNKNOWN {
            let target = format!("{}?{unknown}", fixture.path(&operation));
            let answer = fixture.world.send(request(fixture, &operation, &target)).await;
            assert_eq!(answer.status, 400, "{} {target}: {}", operation.method, answer.text);
            let told = answer.assert_error(400, "INVALID_QUERY")["details"]["parameter"].clone();
            assert!(unknown != "nope=1" || told == "nope", "{target}: {told}");
        }
        let written = fixture.world.everything_written().await;
        assert_eq!(written, before, "{} {} has written", operation.method, operation.path);
    }
}

/// Cursors of every form that there is, with bytes that no server has put into one.
fn invented_cursors() -> Vec<String> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let ends = [0, 1, 2, i64::MAX - 1, i64::MAX, i64::MIN, i64::MIN + 1, -1, -62_135_596_800_000];
    // A second before and after the years that a time of the database can have.
    let years = [-62_135_596_800_001, 253_402_300_799_999, 253_402_300_800_000];
    let mut cursors = vec!["now".to_owned(), "f_________8".to_owned()];
    for number in ends.into_iter().chain(years) {
        let bytes = number.to_be_bytes().to_vec();
        for id in [vec![], vec![0; 16], vec![0xff; 16], vec![7; 15]] {
            cursors.push(URL_SAFE_NO_PAD.encode([bytes.clone(), id].concat()));
        }
        for subscription in ["0".repeat(32), "f".repeat(32)] {
            cursors.push(format!("delivery_{subscription}{number:016x}"));
        }
    }
    cursors
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cursor_makes_the_server_fail() {
    let fixture = &Fixture::new().await;
    let mut seen = 0;
    for operation in Document::committed().operations() {
        let is_cursor = |parameter: &&Parameter| {
            parameter.field.name == "Last-Event-ID" || parameter.field.format() == Some("cursor")
        };
        for parameter in operation.parameters.iter().filter(is_cursor) {
            for cursor in invented_cursors() {
                let (path, name) = (fixture.path(&operation), &parameter.field.name);
                let request = match parameter.place.as_str() {
                    "header" => request(fixture, &operation, &path).header(name, &cursor),
                    _ => request(fixture, &operation, &format!("{path}?{name}={cursor}")),
                };
                // A stream that is granted does not end.
                let answer = request.send().await.unwrap();
                let taken = [200, 400, 410].contains(&answer.status().as_u16());
                assert!(taken, "{path} {name}: {cursor}: {}", answer.status());
            }
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} cursors in the document");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_contradict_each_other_are_refused() {
    let world = World::new().await;
    world.get("/contacts?page=1&cursor=x").await.assert_error(400, "INVALID_QUERY");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_beside_the_routes_are_404() {
    let world = World::new().await;
    for part in NO_PARTS {
        let answer = world.get(&format!("/{part}")).await;
        assert_refused(&answer, part);
        assert!([400, 404].contains(&answer.status), "{part}: {}", answer.text);
    }
}
