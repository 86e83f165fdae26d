//! Deleting old rows of small tables, a little at a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

/// Rows in one statement: short enough for `statement_timeout`, and for those who wait.
const ROWS: i64 = 5_000;
/// How long the first answer to an Idempotency-Key is kept.
pub const IDEMPOTENCY_KEYS_KEPT: TimeDelta = TimeDelta::hours(24);
/// How long deleted subscriptions are kept.
const SUBSCRIPTIONS_KEPT: TimeDelta = TimeDelta::days(30);
/// How long sessions of the dashboard are kept that nobody uses: longer than one lasts.
const SESSIONS_KEPT: TimeDelta = TimeDelta::days(30);
/// How long it is kept what was counted per minute, and per hour: what the dashboard shows, and some more.
const MINUTES_KEPT: TimeDelta = TimeDelta::days(2);
const HOURS_KEPT: TimeDelta = TimeDelta::days(92);
/// How long gaps are kept: they outlast the events, but not for ever, since a subscription
/// that stays paused gets another one with every partition.
const GAPS_KEPT: TimeDelta = TimeDelta::days(365);

/// Deletes what is old: replays that ended, and keys that were revoked or expired,
/// longer ago than `keep`, like the events and attempts that they were about.
pub(super) async fn delete_old(pool: &PgPool, now: DateTime<Utc>, keep: Duration) -> Result<(), sqlx::Error> {
    while delete_some(pool, now, keep).await? >= ROWS.unsigned_abs() {}
    Ok(())
}

/// Deletes some of it. Returns how many rows of the table that had most.
async fn delete_some(pool: &PgPool, now: DateTime<Utc>, keep: Duration) -> Result<u64, sqlx::Error> {
    let answers = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2))",
        now - IDEMPOTENCY_KEYS_KEPT,
        ROWS,
    )
    .execute(pool)
    .await?;
    let subscriptions = sqlx::query!(
        "DELETE FROM subscriptions WHERE (company_id, id) IN (
             SELECT company_id, id FROM subscriptions WHERE status = 'deleted' AND updated_at <= $1 LIMIT $2)",
        now - SUBSCRIPTIONS_KEPT,
        ROWS,
    )
    .execute(pool)
    .await?;
    let gaps = sqlx::query!(
        "DELETE FROM gaps WHERE ctid = ANY (ARRAY(SELECT ctid FROM gaps WHERE at <= $1 ORDER BY at LIMIT $2))",
        now - GAPS_KEPT,
        ROWS,
    )
    .execute(pool)
    .await?;
    // What they sent is listed with the deliveries as long as it is kept.
    let replays = sqlx::query!(
        "DELETE FROM replays WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM replays WHERE status <> 'running' AND updated_at <= $1 ORDER BY updated_at LIMIT $2))",
        now - keep,
        ROWS,
    )
    .execute(pool)
    .await?;
    let keys = sqlx::query!(
        "DELETE FROM api_keys WHERE id IN (
             SELECT id FROM api_keys WHERE least(revoked_at, expires_at) <= $1 LIMIT $2)",
        now - keep,
        ROWS,
    )
    .execute(pool)
    .await?;
    // A secret that signs no more is nothing to keep.
    let secrets = sqlx::query!(
        "UPDATE subscriptions s SET previous_secrets = coalesce(kept.secrets, '[]'), previous_secrets_due = kept.due
         FROM (SELECT company_id, id, previous_secrets FROM subscriptions WHERE previous_secrets_due <= $1 LIMIT $2
               FOR NO KEY UPDATE SKIP LOCKED) old
         CROSS JOIN LATERAL (
             SELECT jsonb_agg(secret ORDER BY number) AS secrets, to_timestamp(min((secret ->> 1)::float8)) AS due
             FROM jsonb_array_elements(old.previous_secrets) WITH ORDINALITY AS known (secret, number)
             WHERE to_timestamp((secret ->> 1)::float8) > $1) kept
         WHERE s.company_id = old.company_id AND s.id = old.id",
        now,
        ROWS,
    )
    .execute(pool)
    .await?;
    let sessions = sqlx::query!(
        "DELETE FROM sessions WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM sessions WHERE seen_at <= $1 ORDER BY seen_at LIMIT $2))",
        now - SESSIONS_KEPT,
        ROWS,
    )
    .execute(pool)
    .await?;
    let links = sqlx::query!(
        "DELETE FROM one_time_links WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM one_time_links WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2))",
        now,
        ROWS,
    )
    .execute(pool)
    .await?;
    let tallies = sqlx::query!(
        "DELETE FROM tallies WHERE ctid = ANY (ARRAY(
             (SELECT ctid FROM tallies WHERE unit = 'minute' AND at <= $1 ORDER BY at LIMIT $3)
             UNION ALL (SELECT ctid FROM tallies WHERE unit = 'hour' AND at <= $2 ORDER BY at LIMIT $3)))",
        now - MINUTES_KEPT,
        now - HOURS_KEPT,
        ROWS,
    )
    .execute(pool)
    .await?;
    let inboxes = sqlx::query!("DELETE FROM inboxes WHERE expires_at <= $1", now).execute(pool).await?;
    let rows = [answers, subscriptions, gaps, replays, keys, secrets, sessions, links, tallies, inboxes]
        .map(|done| done.rows_affected());
    Ok(rows.into_iter().max().unwrap_or_default())
}
