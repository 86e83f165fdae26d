//! SQL of the feed.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::events::{Event, EventType};
use crate::ids::{CompanyId, EventId};

struct Row {
    seq: i64,
    company_id: Uuid,
    r#type: String,
    id: Uuid,
    record_id: Uuid,
    source: String,
    at: DateTime<Utc>,
    data: String,
}

impl Row {
    fn into_event(self) -> Option<Event> {
        Some(Event {
            seq: self.seq,
            company: CompanyId(self.company_id),
            event_type: EventType::parse(&self.r#type)?,
            id: EventId(self.id),
            record: self.record_id,
            source: self.source,
            at: self.at,
            data: self.data,
        })
    }
}

/// The number of the last event that is committed, and whether everything after
/// `position` is still kept. Numbers have no gaps, and the oldest are dropped first.
pub(super) async fn end_of_log(pool: &PgPool, position: i64) -> Result<(i64, bool), sqlx::Error> {
    let end = sqlx::query!(
        r#"SELECT seq, seq <= $1 OR EXISTS (SELECT FROM events WHERE events.seq = $1 + 1) AS "kept!" FROM log_head"#,
        position,
    )
    .fetch_one(pool)
    .await?;
    Ok((end.seq, end.kept))
}

/// The company's events of these types after `position`, up to `head`, at most
/// `limit`, in the order of the log. Read type by type, each through the index, so
/// that it costs the same however long the log is and whoever else writes.
pub(super) async fn read(
    pool: &PgPool,
    company: CompanyId,
    types: &[EventType],
    (position, head): (i64, i64),
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    let names: Vec<_> = types.iter().map(|event_type| event_type.name().to_owned()).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT e.seq, e.company_id, e.type, e.id, e.record_id, e.source, e.at, e.data
         FROM unnest($2::text[]) AS wanted (type)
         CROSS JOIN LATERAL (
             SELECT * FROM events
             WHERE company_id = $1 AND type = wanted.type AND seq > $3 AND seq <= $4
             ORDER BY seq LIMIT $5
         ) e
         ORDER BY e.seq LIMIT $5",
        company.0,
        &names,
        position,
        head,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(Row::into_event).collect())
}
