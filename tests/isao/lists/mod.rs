//! Lists: sorted, searched, counted, and read page by page.

mod paging;
mod search;
mod totals;

use serde_json::{Value, json};

use crate::support::World;

/// What a list has under a field, over all its pages by cursor.
async fn all_pages(world: &World, path: &str, field: &str) -> Vec<Value> {
    let (mut seen, mut next) = (Vec::new(), path.to_owned());
    loop {
        let page = world.get(&next).await.json();
        assert_eq!(page["success"], true, "{next}: {page}");
        seen.extend(page["data"].as_array().unwrap().iter().map(|record| record[field].clone()));
        match page["meta"]["nextCursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return seen,
        }
    }
}

/// The names that a search finds, in alphabetical order.
async fn found(world: &World, query: &[(&str, &str)]) -> Value {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    let query = text.extend_pairs(query).finish();
    let data = world.get(&format!("/contacts?sort=name&{query}")).await.data(200);
    json!(data.as_array().unwrap().iter().map(|contact| contact["name"].clone()).collect::<Vec<_>>())
}
