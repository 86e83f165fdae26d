//! Reads of one company that take long leave connections for the others.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::Quiet;
use crate::support::{Receiver, World};

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_take_long_are_given_up_and_others_do_not_wait() {
    let world = World::new().await;
    let quiet = Quiet::beside(&world).await;
    // Whoever reads contacts waits for this.
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let searches = join_all((0..32).map(|_| world.get("/contacts?search=jane")));
    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for _ in 0..20 {
            quiet.get("/events").await.data(200);
            quiet.get("/webhooks").await.data(200);
            quiet.get("/test").await.data(200);
        }
        let ready = world.send(world.http.get(format!("{}/readyz", world.root()))).await;
        assert_eq!(ready.status, 200);
        tokio::time::Instant::now()
    };
    let (given_up, done) = tokio::join!(async { (searches.await, tokio::time::Instant::now()) }, others);
    let (searches, last) = given_up;
    assert!(done < last, "the others are done before the searches are given up");
    let (given_up, found): (Vec<_>, Vec<_>) = searches.into_iter().partition(|search| search.status != 200);
    assert!(given_up.len() >= 4, "{} were answered", found.len());
    for search in given_up {
        search.assert_error(503, "OVERLOADED");
        assert!(search.headers.contains_key("retry-after"));
    }
    // The database may have ended it meanwhile, because it was idle.
    let _ = lock.rollback().await;
    world.get("/contacts?search=jane").await.data(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_has_a_share_of_the_tests_in_flight() {
    let world = World::new().await;
    let hangs = Receiver::scripted(|_, _| crate::support::Reply::After(Duration::from_secs(2), 200)).await;
    let subscription = world.subscribe("contact.created", &hangs.url("/")).await;
    let path = format!("/webhooks/{}/test", subscription["id"].as_str().unwrap());
    let tests = join_all((0..8).map(|_| world.post(&path, json!({})))).await;
    let refused: Vec<_> = tests.iter().filter(|test| test.status == 503).collect();
    assert_eq!(refused.len(), 6, "two are made");
    refused.iter().for_each(|test| {
        test.assert_error(503, "OVERLOADED");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_listed_page_by_page() {
    let world = World::new().await;
    let mut made = Vec::new();
    for number in 0..7 {
        let subscribed = world.subscribe("deal.won", &format!("http://127.0.0.1:9/{number}")).await;
        made.insert(0, subscribed["id"].clone());
        world.clock.advance(Duration::from_millis(if number % 2 == 0 { 0 } else { 5 }));
    }
    let whole = world.get("/webhooks").await;
    assert!(whole.json()["meta"]["nextCursor"].is_null() && whole.json()["meta"]["limit"] == 200);
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/webhooks?status=all&limit=3{cursor}")).await;
        let data = page.data(200);
        listed.extend(data.as_array().unwrap().iter().map(|shown| shown["id"].clone()));
        match page.json()["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    made.sort_by_key(|id| std::cmp::Reverse(listed.iter().position(|other| other == id)));
    made.reverse();
    assert_eq!(listed, made, "each once");
    for bad in ["limit=0", "limit=201", "cursor=x"] {
        world.get(&format!("/webhooks?{bad}")).await.assert_error(400, "INVALID_QUERY");
    }
}
