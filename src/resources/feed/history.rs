//! The log for people who look at it: what happened last, and one event.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Api, decode, encode, parse_types, raw};
use crate::http::allowed::{Allowed, WebhooksRead};
use crate::http::answer::{self, Answered};
use crate::http::error::ApiError;
use crate::http::id::{Id, not_found};
use crate::http::openapi::ReadErrors;
use crate::http::paging::{Continued, DEFAULT_LIMIT, MAX_LIMIT};
use crate::http::query::{self, Query};
use crate::log::{history, read, seek};
use crate::model::event_schema::AnyEvent;
use crate::model::ids::{ContactId, DealId, EventId};

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Return only events of these types, separated by commas: `contact.created,deal.*`.
    #[param(format = "event-types")]
    types: Option<String>,
    /// Return only events about this contact or deal.
    #[param(format = "record-id")]
    record_id: Option<String>,
    /// Return only events at this time or later (ISO 8601).
    #[param(format = "date-time")]
    since: Option<String>,
    /// Return only events before this time (ISO 8601).
    #[param(format = "date-time")]
    until: Option<String>,
    /// The most events on a page, 1–200; 50 by default.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `meta.nextCursor` of the previous page.
    #[param(format = "cursor")]
    cursor: Option<String>,
}

/// List the newest events
///
/// Lists the company's events, newest first, to look at what happened. To keep in step with the company,
/// use `GET /events`, which leaves out nothing.
#[utoipa::path(get, path = "/events/history", operation_id = "listNewestEvents", tag = "Events", params(HistoryQuery),
    responses((status = 200, description = "A page of events", body = Continued<AnyEvent>), ReadErrors))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    Query(wanted): Query<HistoryQuery>,
) -> Result<Response, ApiError> {
    let types = parse_types(wanted.types)?;
    let record = query::text(wanted.record_id).map(|id| parse_record(&id)).transpose()?;
    let since = query::time("since", wanted.since)?;
    let until = query::time("until", wanted.until)?;
    let limit = query::number("limit", wanted.limit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let cursor = query::text(wanted.cursor).map(|cursor| {
        decode(&cursor).ok_or_else(|| {
            ApiError::invalid_query("cursor", "must be the `meta.nextCursor` of an earlier answer")
        })
    });
    let cursor = cursor.transpose()?;
    let reads = api.reads.of(caller.company()).await?;
    if let Some(cursor) = cursor
        && cursor > read::end(&reads).await?.seq
    {
        let other =
            "is a cursor beyond the end of the log, so it comes from another database; begin without it";
        return Err(ApiError::invalid_query("cursor", other));
    }
    let after = match since {
        Some(since) => seek::before(&reads, since).await?,
        None => 0,
    };
    let before = match until {
        Some(until) => seek::before(&reads, until).await?.saturating_add(1),
        None => i64::MAX,
    };
    let shown = usize::try_from(limit).unwrap_or_default();
    // One more than shown, to know if there are more.
    let place = (after, before.min(cursor.unwrap_or(i64::MAX)));
    let mut events = history::newest(&reads, caller.company(), (types, record), place, shown + 1).await?;
    let more = events.len() > shown;
    events.truncate(shown);
    let next = events.last().filter(|_| more).map(|last| encode(last.seq));
    let data = events.iter().map(|event| raw(event)).collect::<Result<Vec<Box<RawValue>>, _>>()?;
    Ok(answer::json(StatusCode::OK, &Continued::new(data, limit, next)))
}

fn parse_record(id: &str) -> Result<Uuid, ApiError> {
    let contact = ContactId::parse(id).map(|id| id.0);
    contact
        .or_else(|| DealId::parse(id).map(|id| id.0))
        .ok_or_else(|| ApiError::invalid_query("recordId", "must be an id like `contact_…` or `deal_…`"))
}

/// Show an event
///
/// Shows an event by its `eventId`, which is also the `webhook-id` of its deliveries.
#[utoipa::path(get, path = "/events/{id}", operation_id = "getEvent", tag = "Events", params(Id<EventId>),
    responses((status = 200, description = "The event", body = Answered<AnyEvent>), ReadErrors))]
pub(super) async fn show(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    Id(id): Id<EventId>,
) -> Result<Response, ApiError> {
    let reads = api.reads.of(caller.company()).await?;
    let event = history::by_id(&reads, caller.company(), id).await?.ok_or_else(not_found::<EventId>)?;
    Ok(answer::json(StatusCode::OK, &answer::data(raw(&event)?)))
}
