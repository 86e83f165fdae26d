//! Partitions are there before they are needed, and go when all in them is too old; what
//! that takes from a subscription that waits is counted and told.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{Received, Receiver, Reply, World, eventually};

/// Numbers of each of the partitions of the log that there are at first (`0001_initial.sql`).
const WIDTH: i64 = 100_000;
/// Retention looks around once in a while.
const LOOKS_AGAIN: Duration = Duration::from_secs(61);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer than events and attempts are kept.
const TOO_OLD: Duration = Duration::from_secs(31 * DAY.as_secs());

/// Moves the end of the log to `seq`, as if the numbers before were given out.
async fn jump_to(world: &World, seq: i64) {
    sqlx::query("UPDATE log_head SET seq = $1").bind(seq).execute(&world.pool).await.unwrap();
}

/// The partitions of a table.
async fn partitions(world: &World, table: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1",
    )
    .bind(table)
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

async fn exists(world: &World, table: &str) -> bool {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(&world.pool).await.unwrap()
}

/// Time passes, in which somebody writes: while nothing happens, nothing gets old.
async fn pass(world: &World, time: Duration) {
    world.clock.advance(time);
    sqlx::query("UPDATE log_head SET at = $1").bind(world.clock.now()).execute(&world.pool).await.unwrap();
}

/// Lets time pass until a table is gone.
async fn expect_dropped(world: &World, table: &str) {
    eventually(&format!("the end of {table}"), async || {
        world.clock.advance(LOOKS_AGAIN);
        (!exists(world, table).await).then_some(())
    })
    .await;
}

/// So many attempts are on record.
async fn expect_attempts(world: &World, count: i64) {
    eventually(&format!("the record of {count} attempts"), async || {
        let found: i64 =
            sqlx::query_scalar("SELECT count(*) FROM attempts").fetch_one(&world.pool).await.unwrap();
        (found == count).then_some(())
    })
    .await;
}

async fn create(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers {
        world.contact(&number.to_string(), &format!("+331000{number:04}")).await;
    }
}

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.data()["name"].as_str().unwrap().to_owned()).collect()
}

fn path(subscription: &Value) -> String {
    format!("/webhooks/{}", subscription["subscription_id"].as_str().unwrap())
}

async fn set_active(world: &World, subscription: &Value, active: bool) {
    world.patch(&path(subscription), json!({"is_active": active})).await.data(200);
}

async fn gaps(world: &World, subscription: &Value) -> Value {
    world.get(&path(subscription)).await.data(200)["delivery"]["gaps"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_made_before_it_is_needed() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    assert_eq!(partitions(&world, "events").await, ["events_from_0", "events_from_100000"]);
    jump_to(&world, WIDTH - 3).await;
    create(&world, 0..5).await;
    assert_eq!(names(&receiver.expect(5).await), ["0", "1", "2", "3", "4"]);
    eventually("another partition", async || {
        let partitions = partitions(&world, "events").await;
        (partitions == ["events_from_0", "events_from_100000", "events_from_200000"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_room_gets_some_and_nothing_is_refused() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    jump_to(&world, 2 * WIDTH - 10).await;
    futures_util::future::join_all((0..40).map(|number| create(&world, number..number + 1))).await;
    let seqs: Vec<i64> =
        sqlx::query_scalar("SELECT seq FROM events ORDER BY seq").fetch_all(&world.pool).await.unwrap();
    assert_eq!(seqs, (2 * WIDTH - 9..2 * WIDTH + 31).collect::<Vec<_>>());
    let order: Vec<String> = sqlx::query_scalar("SELECT data::json ->> 'name' FROM events ORDER BY seq")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(names(&receiver.expect(40).await), order);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_partitions_are_all_gone_goes_on() {
    let world = World::new().await;
    jump_to(&world, 7 * WIDTH + 5).await;
    sqlx::query("DROP TABLE events_from_0, events_from_100000").execute(&world.pool).await.unwrap();
    create(&world, 0..2).await;
    assert_eq!(world.event_types().await.len(), 2);
    assert_eq!(partitions(&world, "events").await, ["events_from_700000", "events_from_800000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_recorded_whatever_the_clock_does() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..1).await;
    expect_attempts(&world, 1).await;
    assert_eq!(
        partitions(&world, "attempts").await,
        ["attempts_from_20241104", "attempts_from_20241111"],
        "this week's and the next one's"
    );
    // Nobody but the recorder notices.
    sqlx::query("DROP TABLE attempts_from_20241104").execute(&world.pool).await.unwrap();
    create(&world, 1..2).await;
    expect_attempts(&world, 1).await;
    world.clock.advance(2 * 365 * DAY);
    create(&world, 2..3).await;
    assert_eq!(names(&receiver.expect(3).await), ["0", "1", "2"]);
    eventually("an attempt of 2026 on record", async || {
        let at: Option<String> = sqlx::query_scalar("SELECT max(at)::date::text FROM attempts")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        (at.as_deref() == Some("2026-11-08")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_and_the_rest_stays() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..2).await;
    jump_to(&world, WIDTH).await;
    create(&world, 2..4).await;
    expect_attempts(&world, 4).await;
    let recent = world.get("/triggers/contact.created/recent").await.json();
    assert_eq!(recent.as_array().unwrap().len(), 4);

    pass(&world, 29 * DAY).await;
    world.clock.advance(LOOKS_AGAIN);
    create(&world, 4..5).await;
    expect_attempts(&world, 5).await;
    assert!(exists(&world, "events_from_0").await, "not yet");
    pass(&world, 2 * DAY).await;
    expect_dropped(&world, "events_from_0").await;
    assert!(exists(&world, "attempts_from_20241104").await, "its Sunday is not too old");
    pass(&world, 2 * DAY).await;
    expect_dropped(&world, "attempts_from_20241104").await;

    expect_attempts(&world, 1).await;
    assert_eq!(world.event_types().await.len(), 3, "a partition goes as a whole, when all of it is old");
    let remembered = world.get("/triggers/contact.created/recent").await.json();
    assert_eq!(remembered.as_array().unwrap()[1..], recent.as_array().unwrap()[..], "records remember");
    assert_eq!(gaps(&world, &subscription).await, json!([]), "it had got everything");
    create(&world, 5..6).await;
    receiver.expect(6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_paused_subscription_loses_is_counted_and_told() {
    let world = World::new().await;
    let [receiver, filtered_receiver, live_receiver, gone] =
        [Receiver::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let paused = world.subscribe("contact.created", &receiver.url("/")).await;
    let live = world.subscribe("contact.created", &live_receiver.url("/")).await;
    let deleted = world.subscribe("contact.created", &gone.url("/")).await;
    let other_type = world.subscribe("deal.won", &gone.url("/")).await;
    let body = json!({"event": "contact.created", "target_url": filtered_receiver.url("/"), "filters": {"city": "Rome"}});
    let filtered = world.post("/webhooks/subscribe", body).await.data(201);
    let body =
        json!({"event": "contact.created", "target_url": gone.url("/"), "filters": {"city": "Nowhere"}});
    let unmatched = world.post("/webhooks/subscribe", body).await.data(201);
    create(&world, 0..2).await;
    receiver.expect(2).await;
    gone.expect(2).await;
    for subscription in [&paused, &deleted, &other_type, &filtered] {
        set_active(&world, subscription, false).await;
    }
    world.delete(&path(&deleted)).await;
    create(&world, 2..5).await;
    jump_to(&world, WIDTH).await;
    create(&world, 5..7).await;
    live_receiver.expect(7).await;
    expect_attempts(&world, 2 + 2 + 7).await;
    eventually("the record that nothing matched", async || {
        let shown = world.get(&path(&unmatched)).await.data(200);
        (shown["delivery"]["waiting"] == false).then_some(())
    })
    .await;
    // As the recorder does now and then.
    sqlx::query("UPDATE shards SET checkpoint = $1").bind(WIDTH + 2).execute(&world.pool).await.unwrap();
    pass(&world, TOO_OLD).await;
    expect_dropped(&world, "events_from_0").await;

    let lost = gaps(&world, &paused).await;
    assert_eq!(lost.as_array().unwrap().len(), 1, "{lost}");
    assert_eq!((&lost[0]["reason"], &lost[0]["events"]), (&json!("retention"), &json!(3)));
    assert!(lost[0]["at"].as_str().unwrap().starts_with("2024-12-09T"), "{lost}");
    assert_eq!(gaps(&world, &filtered).await[0]["events"], 3, "an upper bound: nobody looked at the filters");
    for unharmed in [&live, &other_type, &unmatched] {
        assert_eq!(gaps(&world, unharmed).await, json!([]));
    }
    let listed = world.get("/webhooks?status=all").await.data(200);
    let listed = listed.as_array().unwrap().iter().find(|listed| listed["id"] == paused["id"]).unwrap();
    assert_eq!(listed["delivery"]["gaps"], lost);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM gaps").fetch_one(&world.pool).await.unwrap();
    assert_eq!(rows, 2, "none for the deleted one");

    set_active(&world, &paused, true).await;
    assert_eq!(names(&receiver.expect(4).await), ["0", "1", "5", "6"], "it goes on with what is left");
    create(&world, 7..8).await;
    assert_eq!(names(&receiver.expect(5).await)[4], "7");
    assert_eq!(gaps(&world, &paused).await, lost, "the gap is told still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reader_delays_the_dropping_and_nobody_else() {
    let world = World::new().await;
    create(&world, 0..1).await;
    jump_to(&world, WIDTH).await;
    create(&world, 1..2).await;
    let mut reader = PgConnection::connect(&world.database.url).await.unwrap();
    let mut reading = reader.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let count = "SELECT count(*) FROM events";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&mut *reading).await.unwrap();

    pass(&world, TOO_OLD).await;
    eventually("the detaching, which waits for the reader", async || {
        let pending: bool =
            sqlx::query_scalar("SELECT coalesce(bool_or(inhdetachpending), false) FROM pg_inherits")
                .fetch_one(&world.pool)
                .await
                .unwrap();
        world.clock.advance(LOOKS_AGAIN);
        pending.then_some(())
    })
    .await;
    // Writing goes on, also where a new partition has to be made.
    jump_to(&world, 3 * WIDTH - 1).await;
    create(&world, 2..4).await;
    assert!(exists(&world, "events_from_0").await);
    let meanwhile: i64 = sqlx::query_scalar(count).fetch_one(&mut *reading).await.unwrap();
    assert_eq!((before, meanwhile), (2, 2), "the reader sees what it saw");

    reading.rollback().await.unwrap();
    reader.close().await.unwrap();
    expect_dropped(&world, "events_from_0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_behind_is_dropped_and_what_somebody_detached_is_not() {
    let world = World::new().await;
    sqlx::raw_sql(
        "ALTER TABLE events DETACH PARTITION events_from_0;
         ALTER TABLE events DETACH PARTITION events_from_100000;
         COMMENT ON TABLE events_from_100000 IS 'isao: to be dropped'",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    expect_dropped(&world, "events_from_100000").await;
    assert!(exists(&world, "events_from_0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_replays_and_keys_that_are_no_longer_good_go_like_all_else() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    let now = world.clock.now();
    sqlx::query(
        "INSERT INTO replays (company_id, id, subscription_id, only_undelivered, per_second, from_seq, to_seq, position,
                              status, created_at, updated_at)
         SELECT company_id, gen_random_uuid(), id, false, 1, 0, 0, 0, ended.status, $1, ended.at
         FROM subscriptions,
              (VALUES ('done', $1), ('cancelled', $1), ('done', $1 + interval '5 days')) AS ended (status, at)",
    )
    .bind(now)
    .execute(&world.pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO api_keys (id, company_id, name, service_type, permissions, hash, hint, created_at, revoked_at, expires_at)
         SELECT gen_random_uuid(), company_id, keys.name, service_type, permissions, sha256(keys.name::bytea), hint, $1,
                revoked, expires
         FROM api_keys,
              (VALUES ('revoked', $1, NULL::timestamptz), ('expired', NULL::timestamptz, $1),
                      ('revoked later', $1 + interval '5 days', NULL),
                      ('still good', NULL, $1 + interval '99 days')) AS keys (name, revoked, expires)
         LIMIT 4",
    )
    .bind(now)
    .execute(&world.pool)
    .await
    .unwrap();
    let replays = async || {
        world.get(&format!("{}/replays", path(&subscription))).await.data(200).as_array().unwrap().len()
    };
    let keys = async || -> Vec<String> {
        let names =
            "SELECT name FROM api_keys WHERE revoked_at IS NOT NULL OR expires_at IS NOT NULL ORDER BY 1";
        sqlx::query_scalar(names).fetch_all(&world.pool).await.unwrap()
    };
    pass(&world, 29 * DAY).await;
    world.clock.advance(LOOKS_AGAIN);
    assert_eq!((replays().await, keys().await.len()), (3, 4), "not yet");
    pass(&world, 2 * DAY).await;
    eventually("the end of what is too old", async || {
        world.clock.advance(LOOKS_AGAIN);
        (replays().await == 1 && keys().await == ["revoked later", "still good"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_was_read_ahead_only_what_is_not_done_is_lost() {
    let world = World::new().await;
    let receiver = Receiver::scripted(|_, received| {
        Reply::Status(if received.data()["name"] == "0" { 500 } else { 200 })
    })
    .await;
    let body = json!({"event": "contact.created", "target_url": receiver.url("/"), "ordering": "record"});
    let subscription = world.post("/webhooks/subscribe", body).await.data(201);
    create(&world, 0..5).await;
    expect_attempts(&world, 5).await;
    set_active(&world, &subscription, false).await;
    jump_to(&world, WIDTH).await;
    create(&world, 5..6).await;
    pass(&world, TOO_OLD).await;
    expect_dropped(&world, "events_from_0").await;
    assert_eq!(gaps(&world, &subscription).await[0]["events"], 1, "four of the five were delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_tells_what_it_came_too_late_for() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    create(&world, 0..3).await;
    jump_to(&world, WIDTH).await;
    create(&world, 3..5).await;
    expect_attempts(&world, 5).await;
    eventually("the end of all deliveries", async || {
        let shown = world.get(&path(&subscription)).await.data(200);
        (shown["delivery"]["waiting"] == false).then_some(())
    })
    .await;
    // While its subscription is paused, it waits.
    set_active(&world, &subscription, false).await;
    let wanted = json!({"since": "2024-01-01", "only": "all", "perSecond": 1000});
    let replay = world.post(&format!("{}/replay", path(&subscription)), wanted).await.data(202);
    pass(&world, TOO_OLD).await;
    expect_dropped(&world, "events_from_0").await;
    set_active(&world, &subscription, true).await;
    let ended = eventually("the end of the replay", async || {
        let replay =
            world.get(&format!("/webhooks/replays/{}", replay["id"].as_str().unwrap())).await.data(200);
        (replay["status"] == "done").then_some(replay)
    })
    .await;
    assert_eq!((&ended["delivered"], &ended["missed"]), (&json!(2), &json!(3)), "{ended}");
    assert_eq!(names(&receiver.expect(7).await)[5..], ["3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_may_be_wrong_drops_nothing() {
    let world = World::new().await;
    create(&world, 0..2).await;
    jump_to(&world, WIDTH).await;
    create(&world, 2..3).await;
    let looks_around = async |what: &str| {
        for _ in 0..5 {
            world.clock.advance(LOOKS_AGAIN);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(exists(&world, "events_from_0").await, "{what}");
    };
    world.clock.advance(TOO_OLD);
    looks_around("nothing has happened since").await;
    // Far ahead of the database's clock, which is right.
    pass(&world, 20 * 365 * DAY).await;
    looks_around("the clock is ahead of the database's").await;
}
