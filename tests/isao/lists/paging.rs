//! Every order, over several pages.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::all_pages;
use crate::support::World;

/// Seven contacts; some have the same name but for case, some were changed.
async fn contacts(world: &World) {
    for (number, name) in ["Émile", "bob", "Bob", "alice", "Zoé", "emile", "Bob"].into_iter().enumerate() {
        let contact = world.contact(name, &format!("10{number}")).await;
        if number % 2 == 0 {
            world.clock.advance(Duration::from_secs(1));
        }
        if number % 3 == 0 {
            let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
            world.put(&path, json!({"city": "Paris"})).await.data(200);
        }
    }
}

/// Nine deals; every third has no value and no date, some values are the same.
async fn deals(world: &World) {
    for number in 0..9 {
        let value = (number % 3 != 0).then_some(number / 4 * 10);
        let date = value.map(|value| format!("2025-01-{:02}T00:00:00.000Z", 30 - value));
        let title = format!("Deal {}", number % 4);
        world.deal(json!({"title": title, "value": value, "expectedCloseDate": date})).await;
        world.clock.advance(Duration::from_millis(number % 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_meets_every_record_once() {
    let world = World::new().await;
    contacts(&world).await;
    deals(&world).await;
    for (list, sorts) in [
        ("contacts", &["createdAt", "updatedAt", "name"][..]),
        ("deals", &["createdAt", "updatedAt", "title", "value", "expectedCloseDate"]),
    ] {
        for sort in sorts {
            for (way, narrowed) in [("", ""), ("-", ""), ("", "&search=e"), ("-", "&createdSince=2024-01-01")]
            {
                let path = |limit: u8| format!("/{list}?limit={limit}&sort={way}{sort}{narrowed}");
                let whole = world.get(&path(200)).await.data(200);
                let whole: Vec<_> =
                    whole.as_array().unwrap().iter().map(|record| record["id"].clone()).collect();
                let distinct: HashSet<_> = whole.iter().map(Value::to_string).collect();
                assert_eq!(distinct.len(), whole.len());
                for limit in [1, 2, 3] {
                    assert_eq!(all_pages(&world, &path(limit), "id").await, whole, "{}", path(limit));
                }
                let mut by_number = Vec::new();
                for page in 1..=5 {
                    let data = world.get(&format!("{}&page={page}", path(2))).await.data(200);
                    by_number.extend(data.as_array().unwrap().iter().map(|record| record["id"].clone()));
                }
                assert_eq!(by_number, whole, "{} by number", path(2));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_the_one_that_was_asked_for() {
    let world = World::new().await;
    contacts(&world).await;
    deals(&world).await;
    let names = all_pages(&world, "/contacts?limit=3&sort=name", "name").await;
    let folded: Vec<_> =
        names.iter().map(|name| name.as_str().unwrap().to_lowercase().replace('é', "e")).collect();
    assert_eq!(folded, ["alice", "bob", "bob", "bob", "emile", "emile", "zoe"]);
    for (sort, values) in [
        ("value", json!([0, 0, 10, 10, 10, 20, null, null, null])),
        ("-value", json!([20, 10, 10, 10, 0, 0, null, null, null])),
    ] {
        let path = format!("/deals?limit=2&sort={sort}");
        let found = all_pages(&world, &path, "value").await;
        assert_eq!(found.len(), 9);
        assert_eq!(json!(found), values, "{sort}");
    }
    for (list, sort, backwards) in [
        ("contacts", "updatedAt", false),
        ("contacts", "-updatedAt", true),
        ("deals", "createdAt", false),
        ("deals", "-title", true),
        ("deals", "expectedCloseDate", false),
        ("deals", "-expectedCloseDate", true),
    ] {
        let field = sort.trim_start_matches('-');
        let found = all_pages(&world, &format!("/{list}?limit=2&sort={sort}"), field).await;
        let found: Vec<_> = found.iter().filter_map(Value::as_str).collect();
        let mut sorted = found.clone();
        sorted.sort_unstable();
        if backwards {
            sorted.reverse();
        }
        assert_eq!(found, sorted, "{sort}");
    }
    for bad in ["sort=city", "sort=--name", "sort=name%20desc", "total=no"] {
        world.get(&format!("/contacts?{bad}")).await.assert_error(400, "INVALID_QUERY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_belongs_to_its_sort_and_filters() {
    let world = World::new().await;
    contacts(&world).await;
    deals(&world).await;
    let first = world.get("/contacts?limit=1&sort=name&search=bob").await.json();
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
    let go_on = |query: &str| format!("/contacts?{query}&cursor={cursor}");
    assert_eq!(
        world.get(&go_on("limit=5&sort=name&search=bob")).await.data(200).as_array().unwrap().len(),
        2
    );
    for other in [
        "search=bob",
        "sort=-name&search=bob",
        "sort=name",
        "sort=name&search=bobb",
        "sort=name&search=bob&tags=a",
        "sort=updatedAt&search=bob",
    ] {
        world.get(&go_on(other)).await.assert_error(400, "INVALID_QUERY");
    }
    world.get(&format!("/deals?cursor={cursor}")).await.assert_error(400, "INVALID_QUERY");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_do_not_shift() {
    let world = World::new().await;
    contacts(&world).await;
    let before = world.get("/contacts?sort=name").await.data(200);
    let names: Vec<_> = before.as_array().unwrap().iter().map(|contact| contact["id"].clone()).collect();
    let first = world.get("/contacts?sort=name&limit=3").await.json();
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
    // The last record of the page goes, and another comes in front of it.
    world.delete(&format!("/contacts/{}", names[2].as_str().unwrap())).await;
    world.contact("Aaron", "200").await;
    let rest = format!("/contacts?sort=name&limit=200&cursor={cursor}");
    let rest = world.get(&rest).await.data(200);
    let rest: Vec<_> = rest.as_array().unwrap().iter().map(|contact| contact["id"].clone()).collect();
    assert_eq!(rest, names[3..]);
}
