//! The numbers for Prometheus.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::json;

use crate::support::{Receiver, Reply, World, eventually};

/// Every series with its value.
async fn scrape(world: &World) -> HashMap<String, f64> {
    let answer = world.send(world.http.get(format!("{}/metrics", world.root()))).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(answer.text.ends_with("# EOF\n"));
    let mut series = HashMap::new();
    for line in answer.text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let word = comment.split(' ').next().unwrap();
            assert!(["HELP", "TYPE", "UNIT", "EOF"].contains(&word), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("isao_"), "{line}");
        assert!(series.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    series
}

fn requests(method: &str, route: &str, status: &str) -> String {
    format!(
        r#"isao_http_request_duration_seconds_count{{method="{method}",route="{route}",status="{status}"}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let world = World::new().await;
    let before = scrape(&world).await;
    assert_eq!(before["isao_write_commands_total"], 0.0);
    assert_eq!(before[r#"isao_delivery_attempts_total{outcome="undelivered"}"#], 0.0);

    let receiver = Receiver::scripted(|number, _| Reply::Status(if number == 0 { 500 } else { 200 })).await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    let contact = world.contact("Jane", "100").await;
    world.contact("John", "200").await;
    world
        .post("/contacts", json!({"name": "Twin", "phoneNumber": "100"}))
        .await
        .assert_error(409, "ALREADY_EXISTS");
    world.get(&format!("/contacts/{}", contact["id"].as_str().unwrap())).await.data(200);
    world.get("/contacts/nothing").await.assert_error(404, "NOT_FOUND");
    world.expect_with_retries(&receiver, 3).await;
    let stream = world.request(Method::GET, "/events/stream").send().await.unwrap();
    assert_eq!(stream.status(), 200);

    let counted = eventually("the last attempt to be counted", async || {
        let counted = scrape(&world).await;
        (counted[r#"isao_delivery_attempts_total{outcome="delivered"}"#] == 2.0).then_some(counted)
    })
    .await;
    assert_eq!(counted[r#"isao_delivery_attempts_total{outcome="failed"}"#], 1.0);
    assert_eq!(counted["isao_delivery_attempt_duration_seconds_count"], 3.0);
    assert_eq!(counted["isao_delivery_attempts_in_flight"], 0.0);
    assert_eq!(counted["isao_events_appended_total"], 2.0);
    assert_eq!(counted["isao_write_commands_total"], 4.0, "with the one that was refused");
    assert_eq!(counted["isao_write_batches_total"], 4.0);
    assert_eq!(counted["isao_event_streams_open"], 1.0);
    assert!(counted["isao_database_connections_in_use"] + counted["isao_database_connections_idle"] >= 1.0);
    let base = "/api/external/contacts";
    assert_eq!(counted[&requests("POST", base, "2xx")], 2.0);
    assert_eq!(counted[&requests("POST", base, "4xx")], 1.0);
    assert_eq!(counted[&requests("GET", &format!("{base}/{{id}}"), "2xx")], 1.0);
    assert_eq!(counted[&requests("GET", &format!("{base}/{{id}}"), "4xx")], 1.0);

    drop(stream);
    eventually("the end of the stream to be counted", async || {
        (scrape(&world).await["isao_event_streams_open"] == 0.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_make_new_numbers_or_read_a_company_out_of_them() {
    let world = World::new().await;
    world.contact("Jane", "100").await;
    for number in 0..5 {
        world.get(&format!("/nothing/{number}")).await.assert_error(404, "NOT_FOUND");
        let invented = Method::from_bytes(format!("WORD{number}").as_bytes()).unwrap();
        world.send(world.request(invented, "/contacts")).await.assert_error(405, "METHOD_NOT_ALLOWED");
    }
    let counted = scrape(&world).await;
    assert_eq!(counted[&requests("GET", "none", "4xx")], 5.0);
    assert_eq!(counted[&requests("other", "/api/external/contacts", "4xx")], 5.0);
    let id = world.company.to_string();
    for series in counted.keys() {
        assert!(
            !series.contains("Acme") && !series.contains(&id) && !series.contains("contact_"),
            "{series}"
        );
    }
}
