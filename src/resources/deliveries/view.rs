//! Deliveries as shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::State;
use super::store::{self, AttemptDetails, AttemptSummary, EventSummary};
use crate::model::attempt::{AttemptCause, AttemptOutcome};
use crate::model::events::EventType;
use crate::model::ids::{CompanyId, DeliveryId, EventId};
use crate::model::time::{serialize_time, serialize_time_option};
use crate::subscription::{Status, Stored};

/// Headers in the order they were sent, each a name and a value.
pub(super) type Headers = Vec<(String, String)>;

/// One event for one subscription, and its state.
#[derive(Serialize, ToSchema)]
pub(super) struct Delivery {
    /// `delivery_…`
    #[schema(value_type = String, example = "delivery_0192f3a4b5c67d8e9f0a1b2c3d4e5f60000000000000002a")]
    pub(super) id: DeliveryId,
    /// `sub_…`
    pub(super) subscription_id: String,
    /// Null when the event is no longer kept and the subscription has several types.
    #[schema(required)]
    pub(super) event: Option<EventType>,
    /// `event_…`, as in the body and in `webhook-id`.
    #[schema(value_type = String)]
    pub(super) event_id: EventId,
    /// The id of the contact or deal; null when the event is no longer kept.
    #[schema(required)]
    pub(super) record_id: Option<String>,
    /// The time of the event; null when the event is no longer kept.
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    pub(super) occurred_at: Option<DateTime<Utc>>,
    pub(super) state: State,
    /// The number of attempts made.
    pub(super) attempts: usize,
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    pub(super) last_attempt_at: Option<DateTime<Utc>>,
    /// The HTTP status that the receiver answered to the last attempt; null without an answer.
    #[schema(required)]
    pub(super) last_status: Option<i16>,
    /// Why the last attempt failed.
    #[schema(required)]
    pub(super) last_error: Option<String>,
    /// The kind of that failure: `dns`, `connect`, `tls`, `timeout`, `status`, `blocked`, `broken`
    /// or `other`.
    #[schema(required)]
    pub(super) error_class: Option<String>,
    /// The time of the next attempt, while the state is `retrying`.
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
    /// The present target URL of the subscription.
    pub(super) target_url: String,
    /// The request; only when a single delivery is shown.
    /// The delivery that this one waits for: one to the same URL that is being retried. Null if it
    /// waits for none, as with order per record.
    #[schema(required, value_type = Option<String>)]
    pub(super) waits_behind: Option<DeliveryId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Request>,
    /// The newest 100 attempts, newest first; only when a single delivery is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<Vec<Attempt>>,
}

impl Delivery {
    /// Puts together what is known; `attempts` newest first; `skipped`: the subscriber
    /// resumed without it. None if there is no such delivery: nothing was attempted, and
    /// nothing would have been.
    pub(super) fn new(
        Stored { subscription, progress, .. }: &Stored,
        seq: i64,
        event: Option<&EventSummary>,
        attempts: &[&AttemptSummary],
        skipped: bool,
    ) -> Option<Self> {
        let to_come = seq > progress.done;
        let outcomes = attempts.iter().map(|attempt| (attempt.outcome, attempt.cause));
        let state = State::of(outcomes, !to_come, subscription.status == Status::Active).or_else(|| {
            let untouched = if to_come { State::Waiting } else { State::Skipped };
            let is_wanted = |event_type| subscription.events.types().contains(event_type);
            let matches =
                event?.event_type.is_some_and(is_wanted) && subscription.wants(seq, event?.change()?);
            (matches && (to_come || skipped)).then_some(untouched)
        })?;
        let last = attempts.first();
        let event_id = event.map(|event| event.event).or(last.map(|last| last.event));
        let event_type = event.map_or(subscription.events.types().single(), |event| event.event_type);
        let is_next = state == State::Retrying && to_come;
        Some(Self {
            id: DeliveryId { seq, subscription: subscription.id },
            subscription_id: subscription.id.to_string(),
            event: event_type,
            event_id: event_id?,
            record_id: event.and_then(|event| Some(event_type?.record().wire_id(event.record))),
            occurred_at: event.map(|event| event.at),
            state,
            attempts: attempts.len(),
            last_attempt_at: last.map(|last| last.at),
            last_status: last.and_then(|last| last.status),
            last_error: last.and_then(|last| last.error.clone()),
            error_class: last.and_then(|last| last.error_class.clone()),
            next_attempt_at: if is_next { progress.next_attempt_of(seq) } else { None },
            target_url: subscription.target.to_string(),
            waits_behind: None,
            request: None,
            history: None,
        })
    }
}

/// Says of those that wait which one they wait behind.
pub(super) async fn say_what_is_waited_for(
    pool: &PgPool,
    company: CompanyId,
    deliveries: &mut [Delivery],
) -> Result<(), sqlx::Error> {
    let waiting = deliveries.iter().filter(|delivery| delivery.state == State::Waiting);
    let mut targets: Vec<_> = waiting.map(|delivery| delivery.target_url.clone()).collect();
    targets.sort_unstable();
    targets.dedup();
    if targets.is_empty() {
        return Ok(());
    }
    let retried = store::retried(pool, company, &targets).await?;
    for delivery in deliveries.iter_mut().filter(|delivery| delivery.state == State::Waiting) {
        let first = retried.get(&delivery.target_url).filter(|first| first.seq <= delivery.id.seq);
        delivery.waits_behind = first.copied();
    }
    Ok(())
}

/// The request that carries the event.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryRequest)]
pub(super) struct Request {
    /// Those of the latest attempt, in the order they were sent (`Host` by the present
    /// target); null before the first one.
    #[schema(required, value_type = Option<Vec<Vec<String>>>)]
    pub(super) headers: Option<Headers>,
    /// The body, byte for byte.
    #[schema(required)]
    pub(super) body: Option<String>,
    /// Why the body is missing.
    #[schema(required)]
    pub(super) note: Option<&'static str>,
}

/// One attempt.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
pub(super) struct Attempt {
    /// The number of the attempt, from 1 to 4; it starts again when the event is replayed.
    number: i16,
    #[serde(serialize_with = "serialize_time")]
    at: DateTime<Utc>,
    duration_ms: i32,
    outcome: AttemptOutcome,
    cause: AttemptCause,
    #[schema(required)]
    status: Option<i16>,
    #[schema(required)]
    error: Option<String>,
    #[schema(required)]
    error_class: Option<String>,
    /// The address that answered.
    #[schema(required)]
    remote_addr: Option<String>,
    /// The receiver's answer.
    #[schema(required)]
    response: Option<Answer>,
}

impl From<AttemptDetails> for Attempt {
    fn from(details: AttemptDetails) -> Self {
        let AttemptDetails {
            number, summary, duration_ms, remote_addr, response_headers, response_body, ..
        } = details;
        let headers = response_headers.and_then(|json| serde_json::from_str(&json).ok());
        let answered = headers.is_some() || response_body.is_some();
        let response = answered.then(|| Answer {
            headers: headers.unwrap_or_default(),
            body: response_body.unwrap_or_default(),
        });
        Self {
            number,
            at: summary.at,
            duration_ms,
            outcome: summary.outcome,
            cause: summary.cause,
            status: summary.status,
            error: summary.error,
            error_class: summary.error_class,
            remote_addr,
            response,
        }
    }
}

/// The part of a receiver's answer that is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = ReceiverAnswer)]
pub(super) struct Answer {
    /// At most 32 headers, values cut after 256 characters; cookies are left out.
    #[schema(value_type = Vec<Vec<String>>)]
    pub(super) headers: Headers,
    /// The first 1024 bytes of the body.
    pub(super) body: String,
}
