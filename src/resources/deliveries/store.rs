//! Deliveries in the database. There are no rows of them: there is the log, there are
//! attempts, and there is where each subscription stands.
//!
//! Each query here reads a bounded piece of an index, from a place on.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::model::attempt::{AttemptCause, AttemptOutcome};
use crate::model::events::{Change, EventType};
use crate::model::ids::{CompanyId, DeliveryId, EventId, SubscriptionId};
use crate::subscription::Stored;

/// A piece of a walk.
pub(super) struct Step {
    /// Newest first.
    pub(super) ids: Vec<DeliveryId>,
    /// May there be more behind it?
    pub(super) more: bool,
}

/// Numbers with attempts for the subscription, newest first; with `waiting`, also those
/// of its types that are still to come, and with `skipped`, those that it resumed without,
/// whether they match its filters or not.
pub(super) async fn of_subscription(
    pool: &PgPool,
    company: CompanyId,
    Stored { subscription, progress, .. }: &Stored,
    (after, before): (i64, i64),
    (waiting, skipped): (bool, bool),
    limit: usize,
) -> Result<Step, sqlx::Error> {
    let numbers = sqlx::query_scalar!(
        r#"(SELECT DISTINCT seq AS "seq!" FROM attempts
            WHERE subscription_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $7)
           UNION
           (SELECT e.seq FROM unnest($5::text[]) AS wanted (type) CROSS JOIN LATERAL (
                SELECT seq FROM events
                WHERE company_id = $4 AND type = wanted.type AND seq > greatest($2, $6::bigint) AND seq < $3
                ORDER BY seq DESC LIMIT CASE WHEN $8 THEN $7 ELSE 0 END) e
            ORDER BY e.seq DESC LIMIT $7)
           UNION
           (SELECT e.seq
            FROM (SELECT from_seq, to_seq FROM gaps
                  WHERE company_id = $4 AND subscription_id = $1 AND reason = 'skipped' AND to_seq > $2 AND from_seq < $3
                  ORDER BY to_seq DESC LIMIT CASE WHEN $9 THEN $7 ELSE 0 END) gap
            CROSS JOIN unnest($5::text[]) AS wanted (type) CROSS JOIN LATERAL (
                SELECT seq FROM events
                WHERE company_id = $4 AND type = wanted.type AND seq BETWEEN gap.from_seq AND gap.to_seq AND seq > $2 AND seq < $3
                ORDER BY seq DESC LIMIT $7) e
            ORDER BY e.seq DESC LIMIT $7)
           ORDER BY 1 DESC LIMIT $7"#,
        subscription.id.0,
        after,
        before,
        company.0,
        &subscription.events.types().words(),
        progress.done,
        rows(limit),
        waiting,
        skipped,
    )
    .fetch_all(pool)
    .await?;
    let more = numbers.len() >= limit;
    let ids = numbers.into_iter().map(|seq| DeliveryId { seq, subscription: subscription.id });
    Ok(Step { ids: ids.collect(), more })
}

/// The deliveries that are being retried, by URL, where everything else for the URL waits for them.
pub(super) async fn retried(
    pool: &PgPool,
    company: CompanyId,
    targets: &[String],
) -> Result<HashMap<String, DeliveryId>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT DISTINCT ON (s.target_url) s.target_url, s.id, c.seq + 1 AS \"seq!\"
         FROM subscriptions s JOIN cursors c ON c.subscription_id = s.id
         WHERE s.company_id = $1 AND s.target_url = ANY ($2) AND s.status = 'active' AND c.head_attempts > 0
           AND EXISTS (SELECT FROM subscriptions other
                       WHERE other.company_id = $1 AND md5(other.target_url) = md5(s.target_url)
                         AND other.status = 'active' AND other.ordering = 'subscription')
         ORDER BY s.target_url, c.seq",
        company.0,
        targets,
    )
    .fetch_all(pool)
    .await?;
    let id = |seq, subscription| DeliveryId { seq, subscription: SubscriptionId(subscription) };
    Ok(rows.into_iter().map(|row| (row.target_url, id(row.seq, row.id))).collect())
}

/// Where the replays that run begin, as far as they are done.
pub(super) async fn replayed_after(
    pool: &PgPool,
    company: CompanyId,
    subscription: SubscriptionId,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT min(position) FROM replays WHERE company_id = $1 AND subscription_id = $2 AND status = 'running'",
        company.0,
        subscription.0,
    )
    .fetch_one(pool)
    .await
}

/// Deliveries that were once given up, of all subscriptions of the company, newest
/// first, beyond `place`. Ends only where an event does, so it can be a few more.
pub(super) async fn given_up(
    pool: &PgPool,
    company: CompanyId,
    after: i64,
    place: DeliveryId,
    limit: usize,
) -> Result<Step, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT seq, subscription_id FROM attempts
         WHERE company_id = $1 AND outcome = 'undelivered' AND seq > $2 AND seq <= $3
           AND (seq < $3 OR subscription_id < $4)
         ORDER BY seq DESC FETCH FIRST $5 ROWS WITH TIES",
        company.0,
        after,
        place.seq,
        place.subscription.0,
        rows(limit),
    )
    .fetch_all(pool)
    .await?;
    let more = rows.len() >= limit;
    let id = |seq, subscription| DeliveryId { seq, subscription: SubscriptionId(subscription) };
    let mut ids: Vec<_> = rows.into_iter().map(|row| id(row.seq, row.subscription_id)).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    // A replay may have given up once more.
    ids.dedup();
    Ok(Step { ids, more })
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Those of deliveries that the subscriber resumed without.
pub(super) async fn skipped(
    pool: &PgPool,
    company: CompanyId,
    deliveries: &[&DeliveryId],
) -> Result<HashSet<DeliveryId>, sqlx::Error> {
    if deliveries.is_empty() {
        return Ok(HashSet::new());
    }
    let (subscriptions, numbers) = columns(deliveries);
    let rows = sqlx::query!(
        r#"SELECT wanted.subscription_id AS "subscription_id!", wanted.seq AS "seq!"
           FROM unnest($1::uuid[], $2::bigint[]) AS wanted (subscription_id, seq)
           WHERE EXISTS (SELECT FROM gaps
                         WHERE company_id = $3 AND subscription_id = wanted.subscription_id AND reason = 'skipped'
                           AND to_seq >= wanted.seq AND from_seq <= wanted.seq)"#,
        &subscriptions,
        &numbers,
        company.0,
    )
    .fetch_all(pool)
    .await?;
    let id = |seq, subscription| DeliveryId { seq, subscription: SubscriptionId(subscription) };
    Ok(rows.into_iter().map(|row| id(row.seq, row.subscription_id)).collect())
}

fn columns(deliveries: &[&DeliveryId]) -> (Vec<Uuid>, Vec<i64>) {
    deliveries.iter().map(|delivery| (delivery.subscription.0, delivery.seq)).unzip()
}

/// An attempt, as lists show it.
pub(super) struct AttemptSummary {
    pub(super) event: EventId,
    pub(super) at: DateTime<Utc>,
    pub(super) outcome: AttemptOutcome,
    pub(super) cause: AttemptCause,
    pub(super) status: Option<i16>,
    pub(super) error: Option<String>,
    pub(super) error_class: Option<String>,
}

/// The [`AttemptSummary`] in a row of `attempts`; nothing if this version does not know a word of it.
macro_rules! summary {
    ($row:expr) => {
        AttemptOutcome::parse(&$row.outcome).zip(AttemptCause::parse(&$row.cause)).map(|(outcome, cause)| {
            AttemptSummary {
                event: EventId($row.event_id),
                at: $row.at,
                outcome,
                cause,
                status: $row.status,
                error: $row.error,
                error_class: $row.error_class,
            }
        })
    };
}

/// The attempts made for deliveries, newest first.
pub(super) async fn summaries(
    pool: &PgPool,
    company: CompanyId,
    deliveries: &[&DeliveryId],
) -> Result<HashMap<DeliveryId, Vec<AttemptSummary>>, sqlx::Error> {
    let (subscriptions, numbers) = columns(deliveries);
    let rows = sqlx::query!(
        "SELECT a.subscription_id, a.seq, a.event_id, a.at, a.outcome, a.cause, a.status, a.error, a.error_class
         FROM unnest($1::uuid[], $2::bigint[]) AS wanted (subscription_id, seq)
         CROSS JOIN LATERAL (
             SELECT * FROM attempts t WHERE t.subscription_id = wanted.subscription_id AND t.seq = wanted.seq OFFSET 0
         ) a
         WHERE a.company_id = $3
         ORDER BY a.at DESC, a.attempt DESC",
        &subscriptions,
        &numbers,
        company.0,
    )
    .fetch_all(pool)
    .await?;
    let mut summaries: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        let delivery = DeliveryId { seq: row.seq, subscription: SubscriptionId(row.subscription_id) };
        summaries.entry(delivery).or_default().extend(summary!(row));
    }
    Ok(summaries)
}

/// An event, as lists show it.
pub(super) struct EventSummary {
    pub(super) event: EventId,
    /// None if this version does not know it.
    pub(super) event_type: Option<EventType>,
    pub(super) record: Uuid,
    pub(super) at: DateTime<Utc>,
    /// The record; read only where filters are to be asked.
    pub(super) data: Option<String>,
    /// Likewise, what changed.
    pub(super) previous: Option<String>,
    pub(super) actor: Option<Uuid>,
}

impl EventSummary {
    /// What subscriptions judge the event by, where that was read.
    pub(super) fn change(&self) -> Option<Change<'_>> {
        let data = self.data.as_deref()?;
        Some(Change { data, previous: self.previous.as_deref(), actor: self.actor })
    }
}

/// Events of the company that are still there, those of `with_data` with their records.
pub(super) async fn events(
    pool: &PgPool,
    company: CompanyId,
    numbers: &[i64],
    with_data: &[i64],
) -> Result<HashMap<i64, EventSummary>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT seq, id, type, record_id, at, actor, CASE WHEN seq = ANY($3) THEN data END AS data,
                CASE WHEN seq = ANY($3) THEN previous END AS previous
         FROM events WHERE seq = ANY($1) AND company_id = $2",
        numbers,
        company.0,
        with_data,
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let event_type = EventType::parse(&row.r#type);
        let (event, record) = (EventId(row.id), row.record_id);
        let summary = EventSummary {
            event,
            event_type,
            record,
            at: row.at,
            data: row.data,
            previous: row.previous,
            actor: row.actor,
        };
        (row.seq, summary)
    });
    Ok(rows.collect())
}

/// An attempt with everything that is kept of it.
pub(super) struct AttemptDetails {
    pub(super) number: i16,
    pub(super) summary: AttemptSummary,
    pub(super) duration_ms: i32,
    pub(super) remote_addr: Option<String>,
    /// JSON: a list of names and values.
    pub(super) response_headers: Option<String>,
    pub(super) response_body: Option<String>,
    pub(super) signature: Option<String>,
}

/// The attempts made for one delivery, newest first.
pub(super) async fn details(
    pool: &PgPool,
    company: CompanyId,
    delivery: DeliveryId,
    limit: usize,
) -> Result<Vec<AttemptDetails>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT attempt, event_id, at, duration_ms, outcome, cause, status, error, error_class, remote_addr,
                response_headers, response_body, signature
         FROM attempts WHERE subscription_id = $1 AND seq = $2 AND company_id = $3
         ORDER BY at DESC, attempt DESC LIMIT $4",
        delivery.subscription.0,
        delivery.seq,
        company.0,
        rows(limit),
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        Some(AttemptDetails {
            number: row.attempt,
            summary: summary!(row)?,
            duration_ms: row.duration_ms,
            remote_addr: row.remote_addr,
            response_headers: row.response_headers,
            response_body: row.response_body,
            signature: row.signature,
        })
    });
    Ok(rows.collect())
}

/// The newest subscriptions of the company that are not deleted.
pub(super) async fn newest_subscriptions(
    pool: &PgPool,
    company: CompanyId,
    limit: i64,
) -> Result<Vec<SubscriptionId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM subscriptions WHERE company_id = $1 AND status <> 'deleted' ORDER BY id DESC LIMIT $2",
        company.0,
        limit,
    );
    Ok(ids.fetch_all(pool).await?.into_iter().map(SubscriptionId).collect())
}
