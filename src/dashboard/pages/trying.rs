//! Trying webhooks out with an inbox of this server, and what to write to receive them elsewhere.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::json;

use super::subscription::Subscription;
use super::webhooks;
use super::{OK, may, or_why};
use crate::dashboard::docs::site;
use crate::dashboard::form::{self, Sent};
use crate::dashboard::inbox::{self, Answers, Inbox, Message};
use crate::dashboard::json::pretty;
use crate::dashboard::page::{Listed, Page, shown};
use crate::dashboard::texts::Texts;
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};
use crate::model::time::wire_time;
use crate::model::words::Words as _;
use crate::random;

/// Subscriptions among which that of the inbox is looked for, the newest.
const LOOKED_THROUGH: usize = 200;

#[derive(Template)]
#[template(path = "try.html")]
struct Try {
    page: Page,
    site: String,
    url: Option<String>,
    answers: Vec<(&'static str, &'static str, bool)>,
    subscription: Option<Subscription>,
    messages: Vec<Message>,
    may: bool,
    may_subscribe: bool,
    problem: Option<String>,
}

impl Message {
    fn time(&self) -> String {
        wire_time(self.at)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line = self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
        Some(line.trim())
    }

    fn body_text(&self) -> String {
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&self.body).is_ok();
        if is_json { pretty(&self.body) } else { self.body.clone() }
    }
}

fn answer_text(answers: Answers, t: &'static Texts) -> &'static str {
    match answers {
        Answers::Ok => t.answers_ok,
        Answers::Error => t.answers_error,
        Answers::Slow => t.answers_slow,
        Answers::Gone => t.answers_gone,
    }
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    headers: HeaderMap,
) -> Response {
    or_why(&signed_in, page(&dashboard, &signed_in, &headers, None).await)
}

fn url(site: &str, inbox: &Inbox) -> String {
    format!("{site}/in/{}", inbox.token)
}

async fn page(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    headers: &HeaderMap,
    problem: Option<String>,
) -> Result<Response, Failure> {
    let (pool, company, t) = (dashboard.pool(), signed_in.session.company, signed_in.reader.texts());
    let site = site(headers, None);
    let inbox = inbox::of(pool, company, dashboard.admin.clock.now()).await?;
    let url = inbox.as_ref().map(|inbox| url(&site, inbox));
    let path = format!("/webhooks?status=all&limit={LOOKED_THROUGH}");
    let found: Listed<Subscription> = dashboard.inside.get(&signed_in.whose(), &path).await?;
    let subscription =
        found.data.into_iter().find(|subscription| Some(&subscription.target_url) == url.as_ref());
    let now = inbox.as_ref().map_or(Answers::Ok, |inbox| inbox.answers);
    let answers = Answers::ALL.iter().map(|one| (one.word(), answer_text(*one, t), *one == now));
    let page = Try {
        page: signed_in.page("try", t.try_it),
        messages: if inbox.is_some() { inbox::messages(pool, company).await? } else { Vec::new() },
        site,
        url,
        answers: answers.collect(),
        subscription,
        may: may(signed_in),
        may_subscribe: webhooks::may(signed_in),
        problem,
    };
    Ok(shown(OK, &page))
}

/// Opens the inbox, subscribes it, says what it answers, empties it, or makes something happen.
pub(in crate::dashboard) async fn act(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(action): Path<String>,
    headers: HeaderMap,
    Form(sent): Form<Sent>,
) -> Response {
    let done = async {
        if !may(&signed_in) {
            return Err(Failure::Forbidden);
        }
        if let Some(problem) = perform(&dashboard, &signed_in, (&action, &headers), &sent).await? {
            return page(&dashboard, &signed_in, &headers, Some(problem)).await;
        }
        Ok(Redirect::to(&format!("{BASE}/try")).into_response())
    };
    or_why(&signed_in, done.await)
}

/// Answers what is wrong, if something is.
async fn perform(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    (action, headers): (&str, &HeaderMap),
    sent: &Sent,
) -> Result<Option<String>, Failure> {
    let (admin, company) = (&dashboard.admin, signed_in.session.company);
    let whose = signed_in.whose();
    match action {
        "open" => inbox::open(admin, company).await?,
        "answer" => {
            let answers = Answers::parse(&form::value(sent, "answer")).unwrap_or(Answers::Ok);
            inbox::answer(admin, company, answers).await?;
        }
        "empty" => inbox::empty(dashboard.pool(), company).await?,
        "subscribe" => {
            let Some(inbox) = inbox::of(dashboard.pool(), company, admin.clock.now()).await? else {
                return Ok(None);
            };
            let body = json!({"event": "*", "target_url": url(&site(headers, None), &inbox)});
            let request = (Method::POST, "/webhooks/subscribe");
            let told = dashboard.inside.call(&whose, request, Some(&body)).await?;
            if !told.status.is_success() {
                let why = told.field("target_url").unwrap_or(told.message()).to_owned();
                return Ok(Some(format!("{}: {why}", signed_in.reader.texts().url)));
            }
        }
        "contact" => {
            let number: [u8; 4] = random::bytes().map_err(crate::admin::Error::from)?;
            let number = u32::from_be_bytes(number) % 10_000_000;
            let body = json!({
                "name": "Jane Doe", "phoneNumber": format!("+1202{number:07}"),
                "email": "jane.doe@example.com", "tags": ["lead"],
            });
            dashboard.inside.must(&whose, (Method::POST, "/contacts"), Some(&body)).await?;
        }
        _ => return Err(Failure::Gone(signed_in.reader.texts().not_found)),
    }
    Ok(None)
}
