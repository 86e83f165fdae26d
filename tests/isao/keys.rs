//! API keys: what they may do, how often, and until when.

use std::time::Duration;

use isao::model::api_key::{ApiKey, ServiceType};
use isao::model::permission::Permission;
use isao::model::words::Words;
use reqwest::Method;
use serde_json::json;

use crate::support::world::START;
use crate::support::{Answer, World};

/// Longer than a key is taken for what it was.
const CACHE_IS_OVER: Duration = Duration::from_millis(500);

async fn test_with(world: &World, key: &str) -> Answer {
    world.send(world.http.get(world.url("/test")).bearer_auth(key)).await
}

/// Changes a column of the world's key, as the operator does.
async fn set(world: &World, assignment: &'static str) {
    let statement = format!("UPDATE api_keys SET {assignment} WHERE hash = $1");
    let hash = ApiKey::parse(&world.key).unwrap().hash();
    sqlx::query(sqlx::AssertSqlSafe(statement)).bind(&hash[..]).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_key_is_told_whose_it_is() {
    let world = World::new().await;
    let key = world.add_key(world.company, &[Permission::WebhooksWrite, Permission::ContactsRead]).await;
    let answer = test_with(&world, &key).await;
    assert_eq!(answer.status, 200);
    let company = world.company.to_string();
    assert_eq!(
        answer.json(),
        json!({
            "success": true,
            "message": "API key is valid and working",
            "data": {
                "companyId": company,
                "permissions": ["webhooks:write", "contacts:read"],
                "timestamp": START,
            },
            "companyId": company,
            "company_name": "Acme",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_key_shaped_is_told_so() {
    let world = World::new().await;
    for bad in
        ["short", "YOUR_API_KEY", &world.key[..60], &world.key.to_uppercase(), &format!("{}0", world.key)]
    {
        let error = test_with(&world, bad).await.assert_error(401, "INVALID_API_KEY_FORMAT");
        assert_eq!(error["error"], "Invalid API key format");
        assert_eq!(error["message"], "API key appears to be invalid or too short");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_invalid() {
    let world = World::new().await;
    let unknown = ApiKey::generate(ServiceType::Zapier, [7; 32]);
    let error = test_with(&world, unknown.reveal()).await.assert_error(401, "INVALID_API_KEY");
    assert_eq!(error["error"], "Invalid API key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_expires_by_the_clock() {
    let world = World::new().await;
    set(&world, "expires_at = created_at + interval '1 hour'").await;
    world.clock.advance(Duration::from_secs(3600) - Duration::from_millis(1));
    assert_eq!(test_with(&world, &world.key).await.status, 200);
    world.clock.advance(Duration::from_millis(1));
    let error = test_with(&world, &world.key).await.assert_error(401, "INVALID_API_KEY");
    assert_eq!(error["error"], "Invalid API key", "although it was good a moment ago");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_heard_within_a_second() {
    let world = World::new().await;
    assert_eq!(test_with(&world, &world.key).await.status, 200);
    set(&world, "revoked_at = created_at").await;
    world.clock.advance(CACHE_IS_OVER);
    test_with(&world, &world.key).await.assert_error(401, "INVALID_API_KEY");
}

#[tokio::test(flavor = "multi_thread")]
async fn write_includes_read_and_nothing_else() {
    let world = World::new().await;
    let routes = [
        ("/contacts", Permission::ContactsRead),
        ("/deals", Permission::DealsRead),
        ("/webhooks", Permission::WebhooksRead),
        ("/deals/stages", Permission::DealsRead),
        ("/members", Permission::DealsRead),
        ("/events/types", Permission::WebhooksRead),
        ("/triggers/contact.created/recent", Permission::WebhooksRead),
        ("/triggers/contact.created/sample", Permission::WebhooksRead),
    ];
    for held in Permission::ALL.iter().copied() {
        let key = world.add_key(world.company, &[held]).await;
        for (path, needed) in routes {
            let resource = |permission: Permission| permission.word().split(':').next().unwrap();
            let expected = if resource(held) == resource(needed) { 200 } else { 403 };
            let answer = world.send(world.http.get(world.url(path)).bearer_auth(&key)).await;
            assert_eq!(answer.status, expected, "{} {path}", held.word());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_does_not_include_write() {
    let world = World::new().await;
    let read = [Permission::ContactsRead, Permission::DealsRead, Permission::WebhooksRead];
    let key = world.add_key(world.company, &read).await;
    for (method, path, needed) in [
        (Method::POST, "/contacts", "contacts:write"),
        (Method::PUT, "/contacts/contact_1", "contacts:write"),
        (Method::PATCH, "/contacts/contact_1", "contacts:write"),
        (Method::DELETE, "/contacts/contact_1", "contacts:write"),
        (Method::POST, "/deals", "deals:write"),
        (Method::PUT, "/deals/deal_1", "deals:write"),
        (Method::PATCH, "/deals/deal_1", "deals:write"),
        (Method::PUT, "/deals/deal_1/status", "deals:write"),
        (Method::DELETE, "/deals/deal_1", "deals:write"),
        (Method::POST, "/webhooks/subscribe", "webhooks:write"),
        (Method::DELETE, "/webhooks/unsubscribe", "webhooks:write"),
        (Method::PATCH, "/webhooks/sub_1", "webhooks:write"),
        (Method::DELETE, "/webhooks/sub_1", "webhooks:write"),
    ] {
        let request = world.http.request(method.clone(), world.url(path)).bearer_auth(&key);
        let error = world.send(request).await.assert_error(403, "PERMISSION_DENIED");
        assert_eq!(error["requiredPermission"], needed, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_limit_wait_for_the_next_window() {
    let world = World::new().await;
    set(&world, "rate_limit = 2").await;
    let standing = |answer: &Answer| {
        ["limit", "remaining", "reset"]
            .map(|name| answer.header(&format!("x-ratelimit-{name}")).parse::<i64>().unwrap())
    };
    let reset = world.clock.now().timestamp() + 60;
    assert_eq!(standing(&world.get("/test").await), [2, 1, reset]);
    world.clock.advance(Duration::from_secs(20));
    // Errors count too.
    assert_eq!(standing(&world.get("/contacts/contact_1").await), [2, 0, reset]);

    let refused = world.post("/contacts", json!({"name": "A", "phoneNumber": "100"})).await;
    refused.assert_error(429, "RATE_LIMIT_EXCEEDED");
    assert_eq!(standing(&refused), [2, 0, reset]);
    assert_eq!(refused.header("retry-after"), "40");
    assert!(world.event_types().await.is_empty());

    world.clock.advance(Duration::from_secs(40));
    assert_eq!(standing(&world.get("/test").await), [2, 1, reset + 60]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_of_one_key_only() {
    let world = World::new().await;
    let other = world.add_key(world.company, Permission::ALL).await;
    set(&world, "rate_limit = 1").await;
    assert_eq!(world.get("/test").await.status, 200);
    assert_eq!(world.get("/test").await.status, 429);
    let unlimited = test_with(&world, &other).await;
    assert_eq!(unlimited.status, 200);
    assert!(!unlimited.headers.contains_key("x-ratelimit-limit"));
}
