//! From a time to a number of the log.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// Returns the last number before `time`: every event of that time or later has a higher one.
///
/// Time never runs backwards along the log, so this is a binary search over the numbers
/// that are kept: a handful of look-ups, in one statement, however long the log is.
///
/// # Errors
/// When the database does not answer.
pub async fn before(pool: &PgPool, time: DateTime<Utc>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH RECURSIVE search (low, high) AS (
               SELECT coalesce((SELECT seq FROM events ORDER BY seq LIMIT 1), seq + 1), seq + 1 FROM log_head
             UNION ALL
               SELECT CASE WHEN early THEN middle + 1 ELSE low END, CASE WHEN early THEN high ELSE middle END
               FROM (SELECT low, high, (low + high) / 2 AS middle FROM search WHERE low < high) half
               CROSS JOIN LATERAL (
                   SELECT coalesce((SELECT at FROM events WHERE seq >= middle ORDER BY seq LIMIT 1) < $1, false) AS early
               ) found
           )
           SELECT low - 1 AS "before!" FROM search WHERE low >= high"#,
        time,
    )
    .fetch_one(pool)
    .await
}
