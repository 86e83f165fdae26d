//! What was delivered and what was not: one, and all that were not.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{OK, after, encoded, or_why, said};
use crate::admin::users::Role;
use crate::dashboard::page::{Listed, One, Page, shown};
use crate::dashboard::texts::Texts;
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

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

fn state(state: &str, t: &'static Texts) -> &'static str {
    match state {
        "delivered" => t.delivered,
        "retrying" => t.retrying,
        "undelivered" => t.not_delivered,
        "skipped" => t.skipped,
        _ => t.waiting,
    }
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Wanted {
    cursor: Option<String>,
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "undelivered.html")]
struct Undelivered {
    page: Page,
    found: Vec<Delivery>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn undelivered(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let listed = async {
        let cursor = after(wanted.cursor.as_deref());
        let path = format!("/webhooks/undelivered?limit=50{cursor}");
        let found: Listed<Delivery> = dashboard.inside.get(&signed_in.whose(), &path).await?;
        let page = signed_in.page("undelivered", signed_in.language.texts().undelivered);
        Ok(shown(OK, &Undelivered { page, found: found.data, next: found.meta.next_cursor }))
    };
    or_why(&signed_in, listed.await)
}

/// One attempt, as it is shown.
struct Attempt {
    title: String,
    at: String,
    duration_ms: i64,
    error: Option<String>,
    answer: Option<String>,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct Shown {
    page: Page,
    id: String,
    event: String,
    target_url: String,
    state: &'static str,
    tone: &'static str,
    may: bool,
    said: Option<&'static str>,
    attempts: Vec<Attempt>,
    request: String,
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
        let text = |name: &str| found.data[name].as_str().unwrap_or_default().to_owned();
        let (event, was) = (text("event"), text("state"));
        let attempts = found.data["history"].as_array().into_iter().flatten().map(attempt);
        let delivery = Shown {
            page: signed_in.page("undelivered", event.clone()),
            id: text("id"),
            target_url: text("target_url"),
            state: state(&was, signed_in.language.texts()),
            tone: tone(&was),
            // What is still to come needs no second way.
            may: signed_in.session.role == Role::Admin && !matches!(&*was, "waiting" | "retrying"),
            said: said(&signed_in, wanted.done.as_deref()),
            attempts: attempts.collect(),
            request: message(&found.data["request"]),
            event,
        };
        Ok(shown(OK, &delivery))
    };
    or_why(&signed_in, page.await)
}

fn attempt(attempt: &Value) -> Attempt {
    let status = attempt["status"].as_i64().map(|status| format!(" · {status}"));
    Attempt {
        title: format!("{}{}", attempt["attempt"], status.unwrap_or_default()),
        at: attempt["at"].as_str().unwrap_or_default().to_owned(),
        duration_ms: attempt["duration_ms"].as_i64().unwrap_or_default(),
        error: attempt["error"].as_str().map(str::to_owned),
        answer: attempt["response"].is_object().then(|| message(&attempt["response"])),
    }
}

/// Headers and body, as they go over the wire.
fn message(message: &Value) -> String {
    let headers = message["headers"].as_array().into_iter().flatten();
    let headers = headers.map(|header| {
        format!("{}: {}\n", header[0].as_str().unwrap_or_default(), header[1].as_str().unwrap_or_default())
    });
    format!("{}\n{}", headers.collect::<String>(), message["body"].as_str().unwrap_or_default())
}

pub(in crate::dashboard) async fn redeliver(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let done = async {
        let path = format!("/webhooks/deliveries/{}/redeliver", encoded(&id));
        let told = dashboard.inside.call(&signed_in.whose(), (Method::POST, &path), Some(&json!({}))).await?;
        if !told.status.is_success() {
            return Err(Failure::Told(told));
        }
        Ok(Redirect::to(&format!("{BASE}/deliveries/{id}?done=redelivered")).into_response())
    };
    or_why(&signed_in, done.await)
}
