//! What there is to choose from: team members and stages.

use std::time::Duration;

use isao::model::permission::Permission;
use serde_json::{Value, json};

use crate::support::World;

async fn stages(world: &World) -> Vec<String> {
    let stages = world.get("/deals/stages").await.data(200);
    let stages = stages.as_array().unwrap().iter();
    stages.map(|stage| stage["stage"].as_str().unwrap().to_owned()).collect()
}

async fn set_stage(world: &World, deal: &Value, stage: &str) {
    let path = format!("/deals/{}/status", deal["id"].as_str().unwrap());
    world.put(&path, json!({ "stage": stage })).await.data(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_listed_by_name_and_can_be_assigned() {
    let world = World::new().await;
    assert_eq!(world.get("/members").await.data(200), json!([]));
    let zoe = world.add_member(world.company, "Zoe").await;
    let alice = world.add_member(world.company, "alice Martin").await;
    let bob = world.add_member(world.company, "Bob").await;
    let answer = world.get("/members").await;
    assert_eq!(
        answer.data(200),
        json!([
            {"id": alice, "name": "alice Martin", "email": "alice.martin@example.com"},
            {"id": bob, "name": "Bob", "email": "bob@example.com"},
            {"id": zoe, "name": "Zoe", "email": "zoe@example.com"},
        ])
    );
    assert_eq!(answer.json()["meta"], json!({"limit": 1000, "hasMore": false}));
    let deal = world.deal(json!({"title": "Big", "assignedToId": bob})).await;
    assert_eq!(deal["assignedTo"], answer.data(200)[1], "the same as in deals");
    for (search, found) in [("BOB", &bob), ("martin@", &alice)] {
        let list = world.get(&format!("/members?search={search}")).await.data(200);
        assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &json!(found)), "{search}");
    }
    assert_eq!(world.get("/members?search=%25").await.data(200), json!([]), "no pattern of SQL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_members_ends_at_its_limit_and_says_so() {
    let world = World::new().await;
    sqlx::query(
        "INSERT INTO team_members (company_id, id, name, email, created_at)
         SELECT $1, gen_random_uuid(), 'Member ' || lpad(n::text, 4, '0'), n || '@example.com', now()
         FROM generate_series(1, 1001) AS n",
    )
    .bind(world.company.0)
    .execute(&world.pool)
    .await
    .unwrap();
    let list = world.get("/members").await;
    assert_eq!(list.data(200).as_array().unwrap().len(), 1000);
    assert_eq!(list.json()["meta"], json!({"limit": 1000, "hasMore": true}));
    let last = world.get("/members?search=1001@").await;
    assert_eq!(last.data(200)[0]["name"], "Member 1001", "no member is out of reach");
    assert_eq!(last.json()["meta"]["hasMore"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_count_their_deals_and_the_value_of_the_open_ones() {
    let world = World::new().await;
    assert_eq!(world.get("/deals/stages").await.data(200), json!([]));
    for deal in [
        json!({"stage": "new"}),
        json!({"stage": "new", "value": 0.1}),
        json!({"stage": "new", "value": "999999999999999.999999"}),
        json!({"stage": "new", "value": 0.2, "currency": "USD"}),
        json!({"stage": "new", "value": 0.1, "currency": "USD", "status": "open"}),
        json!({"stage": "new", "value": 7, "currency": "CHF", "status": "lost"}),
        json!({"stage": "closed", "value": 1, "status": "won"}),
        json!({"stage": "idea"}),
    ] {
        let mut body = deal;
        body["title"] = json!("Big");
        world.deal(body).await;
    }
    let answer = world.get("/deals/stages").await;
    // Text, because a float could not tell.
    let new = r#"{"stage":"new","deals":6,"openDeals":5,"openValue":[{"currency":"EUR","value":1000000000000000.099999},{"currency":"USD","value":0.3}]}"#;
    assert!(answer.text.contains(new), "{}", answer.text);
    assert_eq!(
        answer.data(200).as_array().unwrap()[1..],
        [
            json!({"stage": "closed", "deals": 1, "openDeals": 0, "openValue": []}),
            json!({"stage": "idea", "deals": 1, "openDeals": 1, "openValue": []}),
        ]
    );
    assert_eq!(answer.json()["meta"], json!({"limit": 1000, "hasMore": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_keep_the_order_in_which_they_were_first_used() {
    let world = World::new().await;
    let first = world.deal(json!({"title": "First"})).await;
    world.clock.advance(Duration::from_secs(1));
    for stage in ["proposal", "negotiation", "closed"] {
        set_stage(&world, &first, stage).await;
    }
    assert_eq!(stages(&world).await, ["closed"], "only those in use");
    // Deals that came later are in stages that were used earlier.
    for stage in ["closed", "negotiation", "new", "also new", "proposal"] {
        world.deal(json!({"title": "Later", "stage": stage})).await;
    }
    let order = ["new", "proposal", "negotiation", "closed", "also new"];
    assert_eq!(stages(&world).await, order);
    world.delete(&format!("/deals/{}", first["id"].as_str().unwrap())).await.data(200);
    assert_eq!(stages(&world).await, order);
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_of_one_batch_have_the_order_of_their_deals() {
    let world = World::new().await;
    let wishes =
        ["zeta", "alpha", "mu"].map(|stage| world.post("/deals", json!({"title": "x", "stage": stage})));
    let deals = futures_util::future::join_all(wishes).await;
    let mut deals: Vec<_> = deals.iter().map(|deal| deal.data(201)).collect();
    deals.sort_by_key(|deal| deal["id"].as_str().unwrap().to_owned());
    let order: Vec<_> = deals.iter().map(|deal| deal["stage"].as_str().unwrap().to_owned()).collect();
    assert_eq!(stages(&world).await, order);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_stages_are_remembered_and_listed() {
    let world = World::new().await;
    world.deal(json!({"title": "First", "stage": "the first"})).await;
    sqlx::query(
        "INSERT INTO deal_stages SELECT $1, 'stage ' || n, nextval('deal_stages_number') FROM generate_series(1, 999) n",
    )
    .bind(world.company.0)
    .execute(&world.pool)
    .await
    .unwrap();
    world.deal(json!({"title": "Last", "stage": "beyond"})).await;
    let remembered = "SELECT count(*) FROM deal_stages WHERE company_id = $1";
    let remembered: i64 =
        sqlx::query_scalar(remembered).bind(world.company.0).fetch_one(&world.pool).await.unwrap();
    assert_eq!(remembered, 1000);
    assert_eq!(stages(&world).await, ["the first", "beyond"], "it is listed all the same, as the last");
    sqlx::query(
        "INSERT INTO deals (company_id, id, title, currency, stage, priority, status, created_at, updated_at)
         SELECT $1, gen_random_uuid(), 'x', 'EUR', 'stage ' || n, 'low', 'open', now(), now()
         FROM generate_series(1, 999) n",
    )
    .bind(world.company.0)
    .execute(&world.pool)
    .await
    .unwrap();
    let list = world.get("/deals/stages").await;
    assert_eq!(list.json()["meta"], json!({"limit": 1000, "hasMore": true}));
    let list = list.data(200);
    assert_eq!((list.as_array().unwrap().len(), &list[999]["stage"]), (1000, &json!("stage 999")));
}

#[tokio::test(flavor = "multi_thread")]
async fn choices_need_the_permission_to_read_deals() {
    let world = World::new().await;
    let key = world.add_key(world.company, &[Permission::ContactsWrite]).await;
    for path in ["/members", "/deals/stages"] {
        let request = world.http.get(world.url(path)).bearer_auth(&key);
        let error = world.send(request).await.assert_error(403, "PERMISSION_DENIED");
        assert_eq!(error["requiredPermission"], "deals:read", "{path}");
    }
}
