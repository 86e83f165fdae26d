//! Showing one delivery with everything that is known of it.

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;

use super::Api;
use super::store::{self, Happened, Told};
use super::subscribers::{self, Subscriber};
use super::view::{Delivery, Request};
use crate::http::answer;
use crate::http::auth::Caller;
use crate::http::error::ApiError;
use crate::http::openapi::{Answered, ReadErrors};
use crate::model::events::Event;
use crate::model::ids::DeliveryId;
use crate::model::permission::Permission;
use crate::outbound::request;

/// Attempts that are shown: a delivery has four, and as many again for each replay.
const HISTORY: usize = 100;

/// Show a delivery
///
/// With the exact bytes that were sent, and every attempt with what was answered.
#[utoipa::path(get, path = "/webhooks/deliveries/{id}", operation_id = "getDelivery", tag = "Deliveries",
    params(("id" = String, Path, description = "`delivery_…`")),
    responses((status = 200, description = "The delivery", body = Answered<Delivery>), ReadErrors))]
pub(super) async fn show(
    Shared(api): Shared<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksRead)?;
    let (pool, company) = (&api.pool, caller.company());
    let not_found = || ApiError::not_found("Delivery");
    let id = DeliveryId::parse(&id).ok_or_else(not_found)?;
    let subscriber = subscribers::one(pool, company, id.subscription).await?.ok_or_else(not_found)?;
    let event = store::event(pool, company, subscriber.event_type, id.seq).await?;
    let told = store::told(pool, company, id, HISTORY).await?;
    let happened = event.as_ref().map(|event| Happened {
        event: event.id,
        record: event.record,
        at: event.at,
        data: Some(event.data.clone()),
    });
    let made: Vec<_> = told.iter().map(|told| &told.made).collect();
    let skipped = store::skipped(pool, company, &[&id]).await?.contains(&id);
    let delivery = Delivery::new(&subscriber, id.seq, happened.as_ref(), &made, skipped);
    let mut delivery = delivery.ok_or_else(not_found)?;
    delivery.request = Some(sent(&subscriber, event.as_ref(), told.first()));
    delivery.history = Some(told.into_iter().map(Into::into).collect());
    Ok(answer::json(StatusCode::OK, &answer::data(delivery)))
}

/// What the last attempt sent, or the first one will.
fn sent(subscriber: &Subscriber, event: Option<&Event>, last: Option<&Told>) -> Request {
    let body = event.map(Event::envelope);
    let headers = last.and_then(|last| {
        let request = request::Request {
            event: last.made.event,
            event_type: subscriber.event_type,
            attempt: u8::try_from(last.number).ok()?,
            at: last.made.at,
            test: false,
        };
        let length = body.as_ref().map(bytes::Bytes::len);
        Some(request.shown_headers(last.signature.as_deref()?, &subscriber.target, length))
    });
    Request {
        headers,
        note: body.is_none().then_some("The event is older than the retention and is no longer kept"),
        body: body.map(|body| String::from_utf8_lossy(&body).into_owned()),
    }
}
