//! SQL of the feed.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::model::events::{Event, EventType};
use crate::model::ids::{CompanyId, EventId};

/// Numbers that are looked at first. In a busy log they have what is wanted, and a plan for
/// all partitions, which takes longer than the reading, is made only if they do not.
const SPAN: i64 = 100_000;

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
pub(crate) async fn end_of_log(pool: &PgPool, position: i64) -> Result<(i64, bool), sqlx::Error> {
    let end = sqlx::query!(
        r#"SELECT seq, seq <= $1 OR EXISTS (SELECT FROM events WHERE events.seq = $1 + 1) AS "kept!" FROM log_head"#,
        position,
    )
    .fetch_one(pool)
    .await?;
    Ok((end.seq, end.kept))
}

/// The company's events of these types after `position`, up to `head`, at most
/// `limit`, in the order of the log.
pub(crate) async fn read(
    pool: &PgPool,
    company: CompanyId,
    types: &[EventType],
    (position, head): (i64, i64),
    limit: usize,
) -> Result<Vec<Event>, sqlx::Error> {
    let near = head.min(position.saturating_add(SPAN));
    let mut events = page(pool, company, types, (position, near), limit).await?;
    if events.len() < limit && near < head {
        events.extend(page(pool, company, types, (near, head), limit - events.len()).await?);
    }
    Ok(events)
}

/// Reads type by type and merges, so that it costs the same however long the log is and
/// whoever else writes. That is so only by the index on (company, type, seq): comparing
/// rows leaves PostgreSQL no other, which it would else choose where it takes the type for
/// a frequent one. The numbers by themselves are for leaving out partitions.
async fn page(
    pool: &PgPool,
    company: CompanyId,
    types: &[EventType],
    (position, head): (i64, i64),
    limit: usize,
) -> Result<Vec<Event>, sqlx::Error> {
    let names: Vec<_> = types.iter().map(|event_type| event_type.name().to_owned()).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT e.seq, e.company_id, e.type, e.id, e.record_id, e.source, e.at, e.data
         FROM unnest($2::text[]) AS wanted (type)
         CROSS JOIN LATERAL (
             SELECT * FROM events
             WHERE (company_id, type, seq) > ($1, wanted.type, $3)
                 AND (company_id, type, seq) <= ($1, wanted.type, $4)
                 AND seq > $3 AND seq <= $4
             ORDER BY company_id, type, seq LIMIT $5
         ) e
         ORDER BY e.seq LIMIT $5",
        company.0,
        &names,
        position,
        head,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(Row::into_event).collect())
}
