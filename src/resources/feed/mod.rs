//! The change feed: a company's log, to be read page by page or followed as it grows.
//!
//! A cursor is a place in the log. Numbers of the log are commit order, so what comes
//! after a cursor never comes before it later: reading on from `nextCursor`, or from the
//! `id` of the last event of a stream, meets every event once, in order.

mod history;
mod stream;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::http::allowed::{Allowed, WebhooksRead};
use crate::http::answer;
use crate::http::error::{ApiError, Code, ErrorBody};
use crate::http::openapi::ReadErrors;
use crate::http::query::{self, Query};
use crate::log::read::{self, End, Page};
use crate::log::seek;
use crate::model::event_schema::AnyEvent;
use crate::model::events::{Event, EventSelection, EventTypes, Include};
use crate::model::ids::CompanyId;

pub use stream::Streams;

/// Events on a page, unless asked otherwise.
const DEFAULT_LIMIT: i64 = 100;
/// Events on a page at most.
const MAX_LIMIT: i64 = 200;
/// Seconds after which to ask a server again that does not understand the next events.
const NOT_UNDERSTOOD_RETRY: u64 = 30;
/// As a cursor: the end of the log.
const NOW: &str = "now";

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(stream::follow))
        .routes(routes!(history::list))
        .routes(routes!(history::show))
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// At the oldest event that is kept.
    Oldest,
    /// After the event with this number.
    After(i64),
    /// At the first event of this time or later.
    Since(DateTime<Utc>),
    /// At the end of the log.
    Now,
}

impl Start {
    /// Reads the parameter or header that has this name.
    fn parse(name: &str, text: &str) -> Result<Self, ApiError> {
        if text == NOW {
            return Ok(Self::Now);
        }
        decode(text).map(Self::After).ok_or_else(|| {
            ApiError::invalid_query(
                name,
                "must be `now`, the `meta.nextCursor` of an earlier answer, or the `id` of an event of the stream",
            )
        })
    }

    /// Reads the parameter `since`, for whoever gives no cursor.
    fn since(since: Option<String>, otherwise: Self) -> Result<Self, ApiError> {
        Ok(query::time("since", since)?.map_or(otherwise, Self::Since))
    }

    /// The number after which to begin, and the end of the log. The end is looked up before
    /// anything is read: all events up to it are there.
    async fn locate(self, pool: &PgPool) -> Result<(i64, i64), ApiError> {
        let asked = match self {
            Self::Oldest | Self::Now | Self::Since(_) => 0,
            Self::After(position) => position,
        };
        let (end, kept) = read::end_and_kept(pool, asked).await?;
        match self {
            Self::Oldest => Ok((0, end.seq)),
            Self::Now => Ok((end.seq, end.seq)),
            // Where all events are earlier, it is the end of a log that may have grown meanwhile.
            Self::Since(time) => Ok((seek::before(pool, time).await?.min(end.seq), end.seq)),
            Self::After(position) if position >= end.seq && end.unknown.is_some() => {
                Err(not_understood(&end))
            }
            Self::After(position) if position > end.seq => Err(ApiError::invalid_query(
                "after",
                "is a cursor beyond the end of the log, so it comes from another database; begin without it",
            )),
            Self::After(_) if !kept => Err(expired()),
            Self::After(position) => Ok((position, end.seq)),
        }
    }
}

fn expired() -> ApiError {
    ApiError::new(
        Code::CursorExpired,
        "Cursor expired",
        "What came after this cursor is no longer kept. Begin at the oldest event that is (GET /events without `after`), and read the records themselves for what is missing",
    )
}

fn not_understood(end: &End) -> ApiError {
    let unknown = end.unknown.as_deref().unwrap_or_default();
    ApiError::new(
        Code::Overloaded,
        "This server is too old for the next events",
        format!("A newer server writes events of the type `{unknown}`, which this one does not know. Nothing is lost; ask a server of the newer version, or try again when this one is upgraded"),
    )
    .retry_after(NOT_UNDERSTOOD_RETRY)
}

/// Reads a page of a company's events after `position`, up to `end`, of which nothing is missing:
/// neither what the retention dropped meanwhile nor what this version does not understand.
async fn read_page(
    pool: &PgPool,
    (company, types): (CompanyId, EventTypes),
    (position, end): (i64, i64),
    limit: usize,
) -> Result<Page, ApiError> {
    let page = read::of_types(pool, company, types, (position, end), limit).await?;
    let (end, kept) = read::end_and_kept(pool, position).await?;
    if !kept && position > 0 {
        return Err(expired());
    }
    let Page { mut events, read_to } = page;
    events.retain(|event| event.seq <= end.seq);
    if end.unknown.is_some() && position >= end.seq {
        return Err(not_understood(&end));
    }
    Ok(Page { events, read_to: read_to.min(end.seq) })
}

fn encode(position: i64) -> String {
    URL_SAFE_NO_PAD.encode(position.to_be_bytes())
}

fn decode(cursor: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    Some(i64::from_be_bytes(bytes.try_into().ok()?)).filter(|position| *position >= 0)
}

/// Reads `types`; none means all.
fn parse_types(text: Option<String>) -> Result<EventTypes, ApiError> {
    let text = query::text(text).unwrap_or_else(|| "*".to_owned());
    let selection = EventSelection::parse([&*text]);
    selection.map(|selection| selection.types()).map_err(|error| {
        ApiError::invalid_query("types", error.to_string()).detail("eventTypes", EventSelection::allowed())
    })
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only events after this cursor (`meta.nextCursor` of an earlier answer); `now`
    /// begins at the end. Without it, the page begins at the oldest event that is kept.
    #[param(format = "cursor")]
    after: Option<String>,
    /// Begin at the first event of this time or later (ISO 8601), unless `after` says otherwise.
    #[param(format = "date-time")]
    since: Option<String>,
    /// Return only events of these types, separated by commas: `contact.created,deal.*`.
    #[param(format = "event-types")]
    types: Option<String>,
    /// The most events on a page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200, default = 100)]
    limit: Option<String>,
}

/// A page of the feed.
#[derive(Serialize, ToSchema)]
struct Feed {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// Oldest first.
    #[schema(value_type = Vec<AnyEvent>)]
    data: Vec<Box<RawValue>>,
    meta: FeedMeta,
}

/// The page and how to go on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FeedMeta {
    /// The `after` of the next call, also when there are no more events yet.
    #[schema(example = "AAAAAAAAAGQ")]
    next_cursor: String,
    /// Whether there are more events already.
    has_more: bool,
    /// The most events on a page.
    #[schema(example = 100)]
    limit: i64,
}

/// List events
///
/// Lists the company's events in the order in which they occurred, oldest first, each exactly
/// as it is delivered to webhooks. Call again with `after` = `meta.nextCursor`: at once
/// while `meta.hasMore` is true, and later for newer events. No event is left out and none
/// comes twice, however many are written meanwhile.
#[utoipa::path(get, path = "/events", operation_id = "listEvents", tag = "Events", params(ListQuery),
    responses(
        (status = 200, description = "A page of events", body = Feed),
        (status = 410, description = "The events after the cursor are no longer kept", body = ErrorBody),
        ReadErrors))]
async fn list(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let since = Start::since(wanted.since, Start::Oldest)?;
    let after = query::text(wanted.after).map_or(Ok(since), |after| Start::parse("after", &after))?;
    let types = parse_types(wanted.types)?;
    let limit = query::number("limit", wanted.limit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let reads = api.reads.of(caller.company()).await?;
    let (position, head) = after.locate(&reads).await?;
    let shown = usize::try_from(limit).unwrap_or_default();
    // One more than shown, to know if there are more.
    let page = read_page(&reads, (caller.company(), types), (position, head), shown + 1).await?;
    let mut events = page.events;
    let has_more = events.len() > shown;
    events.truncate(shown);
    let reached = events.last().filter(|_| has_more).map_or(head, |last| last.seq);
    let feed = Feed {
        success: true,
        data: events.iter().map(|event| raw(event)).collect::<Result<_, _>>()?,
        meta: FeedMeta { next_cursor: encode(reached), has_more, limit },
    };
    Ok(answer::json(StatusCode::OK, &feed))
}

/// The envelope as JSON.
fn raw(event: &Event) -> Result<Box<RawValue>, ApiError> {
    let envelope = String::from_utf8(event.envelope(Include::default()).into())
        .map_err(|error| ApiError::internal(&error))?;
    RawValue::from_string(envelope).map_err(|error| ApiError::internal(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::events::EventType;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        for position in [0, 1, i64::MAX] {
            assert_eq!(Start::parse("after", &encode(position)).unwrap(), Start::After(position));
        }
        assert_eq!(Start::parse("after", "now").unwrap(), Start::Now);
        for bad in ["x", "AAAA", "!!!!", &encode(-1), &encode(7)[1..]] {
            assert!(Start::parse("after", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn types_are_a_set_and_none_means_all() {
        let types = |text: &str| parse_types(Some(text.to_owned()));
        assert_eq!(
            types("deal.won, contact.created,deal.won,").unwrap().words(),
            ["contact.created", "deal.won"]
        );
        assert_eq!(types(" ").unwrap().words(), EventType::WORDS);
        assert_eq!(parse_types(None).unwrap(), types("contact.*,deal.*").unwrap());
        assert!(types("deal.won,nope").is_err());
    }
}
