//! What people copy and tools send: one normal form before anything is decided.

use serde_json::{Value, json};

use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn one_number_is_one_contact_however_it_was_copied() {
    let world = World::new().await;
    let first = world.contact("Jane", "+33 1 23 45 67 89").await;
    for written in [
        json!("\u{202a}+33 1 23 45 67 89\u{202c}"),
        json!("+33\u{a0}1\u{202f}23\u{2009}45 67 89"),
        json!("+33\u{2011}1\u{2012}23\u{2013}45\u{2212}67\u{ad}89"),
        json!("'+33123456789"),
        json!("tel:+33-1-23-45-67-89"),
        json!("0033 (0)1 23 45 67 89"),
        json!("\u{ff0b}\u{ff13}\u{ff13}123456789"),
        json!("+\u{663}\u{663}\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}\u{668}\u{669}"),
        json!("+33/1/23.45\u{b7}67\u{2022}89\u{200b}"),
    ] {
        let taken = world.post("/contacts", json!({"name": "Jane", "phoneNumber": written})).await;
        assert_eq!(
            taken.assert_error(409, "ALREADY_EXISTS")["details"]["existingId"],
            first["id"],
            "{written}"
        );
    }
    let other = world
        .post("/contacts", json!({"name": "Joan", "phoneNumber": "+33 1 23 45 67 89 ext. 5"}))
        .await
        .data(201);
    assert_eq!(other["phoneNumber"], "+33 1 23 45 67 89 ext. 5", "kept as it was written");
    let spreadsheet =
        world.post("/contacts", json!({"name": "Sheet", "phoneNumber": 33_612_345_678_i64})).await;
    assert_eq!(spreadsheet.data(201)["phoneNumber"], "33612345678");
    let float = world.post("/contacts", json!({"name": "Float", "phoneNumber": 33_612_345_679.0})).await;
    assert_eq!(float.data(201)["phoneNumber"], "33612345679");
    for nobody in
        [json!("3.361E+10"), json!(-33.5), json!("n/a"), json!("\u{200b}\u{feff}12"), json!("+33 1 23 x")]
    {
        let told = world.post("/contacts", json!({"name": "X", "phoneNumber": nobody})).await.bad_fields();
        assert!(told["phoneNumber"].is_string(), "{nobody}: {told}");
    }
    for (query, found) in [
        ("phoneNumber=%2033123456789", 1),
        ("phoneNumber=0033-123456789", 1),
        ("search=+33123456", 2),
        ("search=%20331234", 2),
    ] {
        let listed = world.get(&format!("/contacts?{query}")).await.data(200);
        assert_eq!(listed.as_array().unwrap().len(), found, "{query}: {listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tools_send_is_taken() {
    let world = World::new().await;
    let body = json!({"title": 2024, "value": "1234.50", "probability": "75", "priority": " high ", "currency": "eur", "stage": "new\u{200b}"});
    let deal = world.deal(body).await;
    assert_eq!(
        (
            &deal["title"],
            &deal["value"],
            &deal["probability"],
            &deal["priority"],
            &deal["currency"],
            &deal["stage"]
        ),
        (&json!("2024"), &json!(1234.5), &json!(75), &json!("high"), &json!("EUR"), &json!("new"))
    );
    let deal = world.deal(json!({"title": "Sum", "value": 0.30000000000000004})).await;
    assert_eq!(deal["value"], json!(0.3));
    let told = world.post("/deals", json!({"title": "Exact", "value": 0.1234567})).await.bad_fields();
    assert!(told["value"].is_string(), "{told}");
    let body = json!({"name": "Ana", "phoneNumber": "100", "tags": "lead, vip,,lead", "email": "\u{202a}ana@example.com\u{202c}", "city": "\u{feff} \u{200b}"});
    let contact = world.post("/contacts", body).await.data(201);
    assert_eq!(
        (&contact["tags"], &contact["email"], &contact["city"]),
        (&json!(["lead", "vip"]), &json!("ana@example.com"), &Value::Null)
    );
    let mail = world
        .post("/contacts", json!({"name": "Plus", "phoneNumber": "200", "email": "jane+crm@example.com"}))
        .await
        .data(201);
    for query in ["email=jane+crm@example.com", "email=jane%2Bcrm@example.com", "search=jane+crm@example.com"]
    {
        let listed = world.get(&format!("/contacts?{query}")).await.data(200);
        assert_eq!(listed[0]["id"], mail["id"], "{query}");
    }
    let numbers = world
        .post("/contacts", json!({"name": "N", "phoneNumber": "300", "tags": [1, "1", "a"]}))
        .await
        .data(201);
    assert_eq!(numbers["tags"], json!(["1", "a"]));
    let recent =
        world.get("/triggers/contact.created/recent?limit=101").await.assert_error(400, "INVALID_QUERY");
    assert!(recent["message"].as_str().unwrap().contains("from 1 to 100"), "{recent}");
    assert_eq!(
        world.get("/triggers/contact.created/recent?limit=-1").await.json().as_array().unwrap().len(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_and_written_back_changes_nothing() {
    let world = World::new().await;
    let bodies = [
        json!({"name": "e\u{301}va \u{202a}Ruiz\u{202c}", "phoneNumber": "'+34\u{2011}600 (0)1", "email": "E\u{301}va@example.com", "tags": ["a\u{200b}b", "ab", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}"], "city": "Mala\u{301}ga\u{a0}"}),
        json!({"name": "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}", "phoneNumber": 4_912_345, "position": "\u{2764}\u{fe0f}"}),
    ];
    for body in bodies {
        let made = world.post("/contacts", body).await.data(201);
        let path = format!("/contacts/{}", made["id"].as_str().unwrap());
        let shown = world.get(&path).await.data(200);
        assert_eq!(shown, made);
        let before = world.event_types().await.len();
        assert_eq!(world.put(&path, shown.clone()).await.data(200), shown);
        assert_eq!(world.event_types().await.len(), before, "no change, no event: {shown}");
    }
    for time in ["2024-12-31T23:59:60Z", "20241231T235960Z", "2024-12-31T23:59:60,5Z"] {
        let made = world.deal(json!({"title": "Leap", "expectedCloseDate": time})).await;
        assert!(
            made["expectedCloseDate"].as_str().unwrap().starts_with("2025-01-01T00:00:00."),
            "{time}: {made}"
        );
        let path = format!("/deals/{}", made["id"].as_str().unwrap());
        let shown = world.get(&path).await.data(200);
        assert_eq!(shown, made, "{time}");
        let before = world.event_types().await.len();
        let back = json!({"expectedCloseDate": shown["expectedCloseDate"], "title": shown["title"]});
        assert_eq!(world.patch(&path, back).await.data(200), shown);
        assert_eq!(world.patch(&path, json!({"expectedCloseDate": time})).await.data(200), shown);
        assert_eq!(world.event_types().await.len(), before, "{time}");
    }
}
