//! Deliveries in the database. There are no rows of them: there is the log, there are
//! attempts, and there is where each subscription stands.
//!
//! Each query here reads a bounded piece of an index, from a place on.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::subscribers::Subscriber;
use crate::model::events::{Event, EventType};
use crate::model::ids::{CompanyId, DeliveryId, EventId, SubscriptionId};

/// The first number whose event happened at `at` or later, or one beyond the log: a
/// binary search, since time never runs backwards along the log.
pub(super) async fn first_since(pool: &PgPool, at: DateTime<Utc>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH RECURSIVE search (low, high) AS (
               SELECT coalesce((SELECT seq FROM events ORDER BY seq LIMIT 1), 0), seq + 1 FROM log_head
             UNION ALL
               SELECT CASE WHEN early THEN middle + 1 ELSE low END, CASE WHEN early THEN high ELSE middle END
               FROM (SELECT low, high, (low + high) / 2 AS middle FROM search WHERE low < high) half
               CROSS JOIN LATERAL (
                   SELECT coalesce((SELECT at FROM events WHERE seq >= middle ORDER BY seq LIMIT 1) < $1, false) AS early
               ) found
           )
           SELECT low AS "low!" FROM search WHERE low >= high"#,
        at,
    )
    .fetch_one(pool)
    .await
}

/// A piece of a walk.
pub(super) struct Step {
    /// Newest first.
    pub(super) ids: Vec<DeliveryId>,
    /// May there be more behind it?
    pub(super) more: bool,
}

/// Numbers with attempts for the subscription, newest first; with `waiting`, also those
/// of its type that are still to come, and with `skipped`, those that it resumed without,
/// whether they match its filters or not.
pub(super) async fn of_subscription(
    pool: &PgPool,
    company: CompanyId,
    subscriber: &Subscriber,
    (after, before): (i64, i64),
    (waiting, skipped): (bool, bool),
    limit: usize,
) -> Result<Step, sqlx::Error> {
    let numbers = sqlx::query_scalar!(
        r#"(SELECT DISTINCT seq AS "seq!" FROM attempts
            WHERE subscription_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $7)
           UNION
           (SELECT seq FROM events
            WHERE company_id = $4 AND type = $5 AND seq > greatest($2, $6::bigint) AND seq < $3
            ORDER BY seq DESC LIMIT CASE WHEN $8 THEN $7 ELSE 0 END)
           UNION
           (SELECT e.seq
            FROM (SELECT from_seq, to_seq FROM gaps
                  WHERE company_id = $4 AND subscription_id = $1 AND reason = 'skipped' AND to_seq > $2 AND from_seq < $3
                  ORDER BY to_seq DESC LIMIT CASE WHEN $9 THEN $7 ELSE 0 END) gap
            CROSS JOIN LATERAL (
                SELECT seq FROM events
                WHERE company_id = $4 AND type = $5 AND seq BETWEEN gap.from_seq AND gap.to_seq AND seq > $2 AND seq < $3
                ORDER BY seq DESC LIMIT $7) e
            ORDER BY e.seq DESC LIMIT $7)
           ORDER BY 1 DESC LIMIT $7"#,
        subscriber.id.0,
        after,
        before,
        company.0,
        subscriber.event_type.name(),
        subscriber.done,
        rows(limit),
        waiting,
        skipped,
    )
    .fetch_all(pool)
    .await?;
    let more = numbers.len() >= limit;
    let ids = numbers.into_iter().map(|seq| DeliveryId { seq, subscription: subscriber.id });
    Ok(Step { ids: ids.collect(), more })
}

/// Where the replays that run begin, as far as they are done.
pub(super) async fn replayed_after(
    pool: &PgPool,
    company: CompanyId,
    subscriber: &Subscriber,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT min(position) FROM replays WHERE company_id = $1 AND subscription_id = $2 AND status = 'running'",
        company.0,
        subscriber.id.0,
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

/// What lists tell of an attempt.
pub(super) struct Made {
    pub(super) event: EventId,
    pub(super) at: DateTime<Utc>,
    pub(super) outcome: String,
    pub(super) live: bool,
    pub(super) status: Option<i16>,
    pub(super) error: Option<String>,
    pub(super) error_class: Option<String>,
}

/// What lists tell of a row of `attempts`.
macro_rules! made {
    ($row:expr) => {
        Made {
            event: EventId($row.event_id),
            at: $row.at,
            outcome: $row.outcome,
            live: $row.cause == "live",
            status: $row.status,
            error: $row.error,
            error_class: $row.error_class,
        }
    };
}

/// The attempts made for deliveries, newest first.
pub(super) async fn made(
    pool: &PgPool,
    company: CompanyId,
    deliveries: &[&DeliveryId],
) -> Result<HashMap<DeliveryId, Vec<Made>>, sqlx::Error> {
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
    let mut made: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        let delivery = DeliveryId { seq: row.seq, subscription: SubscriptionId(row.subscription_id) };
        made.entry(delivery).or_default().push(made!(row));
    }
    Ok(made)
}

/// What lists tell of an event.
pub(super) struct Happened {
    pub(super) event: EventId,
    pub(super) record: Uuid,
    pub(super) at: DateTime<Utc>,
    /// The record; read only where filters are to be asked.
    pub(super) data: Option<String>,
}

/// Events of the company that are still there, those of `with_data` with their records.
pub(super) async fn happened(
    pool: &PgPool,
    company: CompanyId,
    numbers: &[i64],
    with_data: &[i64],
) -> Result<HashMap<i64, Happened>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT seq, id, record_id, at, CASE WHEN seq = ANY($3) THEN data END AS data
         FROM events WHERE seq = ANY($1) AND company_id = $2",
        numbers,
        company.0,
        with_data,
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| {
        (row.seq, Happened { event: EventId(row.id), record: row.record_id, at: row.at, data: row.data })
    });
    Ok(rows.collect())
}

/// One event of the company, if it is of this type and still there.
pub(super) async fn event(
    pool: &PgPool,
    company: CompanyId,
    event_type: EventType,
    seq: i64,
) -> Result<Option<Event>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT id, record_id, source, at, data FROM events WHERE seq = $1 AND company_id = $2 AND type = $3",
        seq,
        company.0,
        event_type.name(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Event {
        seq,
        company,
        event_type,
        id: EventId(row.id),
        record: row.record_id,
        source: row.source,
        at: row.at,
        data: row.data,
    }))
}

/// An attempt with everything that is kept of it.
pub(super) struct Told {
    pub(super) number: i16,
    pub(super) made: Made,
    pub(super) duration_ms: i32,
    pub(super) remote_addr: Option<String>,
    /// JSON: a list of names and values.
    pub(super) response_headers: Option<String>,
    pub(super) response_body: Option<String>,
    pub(super) signature: Option<String>,
}

/// The attempts made for one delivery, newest first.
pub(super) async fn told(
    pool: &PgPool,
    company: CompanyId,
    delivery: DeliveryId,
    limit: usize,
) -> Result<Vec<Told>, sqlx::Error> {
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
    let rows = rows.into_iter().map(|row| Told {
        number: row.attempt,
        made: made!(row),
        duration_ms: row.duration_ms,
        remote_addr: row.remote_addr,
        response_headers: row.response_headers,
        response_body: row.response_body,
        signature: row.signature,
    });
    Ok(rows.collect())
}
