//! Subscriptions as shown. Secrets are shown once, to whoever subscribes.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::etag::etag;
use crate::http::paging::{Continued, Page};
use crate::model::etag::ETag;
use crate::model::events::IncludeWord;
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::model::time::{serialize_time, serialize_time_option, wire_time};
use crate::model::words::words;
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
    /// The event type, the pattern, or several of these, with commas between.
    #[schema(example = "contact.created")]
    event: String,
    target_url: String,
    #[serde(serialize_with = "serialize_time")]
    created_at: DateTime<Utc>,
    /// The event types and patterns.
    #[schema(example = json!(["contact.created"]))]
    events: Vec<&'static str>,
    #[schema(value_type = Object)]
    filters: Value,
    /// The headers that go with every delivery, without their values.
    #[schema(value_type = Object)]
    headers: BTreeMap<String, &'static str>,
    /// What deliveries carry beyond the usual: `previous`, `actor`.
    include: Vec<IncludeWord>,
    /// Whether events are left out that the API key causes that asked for it.
    ignore_own: bool,
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
            event: subscription.events.to_string(),
            events: subscription.events.words(),
            target_url: subscription.target.to_string(),
            created_at: subscription.created_at,
            filters: subscription.filters.to_json(),
            headers: subscription.headers.masked(),
            include: subscription.include.words(),
            ignore_own: subscription.ignored_actor.is_some(),
            is_active: subscription.is_active(),
            ordering: subscription.ordering.word(),
            concurrency: subscription.ordering.concurrency(),
            secret: subscription.secrets.current.reveal().to_owned(),
        };
        Self { success: true, data, id, subscription_id }
    }
}

words! {
    /// How a subscription is.
    #[schema(as = ShownSubscriptionStatus)]
    enum ShownStatus {
        /// Its events are delivered.
        Active = "active",
        /// Its events are delivered, after a pause: the last one was given up.
        Degraded = "degraded",
        /// Its events wait, because its owner said so.
        Paused = "paused",
        /// Its events wait, because the server said so.
        Deactivated = "deactivated",
        /// It is gone.
        Deleted = "deleted",
    }
}

impl From<Status> for ShownStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Paused => Self::Paused,
            Status::Deactivated => Self::Deactivated,
            Status::Deleted => Self::Deleted,
        }
    }
}

/// A subscription.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionView {
    /// `hook_…`
    id: String,
    /// `sub_…`
    subscription_id: String,
    /// The event type, the pattern, or several of these, with commas between.
    #[schema(example = "contact.created")]
    event_type: String,
    target_url: String,
    is_active: bool,
    #[serde(serialize_with = "serialize_time")]
    created_at: DateTime<Utc>,
    /// The event types and patterns.
    #[schema(example = json!(["contact.created"]))]
    events: Vec<&'static str>,
    #[schema(value_type = Object)]
    filters: Value,
    /// The headers that go with every delivery, without their values.
    #[schema(value_type = Object)]
    headers: BTreeMap<String, &'static str>,
    /// What deliveries carry beyond the usual: `previous`, `actor`.
    include: Vec<IncludeWord>,
    /// Whether events are left out that the API key causes that asked for it.
    ignore_own: bool,
    ordering: OrderingWord,
    /// The most deliveries at a time.
    concurrency: u8,
    status: ShownStatus,
    /// Why the subscription is degraded or was deactivated.
    #[schema(required)]
    status_reason: Option<String>,
    /// Until when a degraded subscription makes no first attempt; absent otherwise.
    #[serde(serialize_with = "serialize_time_option", skip_serializing_if = "Option::is_none")]
    degraded_until: Option<DateTime<Utc>>,
    /// The time until which deliveries are also signed with previous secrets; absent afterwards.
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
    /// The number of events of the subscription's types; with filters, at most this many.
    #[schema(example = 17)]
    events: i64,
    #[serde(serialize_with = "serialize_time")]
    at: DateTime<Utc>,
}

impl SubscriptionView {
    /// Does it pause because an event was not delivered?
    pub fn is_degraded(&self) -> bool {
        self.status == ShownStatus::Degraded
    }

    /// As it is `now`, without how deliveries go.
    pub fn new(subscription: &Subscription, now: DateTime<Utc>) -> Self {
        Self {
            id: subscription.id.hook(),
            subscription_id: subscription.id.to_string(),
            event_type: subscription.events.to_string(),
            events: subscription.events.words(),
            target_url: subscription.target.to_string(),
            is_active: subscription.is_active(),
            created_at: subscription.created_at,
            filters: subscription.filters.to_json(),
            headers: subscription.headers.masked(),
            include: subscription.include.words(),
            ignore_own: subscription.ignored_actor.is_some(),
            ordering: subscription.ordering.word(),
            concurrency: subscription.ordering.concurrency(),
            status: ShownStatus::from(subscription.status),
            status_reason: subscription.status_reason.clone(),
            degraded_until: None,
            previous_secret_valid_until: subscription.secrets.previous_until(now),
            delivery: None,
        }
    }
}

/// A page of a company's subscriptions, with this status if it is given, newest first.
pub async fn page(
    pool: &PgPool,
    company: CompanyId,
    (status, page): (Option<Status>, Page),
    now: DateTime<Utc>,
) -> Result<Continued<SubscriptionView>, sqlx::Error> {
    let stored = subscription::page_of_company(pool, company, status, page.after(), page.rows()).await?;
    let position = |stored: &Stored| (stored.subscription.created_at, stored.subscription.id.0);
    page.next(stored, position, async |stored| with_health(pool, company, stored, now).await).await
}

/// One subscription, whatever its status, and its tag.
pub async fn one(
    pool: &PgPool,
    company: CompanyId,
    id: SubscriptionId,
    now: DateTime<Utc>,
) -> Result<Option<(ETag, SubscriptionView)>, sqlx::Error> {
    let stored = subscription::one(pool, company, id).await?;
    let etag = stored.as_ref().map(|stored| etag(&stored.subscription));
    let view = with_health(pool, company, stored.into_iter().collect(), now).await?.pop();
    Ok(etag.zip(view))
}

async fn with_health(
    pool: &PgPool,
    company: CompanyId,
    stored: Vec<Stored>,
    now: DateTime<Utc>,
) -> Result<Vec<SubscriptionView>, sqlx::Error> {
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let waiting = waiting(pool, company, &stored).await?;
    let pauses = pauses(pool, company, now).await?;
    let ids: Vec<_> = stored.iter().map(|stored| stored.subscription.id.0).collect();
    let mut gaps = gaps(pool, company, &ids).await?;
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
        let view = SubscriptionView { delivery: Some(delivery), ..SubscriptionView::new(&subscription, now) };
        match pauses.get(subscription.target.as_str()) {
            Some(pause) if subscription.is_active() => SubscriptionView {
                status: ShownStatus::Degraded,
                status_reason: Some(pause.reason()),
                degraded_until: Some(pause.until),
                ..view
            },
            _ => view,
        }
    });
    Ok(views.collect())
}

/// A pause after an undelivered event, which holds for all subscriptions to its URL.
struct Pause {
    since: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
    undelivered_in_row: i32,
    last_error: Option<String>,
}

impl Pause {
    fn reason(&self) -> String {
        let Self { since, until, undelivered_in_row, last_error } = self;
        let since = since.map_or_else(String::new, |since| format!(", the last one at {}", wire_time(since)));
        let error = last_error.as_deref().map_or_else(String::new, |error| format!(" ({error})"));
        format!(
            "{undelivered_in_row} in a row were not delivered to this URL{since}{error}. The next event is tried at {}; send is_active: true to try at once",
            wire_time(*until)
        )
    }
}

/// The pauses of a company's endpoints, by URL.
async fn pauses(
    pool: &PgPool,
    company: CompanyId,
    now: DateTime<Utc>,
) -> Result<HashMap<String, Pause>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (s.target_url) s.target_url, c.last_attempt_at, c.next_attempt_at AS "until!",
                  c.undelivered_in_row, c.last_error
           FROM subscriptions s JOIN cursors c ON c.subscription_id = s.id
           WHERE s.company_id = $1 AND s.status = 'active' AND c.head_attempts = 0 AND c.next_attempt_at > $2
             AND c.undelivered_in_row > 0
           ORDER BY s.target_url, c.next_attempt_at DESC"#,
        company.0,
        now,
    )
    .fetch_all(pool)
    .await?;
    let pauses = rows.into_iter().map(|row| {
        let pause = Pause {
            since: row.last_attempt_at,
            until: row.until,
            undelivered_in_row: row.undelivered_in_row,
            last_error: row.last_error,
        };
        (row.target_url, pause)
    });
    Ok(pauses.collect())
}

/// Those subscriptions that have events which are not done. A lane that is up to date, and
/// has filters, does not say how far it is at once.
async fn waiting(pool: &PgPool, company: CompanyId, stored: &[Stored]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let known = stored.iter().filter(|Stored { subscription, progress, .. }| {
        progress.lagging || !subscription.is_active() || subscription.wants_all()
    });
    let (ids, (types, done)): (Vec<_>, (Vec<_>, Vec<_>)) = known
        .flat_map(|Stored { subscription, progress, .. }| {
            let words = subscription.events.types().words().into_iter();
            words.map(|word| (subscription.id.0, (word, progress.done)))
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

/// The newest gaps of each of some of a company's subscriptions.
async fn gaps(
    pool: &PgPool,
    company: CompanyId,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Gap>>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT s.id, gap.reason, gap.events, gap.at
         FROM subscriptions s CROSS JOIN LATERAL (
             SELECT reason, events, at, to_seq FROM gaps
             WHERE company_id = $1 AND subscription_id = s.id ORDER BY to_seq DESC LIMIT $3) gap
         WHERE s.company_id = $1 AND s.id = ANY($2)
         ORDER BY gap.at DESC, gap.to_seq DESC",
        company.0,
        ids,
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
