//! Deals over REST.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::World;
use crate::support::world::START;

/// The path of a deal.
fn path(deal: &Value) -> String {
    format!("/deals/{}", deal["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_is_created_with_a_title() {
    let world = World::new().await;
    let answer = world.post("/deals", json!({"title": " Big one "})).await;
    let id = answer.data(201)["id"].clone();
    assert!(id.as_str().unwrap().starts_with("deal_"));
    let expected = json!({
        "success": true,
        "data": {
            "id": id,
            "title": "Big one",
            "description": null,
            "value": null,
            "currency": "EUR",
            "stage": "new",
            "priority": "medium",
            "probability": null,
            "status": "open",
            "expectedCloseDate": null,
            "actualCloseDate": null,
            "source": null,
            "contact": null,
            "assignedTo": null,
            "createdAt": START,
            "updatedAt": START,
        }
    });
    assert_eq!(answer.text, expected.to_string(), "also in this order");
    let shown = world.get(&path(&answer.data(201))).await;
    assert_eq!((shown.status, shown.text), (200, answer.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_shows_its_contact_and_member_as_they_are_now() {
    let world = World::new().await;
    let contact = world.contact("Jane Smith", "+33 1 23").await;
    let member = world.add_member(world.company, "Alice Martin").await;
    let body = json!({"title": "Big", "contactId": contact["id"], "assignedToId": member, "currency": "chf", "expectedCloseDate": "2024-12-31"});
    let deal = world.deal(body).await;
    assert_eq!(
        deal["contact"],
        json!({"id": contact["id"], "name": "Jane Smith", "email": null, "phoneNumber": "+33 1 23", "currentCompany": null})
    );
    assert_eq!(
        deal["assignedTo"],
        json!({"id": member, "name": "Alice Martin", "email": "alice.martin@example.com"})
    );
    assert_eq!(deal["currency"], "CHF");
    assert_eq!(deal["expectedCloseDate"], "2024-12-31T00:00:00.000Z");

    world
        .put(&format!("/contacts/{}", contact["id"].as_str().unwrap()), json!({"name": "Joan"}))
        .await
        .data(200);
    let shown = world.get(&path(&deal)).await.data(200);
    assert_eq!(shown["contact"]["name"], "Joan");
    assert_eq!(shown["updatedAt"], deal["updatedAt"], "the deal itself did not change");
    assert_eq!(world.get("/deals").await.data(200)[0], shown);
    let cleared = world.patch(&path(&deal), json!({"contactId": null, "assignedToId": ""})).await.data(200);
    assert_eq!((&cleared["contact"], &cleared["assignedTo"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_deal_names_must_exist() {
    let world = World::new().await;
    let gone = world.contact("Jane", "100").await["id"].clone();
    world.delete(&format!("/contacts/{}", gone.as_str().unwrap())).await.data(200);
    let nobody = "member_0192f3a4b5c67d8e9f0a1b2c3d4e5f60";
    let answer =
        world.post("/deals", json!({"contactId": gone, "assignedToId": nobody, "probability": 101})).await;
    assert_eq!(
        answer.bad_fields(),
        json!({
            "title": "is required",
            "probability": "must be a whole number from 0 to 100",
            "contactId": "must be the id of a contact of your company, like contact_…",
            "assignedToId": "must be the id of a team member of your company, like member_…",
        })
    );
    assert!(world.get("/deals").await.data(200).as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_exact() {
    let world = World::new().await;
    for (sent, shown) in [
        ("25000", "25000"),
        ("25000.00", "25000"),
        ("0.1", "0.1"),
        ("0.10", "0.1"),
        ("1e3", "1000"),
        ("-5.5", "-5.5"),
        ("-0.0", "0"),
        ("9007199254740993", ""),
        ("999999999999999.999999", "999999999999999.999999"),
        ("123456789012345.123456", "123456789012345.123456"),
        ("0.000001", "0.000001"),
        ("0.0000001", ""),
        ("1e400", ""),
        ("1e-400", ""),
        ("1E+2147483648", ""),
    ] {
        let body = format!(r#"{{"title":"x","value":{sent}}}"#);
        let answer = world.send_text(reqwest::Method::POST, "/deals", body).await;
        if shown.is_empty() {
            assert!(answer.bad_fields()["value"].is_string(), "{sent}");
            continue;
        }
        let wanted = format!(r#""value":{shown},"#);
        assert!(answer.text.contains(&wanted), "{sent}: {}", answer.text);
        let read = world.get(&path(&answer.data(201))).await;
        assert!(read.text.contains(&wanted), "{sent}: {}", read.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn becoming_won_or_lost_closes_and_reopening_clears() {
    let world = World::new().await;
    let deal = world.deal(json!({"title": "Big"})).await;
    let status = format!("{}/status", path(&deal));
    let set = async |body: Value| {
        world.clock.advance(Duration::from_secs(1));
        world.put(&status, body).await.data(200)
    };
    let now = || isao::model::time::wire_time(world.clock.now());

    let won = set(json!({"status": "won", "stage": "closed", "probability": 100})).await;
    assert_eq!(won["actualCloseDate"], now());
    assert_eq!((&won["stage"], &won["probability"]), (&json!("closed"), &json!(100)));
    let still = set(json!({"status": "won"})).await;
    assert_eq!(still, won, "it was won before");
    let dated = set(json!({"actualCloseDate": "2024-11-01"})).await;
    assert_eq!(dated["actualCloseDate"], "2024-11-01T00:00:00.000Z");
    let reopened = set(json!({"status": "open", "actualCloseDate": "2024-11-01"})).await;
    assert_eq!(reopened["actualCloseDate"], Value::Null);
    let lost = set(json!({"status": "lost", "actualCloseDate": "2024-11-02T12:00:00+02:00"})).await;
    assert_eq!(lost["actualCloseDate"], "2024-11-02T10:00:00.000Z");
    let turned = set(json!({"status": "won"})).await;
    assert_eq!(turned["actualCloseDate"], now());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_can_be_created_as_won() {
    let world = World::new().await;
    let deal = world.deal(json!({"title": "Quick", "status": "won"})).await;
    assert_eq!((&deal["status"], &deal["actualCloseDate"]), (&json!("won"), &json!(START)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_needs_a_field() {
    let world = World::new().await;
    let deal = world.deal(json!({"title": "Big"})).await;
    for body in [json!({}), json!({"title": "Bigger"})] {
        let told = world.put(&format!("{}/status", path(&deal)), body).await.bad_fields();
        assert_eq!(told["status"], "must be given, or else stage, probability or actualCloseDate");
    }
    let missing = "/deals/deal_0192f3a4b5c67d8e9f0a1b2c3d4e5f60/status";
    world.put(missing, json!({"stage": "x"})).await.assert_error(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_changes_what_it_names() {
    let world = World::new().await;
    let body =
        json!({"title": "Big", "description": "Very", "value": 1.5, "source": "fair", "probability": 10});
    let mut deal = world.deal(body).await;
    world.clock.advance(Duration::from_secs(5));
    let change = json!({
        "description": null, "value": "", "source": "", "probability": null, "stage": "proposal",
        "priority": "high", "unknown": [1],
    });
    let updated = world.put(&path(&deal), change.clone()).await.data(200);
    for field in ["description", "value", "source", "probability"] {
        deal[field] = Value::Null;
    }
    deal["stage"] = json!("proposal");
    deal["priority"] = json!("high");
    deal["updatedAt"] = json!("2024-11-08T10:30:05.000Z");
    assert_eq!(updated, deal);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.patch(&path(&deal), change).await.data(200), deal, "no change");
    for field in ["title", "currency", "stage", "priority", "status"] {
        let told = world.patch(&path(&deal), json!({field: null})).await.bad_fields();
        assert_eq!(told, json!({field: "must not be empty; leave it out to keep it unchanged"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_deal_is_gone() {
    let world = World::new().await;
    let deal = world.deal(json!({"title": "Big"})).await;
    let answer = world.delete(&path(&deal)).await;
    assert_eq!(answer.json(), json!({"success": true, "message": "Deal deleted successfully"}));
    let gone = [
        world.get(&path(&deal)).await,
        world.put(&path(&deal), json!({"title": "x"})).await,
        world.delete(&path(&deal)).await,
    ];
    for answer in gone {
        assert_eq!(answer.assert_error(404, "NOT_FOUND")["error"], "Deal not found");
    }
}

/// The titles on a page.
async fn titles(world: &World, query: &str) -> Vec<String> {
    let data = world.get(&format!("/deals{query}")).await.data(200);
    data.as_array().unwrap().iter().map(|deal| deal["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_can_be_narrowed_and_paged() {
    let world = World::new().await;
    let contact = world.contact("Jane", "100").await["id"].clone();
    let member = world.add_member(world.company, "Alice").await;
    for body in [
        json!({"title": "A 50%", "contactId": contact, "priority": "low"}),
        json!({"title": "B", "assignedToId": member, "stage": "proposal", "status": "won"}),
        json!({"title": "C", "description": "needs a Proposal", "status": "lost"}),
    ] {
        world.deal(body).await;
        world.clock.advance(Duration::from_secs(60));
    }
    let all = ["C", "B", "A 50%"];
    let by_contact = format!("?contactId={}", contact.as_str().unwrap());
    let by_member = format!("?assignedToId={member}");
    for (query, found) in [
        ("", &all[..]),
        ("?status=open", &all[2..]),
        ("?status=won", &all[1..2]),
        ("?stage=proposal", &all[1..2]),
        ("?stage=PROPOSAL", &[]),
        ("?priority=low", &all[2..]),
        (&by_contact, &all[2..]),
        (&by_member, &all[1..2]),
        ("?search=proposal", &all[..1]),
        ("?search=%25", &all[2..]),
        ("?createdSince=2024-11-08T10:31:00Z", &all[..2]),
        ("?updatedSince=2024-11-08T10:32:00Z", &all[..1]),
        ("?contactId=contact_0192f3a4b5c67d8e9f0a1b2c3d4e5f60", &[]),
        ("?limit=1&page=2", &all[1..2]),
    ] {
        assert_eq!(titles(&world, query).await, found, "{query}");
    }
    let first = world.get("/deals?limit=2").await.json();
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
    assert_eq!(titles(&world, &format!("?limit=2&cursor={cursor}")).await, ["A 50%"]);
    assert_eq!(first["meta"]["total"], 3);
}
