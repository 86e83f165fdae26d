//! The API reference at `/docs`, and what a browser gets where there is nothing.

use std::io::Read as _;

use flate2::read::GzDecoder;
use isao::admin::Admin;
use isao::dashboard::{self, Dashboard};
use isao::listeners::Listeners;
use isao::model::ids::Ids;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{Answer, World};

/// As browsers ask.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn page(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = world.http.get(format!("{}{path}", world.root()));
    world.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

/// The operations of the document that is committed: of paths and of webhooks.
fn operations() -> Vec<(String, String, Value)> {
    let document: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let sections = ["paths", "webhooks"].map(|section| document[section].as_object().unwrap().clone());
    let mut found = Vec::new();
    for (path, item) in sections.into_iter().flatten() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((path.clone(), method.to_uppercase(), operation.clone()));
        }
    }
    found
}

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    [("&", "&#38;"), ("<", "&#60;"), (">", "&#62;"), ("\"", "&#34;"), ("'", "&#39;")]
        .iter()
        .fold(text.to_owned(), |text, (plain, safe)| text.replace(plain, safe))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_and_every_webhook_has_its_place() {
    let world = World::new().await;
    let page = page(&world, "/docs", &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let operations = operations();
    assert!(operations.len() > 40);
    for (path, method, operation) in operations {
        let id = operation["operationId"].as_str().unwrap();
        assert_eq!(page.text.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
        assert!(page.text.contains(&format!("href=\"#{id}\"")), "a link leads to {id}");
        let (_, section) = page.text.split_once(&format!(" id=\"{id}\"")).unwrap();
        let section = section.split("<section").next().unwrap();
        assert!(section.contains(&format!("<code>{path}</code>")) && section.contains(&method), "{id}");
        assert!(section.contains(&escaped(operation["summary"].as_str().unwrap())), "{id}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            assert!(section.contains(&format!("<b>{name}</b>")), "{id} {name}");
        }
        for status in operation["responses"].as_object().unwrap().keys() {
            assert!(section.contains(status), "{id} {status}");
        }
    }
    for shown in ["<b>metadata</b>", "metadata.</span><b>eventId</b>", "data[].</span><b>phoneNumber</b>"] {
        assert!(page.text.contains(shown), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_within_the_page_lead_somewhere_and_none_leads_to_another_host() {
    let world = World::new().await;
    let page = page(&world, "/docs", &[]).await;
    for link in page.text.split(" href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(page.text.contains(&format!(" id=\"{anchor}\"")), "{anchor}"),
            None => assert!(link.starts_with('/') && !link.starts_with("//") || link == "data:,", "{link}"),
        }
    }
    for source in page.text.split(" src=\"").skip(1) {
        assert!(source.starts_with("/dashboard/assets/"), "{}", source.split('"').next().unwrap());
    }
    let ids: Vec<_> = page.text.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "an anchor is there once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_as_strict_as_all_others() {
    let world = World::new().await;
    let page = page(&world, "/docs", &[]).await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(
        !page.text.contains(" style=") && !page.text.contains("<style") && !page.text.contains(" onclick")
    );
    for script in page.text.split("<script").skip(1) {
        assert!(script.split("</script>").next().unwrap().ends_with("defer>"), "no script within the page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_sent_compressed_and_once() {
    let world = World::new().await;
    let plain = page(&world, "/docs", &[]).await;
    let request = world.http.get(format!("{}/docs", world.root())).header("accept-encoding", "gzip, br");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(response.headers()["vary"].to_str().unwrap().contains("accept-encoding"));
    let compressed = response.bytes().await.unwrap();
    let mut text = String::new();
    GzDecoder::new(&*compressed).read_to_string(&mut text).unwrap();
    assert!(text == plain.text, "it is the same page");
    println!("{} bytes, compressed {}", text.len(), compressed.len());
    assert!(compressed.len() < 100_000, "{} bytes", compressed.len());
    let again = page(&world, "/docs", &[("if-none-match", plain.header("etag"))]).await;
    assert_eq!((again.status, &*again.text), (304, ""));
    assert!(again.header("content-security-policy").starts_with("default-src 'none'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_for_this_server_and_go_into_a_shell_as_they_are() {
    let world = World::new().await;
    let here = page(&world, "/docs", &[]).await;
    assert!(here.text.contains(&escaped(&format!("curl \"{}\"", world.url("/contacts/$ID")))));
    let there = page(&world, "/docs", &[("host", "crm.example:8443"), ("x-forwarded-proto", "https")]).await;
    assert!(
        there.text.contains(&escaped("curl \"https://crm.example:8443/api/external/contacts\" \\\n  -H"))
    );
    assert!(there.text.contains(&escaped("-H \"Authorization: Bearer $KEY\"")));
    let evil = page(&world, "/docs", &[("host", "a$(id)<b>")]).await;
    assert!(!evil.text.contains("$(id)") && evil.text.contains("http://localhost/api/external"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frame_is_french_for_who_reads_french() {
    let world = World::new().await;
    let page = page(&world, "/docs", &[("accept-language", "fr-CH, en;q=0.5")]).await;
    assert!(page.text.contains("<html lang=\"fr\""));
    for text in ["Référence de l’API", "Paramètres", "obligatoire", "Les descriptions sont en anglais."]
    {
        assert!(page.text.contains(text), "{text}");
    }
    assert!(page.text.contains("lang=\"en\">Create a contact<"), "what stays English says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_the_document_becomes_markup() {
    let world = World::new().await;
    let evil = "<img src=x onerror=alert(1)>\"'`<b>`&";
    let schema = json!({"type": "object", "description": evil, "required": [evil], "properties": {evil: {
        "type": evil, "format": evil, "description": evil, "pattern": evil, "example": evil, "enum": [evil]}}});
    let operation = json!({"tags": ["Tag"], "operationId": "doIt", "summary": evil, "description": evil,
        "parameters": [{"name": evil, "in": "query", "description": evil, "schema": {"type": "string"}}],
        "requestBody": {"content": {"application/json": {"schema": schema, "example": {evil: evil}}}},
        "responses": {"200": {"description": evil, "content": {"application/json": {"schema": schema}}},
                      "400": {"description": evil}}});
    let document = json!({"info": {"title": evil, "description": evil}, "servers": [{"url": "/api"}],
        "tags": [{"name": "Tag", "description": evil}], "paths": {evil: {"post": operation}},
        "webhooks": {evil: {"post": operation}}, "components": {"schemas": {"Error": schema}}});
    let admin = Admin { pool: world.pool.clone(), clock: world.clock.clone(), ids: Ids::default() };
    let pages = dashboard::router(Dashboard::new(
        admin,
        (axum::Router::new(), "/api"),
        Listeners::default(),
        document.to_string(),
    ));
    let request = axum::http::Request::get("/docs").body(axum::body::Body::empty()).unwrap();
    let response = pages.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(text.matches("&#60;img src=x onerror=alert(1)&#62;").count() > 20);
    assert!(!text.contains("<img"));
    assert_eq!(text.matches("<b>&").count(), text.matches("<b>").count(), "only names of fields are bold");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_nothing_a_browser_gets_a_page_and_a_program_json() {
    let world = World::new().await;
    for path in ["/nothing", "/docs/nothing", "/healthz/nothing"] {
        let shown = page(&world, path, &[("accept", BROWSER)]).await;
        assert_eq!((shown.status, shown.header("content-type")), (404, "text/html; charset=utf-8"), "{path}");
        assert!(shown.text.contains("href=\"/dashboard\"") && shown.text.contains("href=\"/docs\""));
        assert!(shown.header("content-security-policy").starts_with("default-src 'none'"));
        for accepts in ["*/*", "application/json", "application/json, text/html;q=0.5"] {
            page(&world, path, &[("accept", accepts)]).await.assert_error(404, "NOT_FOUND");
        }
        let sent = world.http.post(format!("{}{path}", world.root())).header("accept", BROWSER);
        world.send(sent).await.assert_error(404, "NOT_FOUND");
    }
    for path in ["/api", "/api/nothing", "/api/external", "/api/external/nothing"] {
        page(&world, path, &[("accept", BROWSER)]).await.assert_error(404, "NOT_FOUND");
    }
    let unknown = page(&world, "/dashboard/nothing", &[("accept", "*/*")]).await;
    assert_eq!((unknown.status, unknown.header("content-type")), (404, "text/html; charset=utf-8"));
    let french = page(&world, "/nothing", &[("accept", BROWSER), ("accept-language", "fr")]).await;
    assert!(french.text.contains("Cette page n’existe pas."));
}
