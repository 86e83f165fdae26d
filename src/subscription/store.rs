//! Subscriptions in the database: one row, one decoder.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Health, Ordering, OrderingWord, Progress, ReadAhead, Status, Subscription};
use crate::model::events::{EventSelection, Filters, Include};
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::outbound::address::TargetUrl;
use crate::outbound::custom_headers::CustomHeaders;
use crate::outbound::signature::Secrets;

/// A subscription and its progress.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What it is.
    pub subscription: Subscription,
    /// How far it is.
    pub progress: Progress,
    /// The part of the delivery work that its endpoint belongs to.
    pub shard: i16,
}

/// A row of `subscriptions`, `cursors` and `done`.
struct Row {
    company_id: Uuid,
    id: Uuid,
    events: String,
    target_url: String,
    filters: String,
    earlier_filters: String,
    ignored_actor: Option<Uuid>,
    include: String,
    secret: String,
    previous_secrets: String,
    headers: String,
    status: String,
    status_reason: Option<String>,
    loopback: bool,
    ordering: String,
    concurrency: i16,
    skip_to: i64,
    resumed_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    shard: i16,
    done: i64,
    cursor: i64,
    lagging: bool,
    head_attempts: i16,
    next_attempt_at: Option<DateTime<Utc>>,
    read_ahead: Option<String>,
    undelivered_in_row: i32,
    last_attempt_at: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
}

impl Row {
    fn decode(self) -> Option<Stored> {
        let (company, id) = (CompanyId(self.company_id), SubscriptionId(self.id));
        let decoded = self.try_decode();
        if decoded.is_none() {
            tracing::error!(%company, subscription = %id, "a stored subscription does not parse; it is ignored");
        }
        decoded
    }

    fn try_decode(self) -> Option<Stored> {
        let events = EventSelection::parse([&*self.events]).ok()?;
        let subscription = Subscription {
            company: CompanyId(self.company_id),
            id: SubscriptionId(self.id),
            target: TargetUrl::stored(&self.target_url).ok()?,
            filters: Filters::stored(&serde_json::from_str(&self.filters).ok()?)?,
            earlier_filters: earlier_filters(&self.earlier_filters)?,
            events,
            ignored_actor: self.ignored_actor,
            include: Include::parse([&*self.include]).ok()?,
            headers: CustomHeaders::stored(&self.headers)?,
            secrets: Secrets::read(&self.secret, &self.previous_secrets)?,
            status: Status::parse(&self.status)?,
            status_reason: self.status_reason,
            loopback: self.loopback,
            ordering: Ordering::new(
                OrderingWord::parse(&self.ordering)?,
                u8::try_from(self.concurrency).ok()?,
            ),
            skip_to: self.skip_to,
            resumed_at: self.resumed_at,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        let progress = Progress {
            done: self.done,
            cursor: self.cursor,
            lagging: self.lagging,
            head_attempts: u8::try_from(self.head_attempts).unwrap_or(0),
            next_attempt_at: self.next_attempt_at,
            read_ahead: self.read_ahead.as_deref().and_then(ReadAhead::from_json),
            health: Health {
                undelivered_in_row: self.undelivered_in_row,
                last_attempt_at: self.last_attempt_at,
                last_success_at: self.last_success_at,
                last_error: self.last_error,
            },
        };
        Some(Stored { subscription, progress, shard: self.shard })
    }
}

/// Reads the filters of before.
fn earlier_filters(json: &str) -> Option<Vec<(i64, Filters)>> {
    let earlier: Vec<(i64, serde_json::Value)> = serde_json::from_str(json).ok()?;
    earlier.iter().map(|(to, filters)| Some((*to, Filters::stored(filters)?))).collect()
}

/// Selects subscriptions as [`Stored`]: what stands before the tables, and what follows them.
///
/// A macro because `query_as!` wants the text spelt out.
macro_rules! select {
    ($executor:expr, $from:literal, $rest:literal, $($parameter:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT s.company_id, s.id, s.events, s.target_url, s.filters, s.earlier_filters::text AS "earlier_filters!", s.ignored_actor, s.include, s.secret,
                      s.previous_secrets::text AS "previous_secrets!", s.headers::text AS "headers!", s.status, s.status_reason, s.loopback, s.ordering, s.concurrency,
                      s.skip_to, s.resumed_at, s.version, s.created_at, s.updated_at,
                      c.shard, done.seq AS "done!", c.seq AS cursor, c.lagging, c.head_attempts, c.next_attempt_at, c.read_ahead,
                      c.undelivered_in_row, c.last_attempt_at, c.last_success_at, c.last_error
               FROM "# + $from + r#" subscriptions s
               JOIN cursors c ON c.subscription_id = s.id JOIN done ON done.subscription_id = s.id "# + $rest,
            $($parameter),+
        )
        .fetch_all($executor)
        .await
        .map(|rows| rows.into_iter().filter_map(Row::decode).collect::<Vec<Stored>>())
    };
}

/// One subscription of the company, unless it is deleted.
///
/// # Errors
/// When the database does not answer, as with all functions here.
pub async fn one(
    pool: &PgPool,
    company: CompanyId,
    id: SubscriptionId,
) -> Result<Option<Stored>, sqlx::Error> {
    Ok(some(pool, company, &[id.0]).await?.pop())
}

/// Those of the company's subscriptions with these ids that are not deleted.
pub async fn some(pool: &PgPool, company: CompanyId, ids: &[Uuid]) -> Result<Vec<Stored>, sqlx::Error> {
    select!(pool, "", "WHERE s.company_id = $1 AND s.id = ANY($2) AND s.status <> 'deleted'", company.0, ids)
}

/// The company's subscriptions, newest first; without deleted ones.
pub async fn of_company(pool: &PgPool, company: CompanyId) -> Result<Vec<Stored>, sqlx::Error> {
    page_of_company(pool, company, None, (None, None), i64::MAX).await
}

/// The first `rows` of the company's subscriptions with this status, if it is given, `after` that one,
/// newest first; without deleted ones.
pub async fn page_of_company(
    pool: &PgPool,
    company: CompanyId,
    status: Option<Status>,
    (after_time, after_id): (Option<DateTime<Utc>>, Option<Uuid>),
    rows: i64,
) -> Result<Vec<Stored>, sqlx::Error> {
    select!(
        pool,
        "",
        "WHERE s.company_id = $1 AND s.status <> 'deleted' AND ($2::text IS NULL OR s.status = $2)
           AND ($3::timestamptz IS NULL OR (s.created_at, s.id) < ($3, $4::uuid))
         ORDER BY s.created_at DESC, s.id DESC LIMIT $5",
        company.0,
        status.map(Status::word),
        after_time,
        after_id,
        rows,
    )
}

/// Those of these subscriptions that exist, with their progress, locked until the transaction ends.
/// Changes are rare and short: waiting for another one, within `lock_timeout`, is fine here.
pub async fn lock(
    connection: &mut PgConnection,
    (companies, ids): (&[Uuid], &[Uuid]),
) -> Result<Vec<Stored>, sqlx::Error> {
    select!(
        connection,
        "unnest($1::uuid[], $2::uuid[]) AS wanted (company_id, id) CROSS JOIN",
        "WHERE s.company_id = wanted.company_id AND s.id = wanted.id
         ORDER BY s.company_id, s.id FOR NO KEY UPDATE OF s",
        companies,
        ids,
    )
}

/// Subscriptions that changed after `version`, deleted ones included, in the order of their
/// changes.
pub async fn changed_after(pool: &PgPool, version: i64) -> Result<Vec<Stored>, sqlx::Error> {
    select!(pool, "", "WHERE s.version > $1 ORDER BY s.version", version)
}

/// The subscriptions of shards, without deleted ones.
pub async fn of_shards(pool: &PgPool, shards: &[i16]) -> Result<Vec<Stored>, sqlx::Error> {
    select!(pool, "", "WHERE c.shard = ANY($1) AND s.status <> 'deleted'", shards)
}

/// Deactivates a subscription, unless it has changed since `version`. Returns its new version
/// if it was deactivated.
pub async fn deactivate(
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
    let version = next_version(&mut transaction).await?;
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

/// Takes the next version of the subscriptions; locked until the transaction ends, so that
/// the order of versions is the order of commits.
pub async fn next_version(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("UPDATE subscription_version SET version = version + 1 RETURNING version")
        .fetch_one(connection)
        .await
}
