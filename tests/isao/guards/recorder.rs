//! What waits to be written and to be sent is bounded, by number and by bytes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Quiet, metric};
use crate::support::{Receiver, Reply, World, eventually};

/// A statement on `attempts` fails if this is true of the rows that it adds.
async fn refuse(world: &World, condition: &str, code: &str) {
    for statement in [
        format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF {condition} THEN RAISE EXCEPTION 'too much' USING ERRCODE = '{code}'; END IF;
                 RETURN NULL;
             END $$"
        ),
        "CREATE TRIGGER refuse AFTER INSERT ON attempts REFERENCING NEW TABLE AS added
         FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
            .to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&world.pool).await.unwrap();
    }
}

/// Waits until the first event of each is recorded as delivered.
async fn all_recorded(world: &World, subscriptions: &[Value]) {
    for subscription in subscriptions {
        let path = format!("/webhooks/{}/deliveries", subscription["id"].as_str().unwrap());
        eventually("the record", async || {
            let listed = world.get(&path).await.data(200);
            (listed[0]["state"] == "delivered").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_for_one_statement_takes_several() {
    for code in ["57014", "54000"] {
        let world = World::new().await;
        refuse(&world, "(SELECT count(*) > 2 FROM added)", code).await;
        let receiver = Receiver::start().await;
        let mut subscriptions = Vec::new();
        for number in 0..10 {
            let url = receiver.url(&format!("/{number}"));
            subscriptions.push(world.subscribe("contact.created", &url).await);
        }
        world.contact("Jane", "+33100000001").await;
        receiver.expect(10).await;
        all_recorded(&world, &subscriptions).await;
        receiver.expect_no_more_than(10).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_too_large_by_itself_is_recorded_without_the_answer() {
    let world = World::new().await;
    refuse(&world, "EXISTS (SELECT FROM added WHERE response_headers LIKE '%x-large%')", "54000").await;
    let large = Receiver::scripted(|_, _| Reply::With(200, "x-large", "x".repeat(200))).await;
    let quiet = Receiver::start().await;
    let refused = world.subscribe("contact.created", &large.url("/")).await;
    let other = world.subscribe("contact.created", &quiet.url("/")).await;
    world.contact("Jane", "+33100000001").await;
    all_recorded(&world, &[refused, other]).await;
    let kept: Vec<(String, String)> = sqlx::query_as(
        "SELECT response_headers, response_body FROM attempts ORDER BY length(response_headers)",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(kept[0], ("[]".to_owned(), String::new()), "{kept:?}");
    assert_ne!(kept[1].0, "[]", "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn little_is_kept_of_a_large_answer() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, _| Reply::Large).await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("Jane", "+33100000001").await;
    let (headers, body) = eventually("the record", async || {
        let row: Option<(i32, i32)> = sqlx::query_as(
            "SELECT octet_length(response_headers), octet_length(response_body) FROM attempts WHERE outcome = 'delivered'",
        )
        .fetch_optional(&world.pool)
        .await
        .unwrap();
        row
    })
    .await;
    assert!(headers > 1024 && headers + body <= 8 * 1024, "{headers} + {body} bytes");
}

/// Contacts whose events have 40 KB each.
async fn large_contacts(world: &World, count: usize) {
    let tags: Vec<_> = (0..100).map(|tag| format!("{tag:02}{}", "\u{1F426}".repeat(98))).collect();
    for number in 0..count {
        let phone = format!("+331000{number:05}");
        let body = json!({"name": number.to_string(), "phoneNumber": phone, "tags": tags});
        world.post("/contacts", body).await.data(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_whose_attempts_cannot_be_recorded_yet_waits_and_others_go_on() {
    /// Attempts of one company that wait to be recorded, at most.
    const SHARE: usize = 1024;
    const SUBSCRIPTIONS: usize = 50;
    const EVENTS: usize = 60;
    let world = World::with_local_receivers().await;
    let noisy = Receiver::start().await;
    let quiet = Receiver::start().await;
    for number in 0..SUBSCRIPTIONS {
        world.subscribe("contact.created", &noisy.url(&format!("/{number}"))).await;
    }
    let other = Quiet::beside(&world).await;
    let body = json!({"event": "contact.created", "target_url": quiet.url("/")});
    other.post("/webhooks/subscribe", body).await.data(201);

    // Nothing can be recorded.
    let mut transaction = world.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE attempts IN SHARE MODE").execute(&mut *transaction).await.unwrap();
    for number in 0..EVENTS {
        world.contact(&number.to_string(), &format!("+331000{number:05}")).await;
    }
    noisy.expect(SHARE).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Each subscription has one attempt more, which waits for a place.
    noisy.expect_no_more_than(SHARE + SUBSCRIPTIONS).await;
    for number in 0..5 {
        let phone = format!("+332000{number:05}");
        other.post("/contacts", json!({"name": number.to_string(), "phoneNumber": phone})).await.data(201);
    }
    quiet.expect(5).await;

    transaction.rollback().await.unwrap();
    noisy.expect(SUBSCRIPTIONS * EVENTS).await;
    quiet.expect_no_more_than(5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_full_of_large_events_reads_them_from_the_log_later() {
    /// Fewer than a lane keeps if they are small.
    const EVENTS: usize = 40;
    let world = World::new().await;
    let (answer, answered) = watch::channel(false);
    let hangs = Receiver::scripted(move |_, _| Reply::When(answered.clone())).await;
    let quiet = Receiver::start().await;
    let body = json!({"events": ["contact.created", "contact.updated"], "target_url": hangs.url("/")});
    world.post("/webhooks/subscribe", body).await.data(201);
    world.subscribe("contact.created", &quiet.url("/")).await;
    large_contacts(&world, EVENTS).await;
    quiet.expect(EVENTS).await;
    eventually("one lane falls behind", async || {
        (metric(&world, "isao_lanes_behind").await == 1.0).then_some(())
    })
    .await;
    hangs.expect_no_more_than(1).await;
    answer.send_replace(true);
    let received = hangs.expect(EVENTS).await;
    let names: Vec<_> = received.iter().map(|received| received.data()["name"].clone()).collect();
    assert_eq!(names, (0..EVENTS).map(|number| json!(number.to_string())).collect::<Vec<_>>());
    hangs.expect_no_more_than(EVENTS).await;
    eventually("it is live again", async || (metric(&world, "isao_lanes_behind").await == 0.0).then_some(()))
        .await;
}
