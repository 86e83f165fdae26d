//! Subscriptions as shown. Secrets are shown once, to whoever subscribes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Status, Subscription};
use crate::model::events::EventType;
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::model::records::{serialize_time, serialize_time_option};

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
    /// For verifying signatures (Standard Webhooks). Shown here only.
    secret: String,
    /// `subscription` or `record`.
    #[schema(example = "subscription")]
    ordering: &'static str,
    /// Deliveries at a time.
    concurrency: i16,
}

impl From<&Subscription> for Subscribed {
    fn from(subscription: &Subscription) -> Self {
        let (id, subscription_id) = (subscription.id.hook(), subscription.id.to_string());
        let data = SubscribedData {
            id: id.clone(),
            subscription_id: subscription_id.clone(),
            event: subscription.event_type,
            target_url: subscription.target_url.clone(),
            created_at: subscription.created_at,
            filters: subscription.filters.to_json(),
            is_active: subscription.status == Status::Active,
            ordering: subscription.ordering.word(),
            concurrency: subscription.ordering.concurrency(),
            secret: subscription.secret.reveal().to_owned(),
        };
        Self { success: true, data, id, subscription_id }
    }
}

/// A subscription as listed.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionView {
    /// `hook_…`
    id: String,
    /// `sub_…`
    subscription_id: String,
    #[schema(value_type = EventType)]
    event_type: String,
    target_url: String,
    is_active: bool,
    #[serde(serialize_with = "serialize_time")]
    created_at: DateTime<Utc>,
    #[schema(value_type = Object)]
    filters: Value,
    /// `subscription` or `record`.
    #[schema(example = "subscription")]
    ordering: String,
    /// Deliveries at a time.
    concurrency: i16,
    /// `active`, `paused` or `deactivated`.
    status: String,
    /// Why it was deactivated.
    #[schema(required)]
    status_reason: Option<String>,
    /// Until when deliveries are signed with the secret before, too; not there once they are not.
    #[serde(serialize_with = "serialize_time_option", skip_serializing_if = "Option::is_none")]
    previous_secret_valid_until: Option<DateTime<Utc>>,
    /// How deliveries go.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryHealth>,
}

/// How the deliveries of a subscription go.
#[derive(Serialize, ToSchema)]
struct DeliveryHealth {
    /// Are there events that are not delivered yet? With filters, this is known a moment later.
    waiting: bool,
    /// Attempts made for the next event.
    head_attempts: i16,
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    next_attempt_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    last_attempt_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    last_success_at: Option<DateTime<Utc>>,
    /// What was wrong with the last attempt that failed, until one succeeds.
    #[schema(required)]
    last_error: Option<String>,
    /// Events in a row that were given up after four attempts.
    consecutive_undelivered: i32,
    /// What it waited for and will not get, newest first, at most 20.
    gaps: Vec<Gap>,
}

/// Events that a subscription will not get although it waited for them.
#[derive(Serialize, ToSchema)]
struct Gap {
    /// `retention`: they became too old to be kept. `skipped`: it was resumed without them, and
    /// as long as they are kept its deliveries list them as `skipped`.
    #[schema(value_type = String, example = "retention")]
    reason: String,
    /// How many of its type; with filters, at most so many.
    #[schema(example = 17)]
    events: i64,
    #[serde(serialize_with = "serialize_time")]
    at: DateTime<Utc>,
}

impl SubscriptionView {
    /// As it is `now`, without how deliveries go.
    pub fn new(subscription: &Subscription, now: DateTime<Utc>) -> Self {
        let until = subscription.previous_secret.as_ref().map(|(_, until)| *until);
        Self {
            id: subscription.id.hook(),
            subscription_id: subscription.id.to_string(),
            event_type: subscription.event_type.name().to_owned(),
            target_url: subscription.target_url.clone(),
            is_active: subscription.status == Status::Active,
            created_at: subscription.created_at,
            filters: subscription.filters.to_json(),
            ordering: subscription.ordering.word().to_owned(),
            concurrency: subscription.ordering.concurrency(),
            status: subscription.status.word().to_owned(),
            status_reason: subscription.status_reason.clone(),
            previous_secret_valid_until: until.filter(|until| now < *until),
            delivery: None,
        }
    }
}

/// A company's subscriptions with this status (or `all`), newest first.
pub async fn all(
    pool: &PgPool,
    company: CompanyId,
    status: &str,
    now: DateTime<Utc>,
) -> Result<Vec<SubscriptionView>, sqlx::Error> {
    select(pool, company, None, status, now).await
}

/// One subscription, whatever its status.
pub async fn one(
    pool: &PgPool,
    company: CompanyId,
    id: SubscriptionId,
    now: DateTime<Utc>,
) -> Result<Option<SubscriptionView>, sqlx::Error> {
    Ok(select(pool, company, Some(id), "all", now).await?.pop())
}

async fn select(
    pool: &PgPool,
    company: CompanyId,
    id: Option<SubscriptionId>,
    status: &str,
    now: DateTime<Utc>,
) -> Result<Vec<SubscriptionView>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.event_type, s.target_url, s.filters, s.status, s.status_reason, s.created_at,
                  s.ordering, s.concurrency, s.previous_secret_until,
                  (c.lagging OR s.status <> 'active' OR s.filters = '{}') AND EXISTS (
                      SELECT FROM events e
                      WHERE e.company_id = s.company_id AND e.type = s.event_type
                        AND e.seq > done.seq
                  ) AS "waiting!", c.head_attempts, c.next_attempt_at, c.last_attempt_at, c.last_success_at, c.last_error,
                  c.undelivered_in_row
           FROM subscriptions s JOIN cursors c ON c.subscription_id = s.id JOIN done ON done.subscription_id = s.id
           WHERE s.company_id = $1 AND ($2::uuid IS NULL OR s.id = $2)
             AND s.status <> 'deleted' AND ($3 = 'all' OR s.status = $3)
           ORDER BY s.created_at DESC, s.id DESC"#,
        company.0,
        id.map(|id| id.0),
        status,
    )
    .fetch_all(pool)
    .await?;
    let mut gaps = gaps(pool, company, id).await?;
    let views = rows.into_iter().map(|row| {
        let id = SubscriptionId(row.id);
        SubscriptionView {
            id: id.hook(),
            subscription_id: id.to_string(),
            event_type: row.event_type,
            target_url: row.target_url,
            is_active: row.status == Status::Active.word(),
            created_at: row.created_at,
            filters: serde_json::from_str(&row.filters).unwrap_or_default(),
            ordering: row.ordering,
            concurrency: row.concurrency,
            status: row.status,
            status_reason: row.status_reason,
            previous_secret_valid_until: row.previous_secret_until.filter(|until| now < *until),
            delivery: Some(DeliveryHealth {
                waiting: row.waiting,
                head_attempts: row.head_attempts,
                next_attempt_at: row.next_attempt_at,
                last_attempt_at: row.last_attempt_at,
                last_success_at: row.last_success_at,
                last_error: row.last_error,
                consecutive_undelivered: row.undelivered_in_row,
                gaps: gaps.remove(&row.id).unwrap_or_default(),
            }),
        }
    });
    Ok(views.collect())
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
