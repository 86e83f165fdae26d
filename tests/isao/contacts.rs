//! Contacts over REST.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::World;
use crate::support::world::START;

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_created_with_two_fields() {
    let world = World::new().await;
    let answer = world.post("/contacts", json!({"name": "Jane Smith", "phoneNumber": "+33987654321"})).await;
    let id = answer.data(201)["id"].clone();
    assert!(id.as_str().unwrap().starts_with("contact_"));
    let expected = json!({
        "success": true,
        "data": {
            "id": id,
            "name": "Jane Smith",
            "firstName": "Jane",
            "lastName": "Smith",
            "phoneNumber": "+33987654321",
            "email": null,
            "position": null,
            "currentCompany": null,
            "industrySector": null,
            "city": null,
            "country": null,
            "tags": [],
            "createdAt": START,
            "updatedAt": START,
        }
    });
    assert_eq!(answer.text, expected.to_string(), "also in this order");
    let shown = world.get(&format!("/contacts/{}", id.as_str().unwrap())).await;
    assert_eq!((shown.status, shown.text), (200, answer.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_tidied() {
    let world = World::new().await;
    let contact = world
        .post(
            "/contacts",
            json!({
                "name": "  Jane  ", "phoneNumber": " +33 (0)9 87-65.43 21 ", "email": "", "city": "   ",
                "position": "CEO ", "tags": [" lead", "", "vip", "lead", "  "], "favouriteColour": "red",
            }),
        )
        .await
        .data(201);
    assert_eq!(contact["name"], "Jane");
    assert_eq!((&contact["firstName"], &contact["lastName"]), (&json!("Jane"), &Value::Null));
    assert_eq!(contact["phoneNumber"], "+33 (0)9 87-65.43 21", "as the caller wrote it");
    assert_eq!((&contact["email"], &contact["city"]), (&Value::Null, &Value::Null));
    assert_eq!(contact["position"], "CEO");
    assert_eq!(contact["tags"], json!(["lead", "vip"]));
    assert!(contact.get("favouriteColour").is_none(), "unknown fields are ignored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_number_has_one_owner_in_the_company() {
    let world = World::new().await;
    let first = world.contact("Jane", "0033 1 23").await;
    for same in ["+33123", "+33-1.23", "(0033)[1]23"] {
        let answer = world.post("/contacts", json!({"name": "Joan", "phoneNumber": same})).await;
        let error = answer.assert_error(409, "ALREADY_EXISTS");
        assert_eq!(error["details"], json!({"field": "phoneNumber", "existingId": first["id"]}));
    }
    let other = world.contact("Joan", "+33124").await;
    let path = format!("/contacts/{}", other["id"].as_str().unwrap());
    let taken = world.put(&path, json!({"phoneNumber": "+33 123"})).await;
    assert_eq!(taken.assert_error(409, "ALREADY_EXISTS")["details"]["existingId"], first["id"]);
    assert_eq!(world.put(&path, json!({"phoneNumber": "+33 124"})).await.data(200)["phoneNumber"], "+33 124");
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_twins_get_one_contact() {
    let world = World::new().await;
    let body = json!({"name": "Jane", "phoneNumber": "+33123"});
    let answers =
        futures_util::future::join_all((0..10).map(|_| world.post("/contacts", body.clone()))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [&[201][..], &[409; 9]].concat());
    assert_eq!(world.event_types().await, ["contact.created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_changes_what_it_names() {
    let world = World::new().await;
    let body = json!({"name": "Jane Smith", "phoneNumber": "100", "email": "jane@example.com", "city": "Paris", "tags": ["lead"]});
    let mut contact = world.post("/contacts", body).await.data(201);
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    world.clock.advance(Duration::from_secs(5));
    for method in ["put", "patch"] {
        let change = json!({"email": null, "city": "", "tags": null, "position": method, "unknown": {}});
        let updated = match method {
            "put" => world.put(&path, change).await,
            _ => world.patch(&path, change).await,
        };
        contact["email"] = Value::Null;
        contact["city"] = Value::Null;
        contact["tags"] = json!([]);
        contact["position"] = json!(method);
        contact["updatedAt"] = json!("2024-11-08T10:30:05.000Z");
        assert_eq!(updated.data(200), contact);
        assert_eq!(world.get(&path).await.data(200), contact);
    }
    for (field, value) in [("name", json!(null)), ("name", json!("")), ("phoneNumber", json!(null))] {
        let told = world.put(&path, json!({field: value})).await.bad_fields();
        assert_eq!(told, json!({field: "must not be empty; leave it out to keep it unchanged"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_were_derived_follow_the_name() {
    let world = World::new().await;
    let contact = world.contact("Jane Smith", "100").await;
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    let renamed = world.put(&path, json!({"name": "Joan van Dyke"})).await.data(200);
    assert_eq!((&renamed["firstName"], &renamed["lastName"]), (&json!("Joan"), &json!("van Dyke")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_contact_is_gone_and_its_number_free() {
    let world = World::new().await;
    let contact = world.contact("Jane", "100").await;
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    let deal = world.deal(json!({"title": "Big", "contactId": contact["id"]})).await;
    assert_eq!(deal["contact"]["id"], contact["id"]);

    let answer = world.delete(&path).await;
    assert_eq!(answer.json(), json!({"success": true, "message": "Contact deleted successfully"}));
    for gone in [world.get(&path).await, world.put(&path, json!({})).await, world.delete(&path).await] {
        assert_eq!(gone.assert_error(404, "NOT_FOUND")["error"], "Contact not found");
    }
    world.contact("Joan", "100").await;
    let deal = world.get(&format!("/deals/{}", deal["id"].as_str().unwrap())).await.data(200);
    assert_eq!((&deal["contact"], &deal["title"]), (&Value::Null, &json!("Big")), "deals keep their row");
}

/// The names on a page.
async fn names(world: &World, query: &str) -> Vec<String> {
    let data = world.get(&format!("/contacts{query}")).await.data(200);
    data.as_array().unwrap().iter().map(|contact| contact["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_newest_first_in_pages() {
    let world = World::new().await;
    let empty = world.get("/contacts").await.json();
    assert_eq!(
        empty,
        json!({"success": true, "data": [], "meta": {"page": 1, "limit": 50, "total": 0, "totalPages": 0}})
    );
    for (name, phone) in [("A", "101"), ("B", "102"), ("C", "103"), ("D", "104"), ("E", "105")] {
        world.contact(name, phone).await;
        if name != "B" {
            // B and C are of the same millisecond.
            world.clock.advance(Duration::from_millis(1));
        }
    }
    assert_eq!(names(&world, "").await, ["E", "D", "C", "B", "A"]);
    let page = world.get("/contacts?page=2&limit=2").await.json();
    assert_eq!(page["meta"]["page"], 2);
    assert_eq!(page["meta"]["total"], 5);
    assert_eq!(page["meta"]["totalPages"], 3);
    assert_eq!(names(&world, "?page=2&limit=2").await, ["C", "B"]);
    assert_eq!(names(&world, "?page=3&limit=2").await, ["A"]);
    assert!(names(&world, "?page=4&limit=2").await.is_empty());
    assert_eq!(world.get("/contacts?limit=200").await.status, 200);
    assert_eq!(names(&world, "?page=&limit=").await.len(), 5, "blank is left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_where_the_page_ended() {
    let world = World::new().await;
    for number in 0..5 {
        world.contact(&format!("{number}"), &format!("10{number}")).await;
    }
    let (mut query, mut seen) = ("?limit=2".to_owned(), vec![]);
    loop {
        let page = world.get(&format!("/contacts{query}")).await.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|contact| contact["name"].clone()));
        // What comes meanwhile does not shift the pages.
        world.contact("later", &format!("20{}", seen.len())).await;
        match page["meta"]["nextCursor"].as_str() {
            Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(json!(seen), json!(["4", "3", "2", "1", "0"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_can_be_narrowed() {
    let world = World::new().await;
    for (name, phone, email, tags) in [
        ("Jane Smith", "+33 1 23", "jane@example.com", json!(["lead", "vip"])),
        ("John 100% Doe", "+44 20", "J_D@Example.org", json!(["lead"])),
        ("Élodie", "+33 77 88", "elodie@example.com", json!([])),
    ] {
        let body = json!({"name": name, "phoneNumber": phone, "email": email, "tags": tags});
        world.post("/contacts", body).await.data(201);
        world.clock.advance(Duration::from_secs(60));
    }
    let all = ["Élodie", "John 100% Doe", "Jane Smith"];
    for (query, found) in [
        ("?search=SMITH", &all[2..]),
        ("?search=example.com", &[all[0], all[2]][..]),
        ("?search=%2B33123", &all[2..]),
        ("?search=77%2088", &all[..1]),
        ("?search=%C3%A9lodie", &all[..1]),
        ("?search=100%25", &all[1..2]),
        ("?search=_", &all[1..2]),
        ("?search=%25", &all[1..2]),
        ("?search=%5C", &[]),
        ("?search=nobody", &[]),
        ("?email=j_d@example.ORG", &all[1..2]),
        ("?email=example.org", &[]),
        ("?phoneNumber=0033-123", &all[2..]),
        ("?tags=vip", &all[2..]),
        ("?tags=vip,lead", &all[1..]),
        ("?tags=VIP", &[]),
        ("?createdSince=2024-11-08T10:31:00Z", &all[..2]),
        ("?createdSince=2024-11-08T10:31:00.001Z", &all[..1]),
        ("?createdSince=2024-11-08T11:31:00%2B01:00", &all[..2]),
        ("?createdSince=2024-11-08T11:31:00+01:00", &all[..2]),
        ("?updatedSince=2024-11-09", &[]),
        ("?search=example&tags=lead&limit=1", &all[1..2]),
    ] {
        assert_eq!(names(&world, query).await, found, "{query}");
    }
    let changed = world.get("/contacts?search=smith").await.data(200)[0]["id"].as_str().unwrap().to_owned();
    world.put(&format!("/contacts/{changed}"), json!({"city": "Paris"})).await.data(200);
    assert_eq!(names(&world, "?updatedSince=2024-11-08T10:33:00Z").await, ["Jane Smith"]);
    assert_eq!(world.get("/contacts?tags=lead&limit=1").await.json()["meta"]["total"], 2);
}
