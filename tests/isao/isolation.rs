//! Companies see nothing of each other. The routes are those of the OpenAPI
//! document, so that a new one must be considered here.

use isao::model::ids::CompanyId;
use isao::model::permission::Permission;
use isao::model::words::Words;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, World};

const URL: &str = "https://example.com/hook";

/// What a company owns, and a way to call as it.
struct Tenant {
    id: CompanyId,
    key: String,
    contact: Value,
    deal: Value,
    subscription: Value,
    member: String,
    delivery: Value,
    event: String,
}

impl Tenant {
    /// The world's own company with one record of everything.
    async fn settle(world: &World) -> Self {
        let contact = world.contact("Jane", "+33 100").await;
        let member = world.add_member(world.company, "Alice").await;
        let body =
            json!({"title": "Big", "contactId": contact["id"], "assignedToId": member, "status": "won"});
        let deal = world.deal(body).await;
        let subscription = world.subscribe("contact.created", URL).await;
        let path = format!("/webhooks/{}", subscription["id"].as_str().unwrap());
        world.patch(&path, json!({"is_active": false})).await.data(200);
        // Paused, so that its delivery waits.
        let deleted = world.contact("Waiting", "+33 200").await;
        world.delete(&format!("/contacts/{}", deleted["id"].as_str().unwrap())).await;
        let delivery = world.get(&format!("{path}/deliveries")).await.data(200)[0].clone();
        let event = delivery["event_id"].as_str().unwrap().to_owned();
        Self {
            id: world.company,
            key: world.key.clone(),
            deal,
            subscription,
            contact,
            member,
            delivery,
            event,
        }
    }

    async fn call(&self, world: &World, key: &str, method: &Method, path: &str, body: Value) -> Answer {
        let request = world.http.request(method.clone(), world.url(path)).bearer_auth(key);
        // GET goes without a body, DELETE as the page prints it.
        world.send(if *method == Method::GET { request } else { request.json(&body) }).await
    }
}

/// Every method and path of the document.
fn documented() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&isao::server::router::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let routes = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase().parse().unwrap());
        methods.map(|method| (method, path.clone()))
    });
    routes.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_shows_or_changes_what_another_company_has() {
    let world = World::new().await;
    let owner = Tenant::settle(&world).await;
    let other = world.add_company("Other").await;
    let stranger = world.add_key(other, Permission::ALL).await;
    let id = |record: &Value| record["id"].as_str().unwrap().to_owned();

    for (method, path) in documented() {
        let before = world.everything_written().await;
        let target = match path.split('/').nth(1).unwrap() {
            "contacts" => path.replace("{id}", &id(&owner.contact)),
            "deals" => path.replace("{id}", &id(&owner.deal)),
            "webhooks" if path.contains("/deliveries/") => path.replace("{id}", &id(&owner.delivery)),
            "webhooks" => path.replace("{id}", &id(&owner.subscription)),
            "triggers" => path.replace("{event_type}", "contact.created"),
            "events" => path.replace("{event_type}", "contact.created").replace("{id}", &owner.event),
            _ => path.clone(),
        };
        let call = async |body: Value| owner.call(&world, &stranger, &method, &target, body).await;
        let what = format!("{method} {path}");
        match what.as_str() {
            "GET /test" => {
                let answer = call(json!({})).await;
                assert_eq!(answer.json()["companyId"], other.to_string());
                assert!(!answer.text.contains(&owner.id.to_string()));
            }
            "GET /contacts"
            | "GET /deals"
            | "GET /webhooks"
            | "GET /webhooks/undelivered"
            | "GET /triggers/{event_type}/recent"
            | "GET /events"
            | "GET /events/history" => {
                let list = call(json!({})).await;
                assert_eq!(list.status, 200);
                let theirs = [&owner.contact, &owner.deal, &owner.subscription, &owner.delivery].map(id);
                assert!(theirs.iter().all(|id| !list.text.contains(id)), "{what}: {}", list.text);
            }
            // It reads as the list does; its first event is the stranger's own.
            "GET /events/stream" => {
                let own = json!({"name": "Own", "phoneNumber": "+33 300"});
                let request = world.http.get(world.url("/events/stream?after=AAAAAAAAAAA"));
                let mut stream = request.bearer_auth(&stranger).send().await.unwrap();
                owner.call(&world, &stranger, &Method::POST, "/contacts", own).await.data(201);
                let mut text = String::new();
                while !text.contains("data:") {
                    text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
                }
                assert!(text.contains(&other.to_string()) && !text.contains(&owner.id.to_string()), "{text}");
            }
            "GET /members" | "GET /deals/stages" => {
                assert_eq!(call(json!({})).await.data(200), json!([]), "the stranger has none yet");
            }
            // About the events that there are, not about those that happened.
            "GET /events/types" | "GET /events/types/{event_type}/schema" => {
                let answer = call(json!({})).await;
                assert!(answer.status == 200 && !answer.text.contains("company_0"), "{}", answer.text);
            }
            // Invented, the same for everybody.
            "GET /triggers/{event_type}/sample" => {
                assert_eq!(call(json!({})).await.json()["id"], "contact_sample");
            }
            "POST /contacts" => {
                let twin = json!({"name": "Jane", "phoneNumber": "+33 100"});
                assert_ne!(call(twin).await.data(201)["id"], owner.contact["id"], "numbers are per company");
            }
            "POST /contacts/upsert" => {
                let twin = json!({"name": "Jane", "phoneNumber": "+33 100"});
                assert_ne!(
                    call(twin).await.json()["data"]["id"],
                    owner.contact["id"],
                    "numbers are per company"
                );
            }
            "POST /contacts/batch" | "POST /contacts/upsert/batch" => {
                let twin = json!({"records": [{"name": "Jane", "phoneNumber": "+33 100"}]});
                assert_ne!(call(twin).await.data(200)[0]["data"]["id"], owner.contact["id"]);
            }
            "POST /deals/batch" => {
                let body = json!({"records": [
                    {"title": "x", "contactId": owner.contact["id"], "assignedToId": owner.member}]});
                let fields = call(body).await.data(200)[0]["error"]["details"]["fields"].clone();
                assert_eq!(fields.as_object().unwrap().len(), 2);
            }
            "POST /deals" => {
                let body =
                    json!({"title": "x", "contactId": owner.contact["id"], "assignedToId": owner.member});
                assert_eq!(call(body).await.bad_fields().as_object().unwrap().len(), 2);
            }
            "POST /webhooks/subscribe" => {
                let twin = call(json!({"event": "contact.created", "target_url": URL})).await.data(201);
                assert_ne!(twin["secret"], owner.subscription["secret"], "twins are per company");
            }
            "POST /webhooks/preview" => {
                let record = json!({"event": "contact.created", "recordId": owner.contact["id"]});
                call(record).await.assert_error(404, "NOT_FOUND");
                let preview = call(json!({"event": "contact.created"})).await;
                assert!(preview.status == 200 && !preview.text.contains(&id(&owner.subscription)));
            }
            // About a URL, which belongs to nobody.
            "POST /webhooks/check-url" => {
                assert_eq!(call(json!({"target_url": "http://10.0.0.1/"})).await.data(200)["allowed"], false);
            }
            "DELETE /webhooks/unsubscribe" => {
                for name in ["id", "subscription_id"] {
                    let body = json!({"subscription_id": owner.subscription[name]});
                    call(body).await.assert_error(404, "NOT_FOUND");
                }
            }
            // Everything about one record.
            _ if path.contains("{id}") => {
                let body = json!({"city": "Paris", "title": "Bigger", "status": "lost", "is_active": false});
                call(body).await.assert_error(404, "NOT_FOUND");
            }
            _ => panic!("{what} is new: say here what keeps companies apart"),
        }
        let creates = what.starts_with("POST /contacts")
            || ["POST /webhooks/subscribe", "GET /events/stream"].contains(&what.as_str());
        assert!(creates || world.everything_written().await == before, "{what} changed something");
    }

    // And the owner still has what it had.
    for (path, record) in [("contacts", &owner.contact), ("deals", &owner.deal)] {
        assert_eq!(world.get(&format!("/{path}/{}", id(record))).await.data(200), *record);
        assert_eq!(world.get(&format!("/{path}")).await.json()["meta"]["total"], 1);
    }
    assert_eq!(world.get("/webhooks?status=all").await.data(200).as_array().unwrap().len(), 1);
    assert_eq!(world.get("/test").await.json()["companyId"], owner.id.to_string());
    assert_eq!(owner.key, world.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_cannot_be_moved_to_another_company_s_contact() {
    let world = World::new().await;
    let owner = Tenant::settle(&world).await;
    let other = world.add_company("Other").await;
    let stranger = world.add_key(other, Permission::ALL).await;
    let own =
        owner.call(&world, &stranger, &Method::POST, "/deals", json!({"title": "Mine"})).await.data(201);
    let path = format!("/deals/{}", own["id"].as_str().unwrap());
    for (field, id) in [("contactId", &owner.contact["id"]), ("assignedToId", &json!(owner.member))] {
        for method in [Method::PUT, Method::PATCH] {
            let answer = owner.call(&world, &stranger, &method, &path, json!({field: id})).await;
            assert!(answer.bad_fields()[field].as_str().unwrap().contains("of your company"));
        }
        let query = format!("/deals?{field}={}", id.as_str().unwrap());
        let list = owner.call(&world, &stranger, &Method::GET, &query, json!({})).await;
        assert_eq!(list.data(200), json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_delivered_to_their_company_only() {
    let world = World::with_local_receivers().await;
    let receiver = crate::support::Receiver::start().await;
    let other = world.add_company("Other").await;
    let stranger = world.add_key(other, Permission::ALL).await;
    world.subscribe("contact.created", &receiver.url("/ours")).await;
    let theirs = json!({"event": "contact.created", "target_url": receiver.url("/theirs")});
    let request = world.http.post(world.url("/webhooks/subscribe")).bearer_auth(&stranger);
    world.send(request.json(&theirs)).await.data(201);
    world.contact("Jane", "100").await;
    receiver.expect(1).await;
    receiver.expect_no_more_than(1).await;
    assert_eq!(receiver.all()[0].path, "/ours");
}
