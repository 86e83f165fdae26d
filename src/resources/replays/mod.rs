//! Replays: events that a subscriber wants again.
//!
//! A replay *runs* beside the live deliveries, until it is *done*, is *cancelled*, or
//! has *failed* because event after event was not delivered. How it runs is
//! [`crate::delivery`]' business.

mod input;
mod store;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::subscriptions::{Command, NewReplay, ReplayView};
use crate::http::allowed::{Allowed, Redelivering, WebhooksRead, WebhooksWrite};
use crate::http::answer::{self, Answered};
use crate::http::auth::Caller;
use crate::http::body::Payload;
use crate::http::error::{ApiError, Code};
use crate::http::id::{Id, not_found};
use crate::http::openapi::{IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::log::seek;
use crate::model::ids::{CompanyId, DeliveryId, ReplayId, SubscriptionId};
use crate::subscription::{self, Stored};
use input::{ReplayInput, ReplayRequest};
use store::DryRun;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(replay))
        .routes(routes!(list))
        .routes(routes!(show, cancel))
        .routes(routes!(redeliver))
}

/// Replay events
///
/// Sends the events of a period again, beside the live deliveries: in order, one after the
/// other, with the usual attempts, no faster than `perSecond`. Events that still wait for their
/// delivery are left out. With `dryRun: true` nothing is sent: the answer counts and lists the
/// events that would be.
#[utoipa::path(post, path = "/webhooks/{id}/replay", operation_id = "startReplay", tag = "Deliveries", request_body = ReplayInput,
    params(
        Id<SubscriptionId>,
        IdempotencyKeyHeader),
    responses(
        (status = 202, description = "The replay that runs now", body = Answered<ReplayView>),
        (status = 200, description = "What a replay would send (`dryRun`)", body = Answered<DryRun>),
        WriteErrors))]
async fn replay(
    State(api): State<Api>,
    caller: Allowed<WebhooksWrite>,
    Id(id): Id<SubscriptionId>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let stored = stored(&api, caller.company(), id).await?;
    let ReplayRequest { since, until, only_undelivered, per_second, dry_run } =
        payload.json::<ReplayInput>()?.into_request(api.clock.now())?;
    let reads = api.reads.of(caller.company()).await?;
    let from = seek::before(&reads, since).await?;
    let to = match until {
        Some(until) => seek::before(&reads, until).await?.min(stored.progress.done),
        None => stored.progress.done,
    };
    // Whoever has one turn to read and waits for another could wait for others who do the same.
    drop(reads);
    let new = NewReplay::range(from, to, only_undelivered, per_second);
    if dry_run {
        let counted = async {
            let reads = api.reads.of(caller.company()).await?;
            Ok(answer::data(store::dry_run(&reads, &stored.subscription, &new).await?))
        };
        return api.once(&caller, &payload, counted).await;
    }
    start(&api, &caller, Some(&payload), id, new).await
}

/// Redeliver
///
/// Sends the event of a delivery again, whether it was delivered or not, beside the live
/// deliveries. The attempts are listed with the delivery.
#[utoipa::path(post, path = "/webhooks/deliveries/{id}/redeliver", operation_id = "redeliver", tag = "Deliveries",
    params(
        Id<DeliveryId>,
        IdempotencyKeyHeader),
    responses((status = 202, description = "The replay of this one event", body = Answered<ReplayView>), WriteErrors))]
async fn redeliver(
    State(api): State<Api>,
    caller: Allowed<Redelivering>,
    Id(delivery): Id<DeliveryId>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let gone = not_found::<DeliveryId>;
    let stored =
        stored(&api, caller.company(), delivery.subscription).await.map_err(|error| match error.code {
            Code::NotFound => gone(),
            _ => error,
        })?;
    let is_done = store::is_done(&*api.reads.of(caller.company()).await?, &stored, delivery.seq)
        .await?
        .ok_or_else(gone)?;
    if !is_done {
        let message = "The event still waits for its first or next attempt and will be delivered; there is nothing to do";
        return Err(ApiError::new(Code::Conflict, "The delivery is not done yet", message));
    }
    start(&api, &caller, Some(&payload), delivery.subscription, NewReplay::single(delivery.seq)).await
}

async fn stored(api: &Api, company: CompanyId, id: SubscriptionId) -> Result<Stored, ApiError> {
    subscription::one(&*api.reads.of(company).await?, company, id)
        .await?
        .ok_or_else(not_found::<SubscriptionId>)
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
/// Lists the 100 newest replays, newest first.
#[utoipa::path(get, path = "/webhooks/{id}/replays", operation_id = "listReplays", tag = "Deliveries",
    params(Id<SubscriptionId>),
    responses((status = 200, description = "The replays", body = Answered<Vec<ReplayView>>), ReadErrors))]
async fn list(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    Id(id): Id<SubscriptionId>,
) -> Result<Response, ApiError> {
    stored(&api, caller.company(), id).await?;
    let replays =
        store::of_subscription(&*api.reads.of(caller.company()).await?, caller.company(), id).await?;
    Ok(answer::json(StatusCode::OK, &answer::data(replays)))
}

/// Show a replay
#[utoipa::path(get, path = "/webhooks/replays/{id}", operation_id = "getReplay", tag = "Deliveries",
    params(Id<ReplayId>),
    responses((status = 200, description = "The replay and how far it is", body = Answered<ReplayView>), ReadErrors))]
async fn show(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    Id(id): Id<ReplayId>,
) -> Result<Response, ApiError> {
    let found = store::one(&*api.reads.of(caller.company()).await?, caller.company(), id)
        .await?
        .ok_or_else(not_found::<ReplayId>)?;
    Ok(answer::json(StatusCode::OK, &answer::data(found)))
}

/// Cancel a replay
///
/// The replay stops within about a second. A replay that has ended already stays as it is.
#[utoipa::path(delete, path = "/webhooks/replays/{id}", operation_id = "cancelReplay", tag = "Deliveries",
    params(Id<ReplayId>),
    responses((status = 200, description = "The replay as it is now", body = Answered<ReplayView>), WriteErrors))]
async fn cancel(
    State(api): State<Api>,
    caller: Allowed<WebhooksWrite>,
    Id(id): Id<ReplayId>,
) -> Result<Response, ApiError> {
    store::cancel(&*api.reads.of(caller.company()).await?, caller.company(), id, api.clock.now()).await?;
    let found = store::one(&*api.reads.of(caller.company()).await?, caller.company(), id)
        .await?
        .ok_or_else(not_found::<ReplayId>)?;
    Ok(answer::json(StatusCode::OK, &answer::data(found)))
}
