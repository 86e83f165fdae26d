//! Who got an event.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;

use super::list::look_at;
use super::view::{Delivery, say_what_is_waited_for};
use super::{Api, store};
use crate::http::allowed::{Allowed, WebhooksRead};
use crate::http::answer;
use crate::http::bounded::Bounded;
use crate::http::error::ApiError;
use crate::http::id::{Id, not_found};
use crate::http::openapi::ReadErrors;
use crate::log::history;
use crate::model::ids::{DeliveryId, EventId};

/// Subscriptions that are looked at, the newest first.
const MAX_SUBSCRIPTIONS: i64 = 1_000;

/// List the deliveries of an event
///
/// Lists to which subscriptions the event was, is being, or will be delivered, of the 1000 newest ones.
#[utoipa::path(get, path = "/events/{id}/deliveries", operation_id = "listDeliveriesOfEvent", tag = "Events",
    params(Id<EventId>),
    responses((status = 200, description = "The deliveries", body = Bounded<Delivery>), ReadErrors))]
pub(super) async fn list(
    Shared(api): Shared<Api>,
    caller: Allowed<WebhooksRead>,
    Id(id): Id<EventId>,
) -> Result<Response, ApiError> {
    let company = caller.company();
    let pool = &*api.reads.of(company).await?;
    let event = history::by_id(pool, company, id).await?.ok_or_else(not_found::<EventId>)?;
    let subscriptions = store::newest_subscriptions(pool, company, MAX_SUBSCRIPTIONS + 1).await?;
    let ids = subscriptions.into_iter().map(|subscription| DeliveryId { seq: event.seq, subscription });
    let mut found = look_at(pool, company, &ids.collect::<Vec<_>>(), None).await?;
    say_what_is_waited_for(pool, company, &mut found).await?;
    Ok(answer::json(StatusCode::OK, &Bounded::<Delivery>::new(found, MAX_SUBSCRIPTIONS)))
}
