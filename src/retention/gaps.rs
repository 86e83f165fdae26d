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
/// events of its company and types are lost to it: an upper bound where it has filters, and
/// where it moves on meanwhile. Of what was read ahead only what is not done is lost. Those that
/// stand at the same place are counted once.
pub(super) async fn record(
    connection: &mut PgConnection,
    range: Range,
    now: DateTime<Utc>,
) -> Result<Lost, sqlx::Error> {
    let Range { from, to } = range;
    sqlx::query_as!(
        Lost,
        r#"WITH standing AS (
               SELECT s.company_id, s.id, s.events, done.seq, greatest(done.seq, (c.read_ahead::jsonb ->> 0)::bigint) AS read,
                      (SELECT count(*) FROM jsonb_array_elements(c.read_ahead::jsonb -> 1) AS owed
                       WHERE (owed ->> 0)::bigint > done.seq AND (owed ->> 0)::bigint >= $1 AND (owed ->> 0)::bigint < $2) AS owed
               FROM subscriptions s JOIN done ON done.subscription_id = s.id JOIN cursors c ON c.subscription_id = s.id
               WHERE s.status <> 'deleted'
           ), behind AS (
               SELECT company_id, id, events, owed, greatest(seq + 1, $1) AS first, greatest(read + 1, $1) AS next
               FROM standing WHERE seq + 1 < $2
           ), counted AS MATERIALIZED (
               SELECT company_id, events, next, (
                   SELECT count(*) FROM events e
                   WHERE e.company_id = place.company_id AND e.type = ANY (wanted_types(place.events))
                     AND e.seq >= place.next AND e.seq >= $1 AND e.seq < $2
               ) AS lost
               FROM (SELECT DISTINCT company_id, events, next FROM behind) place
           ), recorded AS (
               INSERT INTO gaps (company_id, subscription_id, from_seq, to_seq, events, reason, at)
               SELECT company_id, id, first, $2 - 1, lost + owed, 'retention', $3
               FROM behind JOIN counted USING (company_id, events, next)
               WHERE lost + owed > 0
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

/// Counts, for each replay that has not come so far, the events of this partition that it will not
/// send: an upper bound like the others.
pub(super) async fn missed(connection: &mut PgConnection, range: Range) -> Result<(), sqlx::Error> {
    let Range { from, to } = range;
    sqlx::query!(
        "WITH lost AS (
             SELECT r.id, (
                 SELECT count(*) FROM events e
                 WHERE e.company_id = r.company_id AND e.type = ANY (wanted_types(s.events))
                   AND e.seq >= $1 AND e.seq < $2 AND e.seq > r.position AND e.seq <= r.to_seq
                   AND (NOT r.only_undelivered
                        OR (EXISTS (SELECT FROM attempts a WHERE a.subscription_id = s.id AND a.seq = e.seq
                                                             AND a.outcome = 'undelivered')
                            AND NOT EXISTS (SELECT FROM attempts a WHERE a.subscription_id = s.id AND a.seq = e.seq
                                                                     AND a.outcome = 'delivered')))
             ) AS events
             FROM replays r JOIN subscriptions s ON s.id = r.subscription_id
             WHERE r.status = 'running' AND r.position < $2 - 1 AND r.to_seq >= $1)
         UPDATE replays r SET missed = r.missed + lost.events FROM lost WHERE r.id = lost.id AND lost.events > 0",
        from,
        to,
    )
    .execute(connection)
    .await?;
    Ok(())
}
