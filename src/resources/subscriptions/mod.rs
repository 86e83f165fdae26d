//! Webhook subscriptions: who wants which events, and where to.
//!
//! A subscription is *active*; the subscriber may *pause* and resume it; the
//! server may *deactivate* it (410 Gone), with a reason, until the subscriber
//! resumes it. Meanwhile its events wait. Unsubscribing *deletes* it.

mod check_url;
pub(super) mod decide;
mod etag;
mod input;
mod replay;
mod rotate;
pub(super) mod store;
mod view;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::http::allowed::{Allowed, WebhooksRead, WebhooksWrite};
use crate::http::answer::{self, Answered, Message};
use crate::http::auth::Caller;
use crate::http::body::Payload;
use crate::http::conditions::{
    ConditionErrors, IfMatch, IfMatchHeader, IfNoneMatch, IfNoneMatchHeader, Unchanged,
};
use crate::http::error::ApiError;
use crate::http::id::{Id, not_found};
use crate::http::openapi::{IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::http::paging::{Continued, MAX_LIMIT, Page};
use crate::http::query::{self, Query};
use crate::log::seek;
use crate::model::ids::{ReplayId, SubscriptionId};
use crate::model::words::words;
use crate::outbound::signature::Secret;
use crate::outbound::targets::Whose;
use crate::random;
use crate::resources::Command as AnyCommand;
use crate::subscription::Status;
use input::{ChangeInput, Changes, NewSubscription, SubscribeInput, UnsubscribeInput};
pub use replay::{NewReplay, ReplayView};
use rotate::Rotation;
use view::{Subscribed, SubscriptionView};

/// A wish about a subscription.
pub enum Command {
    /// Subscribe, unless there is one like it already, which is changed then.
    Subscribe(SubscriptionId, Box<NewSubscription>),
    /// Pause, resume, change the target or the filters.
    Change(SubscriptionId, Changes),
    /// Change the secret.
    Rotate(SubscriptionId, Rotation),
    /// Unsubscribe.
    Unsubscribe(SubscriptionId),
    /// Send events again.
    Replay(SubscriptionId, ReplayId, NewReplay),
}

impl From<Command> for super::Command {
    fn from(command: Command) -> Self {
        Self::Subscription(command)
    }
}

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(subscribe))
        .routes(routes!(unsubscribe))
        .routes(routes!(check_url::check_url))
        .routes(routes!(rotate::rotate_secret))
        .routes(routes!(show, change, delete))
}

/// Subscribe to an event
///
/// Events that occur after the answer (or since `since`) are delivered to `target_url`, signed
/// with `secret` according to Standard Webhooks, one after the other. With `ordering: "record"`,
/// only events of the same contact or deal wait for each other.
///
/// Subscribing again with the same events, URL and filters returns the first subscription with 200.
/// It takes over another `secret`, `ordering` or `concurrency`. If the server had deactivated it,
/// it is resumed.
#[utoipa::path(post, path = "/webhooks/subscribe", operation_id = "subscribe", tag = "Webhooks", request_body = SubscribeInput,
    params(IdempotencyKeyHeader),
    responses(
        (status = 201, description = "Subscribed", body = Subscribed, headers(("ETag" = String, description = "The state of the record"))),
        (status = 200, description = "The same subscription existed already", body = Subscribed, headers(("ETag" = String, description = "The state of the record"))),
        WriteErrors))]
async fn subscribe(
    State(api): State<Api>,
    caller: Allowed<WebhooksWrite>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let random = random::bytes().map_err(|error| ApiError::internal(&error))?;
    let input = payload.json::<SubscribeInput>()?;
    let (mut new, since) = input
        .into_new((&api.targets, whose(&caller)), (caller.author().actor.id(), Secret::generate(random)))
        .await?;
    if let Some(since) = since {
        new.start = Some(seek::before(&*api.reads.of(caller.company()).await?, since).await?);
    }
    let id = SubscriptionId(api.ids.next(api.clock.now()));
    api.write(&caller, Some(&payload), Command::Subscribe(id, Box::new(new))).await
}

/// Which subscription to end, for clients that send no body with DELETE.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UnsubscribeQuery {
    /// The id of the subscription (`sub_…` or `hook_…`), if the body does not have it.
    subscription_id: Option<String>,
}

/// Unsubscribe
///
/// The id of the subscription is in the body or in the query. Both `sub_…` and `hook_…` work.
#[utoipa::path(delete, path = "/webhooks/unsubscribe", operation_id = "unsubscribe", tag = "Webhooks", params(UnsubscribeQuery, IfMatchHeader),
    request_body = Option<UnsubscribeInput>,
    responses((status = 200, description = "Unsubscribed", body = Message), ConditionErrors, WriteErrors))]
async fn unsubscribe(
    State(api): State<Api>,
    caller: Allowed<WebhooksWrite>,
    Query(wanted): Query<UnsubscribeQuery>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, ApiError> {
    let id = match query::text(wanted.subscription_id) {
        Some(id) => id,
        None if payload.is_empty() => return Err(ApiError::invalid_field("subscription_id", "is required")),
        None => payload.json::<UnsubscribeInput>()?.into_id()?,
    };
    let id = SubscriptionId::parse_either(&id).ok_or_else(not_found::<SubscriptionId>)?;
    api.write(&caller, None, AnyCommand::guarded(if_match, Command::Unsubscribe(id))).await
}

/// Unsubscribe, by path
#[utoipa::path(delete, path = "/webhooks/{id}", operation_id = "deleteSubscription", tag = "Webhooks",
    params(Id<SubscriptionId>, IfMatchHeader),
    responses((status = 200, description = "Unsubscribed", body = Message), ConditionErrors, WriteErrors))]
async fn delete(
    State(api): State<Api>,
    caller: Allowed<WebhooksWrite>,
    Id(id): Id<SubscriptionId>,
    if_match: IfMatch,
) -> Result<Response, ApiError> {
    api.write(&caller, None, AnyCommand::guarded(if_match, Command::Unsubscribe(id))).await
}

/// Pause, resume or change a subscription
///
/// While a subscription is paused or deactivated, its events wait. When it is resumed, they are
/// delivered in order. `is_active: true` for an active subscription ends a pause after failures:
/// the next attempt is made at once. With `resume: "now"` they are skipped instead, and showing the
/// subscription tells how many.
#[utoipa::path(patch, path = "/webhooks/{id}", operation_id = "updateSubscription", tag = "Webhooks", request_body = ChangeInput,
    params(Id<SubscriptionId>, IfMatchHeader),
    responses((status = 200, description = "The subscription as it is now", body = Answered<SubscriptionView>, headers(("ETag" = String, description = "The state of the record"))), ConditionErrors, WriteErrors))]
async fn change(
    State(api): State<Api>,
    caller: Allowed<WebhooksWrite>,
    Id(id): Id<SubscriptionId>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, ApiError> {
    let changes = payload
        .json::<ChangeInput>()?
        .into_changes((&api.targets, whose(&caller)), caller.author().actor.id())
        .await?;
    api.write(&caller, None, AnyCommand::guarded(if_match, Command::Change(id, changes))).await
}

words! {
    /// The status of the subscriptions to list.
    enum StatusFilter {
        /// Those that are delivered to.
        Active = "active",
        /// Active ones that pause because an event was not delivered.
        Degraded = "degraded",
        /// Those that their owner paused.
        Paused = "paused",
        /// Those that the server deactivated.
        Deactivated = "deactivated",
        /// All of them.
        All = "all",
    }
}

/// Which subscriptions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Return only subscriptions with this status; `active` by default.
    #[param(inline, value_type = Option<StatusFilter>)]
    status: Option<String>,
    /// The most subscriptions on a page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200, default = 200)]
    limit: Option<String>,
    /// The `meta.nextCursor` of an earlier answer: the subscriptions after it.
    cursor: Option<String>,
}

/// List subscriptions
///
/// Lists the active subscriptions unless `status` says otherwise, 200 at a time. The newest come first.
#[utoipa::path(get, path = "/webhooks", operation_id = "listSubscriptions", tag = "Webhooks", params(ListQuery),
    responses((status = 200, description = "The subscriptions", body = Continued<SubscriptionView>), ReadErrors))]
async fn list(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    Query(listed): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let wanted = query::word("status", listed.status)?;
    let status = match wanted {
        None | Some(StatusFilter::Active | StatusFilter::Degraded) => Some(Status::Active),
        Some(StatusFilter::Paused) => Some(Status::Paused),
        Some(StatusFilter::Deactivated) => Some(Status::Deactivated),
        Some(StatusFilter::All) => None,
    };
    let page = Page::by_cursor(listed.limit, listed.cursor, MAX_LIMIT)?;
    let reads = api.reads.of(caller.company()).await?;
    let mut shown = view::page(&reads, caller.company(), (status, page), api.clock.now()).await?;
    shown.data.retain(|shown| wanted != Some(StatusFilter::Degraded) || shown.is_degraded());
    Ok(answer::json(StatusCode::OK, &shown))
}

/// Show a subscription
#[utoipa::path(get, path = "/webhooks/{id}", operation_id = "getSubscription", tag = "Webhooks",
    params(Id<SubscriptionId>, IfNoneMatchHeader),
    responses((status = 200, description = "The subscription", body = Answered<SubscriptionView>, headers(("ETag" = String, description = "The state of the record"))), Unchanged, ReadErrors))]
async fn show(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    Id(id): Id<SubscriptionId>,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    let found =
        view::one(&*api.reads.of(caller.company()).await?, caller.company(), id, api.clock.now()).await?;
    let (etag, found) = found.ok_or_else(not_found::<SubscriptionId>)?;
    Ok(answer::tagged(&etag, &answer::data(found), &known))
}

/// Who asks about a target.
fn whose(caller: &Caller) -> Whose {
    Whose { company: caller.company(), here: !caller.proxied }
}
