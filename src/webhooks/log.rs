//! Reading the log and the subscriptions.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::lane::{Definition, Health, Position};
use super::signature::Secrets;
use crate::events::{Event, EventType, Filters};
use crate::ids::{CompanyId, EventId, SubscriptionId};

/// Events read at once by the tail.
const TAIL_PAGE: usize = 500;
/// Events read at once by a lane that is behind; bounds what it keeps in memory.
pub(super) const BACKLOG_PAGE: usize = 64;

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
    let rows = sqlx::query!(
        "SELECT seq, company_id, type, id, record_id, source, at, data FROM events
         WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
        position,
        head,
        TAIL_PAGE as i64,
    )
    .fetch_all(pool)
    .await?;
    let last = rows.last().filter(|_| rows.len() == TAIL_PAGE).map(|row| row.seq);
    let events = rows.into_iter().filter_map(|row| event!(row)).collect();
    Ok(Page { events, read_to: last.unwrap_or(head).max(position) })
}

/// Reads one lane's backlog after `position`, up to `head`.
pub(super) async fn backlog(
    pool: &PgPool,
    (company, event_type): (CompanyId, EventType),
    position: i64,
    head: i64,
) -> Result<Page, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT seq, company_id, type, id, record_id, source, at, data FROM events
         WHERE company_id = $1 AND type = $2 AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT $5",
        company.0,
        event_type.name(),
        position,
        head,
        BACKLOG_PAGE as i64,
    )
    .fetch_all(pool)
    .await?;
    let last = rows.last().filter(|_| rows.len() == BACKLOG_PAGE).map(|row| row.seq);
    let events = rows.into_iter().filter_map(|row| event!(row)).collect();
    Ok(Page { events, read_to: last.unwrap_or(head).max(position) })
}

/// A subscription that changed, with where it stands according to the database.
pub(super) struct Changed {
    pub(super) company: CompanyId,
    pub(super) id: SubscriptionId,
    pub(super) event_type: EventType,
    /// `None`: deleted.
    pub(super) definition: Option<Definition>,
    pub(super) position: Position,
    pub(super) version: i64,
}

/// Subscriptions that changed after `version`, in the order of their changes.
pub(super) async fn changed_after(
    pool: &PgPool,
    version: i64,
    checkpoint: i64,
) -> Result<Vec<Changed>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT s.company_id, s.id, s.event_type, s.target_url, s.filters, s.secret, s.previous_secret,
                s.previous_secret_until, s.status, s.loopback, s.version,
                c.seq, c.lagging, c.head_attempts, c.next_attempt_at, c.undelivered_in_row, c.last_attempt_at,
                c.last_success_at, c.last_error
         FROM subscriptions s JOIN cursors c ON c.subscription_id = s.id
         WHERE s.version > $1 ORDER BY s.version",
        version,
    )
    .fetch_all(pool)
    .await?;
    let changed = rows.into_iter().filter_map(|row| {
        let id = SubscriptionId(row.id);
        let event_type = EventType::parse(&row.event_type)?;
        let filters = serde_json::from_str(&row.filters).ok().and_then(|json| Filters::parse(event_type, &json).ok());
        let (Ok(target), Some(filters), Ok(secret)) = (row.target_url.parse(), filters, row.secret.parse()) else {
            tracing::error!(subscription = %id, "a stored subscription does not parse; it is not delivered to");
            return None;
        };
        let active = row.status == "active";
        // One that does not parse has nothing to sign with.
        let previous = row.previous_secret.and_then(|previous| previous.parse().ok()).zip(row.previous_secret_until);
        let secrets = Secrets { current: secret, previous };
        let definition = Definition { target, filters, secrets, loopback: row.loopback, active, version: row.version };
        Some(Changed {
            company: CompanyId(row.company_id),
            id,
            event_type,
            definition: (row.status != "deleted").then_some(definition),
            position: Position {
                read: if row.lagging { row.seq } else { row.seq.max(checkpoint) },
                head_attempts: u8::try_from(row.head_attempts).unwrap_or(0),
                next_attempt_at: row.next_attempt_at,
                health: Health {
                    undelivered_in_row: row.undelivered_in_row,
                    last_attempt_at: row.last_attempt_at,
                    last_success_at: row.last_success_at,
                    last_error: row.last_error,
                },
            },
            version: row.version,
        })
    });
    Ok(changed.collect())
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
