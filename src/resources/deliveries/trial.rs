//! Trying out: one attempt right now with a sample, and what an event would look like.

use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::view::{Answer, Headers};
use crate::http::allowed::{Allowed, WebhooksRead, WebhooksWrite};
use crate::http::answer::{self, Answered};
use crate::http::auth::Caller;
use crate::http::body::Payload;
use crate::http::error::ApiError;
use crate::http::field::{Field, Problems, Text};
use crate::http::id::{Id, not_found};
use crate::http::openapi::{IdempotencyKeyHeader, WriteErrors};
use crate::model::events::{Change, Event, EventSelection, EventType, Include, RecordKind};
use crate::model::ids::{CompanyId, ContactId, DealId, EventId, SubscriptionId};
use crate::model::records::StageChange;
use crate::outbound::client::Client;
use crate::outbound::request::{self, Request};
use crate::resources::{contacts, deals};
use crate::shares::{NoPlace, Shares};
use crate::subscription::{self, Status, Subscription};

/// Tests in flight in this process: they come on top of the deliveries.
const IN_FLIGHT: usize = 8;
/// Tests of one company among them.
const IN_FLIGHT_OF_COMPANY: usize = 2;
/// The longest test: under what a request may take in all, so that the caller hears of it.
const TEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Makes tests.
#[derive(Clone)]
pub struct Tester {
    client: Client,
    timeout: Duration,
    in_flight: Shares,
}

impl Tester {
    /// `timeout` is that of a delivery.
    pub fn new(client: Client, timeout: Duration) -> Self {
        let in_flight = Shares::new(IN_FLIGHT, IN_FLIGHT_OF_COMPANY);
        Self { client, timeout: timeout.min(TEST_TIMEOUT), in_flight }
    }
}

/// The result of a test.
#[derive(Serialize, ToSchema)]
struct TestResult {
    /// Whether the receiver answered 2xx in time.
    delivered: bool,
    duration_ms: i64,
    #[schema(required)]
    status: Option<u16>,
    #[schema(required)]
    error: Option<String>,
    /// The kind of failure: `dns`, `connect`, `tls`, `timeout`, `status`, `blocked`, `broken` or
    /// `other`.
    #[schema(required)]
    error_class: Option<&'static str>,
    /// The address that answered.
    #[schema(required)]
    remote_addr: Option<String>,
    request: TestRequest,
    #[schema(required)]
    response: Option<Answer>,
}

/// What was sent.
#[derive(Serialize, ToSchema)]
struct TestRequest {
    /// The headers in the order in which they were sent.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Headers,
    /// The body, byte for byte.
    body: String,
}

/// The event of a test.
#[derive(Default, Deserialize, ToSchema)]
#[schema(example = json!({"event": "contact.created"}))]
struct TestInput {
    /// One of the subscription's event types; by default the first of them.
    #[serde(default)]
    #[schema(value_type = Option<EventType>)]
    event: Field<EventType>,
    /// Fields of the record to send in place of the invented ones.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"name": "Ann Lee"}))]
    data: Field<Value>,
}

impl TestInput {
    /// The event type to test a subscription to these events with, and the record as JSON text.
    fn of(self, events: &EventSelection) -> Result<(EventType, String), ApiError> {
        let mut problems = Problems::default();
        let data = problems.optional("data", self.data).value();
        if data.as_ref().is_some_and(|data| !data.is_object()) {
            problems.add("data", "must be an object with fields of the record".to_owned());
        } else if data.as_ref().is_some_and(has_nul) {
            problems.add("data", "must not contain the character NUL".to_owned());
        }
        let event = problems.optional("event", self.event).value();
        if event.is_some_and(|event| !events.types().contains(event)) {
            let allowed = events.types().words().join(", ");
            problems.add("event", format!("must be one of the subscription's event types: {allowed}"));
        }
        problems.finish()?;
        let event = event.unwrap_or_else(|| events.types().first());
        let mut record = event.sample();
        if let (Some(record), Some(Value::Object(data))) = (record.as_object_mut(), data) {
            record.extend(data);
        }
        Ok((event, record.to_string()))
    }
}

/// NUL is no text, in no field of any record.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// Send a test
///
/// Makes one attempt at once with an invented record, or one with fields of yours, signed like every delivery and marked with
/// `X-ISAO-Test: true`, also while the subscription is paused or deactivated. The attempt takes
/// at most 15 seconds, is neither recorded nor repeated, and delays no delivery.
#[utoipa::path(post, path = "/webhooks/{id}/test", operation_id = "testSubscription", tag = "Deliveries", request_body = Option<TestInput>,
    params(Id<SubscriptionId>, IdempotencyKeyHeader),
    responses((status = 200, description = "The result of the test, delivered or not", body = Answered<TestResult>), WriteErrors))]
pub(super) async fn test(
    Shared(api): Shared<Api>,
    caller: Allowed<WebhooksWrite>,
    Id(id): Id<SubscriptionId>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let stored = subscription::one(&*api.reads.of(caller.company()).await?, caller.company(), id).await?;
    let Subscription { events, target, secrets, loopback, headers: own, include, .. } =
        stored.ok_or_else(not_found::<SubscriptionId>)?.subscription;
    let input = if payload.is_empty() { TestInput::default() } else { payload.json::<TestInput>()? };
    let (event_type, record) = input.of(&events)?;
    api.once(&caller, &payload, async {
        let Tester { client, timeout, in_flight } = &api.tester;
        let _place = in_flight.try_take(caller.company()).map_err(|why| {
            let busy = match why {
                NoPlace::Company => "Your company has as many tests in flight as it may",
                NoPlace::All => "The server is busy with other tests",
            };
            let message = format!("{busy}. Nothing was sent; please try again in a second");
            ApiError::overloaded("Too many tests are in flight", message)
        })?;
        let loopback = client.lift_loopback(caller.company(), loopback);
        let (at, began) = (api.clock.now(), api.clock.monotonic());
        let event = trial(&api, &caller, event_type, record);
        let request = Request { event: event.id, event_type, attempt: 1, at, test: true };
        let body = event.envelope(include);
        let signature = request.sign(&secrets, &body);
        let headers = || {
            let mut headers = request.headers(&signature);
            own.add_to(&mut headers);
            headers
        };
        let sent =
            request::send(client, (&api.clock, *timeout), (&target, loopback), headers, body.clone()).await;
        let (error, error_class) = sent.failure.map(|failure| (failure.message, failure.class)).unzip();
        let result = TestResult {
            delivered: error.is_none(),
            duration_ms: i64::try_from((api.clock.monotonic() - began).as_millis()).unwrap_or(i64::MAX),
            status: sent.response.as_ref().map(|response| response.status),
            error,
            error_class,
            remote_addr: sent.response.as_ref().and_then(|response| Some(response.remote_addr?.to_string())),
            request: TestRequest {
                headers: request.shown_headers(&signature, (&target, &own), Some(body.len())),
                body: text(&body),
            },
            response: sent
                .response
                .map(|response| Answer { headers: response.headers, body: response.snippet }),
        };
        Ok(answer::data(result))
    })
    .await
}

/// An event that never happened.
fn trial(api: &Api, caller: &Caller, event_type: EventType, data: String) -> Event {
    let at = api.clock.now();
    Event {
        seq: 0,
        company: caller.company(),
        event_type,
        id: EventId(api.ids.next(at)),
        record: Uuid::nil(),
        source: caller.author().actor.source().into(),
        at,
        data,
        actor: Some(caller.author().actor),
        previous: event_type.sample_previous().map(|previous| previous.to_string()),
    }
}

/// JSON that we made is UTF-8.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// The event to preview.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"event": "contact.created"}))]
struct PreviewInput {
    /// The event type.
    #[serde(default)]
    #[schema(value_type = EventType)]
    event: Field<EventType>,
    /// The id of the contact or deal whose present data is used; without it, the data is invented.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "record-id")]
    record_id: Field<Text<255>>,
}

/// An event as it would be delivered.
#[derive(Serialize, ToSchema)]
struct Preview {
    /// The body, byte for byte.
    body: String,
    /// The subscriptions to events of this type, newest first.
    subscriptions: Vec<PreviewedSubscription>,
}

/// Whether and how a subscription would get the event.
#[derive(Serialize, ToSchema)]
struct PreviewedSubscription {
    /// `hook_…`
    id: String,
    /// `sub_…`
    subscription_id: String,
    target_url: String,
    /// `active`, `paused` or `deactivated`; with the latter two the event would wait.
    status: Status,
    #[schema(value_type = Object)]
    filters: Value,
    /// Whether the record matches the filters, and the event does not come from a key whose writes the
    /// subscription ignores. Any field may have changed.
    matches: bool,
    /// The headers in the order in which they would be sent, without the value of the signature; null if the record
    /// does not match.
    #[schema(required, value_type = Option<Vec<Vec<String>>>)]
    headers: Option<Headers>,
    /// The body with what the subscription wants included; null if it is the one above.
    #[schema(required)]
    body: Option<String>,
}

/// Preview an event
///
/// Shows the body and the headers, byte for byte but for the signature, with which an event about this
/// record would be delivered now, and to which subscriptions. Nothing is sent. The `previousStage` of
/// `deal.stage_changed` is invented.
#[utoipa::path(post, path = "/webhooks/preview", operation_id = "previewEvent", tag = "Deliveries", request_body = PreviewInput,
    params(IdempotencyKeyHeader),
    responses((status = 200, description = "The event, and the subscriptions that would get it", body = Answered<Preview>), WriteErrors))]
pub(super) async fn preview(
    Shared(api): Shared<Api>,
    caller: Allowed<WebhooksRead>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let input = payload.json::<PreviewInput>()?;
    let mut problems = Problems::default();
    let event_type = problems.required("event", input.event);
    let record = problems.optional("recordId", input.record_id).value();
    let Some(event_type) = event_type else {
        problems.finish()?;
        return Err(ApiError::internal(&"a required field is missing without a problem"));
    };
    problems.finish()?;
    api.once(&caller, &payload, async {
        let data = match record {
            Some(Text(id)) => record_now(&api, caller.company(), event_type, &id).await?,
            None => event_type.sample().to_string(),
        };
        let event = trial(&api, &caller, event_type, data);
        let body = event.envelope(Include::default());
        let stored =
            subscription::of_company(&*api.reads.of(caller.company()).await?, caller.company()).await?;
        let stored = stored.iter().filter(|stored| stored.subscription.events.types().contains(event_type));
        let subscriptions = stored.map(|stored| previewed(&stored.subscription, &event, &body)).collect();
        Ok(answer::data(Preview { body: text(&body), subscriptions }))
    })
    .await
}

fn previewed(subscription: &Subscription, event: &Event, body: &[u8]) -> PreviewedSubscription {
    let matches = subscription.wants_now(Change { previous: None, ..event.change() });
    let own = (subscription.include != Include::default()).then(|| event.envelope(subscription.include));
    let body = own.as_deref().unwrap_or(body);
    let request =
        Request { event: event.id, event_type: event.event_type, attempt: 1, at: event.at, test: false };
    let headers = || {
        // A signed event that never happened would deceive the receiver of whoever has it.
        request.shown_headers(
            request::MASKED_SIGNATURE,
            (&subscription.target, &subscription.headers),
            Some(body.len()),
        )
    };
    PreviewedSubscription {
        id: subscription.id.hook(),
        subscription_id: subscription.id.to_string(),
        target_url: subscription.target.to_string(),
        status: subscription.status,
        filters: subscription.filters.to_json(),
        matches,
        headers: matches.then(headers),
        body: own.as_deref().filter(|_| matches).map(text),
    }
}

/// A record of the company as an event would carry it now.
async fn record_now(
    api: &Api,
    company: CompanyId,
    event_type: EventType,
    id: &str,
) -> Result<String, ApiError> {
    let malformed = |prefix| {
        ApiError::invalid_field("recordId", format!("must be an id like `{prefix}…` for this event"))
    };
    let json = match event_type.record() {
        RecordKind::Contact => {
            let id = ContactId::parse(id).ok_or_else(|| malformed(ContactId::PREFIX))?;
            let contact = contacts::store::find(&*api.reads.of(company).await?, company, id).await?;
            serde_json::to_string(&contact.ok_or_else(not_found::<ContactId>)?)
        }
        RecordKind::Deal => {
            let id = DealId::parse(id).ok_or_else(|| malformed(DealId::PREFIX))?;
            let deal = deals::store::find(&*api.reads.of(company).await?, company, id).await?;
            let deal = deal.ok_or_else(not_found::<DealId>)?;
            match event_type.sample()["previousStage"].as_str() {
                Some(previous_stage) => serde_json::to_string(&StageChange { deal: &deal, previous_stage }),
                None => serde_json::to_string(&deal),
            }
        }
    };
    json.map_err(|error| ApiError::internal(&error))
}
