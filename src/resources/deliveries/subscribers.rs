//! Subscriptions as the delivery log and the trials need them.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::model::events::{EventType, Filters};
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::outbound::address::TargetUrl;
use crate::outbound::signature::Secrets;

/// A subscription, and where it stands in the log.
pub(super) struct Subscriber {
    pub(super) id: SubscriptionId,
    pub(super) event_type: EventType,
    pub(super) target: TargetUrl,
    pub(super) filters: Filters,
    pub(super) secrets: Secrets,
    /// `active`, `paused` or `deactivated`.
    pub(super) status: String,
    pub(super) loopback: bool,
    /// Everything up to here is done; what is after it and matches is still to come.
    pub(super) done: i64,
    /// When the next attempt for the first event that is not done is due.
    next_attempt_at: Option<DateTime<Utc>>,
    /// Likewise for events beyond the first, in milliseconds since 1970.
    due: Vec<(i64, Option<i64>)>,
}

impl Subscriber {
    /// When the next attempt for an event that is being retried is due.
    pub(super) fn next_attempt_at(&self, seq: i64) -> Option<DateTime<Utc>> {
        match self.due.iter().find(|(known, _)| *known == seq) {
            Some((_, due)) => due.and_then(DateTime::from_timestamp_millis),
            None => self.next_attempt_at,
        }
    }
}

/// How far a lane that is not strictly ordered has read, and what of that is not done:
/// number, attempts made, when the next one is due.
type ReadAhead = (i64, Vec<(i64, u8, Option<i64>)>);

/// One subscription of the company.
pub(super) async fn one(
    pool: &PgPool,
    company: CompanyId,
    id: SubscriptionId,
) -> Result<Option<Subscriber>, sqlx::Error> {
    Ok(select(pool, company, Some(&[id.0]), None).await?.pop())
}

/// These subscriptions of the company.
pub(super) async fn some(
    pool: &PgPool,
    company: CompanyId,
    ids: &[Uuid],
) -> Result<Vec<Subscriber>, sqlx::Error> {
    select(pool, company, Some(ids), None).await
}

/// All subscriptions of the company to a type, newest first.
pub(super) async fn to(
    pool: &PgPool,
    company: CompanyId,
    event_type: EventType,
) -> Result<Vec<Subscriber>, sqlx::Error> {
    select(pool, company, None, Some(event_type)).await
}

async fn select(
    pool: &PgPool,
    company: CompanyId,
    ids: Option<&[Uuid]>,
    event_type: Option<EventType>,
) -> Result<Vec<Subscriber>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.event_type, s.target_url, s.filters, s.secret, s.previous_secret,
                  s.previous_secret_until, s.status, s.loopback,
                  done.seq AS "done!",
                  c.next_attempt_at, c.read_ahead
           FROM subscriptions s JOIN cursors c ON c.subscription_id = s.id JOIN done ON done.subscription_id = s.id
           WHERE s.company_id = $1 AND s.status <> 'deleted'
             AND ($2::uuid[] IS NULL OR s.id = ANY($2)) AND ($3::text IS NULL OR s.event_type = $3)
           ORDER BY s.created_at DESC, s.id DESC"#,
        company.0,
        ids,
        event_type.map(EventType::name),
    )
    .fetch_all(pool)
    .await?;
    // One that this version cannot read is not delivered to either.
    let subscribers = rows.into_iter().filter_map(|row| {
        let event_type = EventType::parse(&row.event_type)?;
        let read_ahead = row.read_ahead.and_then(|json| serde_json::from_str::<ReadAhead>(&json).ok());
        let due = read_ahead.map(|(_, owed)| owed.into_iter().map(|(seq, _, due)| (seq, due)).collect());
        Some(Subscriber {
            id: SubscriptionId(row.id),
            event_type,
            target: row.target_url.parse().ok()?,
            filters: Filters::parse(event_type, &serde_json::from_str(&row.filters).ok()?).ok()?,
            secrets: Secrets::read(&row.secret, row.previous_secret.as_deref(), row.previous_secret_until)?,
            status: row.status,
            loopback: row.loopback,
            done: row.done,
            next_attempt_at: row.next_attempt_at,
            due: due.unwrap_or_default(),
        })
    });
    Ok(subscribers.collect())
}
