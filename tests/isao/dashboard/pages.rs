//! What the pages show, and to whom.

use serde_json::json;

use super::{Person, Role};
use crate::support::{Receiver, Reply, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn no_page_shows_anything_of_another_company() {
    let world = World::with_local_receivers().await;
    let receiver = Receiver::start().await;
    let hook = world.subscribe("*", &receiver.url("/secret-place")).await["id"].as_str().unwrap().to_owned();
    let contact = world.contact("Jane Secret", "+33100000001").await["id"].as_str().unwrap().to_owned();
    let deal = json!({"title": "Secret deal", "value": 77777, "stage": "hidden-stage", "contactId": contact});
    let deal = world.post("/deals", deal).await.data(201)["id"].as_str().unwrap().to_owned();
    receiver.expect(2).await;
    let event = world.get("/events/history?limit=1").await.data(200)[0]["metadata"]["eventId"].clone();
    let event = event.as_str().unwrap();
    let delivery = world.get(&format!("/events/{event}/deliveries")).await.data(200)[0]["id"].clone();
    let delivery = delivery.as_str().unwrap();

    let other = world.add_company("Other").await;
    let stranger = Person::of(&world, other, Role::Admin).await;
    for path in [
        "",
        "?range=30d",
        "/events",
        "/events.csv",
        "/webhooks",
        "/webhooks.csv",
        "/webhooks/new",
        "/undelivered",
        "/undelivered.csv",
        "/contacts",
        "/contacts.csv",
        "/contacts/choices?contact=Jane",
        "/deals",
        "/deals.csv",
        "/deals/board",
        "/deals/new",
        "/settings/company",
        "/settings/users",
        "/settings/audit-log",
        "/settings/api-keys",
        "/account",
        "/try",
        &format!("/events?recordId={contact}"),
        &format!("/deals?contactId={contact}"),
    ] {
        let page = stranger.get(&format!("/dashboard{path}")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        for secret in ["Secret", "secret-place", "77777", "hidden-stage", "+33100000001", "acme.example"] {
            assert!(!page.text.contains(secret), "{path} shows {secret}");
        }
    }
    for path in [
        format!("/events/{event}"),
        format!("/deliveries/{delivery}"),
        format!("/webhooks/{hook}"),
        format!("/webhooks/{hook}/edit"),
        format!("/webhooks/{hook}/deliveries.csv"),
        format!("/contacts/{contact}"),
        format!("/deals/{deal}"),
    ] {
        assert_eq!(stranger.get(&format!("/dashboard{path}")).await.status, 404, "{path}");
    }
    let before = world.everything_written().await;
    for path in [
        format!("/deliveries/{delivery}/redeliver"),
        format!("/webhooks/{hook}/pause"),
        format!("/webhooks/{hook}/delete"),
        format!("/webhooks/{hook}/rotate"),
        format!("/webhooks/{hook}/test"),
        format!("/contacts/{contact}/delete"),
        format!("/deals/{deal}/delete"),
    ] {
        assert_eq!(stranger.post(&format!("/dashboard{path}"), &[]).await.status, 404, "{path}");
    }
    let fields = [("to", "status:won")];
    assert_eq!(stranger.post(&format!("/dashboard/deals/{deal}/move"), &fields).await.status, 404);
    let fields = [("since", "2020-01-01"), ("only", "all"), ("begin", "yes")];
    assert_eq!(stranger.post(&format!("/dashboard/webhooks/{hook}/replay"), &fields).await.status, 404);
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_keeps_every_digit_and_finds_its_contact_by_name() {
    let world = World::new().await;
    let contact = world.contact("Jane Doe", "+33100000001").await["id"].as_str().unwrap().to_owned();
    world.contact("John Doe", "+33100000002").await;
    let anna = Person::of(&world, world.company, Role::Member).await;
    let fields =
        [("title", "Big"), ("value", "123456789012345.123456"), ("currency", "usd"), ("contact", "Doe")];
    let several = anna.post("/dashboard/deals", &fields).await;
    assert!(several.status == 422 && several.text.contains("several contacts"), "{}", several.text);
    let fields =
        [("title", "Big"), ("value", "123456789012345.123456"), ("currency", "usd"), ("contact", "jane")];
    let made = anna.post_and_follow("/dashboard/deals", &fields).await;
    assert!(
        made.text.contains(r#"value="123456789012345.123456""#) && made.text.contains(&contact),
        "{}",
        made.text
    );
    let list = anna.get("/dashboard/deals").await;
    assert!(list.text.contains("USD 123,456,789,012,345.123456"), "{}", list.text);
    let id = world.get("/deals").await.data(200)[0]["id"].as_str().unwrap().to_owned();
    let moved = anna.post_and_follow(&format!("/dashboard/deals/{id}/move"), &[("to", "status:won")]).await;
    assert!(moved.text.contains("Moved."), "{}", moved.text);
    let deal = world.get(&format!("/deals/{id}")).await.data(200);
    assert_eq!((&deal["status"], &deal["contact"]["id"]), (&json!("won"), &json!(contact)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_had_as_csv_with_its_filters_and_no_formula() {
    let world = World::new().await;
    world.contact("=HYPERLINK(\"x\")", "+33100000001").await;
    world.contact("Jane, \"J\"", "+33100000002").await;
    let anna = Person::of(&world, world.company, Role::ReadOnly).await;
    let all = anna.get("/dashboard/contacts.csv").await;
    assert_eq!((all.header("content-type"), all.text.lines().count()), ("text/csv; charset=utf-8", 3));
    assert!(
        all.text.contains("\"'=HYPERLINK(\"\"x\"\")\"") && all.text.contains("'+33100000001"),
        "{}",
        all.text
    );
    let some = anna.get("/dashboard/contacts.csv?search=jane").await;
    assert!(some.text.lines().count() == 2 && some.text.contains("\"Jane, \"\"J\"\"\""), "{}", some.text);
    let wrong = anna.get("/dashboard/events?since=yesterday").await;
    assert!(wrong.status == 200 && wrong.text.contains("since"), "the page says what is wrong with a filter");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_counts_what_happened() {
    let world = World::with_local_receivers().await;
    let good = Receiver::start().await;
    let bad = Receiver::scripted(|_, _| Reply::Status(500)).await;
    world.subscribe("contact.created", &good.url("/")).await;
    world.subscribe("contact.created", &bad.url("/")).await;
    for number in 1..=3 {
        world.contact("Jane", &format!("+3310000000{number}")).await;
    }
    good.expect(3).await;
    bad.expect(1).await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    let page = eventually("the counts are written", async || {
        let page = anna.get("/dashboard").await;
        let compact: String = page.text.split_whitespace().collect();
        (compact.contains("<span>Deliveries</span><b>3</b>")
            && compact.contains("<span>Events</span><b>3</b>"))
        .then_some(page)
    })
    .await;
    assert!(page.text.contains("p99") && page.text.contains("<svg"), "{}", page.text);
    let webhooks = anna.get("/dashboard/webhooks").await;
    assert!(webhooks.text.contains("class=\"spark\""), "{}", webhooks.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_receives_verifies_and_answers_as_it_is_told() {
    let world = World::with_local_receivers().await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    let empty = anna.get("/dashboard/try").await;
    assert!(empty.text.contains("Open an inbox"), "{}", empty.text);
    let opened = anna.post_and_follow("/dashboard/try/open", &[]).await;
    let url = opened.text.split("data-copy=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(url.starts_with(world.root()) && url.contains("/in/"), "{url}");
    anna.post_and_follow("/dashboard/try/subscribe", &[]).await;
    anna.post_and_follow("/dashboard/try/contact", &[]).await;
    eventually("it arrives", async || {
        let page = anna.get("/dashboard/try").await;
        (page.text.contains("contact.created") && page.text.contains("signature verified")).then_some(())
    })
    .await;

    let send = async |body: String| {
        world
            .http
            .post(&url)
            .header("webhook-id", "x")
            .header("webhook-timestamp", "1")
            .header("webhook-signature", "v1,AAAA")
            .body(body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(send("<script>alert(1)</script>".to_owned()).await, 200);
    let page = anna.get("/dashboard/try").await;
    assert!(page.text.contains("signature wrong") && !page.text.contains("<script>alert"), "{}", page.text);
    for (word, status) in [("error", 500), ("gone", 410), ("ok", 200)] {
        anna.post_and_follow("/dashboard/try/answer", &[("answer", word)]).await;
        assert_eq!(send(String::new()).await, status, "{word}");
    }
    for number in 0..101 {
        send(format!("number {number}.")).await;
    }
    let page = anna.get("/dashboard/try").await;
    assert!(page.text.contains("number 100.") && !page.text.contains("number 0."), "the newest 100 are kept");

    let other = world.add_company("Other").await;
    let stranger = Person::of(&world, other, Role::Admin).await;
    assert!(!stranger.get("/dashboard/try").await.text.contains("number 100."));
    let unknown = world.http.post(format!("{}/in/{}", world.root(), "0".repeat(32))).send().await.unwrap();
    assert_eq!(unknown.status(), 410);
    world.clock.advance(std::time::Duration::from_secs(8 * 24 * 60 * 60));
    assert_eq!(send(String::new()).await, 410, "it has expired");
}
