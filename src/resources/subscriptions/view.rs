//! Subscriptions as shown. Secrets are shown once, to whoever subscribes.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model::events::EventType;
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::model::time::{serialize_time, serialize_time_option};
use crate::subscription::{self, Health, OrderingWord, Status, Stored, Subscription};

/// Gaps that are shown of one subscription, the newest.
const MAX_GAPS: i64 = 20;

/// The answer to subscribing. The ids stand once more at top level, because
/// Zapier's `subscribeData` is sometimes the whole answer and sometimes its `data`.
#[derive(Serialize, ToSchema)]
pub struct Subscribed {
    #[schema(example = true)]
    success: bool,
    data: SubscribedData,
    #[schema(example = "hook_0192f3a4b5c67d8e9f0a1b2c3d4e5f60")]
    id: String,
    #[schema(example = "sub_0192f3a4b5c67d8e9f0a1b2c3d4e5f60")]
    subscription_id: String,
}

/// A new subscription.
#[derive(Serialize, ToSchema)]
struct SubscribedData {
    /// `hook_…`
    id: String,
    /// `sub_…`
    subscription_id: String,
    event: EventType,
    target_url: String,
    #[serde(serialize_with = "serialize_time")]
    created_at: DateTime<Utc>,
    #[schema(value_type = Object)]
    filters: Value,
    is_active: bool,
    /// The secret that verifies signatures (Standard Webhooks). No other answer shows it.
    secret: String,
    ordering: OrderingWord,
    /// The most deliveries at a time.
    concurrency: u8,
}

impl From<&Subscription> for Subscribed {
    fn from(subscription: &Subscription) -> Self {
        let (id, subscription_id) = (subscription.id.hook(), subscription.id.to_string());
        let data = SubscribedData {
            id: id.clone(),
            subscription_id: subscription_id.clone(),
            event: subscription.event_type,
            target_url: subscription.target.to_string(),
            created_at: subscription.created_at,
            filters: subscription.filters.to_json(),
            is_active: subscription.is_active(),
            ordering: subscription.ordering.word(),
            concurrency: subscription.ordering.concurrency(),
            secret: subscription.secrets.current.reveal().to_owned(),
        };
        Self { success: true, data, id, subscription_id }
    }
}

/// A subscription.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionView {
    /// `hook_…`
    id: String,
    /// `sub_…`
    subscription_id: String,
    event_type: EventType,
    target_url: String,
    is_active: bool,
    #[serde(serialize_with = "serialize_time")]
    created_at: DateTime<Utc>,
    #[schema(value_type = Object)]
    filters: Value,
    ordering: OrderingWord,
    /// The most deliveries at a time.
    concurrency: u8,
    status: Status,
    /// Why the subscription was deactivated.
    #[schema(required)]
    status_reason: Option<String>,
    /// The time until which deliveries are also signed with the previous secret; absent afterwards.
    #[serde(serialize_with = "serialize_time_option", skip_serializing_if = "Option::is_none")]
    previous_secret_valid_until: Option<DateTime<Utc>>,
    /// How the deliveries go.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryHealth>,
}

/// How the deliveries of a subscription go.
#[derive(Serialize, ToSchema)]
struct DeliveryHealth {
    /// Whether events wait for delivery. With filters, the answer can be a second old.
    waiting: bool,
    /// The number of attempts made for the next event.
    head_attempts: u8,
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    next_attempt_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    last_attempt_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    last_success_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed; null once an attempt succeeds.
    #[schema(required)]
    last_error: Option<String>,
    /// The number of consecutive events that were given up after four attempts.
    consecutive_undelivered: i32,
    /// The newest 20 gaps: events that the subscription waited for and will not get.
    gaps: Vec<Gap>,
}

/// Events that a subscription will not get although it waited for them.
#[derive(Serialize, ToSchema)]
struct Gap {
    /// `retention`: they became too old to be kept. `skipped`: it was resumed without them, and
    /// as long as they are kept its deliveries list them as `skipped`.
    #[schema(value_type = String, example = "retention")]
    reason: String,
    /// The number of events of the subscription's type; with filters, at most this many.
    #[schema(example = 17)]
    events: i64,
    #[serde(serialize_with = "serialize_time")]
    at: DateTime<Utc>,
}

impl SubscriptionView {
    /// As it is `now`, without how deliveries go.
    pub fn new(subscription: &Subscription, now: DateTime<Utc>) -> Self {
        let until = subscription.secrets.previous.as_ref().map(|(_, until)| *until);
        Self {
            id: subscription.id.hook(),
            subscription_id: subscription.id.to_string(),
            event_type: subscription.event_type,
            target_url: subscription.target.to_string(),
            is_active: subscription.is_active(),
            created_at: subscription.created_at,
            filters: subscription.filters.to_json(),
            ordering: subscription.ordering.word(),
            concurrency: subscription.ordering.concurrency(),
            status: subscription.status,
            status_reason: subscription.status_reason.clone(),
            previous_secret_valid_until: until.filter(|until| now < *until),
            delivery: None,
        }
    }
}

/// A company's subscriptions, with this status if it is given, newest first.
pub async fn all(
    pool: &PgPool,
    company: CompanyId,
    status: Option<Status>,
    now: DateTime<Utc>,
) -> Result<Vec<SubscriptionView>, sqlx::Error> {
    let stored = subscription::of_company(pool, company, None, status).await?;
    with_health(pool, company, None, stored, now).await
}

/// One subscription, whatever its status.
pub async fn one(
    pool: &PgPool,
    company: CompanyId,
    id: SubscriptionId,
    now: DateTime<Utc>,
) -> Result<Option<SubscriptionView>, sqlx::Error> {
    let stored = subscription::one(pool, company, id).await?;
    Ok(with_health(pool, company, Some(id), stored.into_iter().collect(), now).await?.pop())
}

async fn with_health(
    pool: &PgPool,
    company: CompanyId,
    id: Option<SubscriptionId>,
    stored: Vec<Stored>,
    now: DateTime<Utc>,
) -> Result<Vec<SubscriptionView>, sqlx::Error> {
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let waiting = waiting(pool, company, &stored).await?;
    let mut gaps = gaps(pool, company, id).await?;
    let views = stored.into_iter().map(|Stored { subscription, progress, .. }| {
        let Health { undelivered_in_row, last_attempt_at, last_success_at, last_error } = progress.health;
        let delivery = DeliveryHealth {
            waiting: waiting.contains(&subscription.id.0),
            head_attempts: progress.head_attempts,
            next_attempt_at: progress.next_attempt_at,
            last_attempt_at,
            last_success_at,
            last_error,
            consecutive_undelivered: undelivered_in_row,
            gaps: gaps.remove(&subscription.id.0).unwrap_or_default(),
        };
        SubscriptionView { delivery: Some(delivery), ..SubscriptionView::new(&subscription, now) }
    });
    Ok(views.collect())
}

/// Those subscriptions that have events which are not done. A lane that is up to date, and
/// has filters, does not say how far it is at once.
async fn waiting(pool: &PgPool, company: CompanyId, stored: &[Stored]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let known = stored.iter().filter(|Stored { subscription, progress, .. }| {
        progress.lagging || !subscription.is_active() || subscription.filters.is_empty()
    });
    let (ids, (types, done)): (Vec<_>, (Vec<_>, Vec<_>)) = known
        .map(|Stored { subscription, progress, .. }| {
            (subscription.id.0, (subscription.event_type.word().to_owned(), progress.done))
        })
        .unzip();
    let rows = sqlx::query_scalar!(
        r#"SELECT known.id AS "id!" FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS known (id, type, done)
           WHERE EXISTS (SELECT FROM events e WHERE e.company_id = $1 AND e.type = known.type AND e.seq > known.done)"#,
        company.0,
        &ids,
        &types,
        &done,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().collect())
}

/// The newest gaps of each of a company's subscriptions, or of one.
async fn gaps(
    pool: &PgPool,
    company: CompanyId,
    id: Option<SubscriptionId>,
) -> Result<HashMap<Uuid, Vec<Gap>>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT s.id, gap.reason, gap.events, gap.at
         FROM subscriptions s CROSS JOIN LATERAL (
             SELECT reason, events, at, to_seq FROM gaps
             WHERE company_id = $1 AND subscription_id = s.id ORDER BY to_seq DESC LIMIT $3) gap
         WHERE s.company_id = $1 AND ($2::uuid IS NULL OR s.id = $2)
         ORDER BY gap.at DESC, gap.to_seq DESC",
        company.0,
        id.map(|id| id.0),
        MAX_GAPS,
    )
    .fetch_all(pool)
    .await?;
    let mut gaps: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        gaps.entry(row.id).or_default().push(Gap { reason: row.reason, events: row.events, at: row.at });
    }
    Ok(gaps)
}
