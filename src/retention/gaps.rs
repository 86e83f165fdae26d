//! What retention takes from subscriptions that still wait.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::events::Range;

/// How much was lost with a partition.
pub(super) struct Lost {
    pub(super) subscriptions: i64,
    pub(super) events: i64,
}

/// Writes down, for each subscription that stands before the end of this partition, how many
/// events of its company and type are lost to it: an upper bound where it has filters, and
/// where it moves on meanwhile. Those that stand at the same place are counted once.
pub(super) async fn record(
    connection: &mut PgConnection,
    range: Range,
    now: DateTime<Utc>,
) -> Result<Lost, sqlx::Error> {
    let Range { from, to } = range;
    sqlx::query_as!(
        Lost,
        r#"WITH standing AS (
               SELECT s.company_id, s.id, s.event_type, done.seq
               FROM subscriptions s JOIN done ON done.subscription_id = s.id
               WHERE s.status <> 'deleted'
           ), behind AS (
               SELECT company_id, id, event_type, greatest(seq + 1, $1) AS first FROM standing WHERE seq + 1 < $2
           ), counted AS MATERIALIZED (
               SELECT company_id, event_type, first, (
                   SELECT count(*) FROM events e
                   WHERE e.company_id = place.company_id AND e.type = place.event_type
                     AND e.seq >= place.first AND e.seq >= $1 AND e.seq < $2
               ) AS events
               FROM (SELECT DISTINCT company_id, event_type, first FROM behind) place
           ), recorded AS (
               INSERT INTO gaps (company_id, subscription_id, from_seq, to_seq, events, reason, at)
               SELECT company_id, id, first, $2 - 1, events, 'retention', $3
               FROM behind JOIN counted USING (company_id, event_type, first)
               WHERE events > 0
               RETURNING events
           )
           SELECT count(*) AS "subscriptions!", coalesce(sum(events), 0)::bigint AS "events!" FROM recorded"#,
        from,
        to,
        now,
    )
    .fetch_one(connection)
    .await
}
