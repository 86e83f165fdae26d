//! Replays in the database, and as shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::model::events::{Change, EventType};
use crate::model::ids::{CompanyId, DeliveryId, EventId, ReplayId, SubscriptionId};
use crate::model::time::serialize_time;
use crate::resources::subscriptions::{NewReplay, ReplayView};
use crate::subscription::{Status, Stored, Subscription};

/// Replays in a list.
const LISTED: i64 = 100;
/// Events that a dry run looks at, and how many at once.
const LOOKED_AT: i64 = 10_000;
const PAGE: i64 = 500;
/// Events that a dry run lists.
const SHOWN: usize = 100;

/// The result of a dry run: what a replay would send.
#[derive(Serialize, ToSchema)]
pub struct DryRun {
    #[serde(rename = "dryRun")]
    #[schema(example = true)]
    dry_run: bool,
    /// The number of events that would be sent, among the first 10,000 that were examined.
    events: usize,
    /// Whether there are events beyond the first 10,000.
    more: bool,
    /// The first 100 of these events.
    deliveries: Vec<DryRunDelivery>,
}

/// An event that a replay would send.
#[derive(Serialize, ToSchema)]
struct DryRunDelivery {
    /// `delivery_…`
    #[schema(value_type = String)]
    id: DeliveryId,
    event: EventType,
    #[schema(value_type = String)]
    event_id: EventId,
    /// `contact_…` or `deal_…`
    record_id: String,
    #[serde(serialize_with = "serialize_time")]
    occurred_at: DateTime<Utc>,
}

/// Whether a delivery is done with; none if there is no such delivery: no event, or one
/// that the subscriber neither wants nor ever got.
pub async fn is_done(
    pool: &PgPool,
    Stored { subscription, progress, .. }: &Stored,
    seq: i64,
) -> Result<Option<bool>, sqlx::Error> {
    let event = sqlx::query!(
        r#"SELECT e.data, e.previous, e.actor, a.attempted AS "attempted!", a.ended AS "ended!"
           FROM events e CROSS JOIN LATERAL (
               SELECT count(*) > 0 AS attempted, coalesce(bool_or(outcome IN ('delivered', 'undelivered')), false) AS ended
               FROM attempts WHERE subscription_id = $4 AND seq = e.seq) a
           WHERE e.seq = $1 AND e.company_id = $2 AND e.type = ANY($3)"#,
        seq,
        subscription.company.0,
        &subscription.events.types().words(),
        subscription.id.0,
    )
    .fetch_optional(pool)
    .await?;
    let event = event.filter(|event| {
        let (data, previous, actor) = (&*event.data, event.previous.as_deref(), event.actor);
        event.attempted || subscription.wants(seq, Change { data, previous, actor })
    });
    Ok(event.map(|event| event.ended || seq <= progress.done))
}

/// Returns what a replay would send.
pub async fn dry_run(
    pool: &PgPool,
    subscription: &Subscription,
    new: &NewReplay,
) -> Result<DryRun, sqlx::Error> {
    let (Subscription { company, id, .. }, types) = (subscription, subscription.events.types().words());
    let (mut position, mut looked_at, mut events, mut deliveries) = (new.from, 0, 0, Vec::new());
    while position < new.to && looked_at < LOOKED_AT {
        let rows = sqlx::query!(
            r#"SELECT e.seq AS "seq!", e.id AS "id!", e.type AS "type!", e.record_id AS "record_id!", e.at AS "at!",
                    e.data AS "data!", e.previous, e.actor
             FROM unnest($2::text[]) AS wanted (type) CROSS JOIN LATERAL (
                 SELECT * FROM events e WHERE company_id = $1 AND type = wanted.type AND seq > $3 AND seq <= $4
               AND (NOT $6 OR EXISTS (SELECT FROM attempts a WHERE a.subscription_id = $7 AND a.seq = e.seq
                                                               AND a.outcome = 'undelivered'))
               AND (NOT $6 OR NOT EXISTS (SELECT FROM attempts a WHERE a.subscription_id = $7 AND a.seq = e.seq
                                                                   AND a.outcome = 'delivered'))
                 ORDER BY seq LIMIT $5) e
             ORDER BY e.seq LIMIT $5"#,
            company.0,
            &types,
            position,
            new.to,
            PAGE,
            new.only_undelivered,
            id.0,
        )
        .fetch_all(pool)
        .await?;
        looked_at += PAGE;
        position = rows
            .last()
            .filter(|_| rows.len() >= usize::try_from(PAGE).unwrap_or(0))
            .map_or(new.to, |row| row.seq);
        for row in rows {
            let (data, previous, actor) = (&*row.data, row.previous.as_deref(), row.actor);
            if !subscription.wants_now(Change { data, previous, actor }) {
                continue;
            }
            events += 1;
            if deliveries.len() < SHOWN
                && let Some(event_type) = EventType::parse(&row.r#type)
            {
                deliveries.push(DryRunDelivery {
                    id: DeliveryId { seq: row.seq, subscription: *id },
                    event: event_type,
                    event_id: EventId(row.id),
                    record_id: event_type.record().wire_id(row.record_id),
                    occurred_at: row.at,
                });
            }
        }
    }
    Ok(DryRun { dry_run: true, events, more: position < new.to, deliveries })
}

/// A subscription's replays, newest first.
pub async fn of_subscription(
    pool: &PgPool,
    company: CompanyId,
    subscription: SubscriptionId,
) -> Result<Vec<ReplayView>, sqlx::Error> {
    select(pool, company, Some(subscription), None).await
}

/// One replay.
pub async fn one(pool: &PgPool, company: CompanyId, id: ReplayId) -> Result<Option<ReplayView>, sqlx::Error> {
    Ok(select(pool, company, None, Some(id)).await?.pop())
}

async fn select(
    pool: &PgPool,
    company: CompanyId,
    subscription: Option<SubscriptionId>,
    id: Option<ReplayId>,
) -> Result<Vec<ReplayView>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT r.id, subscription_id, r.status, r.status_reason, s.status AS subscription_status, only_undelivered, per_second, delivered, undelivered, missed,
                  r.created_at, r.updated_at,
                  CASE WHEN r.status = 'done' OR position >= to_seq THEN 1 WHEN position < from_seq THEN 0
                       ELSE (position - from_seq)::float8 / (to_seq - from_seq) END AS "progress!"
           FROM replays r JOIN subscriptions s ON s.company_id = r.company_id AND s.id = r.subscription_id
           WHERE r.company_id = $1 AND ($2::uuid IS NULL OR subscription_id = $2) AND ($3::uuid IS NULL OR r.id = $3)
           ORDER BY r.created_at DESC, r.id DESC LIMIT $4"#,
        company.0,
        subscription.map(|id| id.0),
        id.map(|id| id.0),
        LISTED,
    )
    .fetch_all(pool)
    .await?;
    let views = rows.into_iter().map(|row| ReplayView {
        id: ReplayId(row.id),
        subscription_id: SubscriptionId(row.subscription_id),
        waits_for: Status::parse(&row.subscription_status)
            .and_then(|status| ReplayView::waits_for(row.status == "running", status)),
        status: row.status,
        status_reason: row.status_reason,
        only: ReplayView::only(row.only_undelivered),
        per_second: row.per_second,
        progress: row.progress,
        delivered: row.delivered,
        undelivered: row.undelivered,
        missed: row.missed,
        created_at: row.created_at,
        updated_at: row.updated_at,
    });
    Ok(views.collect())
}

/// Cancels a replay that runs. Whoever runs it sees that when it next stores its progress.
pub async fn cancel(
    pool: &PgPool,
    company: CompanyId,
    id: ReplayId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE replays SET status = 'cancelled', updated_at = $3
         WHERE company_id = $1 AND id = $2 AND status = 'running'",
        company.0,
        id.0,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}
