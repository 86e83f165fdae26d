//! Reading the log and the subscriptions.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::lane::{Definition, Health, Lane, Ordering, Owed, Position};
use super::shard::Shard;
use crate::model::events::{Event, EventType, Filters};
use crate::model::ids::{CompanyId, EventId, SubscriptionId};
use crate::outbound::signature::Secrets;

/// Events read at once by the tail.
const TAIL_PAGE: usize = 500;

/// Numbers that one read goes over at most, however few of them are wanted: a plan that
/// reaches from far behind to the head takes in all partitions, and longer than the read.
const SPAN: i64 = 100_000;

/// A row of `events`; one whose type this version does not know is skipped.
macro_rules! event {
    ($row:expr) => {
        EventType::parse(&$row.r#type).map(|event_type| {
            Arc::new(Event {
                seq: $row.seq,
                company: CompanyId($row.company_id),
                event_type,
                id: EventId($row.id),
                record: $row.record_id,
                source: $row.source,
                at: $row.at,
                data: $row.data,
            })
        })
    };
}

/// The end of the log, and the version of the subscriptions as of the same
/// snapshot: every change before an event up to `seq` is in it.
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) version: i64,
}

/// Looks where the log ends.
pub(super) async fn head(pool: &PgPool) -> Result<Head, sqlx::Error> {
    sqlx::query_as!(Head, "SELECT log_head.seq, version FROM log_head, subscription_version")
        .fetch_one(pool)
        .await
}

/// Events read from the log.
pub(super) struct Page {
    pub(super) events: Vec<Arc<Event>>,
    /// Everything up to here was read.
    pub(super) read_to: i64,
}

/// Reads the log after `position`, up to `head`.
pub(super) async fn after(pool: &PgPool, position: i64, head: i64) -> Result<Page, sqlx::Error> {
    let end = head.min(position + SPAN);
    let rows = sqlx::query!(
        "SELECT seq, company_id, type, id, record_id, source, at, data FROM events
         WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
        position,
        end,
        TAIL_PAGE as i64,
    )
    .fetch_all(pool)
    .await?;
    let last = rows.last().filter(|_| rows.len() == TAIL_PAGE).map(|row| row.seq);
    let events = rows.into_iter().filter_map(|row| event!(row)).collect();
    Ok(Page { events, read_to: last.unwrap_or(end).max(position) })
}

/// Reads events of a company and type after `position`, up to `to`; `limit` events at most.
pub(super) async fn backlog(
    pool: &PgPool,
    (company, event_type): (CompanyId, EventType),
    (position, to): (i64, i64),
    limit: usize,
) -> Result<Page, sqlx::Error> {
    let end = to.min(position + SPAN);
    let rows = sqlx::query!(
        "SELECT seq, company_id, type, id, record_id, source, at, data FROM events
         WHERE company_id = $1 AND type = $2 AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT $5",
        company.0,
        event_type.name(),
        position,
        end,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(pool)
    .await?;
    let last = rows.last().filter(|_| rows.len() == limit).map(|row| row.seq);
    let events = rows.into_iter().filter_map(|row| event!(row)).collect();
    Ok(Page { events, read_to: last.unwrap_or(end).max(position) })
}

/// Reads events by their numbers.
pub(super) async fn these(
    pool: &PgPool,
    company: CompanyId,
    seqs: &[i64],
) -> Result<Vec<Arc<Event>>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT seq, company_id, type, id, record_id, source, at, data FROM events
         WHERE seq = ANY($1) AND company_id = $2 ORDER BY seq",
        seqs,
        company.0,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(|row| event!(row)).collect())
}

/// Numbers of events in a range that were given up and not delivered since.
pub(super) async fn undelivered(
    pool: &PgPool,
    company: CompanyId,
    subscription: SubscriptionId,
    (position, to): (i64, i64),
    limit: usize,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT DISTINCT a.seq FROM attempts a
         WHERE a.company_id = $1 AND a.subscription_id = $2 AND a.outcome = 'undelivered' AND a.seq > $3 AND a.seq <= $4
           AND NOT EXISTS (SELECT FROM attempts d
                           WHERE d.subscription_id = $2 AND d.seq = a.seq AND d.outcome = 'delivered')
         ORDER BY a.seq LIMIT $5",
        company.0,
        subscription.0,
        position,
        to,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(pool)
    .await
}

/// A subscription that changed, with where it stands according to the database.
pub(super) struct Changed {
    pub(super) company: CompanyId,
    pub(super) id: SubscriptionId,
    pub(super) event_type: EventType,
    /// `None`: deleted.
    pub(super) definition: Option<Definition>,
    /// What it was read up to is not behind the shard's checkpoint, unless it lags.
    lagging: bool,
    position: Position,
    /// Its replays that run.
    pub(super) replays: Vec<Uuid>,
    pub(super) version: i64,
}

impl Changed {
    /// Its lane, unless it is deleted.
    pub(super) fn into_lane(self, shard: &Arc<Shard>) -> Option<(Arc<Lane>, Vec<Uuid>)> {
        let mut position = self.position;
        if !self.lagging {
            position.read = position.read.max(shard.offered());
        }
        let identity = (self.company, self.id, self.event_type);
        Some((Arc::new(Lane::new(identity, shard.clone(), self.definition?, position)), self.replays))
    }
}

/// How far a lane has read, as JSON in `cursors.read_ahead`: and what it owes of that, each
/// as number, attempts, and when the next one is due in milliseconds since 1970.
pub(super) type ReadAhead = (i64, Vec<(i64, u8, Option<i64>)>);

macro_rules! changed {
    ($rows:expr) => {
        $rows
            .into_iter()
            .filter_map(|row| {
                let id = SubscriptionId(row.id);
                let event_type = EventType::parse(&row.event_type)?;
                let filters =
                    serde_json::from_str(&row.filters).ok().and_then(|json| Filters::parse(event_type, &json).ok());
                let secrets = Secrets::read(&row.secret, row.previous_secret.as_deref(), row.previous_secret_until);
                let (Ok(target), Some(filters), Some(secrets)) = (row.target_url.parse(), filters, secrets)
                else {
                    tracing::error!(subscription = %id, "a stored subscription does not parse; it is not delivered to");
                    return None;
                };
                let ordering = match row.ordering.as_str() {
                    "record" => Ordering::Record { concurrency: usize::try_from(row.concurrency).unwrap_or(1) },
                    _ => Ordering::Subscription,
                };
                let definition = Definition {
                    target,
                    filters,
                    secrets,
                    loopback: row.loopback,
                    active: row.status == "active",
                    ordering,
                    skip_to: row.skip_to,
                    version: row.version,
                };
                let (read, owed) = read_ahead(row.read_ahead.as_deref()).unwrap_or((row.seq, Vec::new()));
                Some(Changed {
                    company: CompanyId(row.company_id),
                    id,
                    event_type,
                    definition: (row.status != "deleted").then_some(definition),
                    lagging: row.lagging,
                    position: Position {
                        read,
                        head_attempts: u8::try_from(row.head_attempts).unwrap_or(0),
                        next_attempt_at: row.next_attempt_at,
                        owed,
                        health: Health {
                            undelivered_in_row: row.undelivered_in_row,
                            last_attempt_at: row.last_attempt_at,
                            last_success_at: row.last_success_at,
                            last_error: row.last_error,
                        },
                    },
                    replays: row.replays,
                    version: row.version,
                })
            })
            .collect()
    };
}

/// Subscriptions that changed after `version`, in the order of their changes.
pub(super) async fn changed_after(pool: &PgPool, version: i64) -> Result<Vec<Changed>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT s.company_id, s.id, s.event_type, s.target_url, s.filters, s.secret, s.previous_secret,
                s.previous_secret_until, s.status, s.loopback, s.version,
                s.ordering, s.concurrency, s.skip_to, c.seq, c.lagging, c.head_attempts, c.next_attempt_at,
                c.undelivered_in_row, c.last_attempt_at, c.last_success_at, c.last_error, c.read_ahead,
                ARRAY(SELECT r.id FROM replays r WHERE r.subscription_id = s.id AND r.status = 'running') AS "replays!"
         FROM subscriptions s JOIN cursors c ON c.subscription_id = s.id
         WHERE s.version > $1 ORDER BY s.version"#,
        version,
    )
    .fetch_all(pool)
    .await?;
    Ok(changed!(rows))
}

/// The subscriptions of shards.
pub(super) async fn of_shards(pool: &PgPool, shards: &[i16]) -> Result<Vec<Changed>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT s.company_id, s.id, s.event_type, s.target_url, s.filters, s.secret, s.previous_secret,
                s.previous_secret_until, s.status, s.loopback, s.version,
                s.ordering, s.concurrency, s.skip_to, c.seq, c.lagging, c.head_attempts, c.next_attempt_at,
                c.undelivered_in_row, c.last_attempt_at, c.last_success_at, c.last_error, c.read_ahead,
                ARRAY(SELECT r.id FROM replays r WHERE r.subscription_id = s.id AND r.status = 'running') AS "replays!"
         FROM cursors c JOIN subscriptions s ON c.subscription_id = s.id
         WHERE c.shard = ANY($1) AND s.status <> 'deleted'"#,
        shards,
    )
    .fetch_all(pool)
    .await?;
    Ok(changed!(rows))
}

fn read_ahead(json: Option<&str>) -> Option<(i64, Vec<Owed>)> {
    let (read, owed): ReadAhead = serde_json::from_str(json?).ok()?;
    let owed = owed.into_iter().map(|(seq, attempts, due)| Owed {
        seq,
        attempts,
        due: due.and_then(DateTime::from_timestamp_millis),
    });
    Some((read, owed.collect()))
}

/// Deactivates a subscription, unless it changed meanwhile. Answers its new version if it did.
pub(super) async fn deactivate(
    pool: &PgPool,
    id: SubscriptionId,
    version: i64,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Option<i64>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // The lock order of the writer: the subscription, then the version.
    let unchanged = sqlx::query_scalar!(
        "SELECT id FROM subscriptions WHERE id = $1 AND version = $2 AND status = 'active' FOR UPDATE",
        id.0,
        version,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if unchanged.is_none() {
        return Ok(None);
    }
    let version =
        sqlx::query_scalar!("UPDATE subscription_version SET version = version + 1 RETURNING version")
            .fetch_one(&mut *transaction)
            .await?;
    sqlx::query!(
        "UPDATE subscriptions SET status = 'deactivated', status_reason = $2, updated_at = greatest(updated_at, $3),
                version = $4
         WHERE id = $1",
        id.0,
        reason,
        now,
        version,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some(version))
}
