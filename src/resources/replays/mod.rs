//! Replays: events that a subscriber wants again.
//!
//! A replay *runs* beside the live deliveries, until it is *done*, is *cancelled*, or
//! has *failed* because event after event was not delivered. How it runs is
//! [`crate::delivery`]' business.

mod input;
mod store;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::subscriptions::{self, Command, NewReplay};
use crate::http::answer;
use crate::http::auth::Caller;
use crate::http::body::Payload;
use crate::http::error::{ApiError, Code};
use crate::http::openapi::{Answered, ReadErrors, WriteErrors};
use crate::log::timeline;
use crate::model::ids::{CompanyId, DeliveryId, ReplayId, SubscriptionId};
use crate::model::permission::Permission;
use input::{ReplayInput, Wanted};
use store::Standing;
pub use store::{Rehearsal, ReplayView};

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(replay))
        .routes(routes!(list))
        .routes(routes!(show, cancel))
        .routes(routes!(redeliver))
}

fn not_found() -> ApiError {
    ApiError::not_found("Replay")
}

/// Replay events
///
/// Sends the events of a time once more, beside the live deliveries: in order, one after the
/// other, with the usual attempts, no faster than `perSecond`. Only events that are done with:
/// those that still wait come by themselves. With `dryRun: true` nothing is sent; the answer
/// counts and lists what would be.
#[utoipa::path(post, path = "/webhooks/{id}/replay", operation_id = "startReplay", tag = "Deliveries", request_body = ReplayInput,
    params(
        ("id" = String, Path, description = "`sub_…` or `hook_…`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the same request with the same key get the first answer for 24 hours")),
    responses(
        (status = 202, description = "The replay that runs now", body = Answered<ReplayView>),
        (status = 200, description = "What a replay would send (`dryRun`)", body = Answered<Rehearsal>),
        WriteErrors))]
async fn replay(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    payload: Payload,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksWrite)?;
    let id = subscriptions::parse_id(&id)?;
    let standing = standing(&api, caller.company(), id).await?;
    let Wanted { since, until, only_undelivered, per_second, dry_run } =
        payload.json::<ReplayInput>()?.into_wanted(api.clock.now())?;
    let from = timeline::before(&api.pool, since).await?;
    let to = match until {
        Some(until) => timeline::before(&api.pool, until).await?.min(standing.done),
        None => standing.done,
    };
    let new = NewReplay::range(from, to, only_undelivered, per_second);
    if dry_run {
        // Nothing is written that a key could belong to, but a malformed one is told here, too.
        payload.idempotency()?;
        let rehearsal = store::rehearse(&api.pool, (caller.company(), id), &standing, &new).await?;
        return Ok(answer::json(StatusCode::OK, &answer::data(rehearsal)));
    }
    start(&api, &caller, Some(&payload), id, new).await
}

/// Redeliver
///
/// Sends the event of a delivery once more, whatever became of it, beside the live deliveries.
/// The attempts are listed with the delivery.
#[utoipa::path(post, path = "/webhooks/deliveries/{id}/redeliver", operation_id = "redeliver", tag = "Deliveries",
    params(
        ("id" = String, Path, description = "`delivery_…`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the same request with the same key get the first answer for 24 hours")),
    responses((status = 202, description = "The replay of this one event", body = Answered<ReplayView>), WriteErrors))]
async fn redeliver(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    payload: Payload,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksWrite)?;
    let gone = || ApiError::not_found("Delivery");
    let delivery = DeliveryId::parse(&id).ok_or_else(gone)?;
    let standing =
        standing(&api, caller.company(), delivery.subscription).await.map_err(|error| match error.code {
            Code::NotFound => gone(),
            _ => error,
        })?;
    if !store::is_done(&api.pool, caller.company(), &standing, delivery).await?.ok_or_else(gone)? {
        let message =
            "The event still waits for its turn, or for its next attempt, and is delivered by itself";
        return Err(ApiError::new(Code::Conflict, "The delivery is not done yet", message));
    }
    start(&api, &caller, Some(&payload), delivery.subscription, NewReplay::single(delivery.seq)).await
}

async fn standing(api: &Api, company: CompanyId, id: SubscriptionId) -> Result<Standing, ApiError> {
    store::standing(&api.pool, company, id).await?.ok_or_else(subscriptions::not_found)
}

async fn start(
    api: &Api,
    caller: &Caller,
    payload: Option<&Payload>,
    id: SubscriptionId,
    new: NewReplay,
) -> Result<Response, ApiError> {
    let replay = ReplayId(api.ids.next(api.clock.now()));
    api.write(caller, payload, Command::Replay(id, replay, new)).await
}

/// List the replays of a subscription
///
/// The newest hundred.
#[utoipa::path(get, path = "/webhooks/{id}/replays", operation_id = "listReplays", tag = "Deliveries",
    params(("id" = String, Path, description = "`sub_…` or `hook_…`")),
    responses((status = 200, description = "The replays", body = Answered<Vec<ReplayView>>), ReadErrors))]
async fn list(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksRead)?;
    let id = subscriptions::parse_id(&id)?;
    standing(&api, caller.company(), id).await?;
    let replays = store::of_subscription(&api.pool, caller.company(), id).await?;
    Ok(answer::json(StatusCode::OK, &answer::data(replays)))
}

/// Show a replay
#[utoipa::path(get, path = "/webhooks/replays/{id}", operation_id = "getReplay", tag = "Deliveries",
    params(("id" = String, Path, description = "`replay_…`")),
    responses((status = 200, description = "The replay and how far it is", body = Answered<ReplayView>), ReadErrors))]
async fn show(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksRead)?;
    let id = ReplayId::parse(&id).ok_or_else(not_found)?;
    let found = store::one(&api.pool, caller.company(), id).await?.ok_or_else(not_found)?;
    Ok(answer::json(StatusCode::OK, &answer::data(found)))
}

/// Cancel a replay
///
/// It ends within a second or so. One that has ended stays as it is.
#[utoipa::path(delete, path = "/webhooks/replays/{id}", operation_id = "cancelReplay", tag = "Deliveries",
    params(("id" = String, Path, description = "`replay_…`")),
    responses((status = 200, description = "The replay as it is now", body = Answered<ReplayView>), WriteErrors))]
async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksWrite)?;
    let id = ReplayId::parse(&id).ok_or_else(not_found)?;
    store::cancel(&api.pool, caller.company(), id, api.clock.now()).await?;
    let found = store::one(&api.pool, caller.company(), id).await?.ok_or_else(not_found)?;
    Ok(answer::json(StatusCode::OK, &answer::data(found)))
}
