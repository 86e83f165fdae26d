//! What happened, and who got to know of it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::Value;

use super::deliveries::Delivery;
use super::{OK, encoded, or_why};
use crate::dashboard::json::pretty;
use crate::dashboard::listing::{List, Wanted};
use crate::dashboard::page::{Listed, One, Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};
use crate::model::events::EventType;

const LIST: List<'_> = List { path: "/events/history", filters: &["types", "recordId", "since", "until"] };
const COLUMNS: [&str; 6] = ["metadata.eventId", "event", "timestamp", "data.id", "metadata.source", "data"];
/// Events that are shown with a record.
const OF_RECORD: usize = 20;

/// An event in a list, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) event: String,
    pub(super) timestamp: String,
    data: Value,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    event_id: String,
    source: String,
}

impl Event {
    pub(super) fn id(&self) -> &str {
        &self.metadata.event_id
    }

    pub(super) fn source(&self) -> &str {
        &self.metadata.source
    }

    /// What people call the record.
    pub(super) fn name(&self) -> &str {
        self.data["name"].as_str().or(self.data["title"].as_str()).unwrap_or_default()
    }

    fn record(&self) -> &str {
        self.data["id"].as_str().unwrap_or_default()
    }

    /// The page of the record.
    pub(super) fn record_path(&self) -> String {
        let list = if self.event.starts_with("deal.") { "deals" } else { "contacts" };
        format!("{BASE}/{list}/{}", self.record())
    }
}

/// The newest events of a record.
pub(super) async fn of_record(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    id: &str,
) -> Result<Vec<Event>, Failure> {
    let path = format!("{}?limit={OF_RECORD}&recordId={}", LIST.path, encoded(id));
    Ok(dashboard.inside.get::<Listed<Event>>(&signed_in.whose(), &path).await?.data)
}

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    page: Page,
    found: Vec<Event>,
    types: &'static [&'static str],
    wanted: Wanted,
    problem: Option<String>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn list(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    // An event's id, as receivers know it, leads to the event.
    if wanted.get("recordId").starts_with("event_") {
        return Redirect::to(&format!("{BASE}/events/{}", encoded(wanted.get("recordId")))).into_response();
    }
    let listed = async {
        let found = wanted.read(&dashboard, &signed_in, LIST).await?;
        let events = Events {
            page: signed_in.page("events", signed_in.reader.texts().events),
            types: EventType::WORDS,
            next: wanted.next(&found.meta),
            problem: found.problem,
            found: found.rows,
            wanted,
        };
        Ok(shown(OK, &events))
    };
    or_why(&signed_in, listed.await)
}

pub(in crate::dashboard) async fn csv(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    or_why(&signed_in, wanted.csv((&dashboard, &signed_in), LIST, ("events", &COLUMNS)).await)
}

#[derive(Template)]
#[template(path = "event.html")]
struct Shown {
    page: Page,
    event: Event,
    payload: String,
    found: Vec<Delivery>,
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let page = async {
        let path = format!("/events/{}", encoded(&id));
        let whose = signed_in.whose();
        let payload: One<Box<serde_json::value::RawValue>> = match dashboard.inside.get(&whose, &path).await {
            // It was there, and is no longer kept.
            Err(Failure::Told(told)) if told.status == StatusCode::NOT_FOUND => {
                return Err(Failure::Gone(signed_in.reader.texts().event_gone));
            }
            other => other?,
        };
        let found: Listed<Delivery> = dashboard.inside.get(&whose, &format!("{path}/deliveries")).await?;
        let event: Event = serde_json::from_str(payload.data.get())?;
        let shown_as = Shown {
            page: signed_in.page("events", event.event.clone()),
            payload: pretty(payload.data.get()),
            event,
            found: found.data,
        };
        Ok(shown(OK, &shown_as))
    };
    or_why(&signed_in, page.await)
}
