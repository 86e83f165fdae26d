//! The real process, killed without warning and stopped politely.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use isao::outbound::signature::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Process, Received, Receiver, Reply, World, eventually};

/// Repeats that a crash may cause in these tests: what a lane had sent and not recorded.
const HANDFUL: usize = 50;

/// A world whose server is a process.
async fn world() -> (World, Process) {
    let mut world = World::new().await;
    world.stop_server().await;
    let process = Process::serve(&world.database).await;
    world.turn_to(process.address);
    (world, process)
}

async fn restart(world: &mut World) -> Process {
    let process = Process::serve(&world.database).await;
    world.turn_to(process.address);
    process
}

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.data()["name"].as_str().unwrap().to_owned()).collect()
}

/// First arrivals in order, and how many repeats there were.
fn first_arrivals(receiver: &Receiver) -> (Vec<String>, usize) {
    let all = names(&receiver.all());
    let mut seen = HashSet::new();
    let firsts: Vec<_> = all.iter().filter(|name| seen.insert((*name).clone())).cloned().collect();
    let repeats = all.len() - firsts.len();
    (firsts, repeats)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_delivered_although_the_server_was_killed_before() {
    let (mut world, process) = world().await;
    // The first never answers, so nothing behind it is sent.
    let receiver = Receiver::scripted(|_, _| Reply::Never).await;
    let subscription = world.subscribe("contact.created", &receiver.url("/")).await;
    for number in 0..5 {
        world.contact(&number.to_string(), &format!("+3310000000{number}")).await;
    }
    receiver.expect(1).await;
    process.kill().await;
    receiver.rescript(|_, _| Reply::Status(200));
    let process = restart(&mut world).await;
    let received = receiver.expect(6).await;
    assert_eq!(names(&received), ["0", "0", "1", "2", "3", "4"]);
    // The repeat is the same event, signed.
    assert_eq!(received[0].body, received[1].body);
    let secret: Secret = subscription["secret"].as_str().unwrap().parse().unwrap();
    let timestamp = received[1].header("webhook-timestamp").parse().unwrap();
    assert_eq!(
        received[1].header("webhook-signature"),
        secret.sign(&received[1].event_id(), timestamp, &received[1].body)
    );
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_survives_a_server_that_is_killed_again_and_again() {
    const WORKERS: usize = 8;
    const KILLS: usize = 3;
    let (mut world, mut process) = world().await;
    let receivers = [Receiver::start().await, Receiver::start().await];
    for receiver in &receivers {
        world.subscribe("contact.created", &receiver.url("/")).await;
    }
    let mut answered: Vec<Vec<String>> = vec![Vec::new(); WORKERS];
    for round in 0..=KILLS {
        let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
        // Each worker creates one after the other, until the server is gone.
        let work = async |worker: usize| {
            let mut done = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let name = format!("{worker} {round} {:05}", done.len());
                let phone = format!("+33{worker}{round}{:06}", done.len());
                let request = world.request(Method::POST, "/contacts");
                let Ok(response) = request.json(&json!({"name": name, "phoneNumber": phone})).send().await
                else {
                    break;
                };
                // Killed in the middle of an answer is as good as no answer.
                if response.status() != 201 || response.json::<Value>().await.is_err() {
                    break;
                }
                done.push(name);
                made.fetch_add(1, Ordering::Relaxed);
            }
            done
        };
        let workers = futures_util::future::join_all((0..WORKERS).map(work));
        let end = async {
            eventually("some creates", async || (made.load(Ordering::Relaxed) >= 150).then_some(())).await;
            if round < KILLS {
                process.kill().await;
                None
            } else {
                stop.store(true, Ordering::Relaxed);
                Some(process)
            }
        };
        let (done, last) = tokio::join!(workers, end);
        for (answered, done) in answered.iter_mut().zip(done) {
            answered.extend(done);
        }
        process = match last {
            Some(process) => process,
            None => restart(&mut world).await,
        };
    }

    let all: HashSet<_> = answered.iter().flatten().cloned().collect();
    let log: Vec<String> = sqlx::query_scalar(
        "SELECT c.name FROM events e JOIN contacts c ON c.id = e.record_id ORDER BY e.seq",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    for receiver in &receivers {
        eventually("every event", async || (first_arrivals(receiver).0.len() >= log.len()).then_some(()))
            .await;
        let (firsts, repeats) = first_arrivals(receiver);
        assert_eq!(firsts, log, "in the order of the log");
        assert!(repeats <= KILLS * HANDFUL, "{repeats} repeats");
        eprintln!("{} events, {} answered, {KILLS} kills, {repeats} repeats", log.len(), all.len());
        assert!(all.is_subset(&firsts.iter().cloned().collect()));
        // Each worker's own order, as it saw the answers.
        let place: HashMap<_, _> = firsts.iter().enumerate().map(|(place, name)| (name, place)).collect();
        for worker in &answered {
            assert!(worker.is_sorted_by_key(|name| place[name]));
        }
    }
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_is_in_flight() {
    let (mut world, process) = world().await;
    let receiver = Receiver::start().await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    // Nobody can append to the log for a moment: creates are in flight.
    let mut transaction = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM log_head FOR UPDATE").execute(&mut *transaction).await.unwrap();
    let creates = futures_util::future::join_all((0..10).map(|number| {
        let world = &world;
        async move { world.contact(&number.to_string(), &format!("+3310000000{number}")).await }
    }));
    let stop = async {
        // The first of them waits for the log: all have been sent by then, or soon.
        eventually("a write that waits", async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(&world.pool)
            .await
            .unwrap();
            (waiting > 0).then_some(())
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        process.signal("TERM").await;
        eventually("the end of accepting", async || {
            tokio::net::TcpStream::connect(process.address).await.is_err().then_some(())
        })
        .await;
        transaction.rollback().await.unwrap();
    };
    let (_, ()) = tokio::join!(creates, stop);
    assert!(process.ended().await.success());

    // What was answered and what was delivered is on record: nothing is lost or repeated.
    let process = restart(&mut world).await;
    world.contact("Last", "+33200000000").await;
    eventually("the last one", async || names(&receiver.all()).contains(&"Last".to_owned()).then_some(()))
        .await;
    let (firsts, repeats) = first_arrivals(&receiver);
    assert_eq!((firsts.len(), repeats), (11, 0));
    process.signal("INT").await;
    assert!(process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_ends_it_at_once() {
    let (world, process) = world().await;
    let receiver = Receiver::scripted(|_, _| Reply::Never).await;
    world.subscribe("contact.created", &receiver.url("/")).await;
    world.contact("First", "+33100000001").await;
    receiver.expect(1).await;
    // An attempt is in flight, so the first one alone takes a while.
    process.signal("INT").await;
    eventually("the end of accepting", async || {
        tokio::net::TcpStream::connect(process.address).await.is_err().then_some(())
    })
    .await;
    process.signal("INT").await;
    assert_eq!(process.ended().await.code(), Some(130));
}
