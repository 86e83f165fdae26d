//! What was delivered and what was not: one, and all that were not.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{OK, encoded, may, or_why, said};
use crate::dashboard::json::pretty;
use crate::dashboard::listing::{List, Wanted};
use crate::dashboard::page::{Listed, One, Page, shown};
use crate::dashboard::texts::Texts;
use crate::dashboard::{BASE, Dashboard, SignedIn};
use crate::model::events::EventType;

/// What deliveries can be chosen by.
pub(super) const FILTERS: &[&str] = &["state", "eventType", "recordId", "since", "until"];
const LIST: List<'_> =
    List { path: "/webhooks/undelivered", filters: &["eventType", "recordId", "since", "until"] };
pub(super) const COLUMNS: [&str; 11] = [
    "id",
    "subscription_id",
    "target_url",
    "event",
    "event_id",
    "record_id",
    "occurred_at",
    "state",
    "attempts",
    "last_attempt_at",
    "last_error",
];
/// Deliveries that are sent again by one click; the next click sends the next ones.
const AT_ONCE: usize = 200;

/// A delivery in a list, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event: Option<String>,
    pub(super) record_id: Option<String>,
    #[serde(default)]
    pub(super) target_url: String,
    pub(super) state: String,
    pub(super) last_error: Option<String>,
    pub(super) attempts: i64,
    pub(super) occurred_at: Option<String>,
    pub(super) next_attempt_at: Option<String>,
}

impl Delivery {
    pub(super) fn tone(&self) -> &'static str {
        tone(&self.state)
    }

    pub(super) fn state_text(&self, t: &'static Texts) -> &'static str {
        state(&self.state, t)
    }
}

fn tone(state: &str) -> &'static str {
    match state {
        "delivered" => "good",
        "retrying" => "warn",
        "undelivered" => "bad",
        _ => "rest",
    }
}

/// The state, in words.
pub(super) fn state(state: &str, t: &'static Texts) -> &'static str {
    match state {
        "delivered" => t.delivered,
        "retrying" => t.retrying,
        "undelivered" => t.not_delivered,
        "skipped" => t.skipped,
        _ => t.waiting,
    }
}

#[derive(Template)]
#[template(path = "undelivered.html")]
struct Undelivered {
    page: Page,
    found: Vec<Delivery>,
    types: &'static [&'static str],
    wanted: Wanted,
    may: bool,
    said: Option<String>,
    problem: Option<String>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn undelivered(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let listed = async {
        let found = wanted.read(&dashboard, &signed_in, LIST).await?;
        let t = signed_in.reader.texts();
        let done = wanted.get("done");
        let again = done
            .parse()
            .ok()
            .map(|count: i64| format!("{} {}", signed_in.reader.language.number(&count), t.sent_again));
        let undelivered = Undelivered {
            page: signed_in.page("undelivered", t.undelivered),
            types: EventType::WORDS,
            may: may(&signed_in),
            said: again,
            next: wanted.next(&found.meta),
            problem: found.problem,
            found: found.rows,
            wanted,
        };
        Ok(shown(OK, &undelivered))
    };
    or_why(&signed_in, listed.await)
}

pub(in crate::dashboard) async fn csv(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    or_why(&signed_in, wanted.csv((&dashboard, &signed_in), LIST, ("undelivered", &COLUMNS)).await)
}

/// Sends again what matches, oldest last, so many at once. What is being sent leaves the list only when it
/// has arrived, so the next click begins behind it.
pub(in crate::dashboard) async fn redeliver_all(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let done = async {
        let whose = signed_in.whose();
        let path = wanted.api(LIST, AT_ONCE, Some(wanted.get("cursor")).filter(|cursor| !cursor.is_empty()));
        let found: Listed<Delivery> = dashboard.inside.get(&whose, &path).await?;
        // In the order in which they occurred.
        for delivery in found.data.iter().rev() {
            let path = format!("/webhooks/deliveries/{}/redeliver", encoded(&delivery.id));
            dashboard.inside.must(&whose, (Method::POST, &path), Some(&json!({}))).await?;
        }
        let next = wanted.next(&found.meta).unwrap_or_else(|| format!("?{}", wanted.same()));
        let then = format!("{BASE}/undelivered{next}&done={}", found.data.len());
        Ok(Redirect::to(&then).into_response())
    };
    or_why(&signed_in, done.await)
}

/// One attempt, as it is shown.
struct Attempt {
    number: i64,
    status: Option<i64>,
    at: String,
    duration_ms: i64,
    error: Option<String>,
    remote: Option<String>,
    replay: bool,
    answer: Option<Message>,
}

/// What was sent or answered.
pub(super) struct Message {
    pub(super) headers: String,
    pub(super) body: String,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct Shown {
    page: Page,
    id: String,
    event: String,
    event_id: String,
    subscription: String,
    target_url: String,
    state: &'static str,
    tone: &'static str,
    next_attempt_at: Option<String>,
    waits_behind: Option<String>,
    may: bool,
    said: Option<&'static str>,
    attempts: Vec<Attempt>,
    request: Message,
    curl: Option<String>,
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let page = async {
        let path = format!("/webhooks/deliveries/{}", encoded(&id));
        let found: One<Value> = dashboard.inside.get(&signed_in.whose(), &path).await?;
        let text = |name: &str| found.data[name].as_str().map(str::to_owned);
        let (event, was) = (text("event").unwrap_or_default(), text("state").unwrap_or_default());
        let attempts = found.data["history"].as_array().into_iter().flatten().map(attempt);
        let target_url = text("target_url").unwrap_or_default();
        let delivery = Shown {
            page: signed_in.page("webhooks", event.clone()),
            id: text("id").unwrap_or_default(),
            event_id: text("event_id").unwrap_or_default(),
            subscription: text("subscription_id").unwrap_or_default(),
            curl: curl(&target_url, &found.data["request"]),
            target_url,
            state: state(&was, signed_in.reader.texts()),
            tone: tone(&was),
            next_attempt_at: text("next_attempt_at"),
            waits_behind: text("waits_behind"),
            // What is still to come needs no second way.
            may: may(&signed_in) && !matches!(&*was, "waiting" | "retrying"),
            said: said(&signed_in, wanted.get("done")),
            attempts: attempts.collect(),
            request: message(&found.data["request"]),
            event,
        };
        Ok(shown(OK, &delivery))
    };
    or_why(&signed_in, page.await)
}

fn attempt(attempt: &Value) -> Attempt {
    let text = |name: &str| attempt[name].as_str().map(str::to_owned);
    Attempt {
        number: attempt["number"].as_i64().unwrap_or_default(),
        status: attempt["status"].as_i64(),
        at: text("at").unwrap_or_default(),
        duration_ms: attempt["duration_ms"].as_i64().unwrap_or_default(),
        error: text("error"),
        remote: text("remote_addr"),
        replay: attempt["cause"] == "replay",
        answer: attempt["response"].is_object().then(|| message(&attempt["response"])),
    }
}

fn headers(message: &Value) -> impl Iterator<Item = (&str, &str)> {
    let headers = message["headers"].as_array().into_iter().flatten();
    headers.map(|header| (header[0].as_str().unwrap_or_default(), header[1].as_str().unwrap_or_default()))
}

/// Headers and body, as people read them.
pub(super) fn message(message: &Value) -> Message {
    let body = message["body"].as_str().unwrap_or_default();
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(body).is_ok();
    Message {
        headers: headers(message).map(|(name, value)| format!("{name}: {value}\n")).collect(),
        body: if is_json { pretty(body) } else { body.to_owned() },
    }
}

/// The same request, for a shell.
fn curl(url: &str, request: &Value) -> Option<String> {
    let body = request["body"].as_str()?;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let sent = headers(request).filter(|(name, _)| {
        !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-length")
    });
    let headers: String =
        sent.map(|(name, value)| format!(" \\\n  -H {}", quoted(&format!("{name}: {value}")))).collect();
    Some(format!("curl -X POST {}{headers} \\\n  --data-raw {}", quoted(url), quoted(body)))
}

pub(in crate::dashboard) async fn redeliver(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let done = async {
        let path = format!("/webhooks/deliveries/{}/redeliver", encoded(&id));
        dashboard.inside.must(&signed_in.whose(), (Method::POST, &path), Some(&json!({}))).await?;
        Ok(Redirect::to(&format!("{BASE}/deliveries/{id}?done=redelivered")).into_response())
    };
    or_why(&signed_in, done.await)
}
