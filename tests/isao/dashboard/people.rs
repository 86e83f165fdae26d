//! Users, roles, passwords and sessions.

use isao::admin::users::Link;
use reqwest::Method;
use reqwest::header::{LOCATION, SET_COOKIE};

use super::{Person, Role, form, link};
use crate::support::World;

/// The action of the form of somebody on the users' page.
fn action(page: &str, email: &str, verb: &str) -> String {
    let row = page.split("<tr>").skip(1).find(|row| row.contains(email)).unwrap();
    let end = format!("/{verb}\"");
    let before = row.split(&end).next().unwrap();
    format!("{}/{verb}", before.rsplit("action=\"").next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_invited_gets_another_role_and_is_sent_away() {
    let world = World::new().await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    let fields = [("name", "Ben"), ("email", "ben@x.example"), ("role", "read_only")];
    let invited = anna.post("/dashboard/settings/users", &fields).await;
    assert_eq!(invited.status, 200);
    let link = invited.text.split("/dashboard/password/").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(anna.post("/dashboard/settings/users", &fields).await.status, 409, "he works here already");
    let incomplete = [("name", ""), ("email", "x"), ("role", "admin")];
    assert_eq!(anna.post("/dashboard/settings/users", &incomplete).await.status, 422);

    let mut ben = Person::stranger(&world);
    let path = format!("/dashboard/password/{link}");
    let chosen = ben.post(&path, &[("password", "correct horse")]).await;
    ben.cookie = chosen.header(SET_COOKIE.as_str()).split(';').next().unwrap().to_owned();
    assert_eq!(ben.get("/dashboard").await.status, 200);
    assert_eq!(ben.get("/dashboard/settings/users").await.status, 403);
    let role = action(&invited.text, "ben@x.example", "role");
    assert_eq!(ben.post(&role, &[("role", "admin")]).await.status, 403);
    anna.post_and_follow(&role, &[("role", "admin")]).await;
    let page = ben.get("/dashboard/settings/users").await;
    assert_eq!(page.status, 200, "a role counts at once");

    let remove = action(&page.text, "admin@acme.example", "remove");
    assert_eq!(ben.post(&remove, &[]).await.status, 303);
    assert_eq!(anna.get("/dashboard").await.status, 303, "she is out at once");
    let last = action(&page.text, "ben@x.example", "remove");
    let refused = ben.post(&last, &[]).await;
    assert!(refused.status == 409 && refused.text.contains("at least one administrator"), "{}", refused.text);
    let log = ben.get("/dashboard/settings/audit-log").await;
    for action in ["user.invited", "user.role_changed", "user.removed"] {
        assert!(log.text.contains(action), "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_companys_users_are_out_of_reach() {
    let world = World::new().await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    let page = anna.get("/dashboard/settings/users").await;
    let other = world.add_company("Other").await;
    let stranger = Person::of(&world, other, Role::Admin).await;
    for verb in ["role", "link", "remove"] {
        let action = action(&page.text, "admin@acme.example", verb);
        assert_eq!(stranger.post(&action, &[("role", "read_only")]).await.status, 404, "{verb}");
    }
    assert_eq!(anna.get("/dashboard/settings/users").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_by_whoever_knows_it_and_ends_the_other_sessions() {
    let world = World::new().await;
    let secret = link(&world, world.company, Role::Admin, Link::Password).await;
    let sign_in = async |password: &str| {
        let mut person = Person::stranger(&world);
        let fields = [("email", "admin@acme.example"), ("password", password)];
        let answer = person.post("/dashboard/sign-in", &fields).await;
        person.cookie = answer.header(SET_COOKIE.as_str()).split(';').next().unwrap().to_owned();
        (answer.status, person)
    };
    let path = format!("/dashboard/password/{secret}");
    Person::stranger(&world).post(&path, &[("password", "correct horse")]).await;
    let (_, here) = sign_in("correct horse").await;
    let (_, there) = sign_in("correct horse").await;
    let change = async |old: &str, new: &str| {
        here.post("/dashboard/account/password", &[("old", old), ("password", new)]).await.status
    };
    assert_eq!(change("wrong horse", "another horse").await, 422);
    assert_eq!(change("correct horse", "short").await, 422);
    assert_eq!(there.get("/dashboard").await.status, 200);
    assert_eq!(change("correct horse", "another horse").await, 303);
    assert_eq!((here.get("/dashboard").await.status, there.get("/dashboard").await.status), (200, 303));
    let (status, second) = sign_in("another horse").await;
    assert_eq!(status, 303);
    let account = here.get("/dashboard/account").await;
    assert_eq!(
        account.text.matches("/dashboard/account/sessions/").count(),
        2,
        "the other one, and all others"
    );
    here.post_and_follow("/dashboard/account/sessions/others/end", &[]).await;
    assert_eq!((here.get("/dashboard").await.status, second.get("/dashboard").await.status), (200, 303));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_is_kept_with_the_user_and_a_form_leads_back_only_to_a_page_of_ours() {
    let world = World::new().await;
    let anna = Person::of(&world, world.company, Role::Admin).await;
    assert!(anna.get("/dashboard").await.text.contains("<html lang=\"en\""));
    for (referer, back) in [
        (format!("{}/dashboard/contacts?search=x", world.root()), "/dashboard/contacts?search=x"),
        ("https://evil.example//evil.example/".to_owned(), "/dashboard"),
    ] {
        let request = anna.request(Method::POST, "/dashboard/look").header("sec-fetch-site", "same-origin");
        let request = form(request.header("referer", referer), &[("language", "fr"), ("theme", "dark")]);
        let answer = world.send(request).await;
        assert_eq!((answer.status, answer.header(LOCATION.as_str())), (303, back));
    }
    // Another browser of hers, which asks for English, has her language.
    let page = anna.get("/dashboard").await;
    assert!(page.text.contains("<html lang=\"fr\"") && page.text.contains("Aperçu"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sends_again_what_was_not_delivered_and_changes_no_webhook() {
    let world = World::with_local_receivers().await;
    let receiver = crate::support::Receiver::start().await;
    let hook =
        world.subscribe("contact.created", &receiver.url("/")).await["id"].as_str().unwrap().to_owned();
    world.contact("Jane", "+33100000001").await;
    receiver.expect(1).await;
    let path = format!("/webhooks/{hook}/deliveries?state=delivered");
    let delivery = crate::support::eventually("it is recorded", async || {
        world.get(&path).await.data(200)[0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let path = format!("/dashboard/deliveries/{delivery}/redeliver");
    let looks = Person::of(&world, world.company, Role::ReadOnly).await;
    assert_eq!(looks.post(&path, &[]).await.status, 403);
    let member = Person::of(&world, world.company, Role::Member).await;
    assert_eq!(member.post(&path, &[]).await.status, 303);
    receiver.expect(2).await;
    assert_eq!(member.post(&format!("/dashboard/webhooks/{hook}/pause"), &[]).await.status, 403);
    assert_eq!(member.get("/dashboard/webhooks/new").await.status, 403);
}
