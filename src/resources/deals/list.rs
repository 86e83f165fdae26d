//! Listing deals.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::store::{assigned_to, deal, deal_contact, word};
use super::{Api, Listed, ReadErrors, position};
use crate::http::auth::Caller;
use crate::http::error::ApiError;
use crate::http::paging::Page;
use crate::http::query::{self, Query};
use crate::model::ids::{ContactId, DealId, MemberId};
use crate::model::permission::Permission;
use crate::model::records::{AssignedTo, Deal, DealContact, Money, Priority, Status};

/// Which deals.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// From 1 (the default) to 10000; `cursor` goes deeper.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10000)]
    page: Option<String>,
    /// Records on a page, 1–200; 50 by default.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `meta.nextCursor` of the answer before.
    #[param(format = "cursor")]
    cursor: Option<String>,
    /// Only those that stand so.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// Only those in exactly this stage.
    stage: Option<String>,
    /// Only those this urgent.
    #[param(value_type = Option<Priority>)]
    priority: Option<String>,
    /// Only those with this contact.
    #[param(format = "contact-id")]
    contact_id: Option<String>,
    /// Only those assigned to this team member.
    #[param(format = "member-id")]
    assigned_to_id: Option<String>,
    /// Part of the title or description, in any case.
    search: Option<String>,
    /// Only those created then or later (ISO 8601).
    #[param(format = "date-time")]
    created_since: Option<String>,
    /// Only those changed then or later (ISO 8601).
    #[param(format = "date-time")]
    updated_since: Option<String>,
}

/// List deals
///
/// Newest first.
#[utoipa::path(get, path = "/deals", operation_id = "listDeals", tag = "Deals", params(ListQuery),
    responses((status = 200, description = "A page of deals", body = Listed<Deal>), ReadErrors))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.require(Permission::DealsRead)?;
    let page = Page::parse(wanted.page, wanted.limit, wanted.cursor)?;
    let status = query::word("status", wanted.status, Status::WORDS, Status::parse)?.map(Status::word);
    let stage = query::text(wanted.stage);
    let priority =
        query::word("priority", wanted.priority, Priority::WORDS, Priority::parse)?.map(Priority::word);
    let contact = query::id("contactId", wanted.contact_id, ContactId::PREFIX, ContactId::parse)?;
    let member = query::id("assignedToId", wanted.assigned_to_id, MemberId::PREFIX, MemberId::parse)?;
    let pattern = query::text(wanted.search).as_deref().map(query::substring);
    let created_since = query::time("createdSince", wanted.created_since)?;
    let updated_since = query::time("updatedSince", wanted.updated_since)?;
    let (after_time, after_id) = page.after();

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
    .fetch_one(&api.pool)
    .await?;
    let rows = sqlx::query!(
        r#"SELECT d.id, title, description, value, currency, stage, priority, probability, status,
                  expected_close_date, actual_close_date, source, d.created_at, d.updated_at,
                  c.id AS "contact_id?", c.name AS "contact_name?", c.email AS contact_email,
                  c.phone_number AS "contact_phone_number?", c.current_company AS contact_company,
                  m.id AS "member_id?", m.name AS "member_name?", m.email AS "member_email?"
           FROM deals d
           LEFT JOIN contacts c ON c.company_id = d.company_id AND c.id = d.contact_id
           LEFT JOIN team_members m ON m.company_id = d.company_id AND m.id = d.assigned_to_id
           WHERE d.company_id = $1
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
           LIMIT $12 OFFSET $13"#,
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
    )
    .fetch_all(&api.pool)
    .await?;
    let deals: Result<Vec<Deal>, sqlx::Error> =
        rows.into_iter().map(|row| Ok(deal!(row, deal_contact!(row), assigned_to!(row)))).collect();
    Ok(page.respond(deals?, total, position))
}
