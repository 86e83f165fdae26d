//! Triggers: what polling clients (Zapier's `performList`) read. Bare answers, on purpose.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgPool;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Api, contacts, deals, event_types};
use crate::http::allowed::{Allowed, WebhooksRead};
use crate::http::answer;
use crate::http::error::ApiError;
use crate::http::openapi::ReadErrors;
use crate::http::query::{self, Query};
use crate::model::event_schema::AnyRecord;
use crate::model::events::{EventType, RecordKind};
use crate::model::ids::CompanyId;

/// Records in one answer; also the default.
const MAX_RECENT: i64 = 100;
/// The newest events of a type among which the latest of each record is looked
/// for, so that one record that changes all day cannot make a poll expensive.
const LOOK_BACK: i64 = 10_000;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(sample)).routes(routes!(recent))
}

/// Show a sample record of an event type
#[utoipa::path(get, path = "/triggers/{event_type}/sample", operation_id = "getSampleEvent", tag = "Triggers",
    params(("event_type" = EventType, Path)),
    responses((status = 200, description = "An invented record, bare", body = AnyRecord,
        example = json!(EventType::ContactCreated.sample())), ReadErrors))]
async fn sample(_: Allowed<WebhooksRead>, Path(event_type): Path<String>) -> Result<Response, ApiError> {
    Ok(answer::json(StatusCode::OK, &event_types::parse(&event_type)?.sample()))
}

/// Which records.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RecentQuery {
    /// The most records in the answer, 1–100; 100 by default and for values under 1.
    #[param(value_type = Option<i64>, maximum = 100)]
    limit: Option<String>,
    /// Return only records of events at this time or later (ISO 8601).
    #[param(format = "date-time")]
    since: Option<String>,
}

/// List recent records of an event type
///
/// Lists bare records, newest first, each once with its latest event of that type, so that a
/// poller recognises new ones by `id`. Records that were deleted since are left out, but for
/// the types `contact.deleted` and `deal.deleted`, which list them as they were.
#[utoipa::path(get, path = "/triggers/{event_type}/recent", operation_id = "listRecentEvents", tag = "Triggers",
    params(("event_type" = EventType, Path), RecentQuery),
    responses((status = 200, description = "Records, bare", body = Vec<AnyRecord>,
        example = json!([EventType::ContactCreated.sample()])), ReadErrors))]
async fn recent(
    State(api): State<Api>,
    caller: Allowed<WebhooksRead>,
    Path(event_type): Path<String>,
    Query(wanted): Query<RecentQuery>,
) -> Result<Response, ApiError> {
    let event_type = event_types::parse(&event_type)?;
    let limit = query::number_or_less("limit", wanted.limit, 1..=MAX_RECENT)?.unwrap_or(MAX_RECENT);
    let since = query::time("since", wanted.since)?;
    let company = caller.company();
    let mut found = latest(&*api.reads.of(company).await?, company, event_type, since, limit).await?;
    let missing = limit - i64::try_from(found.len()).unwrap_or(limit);
    if missing > 0 && event_type.is_creation() {
        // Retention may have taken the events; the records tell as much.
        let known = found.iter().map(|(record, _)| *record).collect::<Vec<_>>();
        found.extend(match event_type.record() {
            RecordKind::Contact => {
                contacts::store::newest(&*api.reads.of(company).await?, company, since, &known, missing)
                    .await?
            }
            RecordKind::Deal => {
                deals::store::newest(&*api.reads.of(company).await?, company, since, &known, missing).await?
            }
        });
    }
    let records: Vec<_> = found.into_iter().map(|(_, record)| record).collect();
    Ok(answer::json(StatusCode::OK, &records))
}

/// The latest event of each record that still exists, or of every one that was deleted if that
/// is the event; newest first. PostgreSQL has no
/// statistics of a partitioned table as a whole; each `OFFSET 0` makes a lookup by index of what
/// could become a join with all partitions.
async fn latest(
    pool: &PgPool,
    company: CompanyId,
    event_type: EventType,
    since: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<(Uuid, Box<RawValue>)>, ApiError> {
    let rows = sqlx::query!(
        "WITH newest AS (
             SELECT seq, record_id, at FROM events
             WHERE company_id = $1 AND type = $2
             ORDER BY seq DESC LIMIT $6
         ), latest AS (
             SELECT max(seq) AS seq FROM newest WHERE $3::timestamptz IS NULL OR at >= $3 GROUP BY record_id
             ORDER BY 1 DESC
         )
         SELECT e.record_id, e.data
         FROM latest CROSS JOIN LATERAL (SELECT record_id, data FROM events WHERE seq = latest.seq OFFSET 0) e
         WHERE $7 OR CASE WHEN $4
                    THEN EXISTS (SELECT FROM contacts c WHERE c.company_id = $1 AND c.id = e.record_id OFFSET 0)
                    ELSE EXISTS (SELECT FROM deals d WHERE d.company_id = $1 AND d.id = e.record_id OFFSET 0) END
         ORDER BY latest.seq DESC LIMIT $5",
        company.0,
        event_type.word(),
        since,
        event_type.record() == RecordKind::Contact,
        limit,
        LOOK_BACK,
        event_type.is_deletion(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((row.record_id, raw(row.data)?))).collect()
}

/// JSON text as it is.
fn raw(json: String) -> Result<Box<RawValue>, ApiError> {
    RawValue::from_string(json).map_err(|error| ApiError::internal(&error))
}
