//! From times to places in the log.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// The last number before `time`: every event at that time or later comes after it.
///
/// Time never runs backwards along the log, so the place is found by halving: a handful
/// of look-ups by number, however long the log is.
pub async fn before(pool: &PgPool, time: DateTime<Utc>) -> Result<i64, sqlx::Error> {
    let head = sqlx::query_scalar!("SELECT seq FROM log_head").fetch_one(pool).await?;
    let (mut below, mut above) = (0, head);
    // Events up to `below` are earlier, those after `above` are not.
    while below < above {
        let middle = below + (above - below) / 2;
        // Retention may have taken those that are next.
        let next = sqlx::query!("SELECT seq, at FROM events WHERE seq > $1 ORDER BY seq LIMIT 1", middle)
            .fetch_optional(pool)
            .await?;
        match next {
            Some(next) if next.at < time => below = next.seq,
            Some(_) | None => above = middle,
        }
    }
    Ok(below)
}
