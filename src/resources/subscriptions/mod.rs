//! Webhook subscriptions: who wants which events, and where to.
//!
//! A subscription is *active*; the subscriber may *pause* and resume it; the
//! server may *deactivate* it (410 Gone), with a reason, until the subscriber
//! resumes it. Meanwhile its events wait. Unsubscribing *deletes* it.

mod check_url;
pub(super) mod decide;
mod input;
mod rotate;
pub(super) mod store;
mod view;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::http::answer;
use crate::http::auth::Caller;
use crate::http::body::Payload;
use crate::http::error::ApiError;
use crate::http::openapi::{Answered, ReadErrors, Said, WriteErrors};
use crate::http::query::{self, Query};
use crate::log::timeline;
use crate::model::events::{EventType, Filters};
use crate::model::ids::{ReplayId, SubscriptionId};
use crate::model::permission::Permission;
use crate::outbound::signature::Secret;
use crate::random;
use input::{ChangeInput, Changes, NewSubscription, SubscribeInput, UnsubscribeInput};
use rotate::Rotation;
use view::{Subscribed, SubscriptionView};

/// A subscription as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// `sub_…`, also shown as `hook_…`.
    pub id: SubscriptionId,
    /// The one event type it wants.
    pub event_type: EventType,
    /// Where to, as the subscriber wrote it.
    pub target_url: String,
    /// Conditions on the record.
    pub filters: Filters,
    /// `whsec_…`
    pub secret: Secret,
    /// The secret before, and when it stops to sign.
    pub previous_secret: Option<(Secret, DateTime<Utc>)>,
    /// Where it stands.
    pub status: Status,
    /// Why it was deactivated.
    pub status_reason: Option<String>,
    /// Was it made from this very machine, so that it may deliver to it?
    pub loopback: bool,
    /// Which deliveries wait for which others.
    pub ordering: Ordering,
    /// Where it begins, if not at the end of the log: everything up to there is older.
    pub start: Option<i64>,
    /// Shall the events that wait not be delivered any more?
    pub skip: bool,
    /// Shall what waits for its time be tried at once, with new patience?
    pub hurry: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its definition or status last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which deliveries wait for which others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// Each for the one before it.
    #[default]
    Subscription,
    /// Each for the one before it of the same record.
    Record {
        /// So many at a time, 1–64.
        concurrency: i16,
    },
}

impl Ordering {
    /// As stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Record { .. } => "record",
        }
    }

    /// Deliveries at a time.
    pub fn concurrency(self) -> i16 {
        match self {
            Self::Subscription => 1,
            Self::Record { concurrency } => concurrency,
        }
    }

    /// As read.
    pub fn parse(word: &str, concurrency: i16) -> Option<Self> {
        match word {
            "subscription" => Some(Self::Subscription),
            "record" => Some(Self::Record { concurrency }),
            _ => None,
        }
    }
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Delivering.
    Active,
    /// Waiting, because the subscriber said so.
    Paused,
    /// Waiting, because the server said so.
    Deactivated,
    /// Gone; kept for a while so that every process hears of it.
    Deleted,
}

impl Status {
    /// As stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
        }
    }

    /// As read.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Paused, Self::Deactivated, Self::Deleted]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

/// A wish about a subscription.
pub enum Command {
    /// Subscribe, unless there is one like it already.
    Subscribe(SubscriptionId, NewSubscription),
    /// Pause, resume, change the target or the filters.
    Change(SubscriptionId, Changes),
    /// Change the secret.
    Rotate(SubscriptionId, Rotation),
    /// Unsubscribe.
    Unsubscribe(SubscriptionId),
    /// Send events again.
    Replay(SubscriptionId, ReplayId, NewReplay),
}

/// Events to send again.
#[derive(Clone, Copy, Debug)]
pub struct NewReplay {
    /// Only those that were given up?
    pub only_undelivered: bool,
    /// Events a second at most.
    pub per_second: i16,
    /// Those after this number.
    pub from: i64,
    /// Up to this one.
    pub to: i64,
    /// How far it is; before `from` only if it is about the one event `from`, which is `to` too.
    pub position: i64,
}

impl NewReplay {
    /// Of the events after `from`, up to `to`.
    pub fn range(from: i64, to: i64, only_undelivered: bool, per_second: i16) -> Self {
        Self { only_undelivered, per_second, from, to: to.max(from), position: from }
    }

    /// Of one event, whether it matches the filters or not.
    pub fn single(seq: i64) -> Self {
        Self { only_undelivered: false, per_second: 1, from: seq, to: seq, position: seq - 1 }
    }
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

pub(super) fn parse_id(id: &str) -> Result<SubscriptionId, ApiError> {
    SubscriptionId::parse_either(id).ok_or_else(not_found)
}

pub(super) fn not_found() -> ApiError {
    ApiError::not_found("Webhook subscription")
}

/// Subscribe to an event
///
/// Events that happen after the answer (or after `since`) are delivered to `target_url`,
/// signed by Standard Webhooks with `secret`, one after the other; with `ordering: "record"`
/// only those of the same contact or deal wait for each other. Subscribing again with the same event, URL and
/// filters returns the first subscription with 200.
#[utoipa::path(post, path = "/webhooks/subscribe", operation_id = "subscribe", tag = "Webhooks", request_body = SubscribeInput,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats of the same request with the same key get the first answer for 24 hours")),
    responses(
        (status = 201, description = "Subscribed", body = Subscribed),
        (status = 200, description = "There was such a subscription already", body = Subscribed),
        WriteErrors))]
async fn subscribe(State(api): State<Api>, caller: Caller, payload: Payload) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksWrite)?;
    let random = random::bytes().map_err(|error| ApiError::internal(&error))?;
    let input = payload.json::<SubscribeInput>()?;
    let (mut new, since) = input.into_new(&api.targets, !caller.proxied, Secret::generate(random)).await?;
    if let Some(since) = since {
        new.start = Some(timeline::before(&api.pool, since).await?);
    }
    let id = SubscriptionId(api.ids.next(api.clock.now()));
    api.write(&caller, Some(&payload), Command::Subscribe(id, new)).await
}

/// Which subscription to end, for clients that send no body with DELETE.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UnsubscribeQuery {
    /// `sub_…` or `hook_…`, if it is not in the body.
    subscription_id: Option<String>,
}

/// Unsubscribe
///
/// The id in the body or in the query; `sub_…` and `hook_…` both work.
#[utoipa::path(delete, path = "/webhooks/unsubscribe", operation_id = "unsubscribe", tag = "Webhooks", params(UnsubscribeQuery),
    request_body = Option<UnsubscribeInput>,
    responses((status = 200, description = "Unsubscribed", body = Said), WriteErrors))]
async fn unsubscribe(
    State(api): State<Api>,
    caller: Caller,
    Query(wanted): Query<UnsubscribeQuery>,
    payload: Payload,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksWrite)?;
    let id = match query::text(wanted.subscription_id) {
        Some(id) => id,
        None if payload.is_empty() => return Err(ApiError::invalid_field("subscription_id", "is required")),
        None => payload.json::<UnsubscribeInput>()?.into_id()?,
    };
    api.write(&caller, None, Command::Unsubscribe(parse_id(&id)?)).await
}

/// Unsubscribe, by path
#[utoipa::path(delete, path = "/webhooks/{id}", operation_id = "deleteSubscription", tag = "Webhooks",
    params(("id" = String, Path, description = "`sub_…` or `hook_…`")),
    responses((status = 200, description = "Unsubscribed", body = Said), WriteErrors))]
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksWrite)?;
    api.write(&caller, None, Command::Unsubscribe(parse_id(&id)?)).await
}

/// Pause, resume or change a subscription
///
/// Paused or deactivated, its events wait. Resumed, they are delivered in order from where it
/// stood; with `resume: "now"` those that wait are skipped, and `GET` shows how many.
#[utoipa::path(patch, path = "/webhooks/{id}", operation_id = "updateSubscription", tag = "Webhooks", request_body = ChangeInput,
    params(("id" = String, Path, description = "`sub_…` or `hook_…`")),
    responses((status = 200, description = "The subscription as it is now", body = Answered<SubscriptionView>), WriteErrors))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    payload: Payload,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksWrite)?;
    let id = parse_id(&id)?;
    let changes = payload.json::<ChangeInput>()?.into_changes(&api.targets, !caller.proxied).await?;
    api.write(&caller, None, Command::Change(id, changes)).await
}

/// Which subscriptions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `active` (the default), `paused`, `deactivated` or `all`.
    #[param(example = "all", pattern = "^(active|paused|deactivated|all)$")]
    status: Option<String>,
}

/// List subscriptions
///
/// The active ones, unless asked otherwise; newest first.
#[utoipa::path(get, path = "/webhooks", operation_id = "listSubscriptions", tag = "Webhooks", params(ListQuery),
    responses((status = 200, description = "The subscriptions", body = Answered<Vec<SubscriptionView>>), ReadErrors))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksRead)?;
    let words = ["active", "paused", "deactivated", "all"];
    let parse = |word: &str| words.into_iter().find(|known| *known == word);
    let status = query::text(wanted.status).map_or(Ok("active"), |word| {
        parse(&word).ok_or_else(|| {
            ApiError::invalid_query("status", format_args!("must be one of {}", words.join(", ")))
        })
    })?;
    let subscriptions = view::all(&api.pool, caller.company(), status, api.clock.now()).await?;
    Ok(answer::json(StatusCode::OK, &answer::data(subscriptions)))
}

/// Show a subscription
#[utoipa::path(get, path = "/webhooks/{id}", operation_id = "getSubscription", tag = "Webhooks",
    params(("id" = String, Path, description = "`sub_…` or `hook_…`")),
    responses((status = 200, description = "The subscription", body = Answered<SubscriptionView>), ReadErrors))]
async fn show(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksRead)?;
    let found = view::one(&api.pool, caller.company(), parse_id(&id)?, api.clock.now()).await?;
    let found = found.ok_or_else(not_found)?;
    Ok(answer::json(StatusCode::OK, &answer::data(found)))
}
