//! What a search finds.

use isao::model::permission::Permission;
use isao::model::words::Words as _;
use serde_json::{Value, json};

use super::found;
use crate::support::World;

async fn create(world: &World, contacts: &[(&str, &str, &str)]) {
    for (name, phone, email) in contacts {
        let body = json!({"name": name, "phoneNumber": phone, "email": email});
        world.post("/contacts", body).await.data(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_found_without_its_case_and_accents() {
    let world = World::new().await;
    create(
        &world,
        &[
            ("Élodie Lefèvre", "+33 1 23 45 67", "elodie@example.com"),
            ("François Noël", "102345", "f.noel@exemple.fr"),
            ("Łukasz Straße", "103", ""),
            ("ΣΟΦΙΑ", "104", ""),
            ("Юлия", "105", ""),
            ("山田太郎", "106", ""),
            ("A_b 100%\\x", "107", "a_b@example.com"),
        ],
    )
    .await;
    for (text, names) in [
        ("elodie", json!(["Élodie Lefèvre"])),
        ("ÉLODIE", json!(["Élodie Lefèvre"])),
        ("e\u{301}lodie lefe", json!(["Élodie Lefèvre"])),
        ("odiE", json!(["Élodie Lefèvre"])),
        ("noel", json!(["François Noël"])),
        ("çois", json!(["François Noël"])),
        ("lukasz", json!(["Łukasz Straße"])),
        ("STRASSE", json!(["Łukasz Straße"])),
        ("σοφια", json!(["ΣΟΦΙΑ"])),
        ("юли", json!(["Юлия"])),
        ("太", json!(["山田太郎"])),
        ("田太", json!(["山田太郎"])),
        ("山田太郎", json!(["山田太郎"])),
        // Under three characters: the beginning of a word, of any field.
        ("no", json!(["François Noël"])),
        ("oe", json!([])),
        ("le", json!(["Élodie Lefèvre"])),
        ("f", json!(["François Noël"])),
        ("x", json!([])),
        // No pattern, whatever it is elsewhere.
        ("%", json!(["A_b 100%\\x"])),
        ("_", json!(["A_b 100%\\x"])),
        ("\\", json!(["A_b 100%\\x"])),
        ("0%\\x", json!(["A_b 100%\\x"])),
        ("a_b", json!(["A_b 100%\\x"])),
        ("a%b", json!([])),
        ("exa", json!(["A_b 100%\\x", "Élodie Lefèvre"])),
        ("example.com", json!(["A_b 100%\\x", "Élodie Lefèvre"])),
        ("example com", json!([])),
        // A number however it is punctuated, but no text that begins in one field and ends in another.
        ("+33 12", json!(["Élodie Lefèvre"])),
        ("2345", json!(["Élodie Lefèvre", "François Noël"])),
        ("23-45", json!(["Élodie Lefèvre", "François Noël"])),
        ("Lefèvreelodie", json!([])),
    ] {
        let mut names: Vec<Value> = serde_json::from_value(names).unwrap();
        let mut told: Vec<Value> = serde_json::from_value(found(&world, &[("search", text)]).await).unwrap();
        names.sort_by_key(Value::to_string);
        told.sort_by_key(Value::to_string);
        assert_eq!(told, names, "{text}");
    }
    world.get("/contacts?search=a%00b").await.assert_error(400, "INVALID_QUERY");
    assert_eq!(found(&world, &[("search", &"x".repeat(255))]).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_plus_is_found_and_a_space_too() {
    let world = World::new().await;
    create(
        &world,
        &[
            ("Unique jo5@example.com", "101", ""),
            ("Jo", "102", "jo+crm@example.com"),
            ("Both", "103", "unique+jo5@example.com"),
        ],
    )
    .await;
    let both = json!(["Both", "Unique jo5@example.com"]);
    assert_eq!(found(&world, &[("search", "Unique jo5@example.com")]).await, both);
    let data = world.get("/contacts?search=jo+crm@example.com").await.data(200);
    assert_eq!(data[0]["name"], "Jo");
}

#[tokio::test(flavor = "multi_thread")]
async fn deals_are_searched_in_long_descriptions() {
    let world = World::new().await;
    let description = format!("{} Schlüssel {}", "ä b ".repeat(1_200), "c d ".repeat(1_000));
    world.deal(json!({"title": "Long", "description": description})).await;
    world.deal(json!({"title": "Schlusselfertig"})).await;
    let count =
        async |text: &str| world.get(&format!("/deals?search={text}")).await.json()["meta"]["total"].clone();
    assert_eq!(count("schlussel").await, 2);
    assert_eq!(count("schl%C3%BCssel%20c").await, 1);
    assert_eq!(count("long").await, 1);
    assert_eq!(count("a%20b%20a").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_companys_records_are_not_found() {
    let world = World::new().await;
    create(&world, &[("Same Name", "101", "same@example.com")]).await;
    world.deal(json!({"title": "Same deal", "value": 5})).await;
    let other = world.add_company("Other").await;
    let key = world.add_key(other, Permission::ALL).await;
    for path in [
        "/contacts?search=same",
        "/contacts?search=s",
        "/contacts?sort=name",
        "/contacts?email=same@example.com",
        "/contacts?phoneNumber=101",
        "/deals?search=same",
        "/deals?sort=-value",
        "/deals?status=open",
    ] {
        assert_eq!(world.get(path).await.json()["meta"]["total"], 1, "{path}");
        let request = world.http.get(world.url(path)).bearer_auth(&key);
        let seen = world.send(request).await.json();
        assert_eq!((&seen["data"], &seen["meta"]["total"]), (&json!([]), &json!(0)), "{path}");
    }
    let request = world.http.get(world.url("/deals/stages")).bearer_auth(&key);
    assert_eq!(world.send(request).await.data(200), json!([]));
}
