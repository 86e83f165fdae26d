//! How many there are.

use serde_json::{Value, json};

use crate::support::World;

/// Writes contacts and deals past the server, as many as it would take too long to post.
async fn fill(world: &World, count: i32) {
    for sql in [
        "INSERT INTO contacts (company_id, id, name, phone_number, phone_key, tags, created_at, updated_at)
         SELECT $1, gen_random_uuid(), CASE WHEN i % 3 = 0 THEN 'Anna ' ELSE 'Otto ' END || i, i::text, i::text,
                '[\"bulk\"]', t, t
         FROM generate_series($2, $2 + 2999) i, LATERAL (SELECT timestamptz '2024-01-01' + i * interval '1 minute' AS t) t",
        "INSERT INTO deals (company_id, id, title, currency, stage, priority, status, created_at, updated_at)
         SELECT $1, gen_random_uuid(), 'Deal ' || i, 'EUR', CASE WHEN i % 3 = 0 THEN 'one' ELSE 'two' END, 'low', 'open', t, t
         FROM generate_series($2, $2 + 2999) i, LATERAL (SELECT timestamptz '2024-01-01' + i * interval '1 minute' AS t) t",
    ] {
        for start in (1..count).step_by(3_000) {
            sqlx::query(sql).bind(world.company.0).bind(start).execute(&world.pool).await.unwrap();
        }
    }
    sqlx::query("ANALYZE contacts, deals").execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_is_exact_up_to_ten_thousand() {
    let world = World::new().await;
    fill(&world, 21_000).await;
    let meta = async |path: &str| world.get(path).await.json()["meta"].clone();
    for (path, total) in [
        ("/contacts", 21_000),
        ("/contacts?sort=name", 21_000),
        ("/contacts?search=anna", 7_000),
        ("/contacts?search=anna%201", 3_702),
        ("/contacts?search=an&sort=-name", 7_000),
        ("/contacts?tags=bulk&search=anna%2021000", 1),
        ("/contacts?tags=none", 0),
        ("/contacts?createdSince=2024-01-10", 8_041),
        ("/deals", 21_000),
        ("/deals?stage=one&status=open", 7_000),
        ("/deals?search=deal%209", 1_111),
    ] {
        let told = meta(path).await;
        assert_eq!((&told["total"], told.get("totalIsEstimate")), (&json!(total), None), "{path}");
    }
    for (path, total) in
        [("/contacts?search=otto", 14_000), ("/contacts?tags=bulk", 21_000), ("/deals?stage=two", 14_000)]
    {
        let told = meta(path).await;
        assert_eq!(told["totalIsEstimate"], true, "{path}");
        let estimate = told["total"].as_i64().unwrap();
        assert!((total * 3 / 4..total * 5 / 4).contains(&estimate), "{path}: {estimate}");
    }
    for path in
        ["/contacts?total=false", "/contacts?search=otto&total=false", "/deals?total=false&sort=value"]
    {
        let told = meta(path).await;
        let names = ["total", "totalPages", "totalIsEstimate"].map(|name| told.get(name));
        assert_eq!(names, [None; 3], "{path}");
        assert!(told["nextCursor"].is_string(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_what_a_count_would_tell() {
    let world = World::new().await;
    // Often enough for the rows to be made one now and then.
    for number in 0..300 {
        let contact = world.contact("Jane", &format!("1{number:03}")).await;
        let body = json!({"title": "T", "value": number, "contactId": contact["id"], "stage": format!("s{}", number % 3)});
        let deal = world.deal(body).await;
        let deal = format!("/deals/{}", deal["id"].as_str().unwrap());
        match number % 5 {
            0 => drop(world.delete(&format!("/contacts/{}", contact["id"].as_str().unwrap())).await),
            1 => drop(world.delete(&deal).await),
            2 => drop(world.put(&deal, json!({"status": "won"})).await),
            3 => drop(world.put(&deal, json!({"stage": "other", "currency": "USD", "value": null})).await),
            _ => {}
        }
    }
    let total = async |path: &str| world.get(path).await.json()["meta"]["total"].clone();
    assert_eq!((total("/contacts").await, total("/deals").await), (json!(240), json!(240)));
    let counted: Value = sqlx::query_scalar(
        "SELECT jsonb_object_agg(stage, jsonb_build_array(deals, open, value))
         FROM (SELECT stage, count(*) AS deals, count(*) FILTER (WHERE status = 'open') AS open,
                      coalesce(sum(value) FILTER (WHERE status = 'open'), 0)::bigint AS value
               FROM deals GROUP BY stage) s",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    let stages = world.get("/deals/stages").await.data(200);
    let told: serde_json::Map<_, _> = stages
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| {
            let value = stage["openValue"][0]["value"].as_i64().unwrap_or_default();
            let entry = json!([stage["deals"], stage["openDeals"], value]);
            (stage["stage"].as_str().unwrap().to_owned(), entry)
        })
        .collect();
    assert_eq!(Value::Object(told), counted);
}
