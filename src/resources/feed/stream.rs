//! The feed as Server-Sent Events.
//!
//! Each stream reads the log from its own place, a small page at a time, when its
//! connection has taken what was read before: a slow client costs no more than that page.
//! A stream ends when the client goes, the key is no longer good, the database does not
//! answer or the server stops; the client comes back with `Last-Event-ID` and misses
//! nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};
use utoipa::IntoParams;

use super::{Start, encode, parse_types, read_page};
use crate::http::allowed::{Allowed, WebhooksRead};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, Code, ErrorBody};
use crate::http::openapi::ReadErrors;
use crate::http::query::{self, Query};
use crate::listeners::{self, Listener, Listeners};
use crate::model::events::{Event, EventTypes, Include};
use crate::model::permission::Permission;
use crate::resources::Api;
use crate::shares::NoPlace;

/// Events read at once: bounds what a slow client costs in memory.
const PAGE: usize = 32;
/// Streams that use the database at the same time: fewer than the pool's connections,
/// so that however many streams there are, requests find one.
const AT_ONCE: usize = 4;
/// How often the key of a stream is looked at: a revocation ends it within this.
const KEY_EVERY: Duration = Duration::from_secs(3);
/// How often something is sent when nothing happens, so that no proxy takes the
/// connection for dead, and so that the client's place in the log stays a recent one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client is asked to wait before it connects again.
const RETRY: Duration = Duration::from_secs(2);
/// When to come back if there is no place, in seconds.
const NO_PLACE_RETRY: u64 = 30;

/// The type of the message that says why a stream ends.
const ERROR: &str = "error";
/// Where a client that connects again goes on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to hand on at once what it gets.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// What all streams of this process share.
#[derive(Clone)]
pub struct Streams {
    listeners: Listeners,
    stopping: watch::Receiver<bool>,
    at_once: Arc<Semaphore>,
}

impl Streams {
    /// Streams end when `stopping` becomes true.
    pub fn new(listeners: Listeners, stopping: watch::Receiver<bool>) -> Self {
        Self { listeners, stopping, at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Everybody who listens.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.listeners.count()
    }
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// Begin after this cursor (`meta.nextCursor` of the list, or an `id` of the stream),
    /// unless the header `Last-Event-ID` says otherwise. Without either, or with `now`,
    /// the stream begins with what happens from now on.
    #[param(format = "cursor")]
    after: Option<String>,
    /// Begin at the first event of this time or later (ISO 8601), unless `after` or the header says
    /// otherwise.
    #[param(format = "date-time")]
    since: Option<String>,
    /// Return only events of these types, separated by commas: `contact.created,deal.*`.
    #[param(format = "event-types")]
    types: Option<String>,
}

/// Follow events
///
/// Server-Sent Events: `id` is a cursor, `event` the type, `data` the event exactly as it
/// is delivered to webhooks, on one line. Events arrive as they are committed, in order.
/// A client that is disconnected goes on after the last `id` it saw, by the header
/// `Last-Event-ID` (which `EventSource` sends by itself), and misses nothing. When nothing
/// happens, a comment comes every 15 seconds, with the `id` up to which there was nothing.
/// If the next events are no longer kept, a message of the type `error` says so, with the body that
/// errors have, and the stream ends.
/// 20 streams of a company may be open on each server.
#[utoipa::path(get, path = "/events/stream", operation_id = "followEvents", tag = "Events",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "Continue after the event with this `id`; takes precedence over `after`")),
    responses(
        (status = 200, description = "Events, until the client goes or the server stops",
            body = String, content_type = "text/event-stream",
            example = "id: AAAAAAAAAGQ\nevent: contact.created\ndata: {\"event\":\"contact.created\",…}\n\n"),
        (status = 410, description = "The events after the cursor are no longer kept", body = ErrorBody),
        ReadErrors))]
pub(super) async fn follow(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    headers: HeaderMap,
    Query(wanted): Query<StreamQuery>,
) -> Result<Response, ApiError> {
    let types = parse_types(wanted.types)?;
    let since = Start::since(wanted.since, Start::Now)?;
    let start = match headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        Some(id) => Start::parse("Last-Event-ID", id.to_str().unwrap_or_default())?,
        None => query::text(wanted.after).map_or(Ok(since), |after| Start::parse("after", &after))?,
    };
    // Listening comes first: nothing is committed unheard after the end is read.
    let listener = api.streams.listeners.listen(caller.company()).map_err(no_place)?;
    let (position, head) = start.locate(&*api.reads.of(caller.company()).await?).await?;
    let now = api.clock.monotonic();
    let stream = Stream {
        streams: api.streams.clone(),
        api,
        caller: caller.into_caller(),
        types,
        listener,
        head,
        position,
        page: VecDeque::new(),
        ended: false,
        key_due: now + KEY_EVERY,
        heartbeat_due: now + HEARTBEAT,
    };
    // The place to begin: a client that is cut off before the first event must not lose it.
    let hello = sse::Event::default().retry(RETRY).id(encode(position));
    let events = stream::unfold((Some(hello), stream), async |(hello, mut stream)| {
        let event = match hello {
            Some(hello) => hello,
            None => stream.next().await?,
        };
        Some((Ok::<_, Infallible>(event), (None, stream)))
    });
    Ok(([UNBUFFERED], Sse::new(events)).into_response())
}

fn no_place(why: NoPlace) -> ApiError {
    match why {
        NoPlace::Company => ApiError::new(
            Code::TooManyStreams,
            "Too many event streams",
            format!(
                "Your company has {} event streams open on this server, which is as many as it may; close one, or poll GET /events",
                listeners::PER_COMPANY
            ),
        ),
        NoPlace::All => ApiError::new(
            Code::Overloaded,
            "Too many event streams",
            "This server has as many event streams open as it takes on; please try again later, or poll GET /events",
        ),
    }
    .retry_after(NO_PLACE_RETRY)
}

/// One stream: what was read and not yet sent, and how far.
struct Stream {
    api: Api,
    streams: Streams,
    caller: Caller,
    types: EventTypes,
    listener: Listener,
    /// How far the log goes, as far as is known.
    head: i64,
    /// How far it was read.
    position: i64,
    page: VecDeque<Arc<Event>>,
    /// Was the client told why there is no more?
    ended: bool,
    /// By [`Clock::monotonic`](crate::clock::Clock::monotonic), like the next.
    key_due: Duration,
    heartbeat_due: Duration,
}

impl Stream {
    /// What to send next; nothing more at the end.
    async fn next(&mut self) -> Option<sse::Event> {
        let mut stopping = self.streams.stopping.clone();
        if self.ended {
            return None;
        }
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => None,
            event = self.advance() => event.unwrap_or_else(|error| self.failed(&error)),
        }
    }

    /// Tells what went wrong, if it is something that the client has to know, and ends. What else
    /// it may be was logged; the client comes back and is told then.
    fn failed(&mut self, error: &ApiError) -> Option<sse::Event> {
        self.ended = true;
        let told = matches!(error.code, Code::CursorExpired | Code::Overloaded);
        told.then(|| sse::Event::default().event(ERROR).data(error.body(self.api.clock.now())))
    }

    async fn advance(&mut self) -> Result<Option<sse::Event>, ApiError> {
        loop {
            let now = self.api.clock.monotonic();
            if now >= self.key_due {
                if !self.key_is_good().await? {
                    return Ok(None);
                }
                self.key_due = now + KEY_EVERY;
            }
            if let Some(event) = self.page.pop_front() {
                self.heartbeat_due = now + HEARTBEAT;
                return Ok(Some(message(&event)));
            }
            self.head = self.head.max(self.listener.head());
            if self.position < self.head {
                self.read().await?;
            } else if now >= self.heartbeat_due {
                self.heartbeat_due = now + HEARTBEAT;
                return Ok(Some(sse::Event::default().comment("nothing new").id(encode(self.position))));
            } else {
                tokio::select! {
                    () = self.listener.changed() => {}
                    () = self.api.clock.sleep(KEY_EVERY) => {}
                }
            }
        }
    }

    /// Reads a page.
    async fn read(&mut self) -> Result<(), ApiError> {
        let _turn = self.streams.at_once.acquire().await;
        let company = self.caller.company();
        let range = (self.position, self.head);
        let reads = self.api.reads.of(company).await?;
        let page = read_page(&reads, (company, self.types), range, PAGE).await?;
        self.position = page.read_to;
        self.page = page.events.into();
        Ok(())
    }

    /// Is the key still in force, and may it still read?
    async fn key_is_good(&self) -> Result<bool, ApiError> {
        let _turn = self.streams.at_once.acquire().await;
        self.api.auth.still_grants(&self.caller, Permission::WebhooksRead).await
    }
}

fn message(event: &Event) -> sse::Event {
    sse::Event::default()
        .id(encode(event.seq))
        .event(event.event_type.word())
        .data(String::from_utf8_lossy(&event.envelope(Include::default())))
}
