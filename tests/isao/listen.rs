//! `isao listen` and `isao trigger`: real processes, a real server, a real receiver.

pub mod listener;

use std::net::SocketAddr;

use isao::model::permission::Permission;
use serde_json::json;

use crate::support::{Process, Received, Receiver, Reply, World};
use listener::User;

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.data()["name"].as_str().unwrap().to_owned()).collect()
}

/// Makes contacts that are named by these numbers.
async fn contacts(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers {
        world.contact(&number.to_string(), &format!("+33100{number:06}")).await;
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_forwarded_in_order_and_signed_and_told_to_programs() {
    let world = World::new().await;
    let user = User::of(&world);
    let receiver = Receiver::start().await;
    let listener = user.listen(&["--forward", &receiver.url("/webhook")]);
    listener.connected().await;
    contacts(&world, 0..20).await;
    let received = receiver.expect(20).await;
    assert_eq!(names(&received), numbers(0..20));
    let secret = user.secret().await;
    let feed = world.get("/events").await.data(200);
    let told = listener.expect("event", 20).await;
    for ((received, event), told) in received.iter().zip(feed.as_array().unwrap()).zip(&told) {
        assert_eq!(received.json(), *event);
        assert_eq!(received.path, "/webhook");
        let timestamp = received.header("webhook-timestamp").parse().unwrap();
        let signature = secret.sign(received.header("webhook-id"), timestamp, &received.body);
        assert_eq!(received.header("webhook-signature"), signature);
        assert_eq!(received.header("webhook-id"), received.event_id());
        assert_eq!(received.header("x-isao-event"), "contact.created");
        assert_eq!(received.header("x-isao-attempt"), "1");
        assert_eq!(told["body"], *event);
        assert_eq!((&told["outcome"], &told["status"]), (&json!("delivered"), &json!(200)));
    }
    // From the cursor of an event the next one comes.
    listener.signal("TERM").await;
    let (status, _) = listener.ended().await;
    assert!(status.success());
    let again = user.listen(&["--since", told[17]["cursor"].as_str().unwrap()]);
    let told = again.expect("event", 2).await;
    assert_eq!(told[0]["body"]["data"]["name"], "18");
    assert_eq!((&told[0]["outcome"], &told[0]["status"]), (&json!("received"), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_killed_goes_on_where_it_was() {
    let world = World::new().await;
    let user = User::of(&world);
    let receiver = Receiver::start().await;
    let forward = receiver.url("/");
    let listener = user.listen(&["--forward", &forward]);
    listener.connected().await;
    listener.kill().await;
    for round in 0..4 {
        contacts(&world, 10 * round..10 * round + 5).await;
        let listener = user.listen(&["--forward", &forward]);
        listener.connected().await;
        contacts(&world, 10 * round + 5..10 * round + 10).await;
        receiver.expect(10 * round + 7).await;
        listener.kill().await;
    }
    let last = user.listen(&["--forward", &forward]);
    last.connected().await;
    contacts(&world, 40..41).await;
    last.expect("event", 1).await;
    while names(&receiver.all()).last().is_none_or(|name| name != "40") {
        tokio::task::yield_now().await;
    }
    let mut got = names(&receiver.all());
    let all = got.len();
    got.dedup();
    assert_eq!(got, numbers(0..41));
    assert!(all - got.len() <= 4, "no more than the one in flight comes twice");
    // Who wants to can forget it.
    contacts(&world, 41..42).await;
    receiver.expect(all + 1).await;
    last.kill().await;
    contacts(&world, 42..43).await;
    let anew = user.listen(&["--forward", &forward, "--from-now"]);
    anew.connected().await;
    contacts(&world, 43..44).await;
    receiver.expect(all + 2).await;
    assert_eq!(names(&receiver.all()).last().unwrap(), "43");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_costs_nothing() {
    let mut world = World::new().await;
    world.stop_server().await;
    let mut process = Process::serve(&world.database).await;
    world.turn_to(process.address);
    let address: SocketAddr = process.address;
    let user = User::of(&world);
    let receiver = Receiver::start().await;
    let listener = user.listen(&["--forward", &receiver.url("/")]);
    listener.connected().await;
    for round in 0..2 {
        contacts(&world, 10 * round..10 * round + 10).await;
        process.kill().await;
        listener.expect("lost", round + 1).await;
        process = Process::at(&world.database, address).await;
    }
    contacts(&world, 20..25).await;
    receiver.expect(25).await;
    receiver.expect_no_more_than(25).await;
    assert_eq!(names(&receiver.all()), numbers(0..25));
    let lost = &listener.told("lost")[0];
    assert!(lost["retryInMs"].as_u64().is_some_and(|wait| (2_000..=2_400).contains(&wait)), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_wanted_comes_a_line_each() {
    let world = World::new().await;
    let user = User::of(&world);
    contacts(&world, 0..1).await;
    let contact = json!({"name": "Zoë \u{1b}[2J", "phoneNumber": "+33200000000", "tags": ["lead"]});
    let contact = world.post("/contacts", contact).await.data(201);
    world.deal(json!({"title": "Big", "contactId": contact["id"]})).await;
    let args = ["--events", "contact.*", "--filter", "tags=lead", "--filter", "tags=vip"];
    let listener = user.watch(&[&args[..], &["--since", "2024-11-08T10:30:00Z"]].concat());
    let line = crate::support::eventually("a line", async || listener.stdout().first().cloned()).await;
    assert!(line.starts_with("2024-11-08T10:30:00.000Z  contact.created     event_"), "{line}");
    assert!(line.ends_with(r#""Zoë \u{1b}[2J""#), "{line}");
    assert_eq!(listener.stdout().len(), 1);
    let said = listener.stderr();
    assert!(
        said.contains("Connecting to http://127.0.0.1:") && said.contains("Connected. Events come from 2024"),
        "{said}"
    );
    // One listens for a server and a key.
    let (status, said) = user.listen(&[]).ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("another `isao listen` uses the same server and key"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_says_why_and_fails() {
    let world = World::new().await;
    let poor = world.add_key(world.company, &[Permission::ContactsRead]).await;
    let unknown = format!("ck_{}", "0".repeat(64));
    let root = world.root().to_owned();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = Receiver::start().await;
    other.rescript(|_, _| Reply::Status(404));
    for (url, key, args, said) in [
        (&root, &unknown, &[][..], "refused the API key ck_…0000 (401): "),
        (&root, &poor, &[], "does not let the API key ck_…"),
        (&root, &world.key, &["--since", "f_________8"], "run again with --from-now"),
        (&root, &world.key, &["--filter", "tags=lead"], "--filter `tags`"),
        (&format!("http://{free}"), &world.key, &[], "Start one with `isao serve`"),
        (&other.url(""), &world.key, &[], "is not an isao server (it answered 404)"),
    ] {
        let (code, stdout, stderr) = User::at(url, key).run(&[&["listen"], args].concat()).await;
        assert_eq!((code, &*stdout), (Some(1), ""), "{said}: {stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(last.starts_with("isao: ") && last.contains(said), "{said}: {stderr}");
    }
    let (code, _, stderr) = User::at(&root, "").run(&["listen"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("there is no API key"), "{stderr}");
    // Retention passes over the place.
    let user = User::of(&world);
    let listener = user.listen(&[]);
    listener.connected().await;
    listener.kill().await;
    contacts(&world, 0..3).await;
    sqlx::query("DELETE FROM events WHERE seq < 3").execute(&world.pool).await.unwrap();
    let (status, said) = user.listen(&[]).ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("no longer kept") && said.contains("--from-now"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_are_shown_and_what_fails_for_good_holds_nothing_up() {
    let world = World::new().await;
    let user = User::of(&world);
    let receiver = Receiver::scripted(|number, _| Reply::Status(if number < 5 { 500 } else { 204 })).await;
    let listener = user.listen(&["--forward", &receiver.url("/")]);
    listener.connected().await;
    contacts(&world, 0..2).await;
    let told = listener.expect("event", 2).await;
    assert_eq!((&told[0]["outcome"], &told[0]["attempts"]), (&json!("undelivered"), &json!(4)));
    assert_eq!((&told[1]["outcome"], &told[1]["attempts"]), (&json!("delivered"), &json!(2)));
    let attempts = listener.told("attempt");
    assert_eq!(attempts.len(), 5);
    assert_eq!((&attempts[0]["status"], &attempts[0]["error"]), (&json!(500), &json!("answered 500")));
    assert!(attempts[2]["retryInMs"].is_u64() && attempts[3]["retryInMs"].is_null());
    assert_eq!(names(&receiver.all()), ["0", "0", "0", "0", "1", "1"]);
    let numbers =
        receiver.all().iter().map(|one| one.header("x-isao-attempt").to_owned()).collect::<Vec<_>>();
    assert_eq!(numbers, ["1", "2", "3", "4", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn localhost_is_both_addresses_and_a_proxy_leads_to_the_server() {
    let world = World::new().await;
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else { return };
    let port = listener.local_addr().unwrap().port();
    let app = axum::Router::new().fallback(async || "ok");
    let receiver = tokio::spawn(async move { axum::serve(listener, app).await });
    // The server answers what a proxy would pass on.
    let user = User::at("http://isao.invalid", &world.key);
    let listener =
        user.listen_through(world.root(), &["--forward", &format!("http://localhost:{port}/webhook")]);
    listener.connected().await;
    contacts(&world, 0..1).await;
    assert_eq!(listener.expect("event", 1).await[0]["outcome"], "delivered");
    receiver.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_goes_to_the_subscriptions_that_want_it_or_to_a_url() {
    let world = World::new().await;
    let user = User::of(&world);
    let (code, stdout, stderr) = user.run(&["trigger", "contact.created"]).await;
    assert_eq!((code, &*stdout), (Some(1), ""));
    assert!(stderr.contains("no active subscription wants this event"), "{stderr}");

    let [wanted, other] = [Receiver::start().await, Receiver::start().await];
    let subscription = world.subscribe("contact.*", &wanted.url("/")).await;
    let elsewhere = world.subscribe("deal.won", &other.url("/")).await;
    let (code, stdout, stderr) = user.run(&["trigger", "contact.created"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout
            .starts_with(&format!("contact.created  {}", subscription["subscription_id"].as_str().unwrap()))
    );
    assert!(stdout.contains("  200  ") && stdout.lines().count() == 1, "{stdout}");
    let test = &wanted.expect(1).await[0];
    assert_eq!((test.header("x-isao-test"), &test.data()["name"]), ("true", &json!("John Doe")));

    other.rescript(|_, _| Reply::Status(500));
    let to = elsewhere["subscription_id"].as_str().unwrap();
    let (code, stdout, stderr) = user.run(&["trigger", "deal.won", "--to", to]).await;
    assert_eq!(code, Some(1));
    assert!(
        stdout.contains("not delivered (answered 500)") && stderr.contains("1 of 1 test"),
        "{stdout}{stderr}"
    );

    let url = wanted.url("/local");
    let args =
        ["trigger", "deal.won", "--forward", &url, "--set", "data.value=7.5", "--set", "data.title=Tiny"];
    let (code, stdout, stderr) = user.run(&args).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with(&format!("deal.won  {url}  200  ")), "{stdout}");
    let sent = wanted.expect(2).await.pop().unwrap();
    assert_eq!((&sent.data()["value"], &sent.data()["title"]), (&json!(7.5), &json!("Tiny")));
    assert_eq!((sent.path.as_str(), sent.header("x-isao-test")), ("/local", "true"));
    let timestamp = sent.header("webhook-timestamp").parse().unwrap();
    let signature = user.secret().await.sign(&sent.event_id(), timestamp, &sent.body);
    assert_eq!(sent.header("webhook-signature"), signature);
    assert_eq!(world.event_types().await.len(), 0, "nothing was written");
}
