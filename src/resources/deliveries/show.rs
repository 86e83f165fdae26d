//! Showing one delivery with everything that is known of it.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;

use super::Api;
use super::store::{self, AttemptDetails, EventSummary};
use super::view::{Delivery, Request, say_what_is_waited_for};
use crate::http::allowed::{Allowed, WebhooksRead};
use crate::http::answer::{self, Answered};
use crate::http::error::ApiError;
use crate::http::id::{Id, not_found};
use crate::http::openapi::ReadErrors;
use crate::log::read;
use crate::model::actor::Actor;
use crate::model::events::{Event, EventType};
use crate::model::ids::DeliveryId;
use crate::outbound::request;
use crate::subscription::{self, Subscription};

/// Attempts that are shown: a delivery has four, and as many again for each replay.
const HISTORY: usize = 100;

/// Show a delivery
///
/// Shows the exact bytes that were sent, and every attempt with the receiver's answer.
#[utoipa::path(get, path = "/webhooks/deliveries/{id}", operation_id = "getDelivery", tag = "Deliveries",
    params(Id<DeliveryId>),
    responses((status = 200, description = "The delivery", body = Answered<Delivery>), ReadErrors))]
pub(super) async fn show(
    Shared(api): Shared<Api>,
    caller: Allowed<WebhooksRead>,
    Id(id): Id<DeliveryId>,
) -> Result<Response, ApiError> {
    let company = caller.company();
    let pool = &*api.reads.of(company).await?;
    let stored =
        subscription::one(pool, company, id.subscription).await?.ok_or_else(not_found::<DeliveryId>)?;
    let subscription = &stored.subscription;
    let event = read::by_numbers(pool, company, &[id.seq]).await?.pop();
    let event = event.filter(|event| subscription.events.types().contains(event.event_type));
    let attempts = store::details(pool, company, id, HISTORY).await?;
    let summary = event.as_ref().map(|event| EventSummary {
        event: event.id,
        event_type: Some(event.event_type),
        record: event.record,
        at: event.at,
        data: Some(event.data.clone()),
        previous: event.previous.clone(),
        actor: event.actor.map(Actor::id),
    });
    let summaries: Vec<_> = attempts.iter().map(|attempt| &attempt.summary).collect();
    let skipped = store::skipped(pool, company, &[&id]).await?.contains(&id);
    let delivery = Delivery::new(&stored, id.seq, summary.as_ref(), &summaries, skipped);
    let mut delivery = delivery.ok_or_else(not_found::<DeliveryId>)?;
    delivery.request = Some(sent(subscription, event.as_deref(), delivery.event, attempts.first()));
    say_what_is_waited_for(pool, company, std::slice::from_mut(&mut delivery)).await?;
    delivery.history = Some(attempts.into_iter().map(Into::into).collect());
    Ok(answer::json(StatusCode::OK, &answer::data(delivery)))
}

/// What the last attempt sent, or the first one will.
fn sent(
    subscription: &Subscription,
    event: Option<&Event>,
    event_type: Option<EventType>,
    last: Option<&AttemptDetails>,
) -> Request {
    let body = event.map(|event| event.envelope(subscription.include));
    let headers = last.and_then(|last| {
        let request = request::Request {
            event: last.summary.event,
            event_type: event_type?,
            attempt: u8::try_from(last.number).ok()?,
            at: last.summary.at,
            test: false,
        };
        let length = body.as_ref().map(bytes::Bytes::len);
        Some(request.shown_headers(
            last.signature.as_deref()?,
            (&subscription.target, &subscription.headers),
            length,
        ))
    });
    Request {
        headers,
        note: body.is_none().then_some("The event is older than the retention and is no longer kept"),
        body: body.map(|body| String::from_utf8_lossy(&body).into_owned()),
    }
}
