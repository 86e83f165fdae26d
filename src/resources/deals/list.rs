//! Listing deals.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::store::{Row, select};
use super::{Api, position};
use crate::http::allowed::{Allowed, DealsRead};
use crate::http::error::ApiError;
use crate::http::openapi::ReadErrors;
use crate::http::paging::{Listed, Page};
use crate::http::query::{self, Query};
use crate::model::ids::{ContactId, MemberId};
use crate::model::records::{Deal, Priority, Status};

/// Which deals.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// The page, from 1 (the default) to 10000. Use `cursor` to read further.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10000)]
    page: Option<String>,
    /// The most records on a page, 1–200; 50 by default.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `meta.nextCursor` of the previous page.
    #[param(format = "cursor")]
    cursor: Option<String>,
    /// Return only deals with this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// Return only deals in exactly this stage.
    stage: Option<String>,
    /// Return only deals with this priority.
    #[param(value_type = Option<Priority>)]
    priority: Option<String>,
    /// Return only deals with this contact.
    #[param(format = "contact-id")]
    contact_id: Option<String>,
    /// Return only deals assigned to this team member.
    #[param(format = "member-id")]
    assigned_to_id: Option<String>,
    /// Return only deals whose title or description contains this text, in upper or lower case.
    search: Option<String>,
    /// Return only records created at this time or later (ISO 8601).
    #[param(format = "date-time")]
    created_since: Option<String>,
    /// Return only records changed at this time or later (ISO 8601).
    #[param(format = "date-time")]
    updated_since: Option<String>,
}

/// List deals
///
/// The newest deals come first.
#[utoipa::path(get, path = "/deals", operation_id = "listDeals", tag = "Deals", params(ListQuery),
    responses((status = 200, description = "A page of deals", body = Listed<Deal>), ReadErrors))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Allowed<DealsRead>,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let page = Page::parse(wanted.page, wanted.limit, wanted.cursor)?;
    let status = query::word("status", wanted.status)?.map(Status::word);
    let stage = query::text(wanted.stage);
    let priority = query::word("priority", wanted.priority)?.map(Priority::word);
    let contact = query::id("contactId", wanted.contact_id, ContactId::PREFIX, ContactId::parse)?;
    let member = query::id("assignedToId", wanted.assigned_to_id, MemberId::PREFIX, MemberId::parse)?;
    let pattern = query::text(wanted.search).as_deref().map(query::substring);
    let created_since = query::time("createdSince", wanted.created_since)?;
    let updated_since = query::time("updatedSince", wanted.updated_since)?;
    let (after_time, after_id) = page.after();

    let reads = api.reads.of(caller.company()).await?;
    let total = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM deals
           WHERE company_id = $1
             AND ($2::text IS NULL OR status = $2)
             AND ($3::text IS NULL OR stage = $3)
             AND ($4::text IS NULL OR priority = $4)
             AND ($5::uuid IS NULL OR contact_id = $5)
             AND ($6::uuid IS NULL OR assigned_to_id = $6)
             AND ($7::text IS NULL OR title ILIKE $7 OR description ILIKE $7)
             AND ($8::timestamptz IS NULL OR created_at >= $8)
             AND ($9::timestamptz IS NULL OR updated_at >= $9)"#,
        caller.company().0,
        status,
        stage,
        priority,
        contact.map(|id| id.0),
        member.map(|id| id.0),
        pattern,
        created_since,
        updated_since,
    )
    .fetch_one(&*reads)
    .await?;
    let rows = select!(
        &*reads,
        joined "WHERE d.company_id = $1
             AND ($2::text IS NULL OR status = $2)
             AND ($3::text IS NULL OR stage = $3)
             AND ($4::text IS NULL OR priority = $4)
             AND ($5::uuid IS NULL OR contact_id = $5)
             AND ($6::uuid IS NULL OR assigned_to_id = $6)
             AND ($7::text IS NULL OR title ILIKE $7 OR description ILIKE $7)
             AND ($8::timestamptz IS NULL OR d.created_at >= $8)
             AND ($9::timestamptz IS NULL OR d.updated_at >= $9)
             AND ($10::timestamptz IS NULL OR (d.created_at, d.id) < ($10, $11::uuid))
           ORDER BY d.created_at DESC, d.id DESC
           LIMIT $12 OFFSET $13",
        caller.company().0,
        status,
        stage,
        priority,
        contact.map(|id| id.0),
        member.map(|id| id.0),
        pattern,
        created_since,
        updated_since,
        after_time,
        after_id,
        page.rows(),
        page.offset(),
    )?;
    let deals = rows.into_iter().map(Row::decode).collect::<Result<Vec<Deal>, _>>()?;
    Ok(page.respond(deals, total, position))
}
