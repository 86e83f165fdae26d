//! Listing contacts.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use sqlx::types::Json;
use utoipa::IntoParams;

use super::input::phone_key;
use super::store::contact;
use super::{Api, Listed, ReadErrors, position};
use crate::http::auth::Caller;
use crate::http::error::ApiError;
use crate::http::paging::Page;
use crate::http::query::{self, Query};
use crate::model::ids::ContactId;
use crate::model::permission::Permission;
use crate::model::records::Contact;

/// Which contacts.
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
    /// Part of the name, email address or phone number, in any case.
    search: Option<String>,
    /// Only those created then or later (ISO 8601).
    #[param(format = "date-time")]
    created_since: Option<String>,
    /// Only those changed then or later (ISO 8601).
    #[param(format = "date-time")]
    updated_since: Option<String>,
    /// Only those with one of these tags, separated by commas.
    tags: Option<String>,
    /// Only those with exactly this email address, in any case.
    email: Option<String>,
    /// Only the one with this phone number, however it is punctuated.
    phone_number: Option<String>,
}

/// List contacts
///
/// Newest first.
#[utoipa::path(get, path = "/contacts", operation_id = "listContacts", tag = "Contacts", params(ListQuery),
    responses((status = 200, description = "A page of contacts", body = Listed<Contact>), ReadErrors))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.require(Permission::ContactsRead)?;
    let page = Page::parse(wanted.page, wanted.limit, wanted.cursor)?;
    let search = query::text(wanted.search);
    let pattern = search.as_deref().map(query::substring);
    // A number is found however it is punctuated.
    let phone_pattern =
        search.as_deref().map(phone_key).filter(|key| key.chars().any(|c| c.is_ascii_digit()));
    let phone_pattern = phone_pattern.as_deref().map(query::substring);
    let created_since = query::time("createdSince", wanted.created_since)?;
    let updated_since = query::time("updatedSince", wanted.updated_since)?;
    let email = query::text(wanted.email);
    let phone = query::text(wanted.phone_number).as_deref().map(phone_key);
    let tags: Option<Vec<String>> = query::text(wanted.tags).map(|tags| {
        tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
    });
    let (after_time, after_id) = page.after();

    let total = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM contacts
           WHERE company_id = $1
             AND ($2::text IS NULL OR name ILIKE $2 OR email ILIKE $2 OR phone_number ILIKE $2 OR phone_key LIKE $3)
             AND ($4::timestamptz IS NULL OR created_at >= $4)
             AND ($5::timestamptz IS NULL OR updated_at >= $5)
             AND ($6::text[] IS NULL OR tags ?| $6)
             AND ($7::text IS NULL OR lower(email) = lower($7))
             AND ($8::text IS NULL OR phone_key = $8)"#,
        caller.company().0,
        pattern,
        phone_pattern,
        created_since,
        updated_since,
        tags.as_deref(),
        email,
        phone,
    )
    .fetch_one(&api.pool)
    .await?;
    let rows = sqlx::query!(
        r#"SELECT id, name, first_name, last_name, phone_number, email, position, current_company,
                  industry_sector, city, country, tags AS "tags: Json<Vec<String>>", created_at, updated_at
           FROM contacts
           WHERE company_id = $1
             AND ($2::text IS NULL OR name ILIKE $2 OR email ILIKE $2 OR phone_number ILIKE $2 OR phone_key LIKE $3)
             AND ($4::timestamptz IS NULL OR created_at >= $4)
             AND ($5::timestamptz IS NULL OR updated_at >= $5)
             AND ($6::text[] IS NULL OR tags ?| $6)
             AND ($7::text IS NULL OR lower(email) = lower($7))
             AND ($8::text IS NULL OR phone_key = $8)
             AND ($9::timestamptz IS NULL OR (created_at, id) < ($9, $10::uuid))
           ORDER BY created_at DESC, id DESC
           LIMIT $11 OFFSET $12"#,
        caller.company().0,
        pattern,
        phone_pattern,
        created_since,
        updated_since,
        tags.as_deref(),
        email,
        phone,
        after_time,
        after_id,
        page.rows(),
        page.offset(),
    )
    .fetch_all(&api.pool)
    .await?;
    Ok(page.respond(rows.into_iter().map(|row| contact!(row)).collect(), total, position))
}
