//! Subscriptions: how each does, and what can be done about it.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::deliveries::{self, Delivery};
use super::subscription::{Counted, Replay, SHOWN, Subscription, add_charts};
use super::{OK, encoded, or_why, said};
use crate::admin::users::Role;
use crate::dashboard::form::Sent;
use crate::dashboard::json::pretty;
use crate::dashboard::listing::{List, Wanted};
use crate::dashboard::page::{Listed, One, Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

const LIST: List<'_> = List { path: "/webhooks", filters: &["status"] };
const COLUMNS: [&str; 8] = [
    "subscription_id",
    "event_type",
    "target_url",
    "status",
    "status_reason",
    "ordering",
    "created_at",
    "delivery.last_success_at",
];
/// Events that wait are counted so far.
const COUNTED: usize = 200;

#[derive(Template)]
#[template(path = "webhooks.html")]
struct Webhooks {
    page: Page,
    found: Vec<Subscription>,
    wanted: Wanted,
    may: bool,
    said: Option<&'static str>,
    problem: Option<String>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn list(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let listed = async {
        let wanted = wanted.or("status", "all");
        let mut found = wanted.read(&dashboard, &signed_in, LIST).await?;
        add_charts(&dashboard, &signed_in, &mut found.rows).await?;
        let webhooks = Webhooks {
            page: signed_in.page("webhooks", signed_in.reader.texts().webhooks),
            may: may(&signed_in),
            said: said(&signed_in, wanted.get("done")),
            next: wanted.next(&found.meta),
            problem: found.problem,
            found: found.rows,
            wanted,
        };
        Ok(shown(OK, &webhooks))
    };
    or_why(&signed_in, listed.await)
}

pub(in crate::dashboard) async fn csv(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let wanted = wanted.or("status", "all");
    or_why(&signed_in, wanted.csv((&dashboard, &signed_in), LIST, ("webhooks", &COLUMNS)).await)
}

/// May the user change subscriptions?
pub(super) fn may(signed_in: &SignedIn) -> bool {
    signed_in.session.role == Role::Admin
}

/// What came of a test.
pub(super) struct Tested {
    good: bool,
    summary: String,
    sent: String,
    answered: String,
}

/// What is said on the page about what was just done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) said: Option<String>,
    pub(super) problem: Option<String>,
    /// Shown once.
    pub(super) secret: Option<String>,
    pub(super) tested: Option<Tested>,
    /// The event and the record of the test, to be sent again.
    pub(super) sample: Option<(String, String)>,
    /// The events that a replay would send, before it is begun.
    pub(super) counted: Option<Counted>,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct Webhook {
    page: Page,
    /// The event and the record that a test sends.
    sample: (String, String),
    subscription: Subscription,
    may: bool,
    done: Done,
    /// How many events wait, if any.
    waiting: Option<String>,
    replays: Vec<Replay>,
    found: Vec<Delivery>,
    states: [(&'static str, &'static str); 5],
    wanted: Wanted,
    problem: Option<String>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let done = Done { said: said(&signed_in, wanted.get("done")).map(str::to_owned), ..Done::default() };
    or_why(&signed_in, page(&dashboard, &signed_in, &id, wanted, done).await)
}

/// The page of a subscription.
pub(super) async fn page(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    id: &str,
    wanted: Wanted,
    done: Done,
) -> Result<Response, Failure> {
    let (whose, t) = (signed_in.whose(), signed_in.reader.texts());
    let path = format!("/webhooks/{}", encoded(id));
    let subscription: One<Subscription> = dashboard.inside.get(&whose, &path).await?;
    let waiting = match subscription.data.is_waiting() {
        true => Some(count_waiting(dashboard, signed_in, &path).await?),
        false => None,
    };
    let replays: Listed<Replay> = dashboard.inside.get(&whose, &format!("{path}/replays")).await?;
    let list = format!("{path}/deliveries");
    let list = List { path: &list, filters: deliveries::FILTERS };
    let found = wanted.read(dashboard, signed_in, list).await?;
    let sample = match done.sample.clone() {
        Some(sample) => sample,
        None => {
            let event = subscription.data.types().into_iter().next().unwrap_or_default();
            let record = sample(dashboard, signed_in, &event).await?;
            (event, record)
        }
    };
    let states = ["delivered", "waiting", "retrying", "undelivered", "skipped"];
    let webhook = Webhook {
        page: signed_in.page("webhooks", subscription.data.target_url.clone()),
        subscription: subscription.data,
        may: may(signed_in),
        done,
        sample,
        waiting,
        replays: replays.data.into_iter().take(SHOWN).collect(),
        next: wanted.next(&found.meta),
        problem: found.problem,
        found: found.rows,
        states: states.map(|state| (state, deliveries::state(state, t))),
        wanted,
    };
    Ok(shown(OK, &webhook))
}

async fn count_waiting(dashboard: &Dashboard, signed_in: &SignedIn, path: &str) -> Result<String, Failure> {
    let path = format!("{path}/deliveries?state=waiting&limit={COUNTED}");
    let found: Listed<IgnoredAny> = dashboard.inside.get(&signed_in.whose(), &path).await?;
    let more = if found.meta.next_cursor.is_some() { "+" } else { "" };
    Ok(format!("{}{more}", found.data.len()))
}

pub(in crate::dashboard) async fn deliveries_csv(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let path = format!("/webhooks/{}/deliveries", encoded(&id));
    let list = List { path: &path, filters: deliveries::FILTERS };
    let csv = wanted.csv((&dashboard, &signed_in), list, ("deliveries", &deliveries::COLUMNS));
    or_why(&signed_in, csv.await)
}

/// Pauses, resumes, skips, tests, rotates the secret or removes.
pub(in crate::dashboard) async fn act(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path((id, action)): Path<(String, String)>,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, perform(&dashboard, &signed_in, (&id, &action), &sent).await)
}

async fn perform(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    (id, action): (&str, &str),
    sent: &Sent,
) -> Result<Response, Failure> {
    let (whose, path) = (signed_in.whose(), format!("/webhooks/{}", encoded(id)));
    let change = |body: Value| (Method::PATCH, path.clone(), body);
    let (method, path, body) = match action {
        "pause" => change(json!({"is_active": false})),
        "resume" => change(json!({"is_active": true})),
        "skip" => change(json!({"resume": "now"})),
        "test" => {
            let Ok(data) = serde_json::from_str::<Value>(sent.get("data").map_or("{}", |data| data)) else {
                let problem = Some(signed_in.reader.texts().not_json.to_owned());
                let done = Done { problem, sample: sample_of(sent), ..Done::default() };
                return page(dashboard, signed_in, id, Wanted::default(), done).await;
            };
            (Method::POST, format!("{path}/test"), json!({"event": sent.get("event"), "data": data}))
        }
        "rotate" => (Method::POST, format!("{path}/rotate-secret"), json!({})),
        "delete" => (Method::DELETE, path, json!({})),
        _ => return Err(Failure::Gone(signed_in.reader.texts().not_found)),
    };
    let told = dashboard.inside.must(&whose, (method, &path), Some(&body)).await?;
    let data = &told.json["data"];
    let done = match action {
        "test" => Done { tested: Some(outcome(data)), sample: sample_of(sent), ..Done::default() },
        "rotate" => Done { secret: data["secret"].as_str().map(str::to_owned), ..Done::default() },
        "delete" => return Ok(Redirect::to(&format!("{BASE}/webhooks?done=deleted")).into_response()),
        _ => return Ok(Redirect::to(&format!("{BASE}/webhooks/{id}?done=saved")).into_response()),
    };
    page(dashboard, signed_in, id, Wanted::default(), done).await
}

/// What was sent in a test, to be changed and sent again.
fn sample_of(sent: &Sent) -> Option<(String, String)> {
    Some((sent.get("event")?.clone(), sent.get("data")?.clone()))
}

/// An invented record.
async fn sample(dashboard: &Dashboard, signed_in: &SignedIn, event: &str) -> Result<String, Failure> {
    let path = format!("/triggers/{}/sample", encoded(event));
    let record: Box<RawValue> = dashboard.inside.get(&signed_in.whose(), &path).await?;
    Ok(pretty(record.get()))
}

#[derive(Template)]
#[template(path = "sample.html")]
struct Sample {
    page: Page,
    record: String,
}

/// The record that a test of an event sends, to be changed before.
pub(in crate::dashboard) async fn show_sample(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let shown_as = async {
        let record = sample(&dashboard, &signed_in, wanted.get("event")).await?;
        Ok(shown(OK, &Sample { page: signed_in.page("webhooks", ""), record }))
    };
    or_why(&signed_in, shown_as.await)
}

fn outcome(result: &Value) -> Tested {
    let took = &result["duration_ms"];
    let summary = match (result["error"].as_str(), result["status"].as_u64()) {
        (None, Some(status)) => format!("{status} · {took} ms"),
        (error, _) => format!("{} · {took} ms", error.unwrap_or_default()),
    };
    let text = |message: &Value| {
        let deliveries::Message { headers, body } = deliveries::message(message);
        format!("{headers}\n{body}")
    };
    Tested {
        good: result["delivered"] == true,
        summary,
        sent: text(&result["request"]),
        answered: if result["response"].is_object() { text(&result["response"]) } else { String::new() },
    }
}
