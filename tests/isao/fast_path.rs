//! Batches of new contacts, which are one statement: what it refuses is answered as by any
//! other, and it neither stores without appending nor keeps others from the log meanwhile.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Cut, Proxy, World, in_one_batch, waiting_statement};

const STATEMENT: &str = "WITH stored AS (INSERT INTO contacts";
/// Batches that are transactions after the statement failed.
const BACKOFF: usize = 16;

/// A world that knows where the log is, and makes its next contact in one statement.
async fn world() -> (World, Proxy) {
    let (world, proxy) = World::behind_proxy().await;
    let receiver = crate::support::Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("Zero", "+33100000000").await;
    // Now it is known, too, that nobody else delivers.
    receiver.expect(1).await;
    (world, proxy)
}

async fn create(world: &World, phone: &str) -> Answer {
    world.post("/contacts", json!({"name": "Somebody", "phoneNumber": phone})).await
}

/// Each contact has its event, and the log has nothing else and no gaps.
async fn assert_in_log(world: &World, contacts: usize) {
    let records: Vec<(i64, uuid::Uuid)> = sqlx::query_as("SELECT seq, record_id FROM events ORDER BY seq")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    let numbers: Vec<_> = records.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=contacts as i64).collect::<Vec<_>>());
    let mut records: Vec<_> = records.into_iter().map(|(_, record)| record).collect();
    records.sort();
    let stored: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM contacts ORDER BY id").fetch_all(&world.pool).await.unwrap();
    assert_eq!(records, stored);
}

/// How many batches it takes until the next one is one statement; two with the one after
/// it, which finds out again where the log is.
async fn detour(world: &World, proxy: &Proxy, series: u32) -> usize {
    let cuts = proxy.cuts();
    proxy.arm(Cut::AnswerLost, STATEMENT);
    let mut batches = 0;
    while proxy.cuts() == cuts {
        create(world, &format!("+3390{series}00{batches:04}")).await.data(201);
        batches += 1;
    }
    create(world, &format!("+3390{series}00{batches:04}")).await.data(201);
    batches - 1
}

fn existing(answer: &Answer) -> Value {
    answer.assert_error(409, "ALREADY_EXISTS")["details"]["existingId"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_number_is_refused_and_the_rest_of_its_batch_is_not() {
    let (world, proxy) = world().await;
    let owner = world.contact("Owner", "+33200000007").await;
    assert_eq!(detour(&world, &proxy, 1).await, 0);
    // Number 7 is there, 20 comes twice.
    let others = (0..30).map(|number| if number == 21 { 20 } else { number }).map(async |number| {
        let answer = create(&world, &format!("+332000000{number:02}")).await;
        (number, answer)
    });
    let mut twice = Vec::new();
    for (number, answer) in in_one_batch(&world, create(&world, "+33300000000"), others, || {}).await {
        match number {
            7 => assert_eq!(existing(&answer), owner["id"]),
            20 => twice.push(answer),
            _ => _ = answer.data(201),
        }
    }
    twice.sort_by_key(|answer| answer.status);
    assert_eq!(existing(&twice[1]), twice[0].data(201)["id"]);
    assert_eq!(detour(&world, &proxy, 2).await, BACKOFF, "it failed");
    assert_in_log(&world, 1 + 1 + 2 + 1 + 28 + BACKOFF + 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_within_a_batch_are_refused_by_the_one_statement() {
    let (world, proxy) = world().await;
    let others = (0..30).map(|number| number / 2).map(async |number| {
        let answer = create(&world, &format!("+332000000{number:02}")).await;
        (number, answer)
    });
    let mut answers = in_one_batch(&world, create(&world, "+33300000000"), others, || {}).await;
    answers.sort_by_key(|(number, answer)| (*number, answer.status));
    for pair in answers.chunks(2) {
        assert_eq!(existing(&pair[1].1), pair[0].1.data(201)["id"]);
    }
    assert_eq!(detour(&world, &proxy, 1).await, 0, "it did not fail");
    assert_in_log(&world, 1 + 1 + 15 + 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_in_a_row_make_tries_rarer_until_one_succeeds() {
    let (world, proxy) = world().await;
    let fail = async || _ = existing(&create(&world, "+33100000000").await);
    fail().await;
    for number in 0..BACKOFF {
        create(&world, &format!("+332000000{number:02}")).await.data(201);
    }
    // It is tried again, in vain.
    fail().await;
    assert_eq!(detour(&world, &proxy, 1).await, 2 * BACKOFF);
    // That one succeeded, though nobody heard of it, and so does the next.
    create(&world, "+33300000000").await.data(201);
    fail().await;
    assert_eq!(detour(&world, &proxy, 2).await, BACKOFF);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_in_the_log_when_its_head_is_not_where_it_was() {
    let (world, proxy) = world().await;
    for (round, change) in ["seq = seq", "seq = seq, at = at", "one = one"].into_iter().enumerate() {
        let moved = sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE log_head SET {change}")));
        moved.execute(&world.pool).await.unwrap();
        create(&world, &format!("+3320000000{round}")).await.data(201);
        // The statement was tried, which is why the next are not.
        assert_eq!(detour(&world, &proxy, round as u32).await, BACKOFF);
        create(&world, &format!("+3330000000{round}")).await.data(201);
    }
    assert_in_log(&world, 1 + 3 * (1 + BACKOFF + 2 + 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_not_locked_as_long_as_a_number_is_waited_for() {
    let (world, _proxy) = world().await;
    for (phone, keep) in [("+33200000001", false), ("+33200000002", true)] {
        let mut rival = world.pool.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO contacts (company_id, id, name, phone_number, phone_key, tags, created_at, updated_at)
             SELECT company_id, gen_random_uuid(), 'Rival', $1, $1, '[]', created_at, updated_at
             FROM contacts LIMIT 1",
        )
        .bind(phone)
        .execute(&mut *rival)
        .await
        .unwrap();
        let look = async {
            let waiting = waiting_statement(&world).await;
            assert!(waiting.starts_with(STATEMENT), "{waiting}");
            let mut transaction = world.pool.begin().await.unwrap();
            sqlx::query("SELECT FROM log_head FOR UPDATE NOWAIT").execute(&mut *transaction).await.unwrap();
            transaction.rollback().await.unwrap();
            if keep { rival.commit().await } else { rival.rollback().await }.unwrap();
        };
        let (answer, ()) = tokio::join!(create(&world, phone), look);
        match keep {
            false => _ = answer.data(201),
            true => _ = existing(&answer),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_writes_in_between_take_their_own_way() {
    let (world, proxy) = world().await;
    for number in 0..5 {
        let contact = create(&world, &format!("+3320000000{number}")).await.data(201);
        let path = format!("/contacts/{}", contact["id"].as_str().unwrap());
        world.put(&path, json!({"name": "Changed"})).await.data(200);
        world.deal(json!({"title": "Deal", "contactId": contact["id"]})).await;
        let request = world.request(Method::POST, "/contacts").header("Idempotency-Key", number.to_string());
        let body = json!({"name": "Keyed", "phoneNumber": format!("+3330000000{number}")});
        world.send(request.json(&body)).await.data(201);
    }
    assert_eq!(detour(&world, &proxy, 1).await, 0);
    let numbers: Vec<i64> =
        sqlx::query_scalar("SELECT seq FROM events ORDER BY seq").fetch_all(&world.pool).await.unwrap();
    assert_eq!(numbers, (1..=1 + 5 * 4 + 2).collect::<Vec<_>>());
}
