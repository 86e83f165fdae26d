//! Listing deals.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::store::{Row, select};
use crate::http::allowed::{Allowed, DealsRead};
use crate::http::error::ApiError;
use crate::http::openapi::ReadErrors;
use crate::http::paging::{Listed, Slice};
use crate::http::query::{self, Query};
use crate::model::ids::{ContactId, MemberId};
use crate::model::records::{Deal, Priority, Status};
use crate::resources::listing::{Filter, Kind, List, Piece, Sort, Source};

static DEALS: Source = Source {
    table: "deals",
    count: "SELECT coalesce(sum(deals), 0)::bigint FROM deal_sums WHERE company_id = $1",
    sorts: &[
        Sort { name: "createdAt", column: "c.created_at", kind: Kind::Time, is_nullable: false },
        Sort { name: "updatedAt", column: "c.updated_at", kind: Kind::Time, is_nullable: false },
        Sort { name: "title", column: "c.title_key", kind: Kind::Text, is_nullable: false },
        Sort { name: "value", column: "c.value", kind: Kind::Number, is_nullable: true },
        Sort {
            name: "expectedCloseDate",
            column: "c.expected_close_date",
            kind: Kind::Time,
            is_nullable: true,
        },
    ],
};

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
    /// What the list is sorted by: `createdAt`, `updatedAt`, `title`, `value` or
    /// `expectedCloseDate`. A `-` in front is for descending order.
    /// `-createdAt` by default. Records without a value come last.
    #[param(pattern = "^-?(createdAt|updatedAt|title|value|expectedCloseDate)$")]
    sort: Option<String>,
    /// With `false`, the answer has no `total` and no `totalPages`. Beyond 10000 the total of a filtered list is an
    /// estimate, and `totalIsEstimate` is true.
    #[param(value_type = Option<bool>)]
    total: Option<String>,
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
    /// Return only deals whose title or description contains this text, whatever its case and accents. Text of
    /// one or two characters must begin a word.
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
/// The newest deals come first, unless `sort` says otherwise. Titles are sorted without case and accents, values
/// whatever their currency.
#[utoipa::path(get, path = "/deals", operation_id = "listDeals", tag = "Deals", params(ListQuery),
    responses((status = 200, description = "A page of deals", body = Listed<Deal>), ReadErrors))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Allowed<DealsRead>,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let slice = Slice::parse(wanted.page, wanted.limit, wanted.cursor)?;
    let mut filters = Vec::new();
    let words = [
        ("c.status = ", query::word("status", wanted.status)?.map(|status| Status::word(status).to_owned())),
        ("c.stage = ", query::text(wanted.stage)),
        (
            "c.priority = ",
            query::word("priority", wanted.priority)?.map(|priority| Priority::word(priority).to_owned()),
        ),
    ];
    for (condition, word) in words {
        filters.extend(word.map(|word| Filter::new([Piece::Sql(condition), Piece::Text(word)])));
    }
    if let Some(id) = query::id("contactId", wanted.contact_id, ContactId::PREFIX, ContactId::parse)? {
        filters.push(Filter::new([Piece::Sql("c.contact_id = "), Piece::Id(id.0)]).narrow());
    }
    if let Some(id) = query::id("assignedToId", wanted.assigned_to_id, MemberId::PREFIX, MemberId::parse)? {
        filters.push(Filter::new([Piece::Sql("c.assigned_to_id = "), Piece::Id(id.0)]));
    }
    if let Some(text) = query::text(wanted.search).map(Piece::Text) {
        let matches = [Piece::Sql("search_matches(c.search, search_fold("), text.clone(), Piece::Sql("))")];
        let tokens = Piece::Sql("search_tokens(c.company_id, c.search) @> search_needles($1, search_fold(");
        let indexed = [&[tokens, text, Piece::Sql(")) AND ")], &matches[..]].concat();
        filters.push(Filter::by_tokens(indexed, matches.to_vec()));
    }
    if let Some(at) = query::time("createdSince", wanted.created_since)? {
        filters.push(Filter::since("createdAt", "c.created_at >= ", at));
    }
    if let Some(at) = query::time("updatedSince", wanted.updated_since)? {
        filters.push(Filter::since("updatedAt", "c.updated_at >= ", at));
    }
    let company = caller.company();
    let list = List::parse(&DEALS, company, (wanted.sort, wanted.total), slice, filters)?;

    let reads = api.reads.of(company).await?;
    let page = list.page(&reads).await?;
    let rows = select!(
        &*reads,
        joined "WHERE d.company_id = $1 AND d.id = ANY ($2::uuid[]) ORDER BY array_position($2, d.id)",
        company.0,
        &page.ids,
    )?;
    let deals = rows.into_iter().map(Row::decode).collect::<Result<Vec<Deal>, _>>()?;
    Ok(page.respond(deals))
}
