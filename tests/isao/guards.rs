//! One company, one receiver: none of them can stop the others.

use serde_json::Value;

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
