//! Throws away what has served its time, a little at a time, so that no table only grows.

use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;

use crate::clock::Clock;
use crate::writer::KEPT_FOR;

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// Rows in one statement: short enough for `statement_timeout`, and for those who wait.
const ROWS: i64 = 5_000;
/// How long attempts and deleted subscriptions are kept.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Cleans up for ever.
pub async fn run(pool: PgPool, clock: Clock) {
    loop {
        tokio::time::sleep(EVERY).await;
        loop {
            match sweep(&pool, &clock).await {
                Ok(rows) if rows >= ROWS.unsigned_abs() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "old rows cannot be deleted yet");
                    break;
                }
            }
        }
    }
}

/// Deletes some of what is old. Answers how many rows of the table that had most.
async fn sweep(pool: &PgPool, clock: &Clock) -> Result<u64, sqlx::Error> {
    let now = clock.now();
    let answers = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2))",
        now - KEPT_FOR,
        ROWS,
    )
    .execute(pool)
    .await?;
    let attempts = sqlx::query!(
        "DELETE FROM attempts WHERE ctid = ANY (ARRAY(SELECT ctid FROM attempts WHERE at <= $1 ORDER BY at LIMIT $2))",
        now - KEPT,
        ROWS,
    )
    .execute(pool)
    .await?;
    let subscriptions = sqlx::query!(
        "DELETE FROM subscriptions WHERE (company_id, id) IN (
             SELECT company_id, id FROM subscriptions WHERE status = 'deleted' AND updated_at <= $1 LIMIT $2)",
        now - KEPT,
        ROWS,
    )
    .execute(pool)
    .await?;
    // A secret that signs no more is nothing to keep.
    let secrets = sqlx::query!(
        "UPDATE subscriptions SET previous_secret = NULL, previous_secret_until = NULL
         WHERE (company_id, id) IN (
             SELECT company_id, id FROM subscriptions WHERE previous_secret_until <= $1 LIMIT $2
             FOR NO KEY UPDATE SKIP LOCKED)",
        now,
        ROWS,
    )
    .execute(pool)
    .await?;
    let rows = [answers, attempts, subscriptions, secrets].map(|done| done.rows_affected());
    Ok(rows.into_iter().max().unwrap_or_default())
}
