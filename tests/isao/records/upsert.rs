//! `POST /contacts/upsert`: the contact that matches is changed, otherwise one is created.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, World, in_one_batch};

async fn upsert(world: &World, body: Value) -> Answer {
    world.post("/contacts/upsert", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_created_once_and_then_changed() {
    let world = World::new().await;
    let body = json!({"name": "Jane Smith", "phoneNumber": "+33 1 23", "email": "Jane@Example.com"});
    let created = upsert(&world, body.clone()).await;
    assert_eq!((created.status, &created.json()["created"]), (201, &json!(true)));
    assert!(
        created.text.starts_with(r#"{"success":true,"created":true,"data":{"id":"contact_"#),
        "{}",
        created.text
    );
    let id = created.data(201)["id"].clone();

    let same = upsert(&world, body).await;
    assert_eq!((same.status, &same.json()["created"]), (200, &json!(false)));
    assert_eq!(same.data(200), created.data(201), "without a real change");
    assert_eq!(world.event_types().await, ["contact.created"]);

    for (body, field) in [
        (json!({"phoneNumber": "0033123", "city": "Rome"}), "city"),
        (json!({"email": "JANE@EXAMPLE.COM", "position": "CEO"}), "position"),
        (json!({"email": "jane@example.com", "phoneNumber": "+33124", "matchBy": ["email"]}), "phoneNumber"),
        (json!({"phoneNumber": "+33124", "email": "new@example.com", "matchBy": "phoneNumber"}), "email"),
    ] {
        let changed = upsert(&world, body.clone()).await.data(200);
        assert_eq!((&changed["id"], &changed[field]), (&id, &body[field]), "{body}");
        assert_eq!(changed["name"], "Jane Smith", "what is left out stays");
    }
    assert_eq!(world.event_types().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said() {
    let world = World::new().await;
    let before = world.everything_written().await;
    for (body, fields) in [
        (json!({"name": "Jane"}), vec!["phoneNumber"]),
        (json!({"email": "jane@example.com"}), vec!["name", "phoneNumber"]),
        (json!({"name": "Jane", "phoneNumber": "100", "matchBy": ["email"]}), vec!["email"]),
        (json!({"name": "Jane", "email": "j@example.com", "matchBy": ["phoneNumber"]}), vec!["phoneNumber"]),
        (json!({"name": "Jane", "phoneNumber": "100", "matchBy": ["city"]}), vec!["matchBy"]),
        (
            json!({"name": "Jane", "phoneNumber": "x", "email": "x", "matchBy": 1}),
            vec!["email", "matchBy", "phoneNumber"],
        ),
    ] {
        let told = upsert(&world, body.clone()).await.bad_fields();
        let mut named: Vec<_> = told.as_object().unwrap().keys().cloned().collect();
        named.sort();
        assert_eq!(named, fields, "{body}");
    }
    let warned = upsert(&world, json!({"name": "Jane", "phoneNumber": "100", "phone": "1"})).await.json();
    assert!(warned["warnings"][0].as_str().unwrap().contains("matchBy"), "{warned}");
    assert_ne!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_contacts_that_match_are_named_and_nothing_is_written() {
    let world = World::new().await;
    let mut ids = BTreeSet::new();
    for number in ["100", "200"] {
        let body = json!({"name": "Jane", "phoneNumber": number, "email": "info@example.com"});
        ids.insert(world.post("/contacts", body).await.data(201)["id"].as_str().unwrap().to_owned());
    }
    let third = world.contact("Joan", "300").await["id"].as_str().unwrap().to_owned();
    let before = world.everything_written().await;
    let body = json!({"name": "Jim", "phoneNumber": "300", "email": "INFO@example.com"});
    let error = upsert(&world, body.clone()).await.assert_error(409, "AMBIGUOUS_MATCH");
    let named = |error: &Value| -> BTreeSet<String> {
        serde_json::from_value(error["details"]["ids"].clone()).unwrap()
    };
    assert_eq!(named(&error), ids.iter().cloned().chain([third.clone()]).collect());
    let by_email =
        json!({"name": "Jim", "phoneNumber": "400", "email": "info@example.com", "matchBy": ["email"]});
    assert_eq!(named(&upsert(&world, by_email).await.assert_error(409, "AMBIGUOUS_MATCH")), ids);
    assert_eq!(world.everything_written().await, before);

    let by_phone =
        json!({"name": "Jim", "phoneNumber": "300", "email": "info@example.com", "matchBy": ["phoneNumber"]});
    assert_eq!(upsert(&world, by_phone).await.data(200)["id"], third);
    // A number that somebody else has is as it is for any other change.
    let taken =
        json!({"name": "Jim", "phoneNumber": "100", "email": "other@example.com", "matchBy": ["email"]});
    upsert(&world, taken).await.assert_error(409, "ALREADY_EXISTS");
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_that_arrive_together_make_one_contact() {
    let world = World::new().await;
    let second = world.another_server().await;
    let there = format!("http://{}/api/external/contacts/upsert", second.address());
    for (round, field) in ["phoneNumber", "email"].into_iter().enumerate() {
        let bodies = (0..50).map(|number| {
            // By email, each has a phone number of its own.
            let phone = if field == "email" { format!("+3320000{number:04}") } else { "+33100000000".into() };
            json!({"name": "Jane", "phoneNumber": phone, "email": format!("jane{round}@example.com"), "matchBy": [field]})
        });
        let answers = join_all(bodies.enumerate().map(|(number, body)| {
            let (world, there) = (&world, &there);
            async move {
                match number % 2 {
                    0 => upsert(world, body).await,
                    _ => world.send(world.http.post(there).bearer_auth(&world.key).json(&body)).await,
                }
            }
        }))
        .await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200; 49][..], &[201]].concat(), "{field}");
        let ids: BTreeSet<_> = answers.iter().map(|answer| answer.json()["data"]["id"].to_string()).collect();
        assert_eq!(ids.len(), 1);
    }
    let created = world.event_types().await.into_iter().filter(|name| name == "contact.created").count();
    assert_eq!(created, 2);
    assert!(second.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_sees_what_its_batch_did_before_it() {
    let world = World::new().await;
    let contact =
        world.post("/contacts", json!({"name": "A", "phoneNumber": "+33100", "email": "a@b.c"})).await;
    let contact = contact.data(201);
    let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
    // In either order: before the change it is matched, after it another contact is made.
    let others =
        [json!({"email": "other@b.c"}), json!({"name": "B", "phoneNumber": "+33200", "email": "A@b.c"})];
    let others = others.into_iter().enumerate().map(|(number, body)| {
        let (world, path) = (&world, &path);
        async move {
            match number {
                0 => world.put(path, body).await.status,
                _ => upsert(world, body).await.status,
            }
        }
    });
    let first = world.contact("First", "+33300");
    let statuses = in_one_batch(&world, first, others, || {}).await;
    let contacts = world.get("/contacts").await.json()["meta"]["total"].clone();
    assert!(
        statuses == [200, 201] && contacts == 3 || statuses == [200, 200] && contacts == 2,
        "{statuses:?} {contacts}"
    );
    world.send(world.request(Method::DELETE, &path)).await;
    let again = json!({"name": "C", "phoneNumber": "+33100", "email": "nobody@b.c"});
    assert!(upsert(&world, again).await.status < 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn companies_and_permissions_are_kept_apart() {
    let world = World::new().await;
    let ours = world.contact("Jane", "+33100").await;
    let other = world.add_company("Other").await;
    let key = world.add_key(other, &[isao::model::permission::Permission::ContactsWrite]).await;
    let reader = world.add_key(other, &[isao::model::permission::Permission::ContactsRead]).await;
    let body = json!({"name": "Jane", "phoneNumber": "+33100"});
    let post = async |key: &str, path: &str, body: &Value| {
        world.send(world.http.post(world.url(path)).bearer_auth(key).json(body)).await
    };
    assert_ne!(post(&key, "/contacts/upsert", &body).await.data(201)["id"], ours["id"]);
    let batch = json!({"records": [body]});
    for (path, body) in
        [("/contacts/upsert", &body), ("/contacts/batch", &batch), ("/contacts/upsert/batch", &batch)]
    {
        post(&reader, path, body).await.assert_error(403, "PERMISSION_DENIED");
    }
    post(&key, "/deals/batch", &json!({"records": [{"title": "x"}]}))
        .await
        .assert_error(403, "PERMISSION_DENIED");
}
