//! Listing contacts.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::input::phone_key;
use super::store::select;
use crate::http::allowed::{Allowed, ContactsRead};
use crate::http::error::ApiError;
use crate::http::openapi::ReadErrors;
use crate::http::paging::{Listed, Slice};
use crate::http::query::{self, Query};
use crate::model::phone::phone_part;
use crate::model::records::Contact;
use crate::resources::listing::{Filter, Kind, List, Piece, Sort, Source};

static CONTACTS: Source = Source {
    table: "contacts",
    count: "SELECT coalesce(sum(contacts), 0)::bigint FROM contact_counts WHERE company_id = $1",
    sorts: &[
        Sort { name: "createdAt", column: "c.created_at", kind: Kind::Time, is_nullable: false },
        Sort { name: "updatedAt", column: "c.updated_at", kind: Kind::Time, is_nullable: false },
        Sort { name: "name", column: "c.name_key", kind: Kind::Text, is_nullable: false },
    ],
};

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
    /// What the list is sorted by: `createdAt`, `updatedAt` or `name`. A `-` in front is for descending order.
    /// `-createdAt` by default. Records without a value come last.
    #[param(pattern = "^-?(createdAt|updatedAt|name)$")]
    sort: Option<String>,
    /// With `false`, the answer has no `total` and no `totalPages`. Beyond 10000 the total of a filtered list is an
    /// estimate, and `totalIsEstimate` is true.
    #[param(value_type = Option<bool>)]
    total: Option<String>,
    /// Return only contacts whose name, email address or phone number contains this text, whatever its case
    /// and accents. Text of one or two characters must begin a word.
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
/// The newest contacts come first, unless `sort` says otherwise. Names are sorted without case and accents.
#[utoipa::path(get, path = "/contacts", operation_id = "listContacts", tag = "Contacts", params(ListQuery),
    responses((status = 200, description = "A page of contacts", body = Listed<Contact>), ReadErrors))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Allowed<ContactsRead>,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let slice = Slice::parse(wanted.page, wanted.limit, wanted.cursor)?;
    let mut filters = Vec::new();
    filters.extend(search(query::searches(wanted.search)));
    if let Some(at) = query::time("createdSince", wanted.created_since)? {
        filters.push(Filter::since("createdAt", "c.created_at >= ", at));
    }
    if let Some(at) = query::time("updatedSince", wanted.updated_since)? {
        filters.push(Filter::since("updatedAt", "c.updated_at >= ", at));
    }
    if let Some(email) = query::with_lost_plus(wanted.email) {
        filters.push(
            Filter::new([
                Piece::Sql("lower(c.email COLLATE \"C\") = lower("),
                Piece::Text(email),
                Piece::Sql(" COLLATE \"C\")"),
            ])
            .narrow(),
        );
    }
    if let Some(phone) = query::with_lost_plus(wanted.phone_number) {
        filters.push(Filter::new([Piece::Sql("c.phone_key = "), Piece::Text(phone_key(&phone))]).narrow());
    }
    filters.extend(query::text(wanted.tags).map(|tags| tagged(&tags)));
    let company = caller.company();
    let list = List::parse(&CONTACTS, company, (wanted.sort, wanted.total), slice, filters)?;

    let reads = api.reads.of(company).await?;
    let page = list.page(&reads).await?;
    let contacts = select!(
        &*reads,
        "unnest($2::uuid[]) WITH ORDINALITY AS wanted (id, place)
         CROSS JOIN LATERAL (SELECT * FROM contacts t WHERE t.company_id = $1 AND t.id = wanted.id LIMIT 1) c
         ORDER BY wanted.place",
        company.0,
        &page.ids,
    )?;
    Ok(page.respond(contacts.into_iter().map(|(_, contact)| contact).collect::<Vec<_>>()))
}

/// Contacts in which one of these texts stands.
fn search(texts: Vec<String>) -> Option<Filter> {
    const TOKENS: &str = "contact_tokens(c.company_id, c.search, c.tags) @> search_needles($1, search_fold(";
    let (mut indexed, mut plain) = (Vec::new(), Vec::new());
    let mut add = |ways: [Vec<Piece>; 2]| {
        for (pieces, way) in [&mut indexed, &mut plain].into_iter().zip(ways) {
            pieces.push(Piece::Sql(if pieces.is_empty() { "" } else { " OR " }));
            pieces.extend(way);
        }
    };
    for text in texts {
        let (text, part) = (Piece::Text(text.clone()), phone_part(&text));
        let matches = [Piece::Sql("search_matches(c.search, search_fold("), text.clone(), Piece::Sql("))")];
        add([[&[Piece::Sql(TOKENS), text, Piece::Sql(")) AND ")], &matches[..]].concat(), matches.to_vec()]);
        // A number is found however it is punctuated.
        if part.chars().count() >= 3 && part.chars().any(|c| c.is_ascii_digit()) {
            let part = Piece::Text(part);
            let matches = [Piece::Sql("strpos(c.phone_key, "), part.clone(), Piece::Sql(") > 0")];
            add([
                [&[Piece::Sql(TOKENS), part, Piece::Sql(")) AND ")], &matches[..]].concat(),
                matches.to_vec(),
            ]);
        }
    }
    if plain.is_empty() { None } else { Some(Filter::by_tokens(indexed, plain)) }
}

/// Contacts with one of these tags.
fn tagged(tags: &str) -> Filter {
    let tags: Vec<String> =
        tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    let plain = [Piece::Sql("c.tags ?| "), Piece::Texts(tags.clone()), Piece::Sql("::text[]")];
    let mut indexed = vec![Piece::Sql("contact_tokens(c.company_id, c.search, c.tags) && ARRAY[")];
    for (number, tag) in tags.into_iter().enumerate() {
        let begin =
            if number == 0 { "search_token($1, E'\\x03' || " } else { ", search_token($1, E'\\x03' || " };
        indexed.extend([Piece::Sql(begin), Piece::Text(tag), Piece::Sql(")")]);
    }
    indexed.push(Piece::Sql("]::bigint[] AND "));
    indexed.extend(plain.clone());
    Filter::by_tokens(indexed, plain.to_vec())
}
