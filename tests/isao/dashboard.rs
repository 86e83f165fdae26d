//! The dashboard: who gets in, what they see and change, and what nobody may.

mod pages;
mod people;

use std::time::Duration;

use isao::admin::companies::Company;
use isao::admin::users::{self, Link, Role};
use isao::admin::{Admin, passwords};
use isao::model::ids::{CompanyId, Ids};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, RequestBuilder, redirect};
use serde_json::json;

use crate::support::{Answer, Receiver, World};

/// Somebody with a browser.
struct Person<'a> {
    world: &'a World,
    http: reqwest::Client,
    cookie: String,
}

fn admin(world: &World) -> Admin {
    Admin { pool: world.pool.clone(), clock: world.clock.clone(), ids: Ids::default() }
}

async fn link(world: &World, company: CompanyId, role: Role, kind: Link) -> String {
    let admin = admin(world);
    let name = if company == world.company { "acme" } else { "other" };
    let company = Company { id: company, name: name.to_owned(), created_at: world.clock.now() };
    let email = format!("{}@{name}.example", role.word());
    let user = users::create(&admin, &company, (&email, "Anna"), role).await.unwrap();
    let mut connection = world.pool.acquire().await.unwrap();
    users::link(&mut connection, &admin, user, (kind, Duration::from_secs(3600))).await.unwrap()
}

/// A form as browsers send it.
fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

impl<'a> Person<'a> {
    fn stranger(world: &'a World) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        Self { world, http, cookie: String::new() }
    }

    /// Somebody who signed in by a link.
    async fn of(world: &'a World, company: CompanyId, role: Role) -> Self {
        let mut person = Self::stranger(world);
        let link = link(world, company, role, Link::SignIn).await;
        let answer = person.get(&format!("/dashboard/sign-in/{link}")).await;
        assert_eq!((answer.status, answer.header(LOCATION.as_str())), (303, "/dashboard"));
        let cookie = answer.header(SET_COOKIE.as_str());
        assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
        person.cookie = cookie.split(';').next().unwrap().to_owned();
        let again = person.get(&format!("/dashboard/sign-in/{link}")).await;
        assert_eq!(again.status, 404, "a link works once");
        person
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.world.root()));
        request.header(COOKIE, &self.cookie).header("accept-language", "en")
    }

    async fn get(&self, path: &str) -> Answer {
        self.world.send(self.request(Method::GET, path)).await
    }

    /// Sends a form of our own page.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.request(Method::POST, path).header("sec-fetch-site", "same-origin");
        self.world.send(form(request, fields)).await
    }

    /// Sends a form, and opens the page that it leads to.
    async fn post_and_follow(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.post(path, fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        self.get(answer.header(LOCATION.as_str())).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_to_whoever_is_not_signed_in() {
    let world = World::new().await;
    let mut person = Person::stranger(&world);
    for path in ["/dashboard", "/dashboard/contacts?search=x", "/dashboard/settings/api-keys"] {
        let answer = person.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header(LOCATION.as_str()).starts_with("/dashboard/sign-in?to=%2Fdashboard"), "{path}");
    }
    person.cookie = format!("isao_session={}", "0".repeat(64));
    assert_eq!(person.get("/dashboard").await.status, 303);
    assert_eq!(person.get("/").await.header(LOCATION.as_str()), "/dashboard");
    let page = person.get("/dashboard/sign-in").await;
    assert_eq!(page.status, 200);
    for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
        assert_eq!(page.header(name), value);
    }
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(!page.text.contains("style=") && !page.text.contains("onclick"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_chosen_by_a_link_and_lets_its_owner_in() {
    let world = World::new().await;
    let link = link(&world, world.company, Role::Admin, Link::Password).await;
    let person = Person::stranger(&world);
    let path = format!("/dashboard/password/{link}");
    assert_eq!(person.get(&path).await.status, 200);
    let short = person.post(&path, &[("password", "short")]).await;
    assert!(short.status == 422 && short.text.contains("at least 10 characters"), "{}", short.text);
    let chosen = person.post(&path, &[("password", "correct horse")]).await;
    assert_eq!((chosen.status, chosen.header(LOCATION.as_str())), (303, "/dashboard"));
    assert_eq!(person.get(&path).await.status, 404, "it works once");

    let sign_in = async |email: &str, password: &str| {
        let fields = [("email", email), ("password", password), ("to", "//evil.example/")];
        person.post("/dashboard/sign-in", &fields).await
    };
    let good = sign_in(" ADMIN@acme.example", "correct horse").await;
    assert_eq!((good.status, good.header(LOCATION.as_str())), (303, "/dashboard"), "only to a page of ours");
    let (wrong, unknown) =
        (sign_in("admin@acme.example", "wrong horse").await, sign_in("x@y", "wrong").await);
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(
        wrong.text.replace("admin@acme.example", "x@y"),
        unknown.text,
        "nobody learns who has an account"
    );
    for _ in 0..4 {
        assert_eq!(sign_in("admin@acme.example", "wrong horse").await.status, 401);
    }
    assert_eq!(sign_in("admin@acme.example", "correct horse").await.status, 429);
    world.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(sign_in("admin@acme.example", "correct horse").await.status, 303);
    assert!(passwords::refusal("correct horse").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_made_changed_and_deleted_on_pages_and_its_events_say_so() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let wanted = json!({"event": "contact.*", "target_url": receiver.url("/"), "include": ["actor"]});
    world.post("/webhooks/subscribe", wanted).await.data(201);
    let anna = Person::of(&world, world.company, Role::Admin).await;
    let wrong = anna.post("/dashboard/contacts", &[("name", "<b>Jane</b>"), ("phoneNumber", "x")]).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("must be a phone number") && wrong.text.contains("aria-invalid"),
        "{}",
        wrong.text
    );
    assert!(wrong.text.contains("&#60;b&#62;Jane") && !wrong.text.contains("<b>Jane"), "{}", wrong.text);
    let fields =
        [("name", "Jane Doe"), ("phoneNumber", "+33100000001"), ("tags", "lead, vip"), ("email", "")];
    let made = anna.post_and_follow("/dashboard/contacts", &fields).await;
    assert!(made.text.contains("Saved.") && made.text.contains(r#"value="lead, vip""#), "{}", made.text);
    let twin = anna.post("/dashboard/contacts", &fields).await;
    assert_eq!(twin.status, 409);
    let listed = world.get("/contacts").await.data(200);
    let id = listed[0]["id"].as_str().unwrap();
    let found = anna.get("/dashboard/contacts?search=jane").await;
    assert!(found.text.contains(id) && found.text.contains("Jane Doe"));
    assert!(anna.get("/dashboard/contacts?search=nobody").await.text.contains("Nothing matches."));
    let path = format!("/dashboard/contacts/{id}");
    let changed = [("name", "Jane Roe"), ("phoneNumber", "+33100000001"), ("city", "Paris")];
    assert!(anna.post_and_follow(&path, &changed).await.text.contains("Jane Roe"));
    assert!(anna.post_and_follow(&format!("{path}/delete"), &[]).await.text.contains("Deleted."));
    assert_eq!(anna.get(&path).await.status, 404);
    let events = receiver.expect(3).await;
    for (event, wanted) in events.iter().zip(["contact.created", "contact.updated", "contact.deleted"]) {
        let event = event.json();
        assert_eq!(
            (&event["event"], &event["metadata"]["source"]),
            (&json!(wanted), &json!("ui")),
            "{event}"
        );
        assert_eq!(event["metadata"]["actor"]["type"], "user");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_change_nothing() {
    let world = World::new().await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    let before = world.everything_written().await;
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("x-none", "")]
    {
        let fields = [("name", "Jane"), ("phoneNumber", "+33100000001")];
        let request = anna.request(Method::POST, "/dashboard/contacts").header(name, value);
        let request = form(request, &fields);
        assert_eq!(world.send(request).await.status, 403, "{name}");
    }
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_and_a_company_are_the_bounds_of_what_somebody_may() {
    let world = World::new().await;
    let contact = world.contact("Jane", "+33100000001").await;
    let subscription = world.subscribe("contact.created", "http://127.0.0.1:9/").await;
    let (contact, subscription) = (contact["id"].as_str().unwrap(), subscription["id"].as_str().unwrap());
    let looks = Person::of(&world, world.company, Role::ReadOnly).await;
    assert_eq!(looks.get(&format!("/dashboard/contacts/{contact}")).await.status, 200);
    let fields = [("name", "Jane"), ("phoneNumber", "+33100000002")];
    assert_eq!(looks.post("/dashboard/contacts", &fields).await.status, 403);
    assert_eq!(looks.post(&format!("/dashboard/contacts/{contact}/delete"), &[]).await.status, 403);
    assert_eq!(looks.post(&format!("/dashboard/webhooks/{subscription}/pause"), &[]).await.status, 403);
    assert_eq!(looks.get("/dashboard/settings/api-keys").await.status, 403);
    assert_eq!(
        looks.post("/dashboard/settings/api-keys", &[("name", "x"), ("kind", "generic")]).await.status,
        403
    );

    let other = world.add_company("Other").await;
    let stranger = Person::of(&world, other, Role::Admin).await;
    for path in [format!("/contacts/{contact}"), format!("/webhooks/{subscription}")] {
        assert_eq!(stranger.get(&format!("/dashboard{path}")).await.status, 404, "{path}");
    }
    for path in ["", "/contacts", "/webhooks", "/undelivered", "/settings/api-keys"] {
        let page = stranger.get(&format!("/dashboard{path}")).await;
        assert!(
            page.status == 200 && !page.text.contains("Jane") && !page.text.contains("127.0.0.1:9"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_seen_once_works_and_is_revoked_and_the_audit_log_knows() {
    let world = World::new().await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    let incomplete = anna.post("/dashboard/settings/api-keys", &[("name", "zap"), ("kind", "zapier")]).await;
    assert_eq!(incomplete.status, 422, "a key that may do nothing");
    let fields = [("name", "zap"), ("kind", "zapier"), ("permissions", "contacts:write")];
    let made = anna.post("/dashboard/settings/api-keys", &fields).await;
    let key = made.text.split("class=\"key\">").nth(1).unwrap().split('<').next().unwrap();
    assert!(key.starts_with("zap_") && !anna.get("/dashboard/settings/api-keys").await.text.contains(key));
    let test = async || world.send(world.http.get(world.url("/test")).bearer_auth(key)).await.status;
    assert_eq!(test().await, 200);
    let revoke = made.text.split("/revoke").find(|part| part.contains("zap_…")).unwrap();
    let revoke = format!("{}/revoke", revoke.rsplit("action=\"").next().unwrap());
    // Another company's administrator cannot.
    let other = world.add_company("Other").await;
    let stranger = Person::of(&world, other, Role::Admin).await;
    assert_eq!(stranger.post(&revoke, &[]).await.status, 404);
    assert_eq!(test().await, 200);
    anna.post_and_follow(&revoke, &[]).await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(test().await, 401);
    let noted: Vec<(String, String)> = sqlx::query_as("SELECT action, actor_name FROM audit_log ORDER BY id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    let by = "admin@acme.example".to_owned();
    assert_eq!(noted, [("key.created".to_owned(), by.clone()), ("key.revoked".to_owned(), by)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_somebody_leaves_and_by_itself() {
    let world = World::new().await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    world.clock.advance(Duration::from_secs(23 * 60 * 60));
    assert_eq!(anna.get("/dashboard").await.status, 200);
    world.clock.advance(Duration::from_secs(23 * 60 * 60));
    assert_eq!(anna.get("/dashboard").await.status, 200, "it was in use");
    world.clock.advance(Duration::from_secs(25 * 60 * 60));
    assert_eq!(anna.get("/dashboard").await.status, 303);
    let ben = Person::of(&world, world.company, Role::Member).await;
    ben.post("/dashboard/sign-out", &[]).await;
    assert_eq!(ben.get("/dashboard").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_webhook_is_seen_and_tried_again_from_its_page() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let subscription = world.subscribe("contact.created", &receiver.url("/<i>")).await;
    world.contact("Jane", "+33100000001").await;
    receiver.expect(1).await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    let path = format!("/dashboard/webhooks/{}", subscription["id"].as_str().unwrap());
    let page = crate::support::eventually("the delivery is recorded", async || {
        let page = anna.get(&path).await;
        page.text.contains(">delivered<").then_some(page)
    })
    .await;
    assert!(!page.text.contains("<i>"), "what others wrote is text");
    let tested = anna.post(&format!("{path}/test"), &[("event", "contact.created")]).await;
    assert!(tested.text.contains("200 · "), "{}", tested.text);
    assert!(anna.post_and_follow(&format!("{path}/pause"), &[]).await.text.contains(">paused<"));
    assert!(anna.post_and_follow(&format!("{path}/resume"), &[]).await.text.contains(">active<"));
    let delivery = page.text.split("/dashboard/deliveries/").nth(1).unwrap().split('"').next().unwrap();
    let shown = anna.get(&format!("/dashboard/deliveries/{delivery}")).await;
    assert!(shown.text.contains("webhook-signature") && shown.text.contains("Jane"), "{}", shown.text);
    anna.post_and_follow(&format!("/dashboard/deliveries/{delivery}/redeliver"), &[]).await;
    receiver.expect(3).await;
}
