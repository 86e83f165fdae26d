//! Errors: one shape, whatever went wrong and whichever layer said so.

use isao::http::error::Code;
use isao::model::permission::Permission;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_does_not_exist_is_404() {
    let world = World::new().await;
    for path in ["/nope", "/api", "/api/external", "/api/external/nope", "/api/external/contacts/a/b"] {
        for method in [Method::GET, Method::POST] {
            let answer = world.send(world.http.request(method, format!("{}{path}", world.root()))).await;
            assert_eq!(answer.assert_error(404, "NOT_FOUND")["error"], "Route not found", "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_the_method_is_405_and_tells_those_it_has() {
    let world = World::new().await;
    for (method, path, allowed) in [
        (Method::PUT, "/contacts", "GET,HEAD,POST"),
        (Method::POST, "/contacts/contact_1", "DELETE,GET,HEAD,PATCH,PUT"),
        (Method::POST, "/test", "GET,HEAD"),
        (Method::GET, "/webhooks/subscribe", "POST"),
        (Method::POST, "/openapi.json", "GET,HEAD"),
    ] {
        let answer = world.send(world.request(method.clone(), path)).await;
        answer.assert_error(405, "METHOD_NOT_ALLOWED");
        let mut methods: Vec<_> = answer.header("allow").split(',').collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_must_be_a_json_object() {
    let world = World::new().await;
    for body in ["", " ", "{", "{]", "nope", "[]", "null", "7", r#""text""#, "{}{}", r#"{"name":}"#] {
        let answer = world.send_text(Method::POST, "/contacts", body).await;
        answer.assert_error(400, "INVALID_JSON");
    }
    for body in [&b"{\"name\":\"\xff\"}"[..], b"\xfe\xff\0{"] {
        let answer = world.send_text(Method::POST, "/contacts", body).await;
        let error = answer.assert_error(400, "INVALID_JSON");
        assert_eq!(error["message"], "The body is not valid UTF-8");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413() {
    let world = World::new().await;
    for path in ["/contacts", "/deals", "/webhooks/subscribe"] {
        let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
        world.send_text(Method::POST, path, body).await.assert_error(413, "PAYLOAD_TOO_LARGE");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_declared_as_something_else_is_415() {
    let world = World::new().await;
    let request = || world.request(Method::POST, "/contacts").body(r#"{"name":"A","phoneNumber":"100"}"#);
    for declared in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp", "json"] {
        let answer = world.send(request().header("content-type", declared)).await;
        answer.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let without = world.send(request()).await;
    assert_eq!(without.status, 201, "taken for JSON: {}", without.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_it_is_401() {
    let world = World::new().await;
    let bare = world.http.get(world.url("/test"));
    let nothing = |request: &RequestBuilder| request.try_clone().unwrap();
    for request in [
        nothing(&bare),
        nothing(&bare).header("authorization", ""),
        nothing(&bare).header("authorization", "Bearer"),
        nothing(&bare).header("authorization", "Bearer  "),
        nothing(&bare).header("authorization", format!("Basic {}", world.key)),
        nothing(&bare).header("authorization", &world.key),
    ] {
        let answer = world.send(request).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let error = answer.assert_error(401, "MISSING_API_KEY");
        assert_eq!(error["error"], "API key required in Authorization header");
        assert_eq!(
            error["message"],
            "Please provide a valid API key in the format: Authorization: Bearer YOUR_API_KEY"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_it_is_403_and_names_it() {
    let world = World::new().await;
    let key = world.add_key(world.company, &[Permission::ContactsRead, Permission::DealsRead]).await;
    let request = world.http.post(world.url("/contacts")).bearer_auth(&key).body("not even JSON");
    let answer = world.send(request).await;
    let error = answer.assert_error(403, "PERMISSION_DENIED");
    assert_eq!(error["error"], "Permission denied: contacts:write required");
    assert_eq!(error["message"], "This API key does not have the required permission: contacts:write");
    assert_eq!(error["requiredPermission"], "contacts:write");
    assert_eq!(error["availablePermissions"], json!(["contacts:read", "deals:read"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_field_is_told_at_once() {
    let world = World::new().await;
    let body = json!({"phoneNumber": "x", "email": "nobody", "tags": [["lead"]], "city": true});
    let answer = world.post("/contacts", body).await;
    let error = answer.assert_error(422, "VALIDATION_ERROR");
    assert_eq!(error["error"], "Validation failed");
    let told = json!({
        "name": "is required",
        "phoneNumber": "must be a phone number like +33123456789: 3 to 20 digits, and perhaps an extension (x12)",
        "email": "must be an email address like jane@example.com",
        "tags": r#"must be a list of texts, for example ["lead", "vip"]"#,
        "city": "must be text",
    });
    assert_eq!(error["details"], json!({"fields": told}));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id() {
    let world = World::new().await;
    let ask = async |id: &str| {
        let request = world.request(Method::GET, "/test").header("x-request-id", id);
        world.send(request).await.header("x-request-id").to_owned()
    };
    let longest = "x".repeat(128);
    for harmless in ["abc-123", "0192f3a4:b5.c6_d7", &longest] {
        assert_eq!(ask(harmless).await, harmless);
    }
    for harmful in ["", "a b", "<script>", "a,b", "é", &format!("{longest}x")] {
        assert!(ask(harmful).await.starts_with("req_"), "{harmful:?}");
    }
    let made = world.get("/test").await.header("x-request-id").to_owned();
    assert_ne!(world.get("/nope").await.header("x-request-id"), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailing_slash_makes_no_difference() {
    let world = World::new().await;
    assert_eq!(world.get("/contacts/").await.text, world.get("/contacts").await.text);
    assert_eq!(world.get("/contacts/?limit=1").await.text, world.get("/contacts?limit=1").await.text);
    assert_eq!(world.get("/triggers/deal.won/sample/").await.status, 200);
    world.get("/contacts/?limit=0").await.assert_error(400, "INVALID_QUERY");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_answers_as_get_does_but_for_the_body() {
    let world = World::new().await;
    for path in ["/test", "/contacts", "/contacts?limit=0", "/contacts/contact_1", "/nope"] {
        let (head, get) = (world.send(world.request(Method::HEAD, path)).await, world.get(path).await);
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
    }
}

#[test]
fn codes_are_a_closed_list() {
    let codes: Vec<_> =
        Code::ALL.iter().map(|code| format!("{} {}", code.status().as_u16(), code.name())).collect();
    insta::assert_snapshot!(codes.join("\n"), @"
    400 INVALID_JSON
    400 INVALID_QUERY
    400 BAD_REQUEST
    401 MISSING_API_KEY
    401 INVALID_API_KEY_FORMAT
    401 INVALID_API_KEY
    403 PERMISSION_DENIED
    404 NOT_FOUND
    405 METHOD_NOT_ALLOWED
    410 CURSOR_EXPIRED
    409 ALREADY_EXISTS
    409 AMBIGUOUS_MATCH
    409 CONFLICT
    409 IDEMPOTENCY_KEY_REUSED
    412 PRECONDITION_FAILED
    413 PAYLOAD_TOO_LARGE
    415 UNSUPPORTED_MEDIA_TYPE
    422 VALIDATION_ERROR
    429 RATE_LIMIT_EXCEEDED
    429 TOO_MANY_STREAMS
    500 INTERNAL_ERROR
    503 OVERLOADED
    503 DATABASE_UNAVAILABLE
    503 TIMEOUT
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_nobody_knows_are_ignored_and_named() {
    let world = World::new().await;
    let body = json!({"name": "Jane", "phoneNumber": "100", "phone": "200", "company": "Acme"});
    let answer = world.post("/contacts", body.clone()).await;
    let contact = answer.data(201);
    let warnings = answer.json()["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 2, "{warnings}");
    let named = warnings.to_string();
    assert!(
        named.contains("`phone`") && named.contains("`company`") && named.contains("phoneNumber"),
        "{named}"
    );
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    assert!(world.put(&path, json!({"city": "Rome"})).await.json().get("warnings").is_none());
    let answer = world.patch(&path, json!({"town": "Rome"})).await;
    assert!(answer.json()["warnings"][0].as_str().unwrap().contains("`town`"), "{}", answer.text);
    assert_eq!(answer.header("content-length"), answer.text.len().to_string());
    let subscribe = json!({"event": "deal.won", "target_url": "https://example.com/", "url": "x"});
    let answer = world.post("/webhooks/subscribe", subscribe).await;
    assert!(answer.json()["warnings"][0].as_str().unwrap().contains("target_url"), "{}", answer.text);
    // A repeated write has its first answer, and the warning of this time.
    let request = || world.request(reqwest::Method::POST, "/contacts").header("idempotency-key", "k");
    let body = json!({"name": "Joan", "phoneNumber": "300", "mobile": "1"});
    let first = world.send(request().json(&body)).await;
    assert_eq!(world.send(request().json(&body)).await.text, first.text);
    // Many, and odd ones, are not all repeated.
    let many: serde_json::Map<_, _> =
        (0..1000).map(|number| (format!("{number}{}", "\u{e9}".repeat(100)), json!(1))).collect();
    let answer = world.patch(&path, many.into()).await;
    let warnings = answer.json()["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 21, "{warnings}");
    assert!(warnings[20].as_str().unwrap().starts_with("980 more"), "{warnings}");
}
