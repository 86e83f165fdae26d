//! Reading the log: whose events, of which types, after which number.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::model::actor::Actor;
use crate::model::events::{Event, EventType, EventTypes};
use crate::model::ids::{CompanyId, EventId};

/// Events in a page of [`after`].
const PAGE: usize = 500;

/// Numbers that one statement covers. A statement that reaches from far behind to the end of
/// the log is planned for all partitions, and the plan takes longer than the read.
pub(super) const SPAN: i64 = 100_000;

/// A row of `events`.
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) company_id: Uuid,
    pub(super) r#type: String,
    pub(super) id: Uuid,
    pub(super) record_id: Uuid,
    pub(super) source: String,
    pub(super) at: DateTime<Utc>,
    pub(super) data: String,
    pub(super) actor: Option<Uuid>,
    pub(super) previous: Option<String>,
}

impl Row {
    /// Returns nothing for a type that this version does not know. Readers stop before such events:
    /// see [`end`].
    pub(super) fn decode(self) -> Option<Arc<Event>> {
        Some(Arc::new(Event {
            seq: self.seq,
            company: CompanyId(self.company_id),
            event_type: EventType::parse(&self.r#type)?,
            id: EventId(self.id),
            record: self.record_id,
            actor: self.actor.map(|id| Actor::stored(id, &self.source)),
            source: self.source,
            at: self.at,
            data: self.data,
            previous: self.previous,
        }))
    }
}

/// How far the log goes.
#[derive(Clone, Debug)]
pub struct End {
    /// The last number, or the last one before an event that this version may not know.
    pub seq: i64,
    /// The version of the subscriptions in the same snapshot: it includes every change that
    /// came before an event up to `seq`.
    pub version: i64,
    /// An event type that this version does not know: `seq` is the last number before the first
    /// event of it. A newer server has written such events, or will.
    pub unknown: Option<String>,
}

/// A part of the log.
#[derive(Debug)]
pub struct Page {
    /// In the order of the log.
    pub events: Vec<Arc<Event>>,
    /// The events are all there are up to this number.
    pub read_to: i64,
}

impl Page {
    /// A page that covers the log up to `end`, unless its `limit` of rows ended it before.
    fn new(rows: Vec<Row>, limit: usize, end: i64) -> Self {
        let last = rows.last().filter(|_| rows.len() >= limit).map(|row| row.seq);
        Self { events: rows.into_iter().filter_map(Row::decode).collect(), read_to: last.unwrap_or(end) }
    }
}

/// Returns where the log ends for this version.
///
/// # Errors
/// When the database does not answer, as with all functions here.
pub async fn end(pool: &PgPool) -> Result<End, sqlx::Error> {
    Ok(end_and_kept(pool, i64::MAX).await?.0)
}

/// Returns where the log ends for this version, and whether every event after `position` is still
/// kept. Numbers have no gaps, and retention drops the oldest first. Whoever reads a page and
/// asks afterwards knows that nothing was missing from the page.
pub async fn end_and_kept(pool: &PgPool, position: i64) -> Result<(End, bool), sqlx::Error> {
    let known: Vec<_> = EventType::WORDS.iter().map(|word| (*word).to_owned()).collect();
    let row = sqlx::query!(
        r#"SELECT least(log_head.seq, unknown.first_seq - 1) AS "seq!", version, unknown.type AS "unknown?",
                  log_head.seq <= $2 OR EXISTS (SELECT FROM events WHERE events.seq = $2 + 1) AS "kept!"
           FROM log_head CROSS JOIN subscription_version LEFT JOIN LATERAL (
               SELECT type, first_seq FROM event_types WHERE type <> ALL ($1) ORDER BY first_seq LIMIT 1) unknown ON true"#,
        &known,
        position.min(i64::MAX - 1),
    )
    .fetch_one(pool)
    .await?;
    Ok((End { seq: row.seq, version: row.version, unknown: row.unknown }, row.kept))
}

/// Reads the log of all companies after `position`, up to `end`.
pub async fn after(pool: &PgPool, position: i64, end: i64) -> Result<Page, sqlx::Error> {
    let end = end.min(position.saturating_add(SPAN)).max(position);
    let rows = sqlx::query_as!(
        Row,
        "SELECT seq, company_id, type, id, record_id, source, at, data, actor, previous FROM events
         WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
        position,
        end,
        PAGE as i64,
    )
    .fetch_all(pool)
    .await?;
    Ok(Page::new(rows, PAGE, end))
}

/// Reads a company's events of `types` after `position`, up to `end`; at most `limit`.
pub async fn of_types(
    pool: &PgPool,
    company: CompanyId,
    types: EventTypes,
    (position, end): (i64, i64),
    limit: usize,
) -> Result<Page, sqlx::Error> {
    let mut page = of_types_nearby(pool, company, types, (position, end), limit).await?;
    if page.events.len() < limit && page.read_to < end {
        let rest = limit - page.events.len();
        let further = select(pool, company, types, (page.read_to, end), rest).await?;
        page.events.extend(further.events);
        page.read_to = further.read_to;
    }
    Ok(page)
}

/// The same within the next 100,000 numbers, which keeps it cheap however far `end` is.
async fn of_types_nearby(
    pool: &PgPool,
    company: CompanyId,
    types: EventTypes,
    (position, end): (i64, i64),
    limit: usize,
) -> Result<Page, sqlx::Error> {
    let end = end.min(position.saturating_add(SPAN)).max(position);
    select(pool, company, types, (position, end), limit).await
}

/// Reads one type, or type by type and merges, so that the cost does not depend on the length of
/// the log or on other companies. Only the index on (company, type, seq) has this property.
/// PostgreSQL would choose another one where it takes a type to be frequent, but comparing
/// whole rows leaves no other. The comparisons of `seq` alone exclude partitions.
async fn select(
    pool: &PgPool,
    company: CompanyId,
    types: EventTypes,
    (position, end): (i64, i64),
    limit: usize,
) -> Result<Page, sqlx::Error> {
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    if let Some(event_type) = types.single() {
        let rows = sqlx::query_as!(
            Row,
            "SELECT seq, company_id, type, id, record_id, source, at, data, actor, previous FROM events
             WHERE (company_id, type, seq) > ($1, $2, $3) AND (company_id, type, seq) <= ($1, $2, $4)
                 AND seq > $3 AND seq <= $4
             ORDER BY company_id, type, seq LIMIT $5",
            company.0,
            event_type.word(),
            position,
            end,
            rows,
        )
        .fetch_all(pool)
        .await?;
        return Ok(Page::new(rows, limit, end));
    }
    let rows = sqlx::query_as!(
        Row,
        "SELECT e.seq, e.company_id, e.type, e.id, e.record_id, e.source, e.at, e.data, e.actor, e.previous
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
        &types.words(),
        position,
        end,
        rows,
    )
    .fetch_all(pool)
    .await?;
    Ok(Page::new(rows, limit, end))
}

/// Reads a company's events of `types` after `position`, up to `end`, within the next 100,000 numbers;
/// at most `limit`, and no more once their data has this many bytes. There is always room for one.
pub async fn of_types_within(
    pool: &PgPool,
    company: CompanyId,
    types: EventTypes,
    (position, end): (i64, i64),
    (limit, bytes): (usize, usize),
) -> Result<Page, sqlx::Error> {
    let end = end.min(position.saturating_add(SPAN)).max(position);
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    // The lengths are known without reading large values, which are stored apart.
    let rows = sqlx::query!(
        r#"SELECT s.seq, s.company_id, s.type, s.id, s.record_id, s.source, s.at, s.data, s.actor, s.previous,
                  s.total AS "total!"
         FROM (
             SELECT e.*, octet_length(e.data) + coalesce(octet_length(e.previous), 0) AS size,
                    sum(octet_length(e.data) + coalesce(octet_length(e.previous), 0)) OVER (ORDER BY e.seq) AS total
             FROM (
                 SELECT l.* FROM unnest($2::text[]) AS wanted (type)
                 CROSS JOIN LATERAL (
                     SELECT * FROM events
                     WHERE (company_id, type, seq) > ($1, wanted.type, $3)
                         AND (company_id, type, seq) <= ($1, wanted.type, $4)
                         AND seq > $3 AND seq <= $4
                     ORDER BY company_id, type, seq LIMIT $5
                 ) l
                 ORDER BY l.seq LIMIT $5
             ) e
         ) s
         WHERE s.total - s.size < $6 ORDER BY s.seq"#,
        company.0,
        &types.words(),
        position,
        end,
        i64::try_from(limit).unwrap_or(i64::MAX),
        bytes,
    )
    .fetch_all(pool)
    .await?;
    let is_full = rows.last().is_some_and(|row| row.total >= bytes);
    let rows = rows.into_iter().map(|row| Row {
        seq: row.seq,
        company_id: row.company_id,
        r#type: row.r#type,
        id: row.id,
        record_id: row.record_id,
        source: row.source,
        at: row.at,
        data: row.data,
        actor: row.actor,
        previous: row.previous,
    });
    let rows: Vec<_> = rows.collect();
    let limit = if is_full { rows.len() } else { limit };
    Ok(Page::new(rows, limit, end))
}

/// Reads those of a company's events with these numbers that are still kept.
pub async fn by_numbers(
    pool: &PgPool,
    company: CompanyId,
    seqs: &[i64],
) -> Result<Vec<Arc<Event>>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT seq, company_id, type, id, record_id, source, at, data, actor, previous FROM events
         WHERE seq = ANY($1) AND company_id = $2 ORDER BY seq",
        seqs,
        company.0,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(Row::decode).collect())
}
