//! Reading the log backwards: what happened last, and the one event with an id.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::read::{Row, SPAN};
use super::seek;
use crate::model::events::{Event, EventTypes};
use crate::model::ids::{CompanyId, EventId};

/// An id is made before its event gets its time, and may be of the next millisecond.
const ID_AHEAD: Duration = Duration::from_secs(1);

/// Reads a company's events of `types`, about `record` if one is given, newest first: those between
/// two numbers, both excluded, and at most `limit`.
///
/// # Errors
/// When the database does not answer, as with all functions here.
pub async fn newest(
    pool: &PgPool,
    company: CompanyId,
    (types, record): (EventTypes, Option<Uuid>),
    (after, before): (i64, i64),
    limit: usize,
) -> Result<Vec<Arc<Event>>, sqlx::Error> {
    // A statement that covers the whole log is planned for all its partitions: first the last ones.
    let head = sqlx::query_scalar!("SELECT seq FROM log_head").fetch_one(pool).await?;
    let before = before.min(head + 1);
    let nearby = after.max(before.saturating_sub(SPAN));
    let mut events = select(pool, company, (types, record), (nearby, before), limit).await?;
    if events.len() < limit && nearby > after {
        let rest = limit - events.len();
        events.extend(select(pool, company, (types, record), (after, nearby + 1), rest).await?);
    }
    Ok(events)
}

/// See `read::select`: comparing whole rows leaves PostgreSQL no other index than the one meant.
async fn select(
    pool: &PgPool,
    company: CompanyId,
    (types, record): (EventTypes, Option<Uuid>),
    (after, before): (i64, i64),
    limit: usize,
) -> Result<Vec<Arc<Event>>, sqlx::Error> {
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = match record {
        Some(record) => {
            sqlx::query_as!(
                Row,
                "SELECT seq, company_id, type, id, record_id, source, at, data, actor, previous FROM events
                 WHERE (company_id, record_id, seq) > ($1, $2, $3) AND (company_id, record_id, seq) < ($1, $2, $4)
                     AND seq > $3 AND seq < $4 AND type = ANY ($5)
                 ORDER BY company_id DESC, record_id DESC, seq DESC LIMIT $6",
                company.0,
                record,
                after,
                before,
                &types.words(),
                rows,
            )
            .fetch_all(pool)
            .await?
        }
        None => {
            sqlx::query_as!(
                Row,
                "SELECT e.seq, e.company_id, e.type, e.id, e.record_id, e.source, e.at, e.data, e.actor, e.previous
                 FROM unnest($2::text[]) AS wanted (type)
                 CROSS JOIN LATERAL (
                     SELECT * FROM events
                     WHERE (company_id, type, seq) > ($1, wanted.type, $3)
                         AND (company_id, type, seq) < ($1, wanted.type, $4)
                         AND seq > $3 AND seq < $4
                     ORDER BY company_id DESC, type DESC, seq DESC LIMIT $5
                 ) e
                 ORDER BY e.seq DESC LIMIT $5",
                company.0,
                &types.words(),
                after,
                before,
                rows,
            )
            .fetch_all(pool)
            .await?
        }
    };
    Ok(found.into_iter().filter_map(Row::decode).collect())
}

/// Finds the event with this id, if it is still kept. Ids carry the time at which they were made: the
/// event is looked for in the log from there on, over 100,000 numbers, since its own time can be later
/// when the clocks of several servers differ.
pub async fn by_id(
    pool: &PgPool,
    company: CompanyId,
    id: EventId,
) -> Result<Option<Arc<Event>>, sqlx::Error> {
    let Some(made) = made_at(id) else { return Ok(None) };
    let after = seek::before(pool, made - ID_AHEAD).await?;
    let row = sqlx::query_as!(
        Row,
        "SELECT seq, company_id, type, id, record_id, source, at, data, actor, previous FROM events
         WHERE seq > $1 AND seq <= $2 AND id = $3 AND company_id = $4 ORDER BY seq LIMIT 1",
        after,
        after.saturating_add(SPAN),
        id.0,
        company.0,
    );
    Ok(row.fetch_optional(pool).await?.and_then(Row::decode))
}

fn made_at(id: EventId) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.0.get_timestamp()?.to_unix();
    let made = DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)?;
    // Whatever somebody writes, PostgreSQL has to know the date.
    Some(made).filter(|made| (1971..=9999).contains(&chrono::Datelike::year(made)))
}
