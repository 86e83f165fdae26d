//! Many records in one request: each by itself, in their order, with one answer.

use futures_util::future::join_all;
use isao::model::permission::Permission;
use isao::model::words::Words;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, World, in_one_batch};

fn contact(number: usize) -> Value {
    json!({"name": format!("Contact {number}"), "phoneNumber": format!("+33100000{number:03}")})
}

fn contacts(count: usize) -> Value {
    json!({"records": (0..count).map(contact).collect::<Vec<_>>()})
}

async fn post_as(world: &World, key: &str, path: &str, body: &Value) -> Answer {
    world.send(world.http.post(world.url(path)).bearer_auth(key).json(body)).await
}

/// The names in the events, in the order of the log.
async fn names_in_log(world: &World) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT coalesce(data::json ->> 'name', data::json ->> 'title') FROM events ORDER BY seq",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_reported_and_the_others_are_written_in_their_order() {
    let world = World::new().await;
    let mut body = contacts(500);
    body["records"][7] = json!({"name": "No number"});
    body["records"][250] = json!({"phoneNumber": "x", "email": "x"});
    body["records"][499]["phoneNumber"] = json!("+33100000003");
    let answer = world.post("/contacts/batch", body).await;
    let entries = answer.data(200);
    let entries = entries.as_array().unwrap();
    assert_eq!(answer.json()["meta"], json!({"succeeded": 497, "failed": 3}));
    assert_eq!(entries.len(), 500);
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry["index"], index);
        match index {
            7 => assert_eq!(entry["error"]["details"], json!({"fields": {"phoneNumber": "is required"}})),
            250 => assert_eq!(entry["error"]["details"]["fields"].as_object().unwrap().len(), 3, "{entry}"),
            499 => {
                assert_eq!(
                    (&entry["status"], &entry["error"]["code"]),
                    (&json!(409), &json!("ALREADY_EXISTS"))
                );
                assert_eq!(entry["error"]["details"]["existingId"], entries[3]["data"]["id"]);
            }
            _ => {
                assert_eq!((&entry["status"], &entry["created"]), (&json!(201), &json!(true)));
                assert_eq!(entry["data"]["name"], format!("Contact {index}"));
            }
        }
        if [7, 250].contains(&index) {
            assert_eq!(
                (&entry["status"], &entry["error"]["code"]),
                (&json!(422), &json!("VALIDATION_ERROR"))
            );
        }
    }
    let written = (0..499).filter(|index| ![7, 250].contains(index));
    assert_eq!(
        names_in_log(&world).await,
        written.map(|index| format!("Contact {index}")).collect::<Vec<_>>()
    );
    let shown = world.get(&format!("/contacts/{}", entries[0]["data"]["id"].as_str().unwrap())).await;
    assert_eq!(shown.data(200), entries[0]["data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_an_idempotency_key_as_a_whole() {
    let world = World::new().await;
    let mut body = contacts(20);
    body["records"][3] = json!({});
    let post = async |path: &str, body: &Value| {
        world.send(world.request(Method::POST, path).header("idempotency-key", "k").json(body)).await
    };
    let answers = join_all((0..3).map(|_| post("/contacts/batch", &body))).await;
    assert!(
        answers.iter().all(|answer| answer.status == 200 && answer.text == answers[0].text),
        "{answers:?}"
    );
    assert_eq!(world.event_types().await.len(), 19);
    body["records"][3] = contact(3);
    post("/contacts/batch", &body).await.assert_error(409, "IDEMPOTENCY_KEY_REUSED");
    post("/contacts/upsert/batch", &body).await.assert_error(409, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(world.event_types().await.len(), 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_upserts_finds_what_it_made_itself() {
    let world = World::new().await;
    let known = world.contact("Known", "+33100000001").await;
    let records = json!({"records": [
        {"name": "Known", "phoneNumber": "+33100000001"},
        {"name": "New", "phoneNumber": "+33100000002", "email": "new@example.com"},
        {"email": "NEW@example.com", "city": "Rome"},
        {"email": "nobody@example.com"},
        {"phoneNumber": "+33 100 000 001", "email": "new@example.com"},
        {"phoneNumber": "+33100000001", "name": "Renamed", "colour": "red", "matchBy": ["phoneNumber"]},
    ]});
    let answer = world.post("/contacts/upsert/batch", records).await;
    let entries = answer.data(200);
    let statuses: Vec<_> = entries.as_array().unwrap().iter().map(|entry| entry["status"].clone()).collect();
    assert_eq!(json!(statuses), json!([200, 201, 200, 422, 409, 200]), "{}", answer.text);
    let created: Vec<_> = entries.as_array().unwrap().iter().map(|entry| entry["created"].clone()).collect();
    assert_eq!(json!(created), json!([false, true, false, null, null, false]));
    assert_eq!(entries[0]["data"]["id"], known["id"]);
    assert_eq!(entries[2]["data"]["id"], entries[1]["data"]["id"]);
    assert_eq!(entries[4]["error"]["code"], "AMBIGUOUS_MATCH");
    assert_eq!(entries[5]["data"]["name"], "Renamed");
    assert_eq!(
        world.event_types().await,
        ["contact.created", "contact.created", "contact.updated", "contact.updated"]
    );
    let warnings = answer.json()["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 1, "{warnings}");
    assert!(warnings[0].as_str().unwrap().starts_with("The field `colour` of records"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deals_come_in_batches_too() {
    let world = World::new().await;
    let contact = world.contact("Jane", "+33100").await;
    let records = json!({"records": [
        {"title": "One", "contactId": contact["id"], "status": "won"},
        {"title": "Two", "contactId": "contact_01920f3e8c7a7b3c9d2e4f5a6b7c8d9e"},
        {"value": "x"},
        {"title": "Three", "value": 1.5},
    ]});
    let answer = world.post("/deals/batch", records).await;
    let entries = answer.data(200);
    assert_eq!(answer.json()["meta"], json!({"succeeded": 2, "failed": 2}));
    assert_eq!(entries[0]["data"]["contact"]["name"], "Jane");
    assert!(entries[1]["error"]["details"]["fields"]["contactId"].is_string(), "{}", answer.text);
    assert_eq!(entries[2]["error"]["details"]["fields"].as_object().unwrap().len(), 2);
    assert_eq!(entries[3]["data"]["value"], 1.5);
    assert_eq!(world.event_types().await, ["contact.created", "deal.created", "deal.won", "deal.created"]);
    assert_eq!(names_in_log(&world).await, ["Jane", "One", "One", "Three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_records_and_none_are_refused() {
    let world = World::new().await;
    let before = world.everything_written().await;
    for path in ["/contacts/batch", "/contacts/upsert/batch", "/deals/batch"] {
        for body in [
            json!({}),
            json!({"records": []}),
            contacts(501),
            json!({"records": [1]}),
            json!({"records": {}}),
        ] {
            let told = world.post(path, body).await.bad_fields();
            assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), ["records"]);
        }
        let large = json!({"records": [{"name": "x".repeat(2 * 1024 * 1024)}]});
        world.post(path, large).await.assert_error(413, "PAYLOAD_TOO_LARGE");
    }
    assert_eq!(world.everything_written().await, before);
}

/// As many records as a company may have waiting in the queue are in it, and another company's write is
/// taken and carried out.
#[tokio::test(flavor = "multi_thread")]
async fn a_company_s_batches_do_not_starve_another_company() {
    let world = World::new().await;
    let other = world.add_company("Other").await;
    let key = world.add_key(other, Permission::ALL).await;
    let batches = (0..4).map(|number| {
        let records: Vec<_> = (0..500)
            .map(|record| json!({"name": "x", "phoneNumber": format!("+332{number}000000{record:03}")}))
            .collect();
        ("/contacts/batch", world.key.clone(), json!({"records": records}))
    });
    let single = ("/contacts", key.clone(), contact(1));
    let requests: Vec<_> = batches.chain([single]).collect();
    let others = requests.iter().map(|(path, key, body)| post_as(&world, key, path, body));
    let answers = in_one_batch(&world, post_as(&world, &key, "/contacts", &contact(2)), others, || {}).await;
    let (single, batches) = answers.split_last().unwrap();
    single.data(201);
    let (taken, refused): (Vec<_>, Vec<_>) = batches.iter().partition(|answer| answer.status == 200);
    assert_eq!((taken.len(), refused.len()), (1, 3));
    for answer in refused {
        answer.assert_error(503, "OVERLOADED");
        assert!(!answer.header("retry-after").is_empty());
    }
    assert_eq!(taken[0].json()["meta"], json!({"succeeded": 500, "failed": 0}));
}
