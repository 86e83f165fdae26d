//! Listing contacts.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::input::phone_key;
use super::store::select;
use super::{Api, position};
use crate::http::allowed::{Allowed, ContactsRead};
use crate::http::error::ApiError;
use crate::http::openapi::ReadErrors;
use crate::http::paging::{Listed, Page};
use crate::http::query::{self, Query};
use crate::model::phone::phone_part;
use crate::model::records::Contact;

/// Which contacts.
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
    /// Return only contacts whose name, email address or phone number contains this text, in upper
    /// or lower case.
    search: Option<String>,
    /// Return only records created at this time or later (ISO 8601).
    #[param(format = "date-time")]
    created_since: Option<String>,
    /// Return only records changed at this time or later (ISO 8601).
    #[param(format = "date-time")]
    updated_since: Option<String>,
    /// Return only contacts with at least one of these tags, separated by commas.
    tags: Option<String>,
    /// Return only contacts with exactly this email address, in upper or lower case.
    email: Option<String>,
    /// Return only the contact with this phone number, whatever its punctuation.
    phone_number: Option<String>,
}

/// List contacts
///
/// The newest contacts come first.
#[utoipa::path(get, path = "/contacts", operation_id = "listContacts", tag = "Contacts", params(ListQuery),
    responses((status = 200, description = "A page of contacts", body = Listed<Contact>), ReadErrors))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Allowed<ContactsRead>,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let page = Page::parse(wanted.page, wanted.limit, wanted.cursor)?;
    let search = query::with_lost_plus(wanted.search);
    let pattern = search.as_deref().map(query::substring);
    // A number is found however it is punctuated.
    let phone_pattern =
        search.as_deref().map(phone_part).filter(|key| key.chars().any(|c| c.is_ascii_digit()));
    let phone_pattern = phone_pattern.as_deref().map(query::substring);
    let created_since = query::time("createdSince", wanted.created_since)?;
    let updated_since = query::time("updatedSince", wanted.updated_since)?;
    let email = query::with_lost_plus(wanted.email);
    let phone = query::with_lost_plus(wanted.phone_number).as_deref().map(phone_key);
    let tags: Option<Vec<String>> = query::text(wanted.tags).map(|tags| {
        tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
    });
    let (after_time, after_id) = page.after();

    let reads = api.reads.of(caller.company()).await?;
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
    .fetch_one(&*reads)
    .await?;
    let contacts = select!(
        &*reads,
        "contacts c
           WHERE company_id = $1
             AND ($2::text IS NULL OR name ILIKE $2 OR email ILIKE $2 OR phone_number ILIKE $2 OR phone_key LIKE $3)
             AND ($4::timestamptz IS NULL OR created_at >= $4)
             AND ($5::timestamptz IS NULL OR updated_at >= $5)
             AND ($6::text[] IS NULL OR tags ?| $6)
             AND ($7::text IS NULL OR lower(email) = lower($7))
             AND ($8::text IS NULL OR phone_key = $8)
             AND ($9::timestamptz IS NULL OR (created_at, id) < ($9, $10::uuid))
           ORDER BY created_at DESC, id DESC
           LIMIT $11 OFFSET $12",
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
    )?;
    Ok(page.respond(contacts.into_iter().map(|(_, contact)| contact).collect(), total, position))
}
