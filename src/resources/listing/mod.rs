//! Lists of records that cost the same however many records the company has.
//!
//! A list has an [`Order`] and filters. Its page is read in one of two ways. The *walk* goes along the
//! index of the order until the page is full: it ends soon where many records match. Where it has not
//! ended after 5000 records, few match, and all of them are *collected* by the index of a filter
//! and put in order. Neither trusts the planner's estimates, which are of all companies together.

mod count;
mod cursor;
mod filter;
mod find;
mod order;
mod walk;

pub(super) use filter::{Filter, Piece};
pub(super) use order::{Key, Kind, Order, Sort};

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::http::answer;
use crate::http::error::ApiError;
use crate::http::paging::{Listed, Meta, Slice, Total};
use crate::http::query;
use crate::model::ids::CompanyId;

/// A table that is listed.
pub(super) struct Source {
    pub(super) table: &'static str,
    /// The statement that returns the number of records of the company `$1`, without counting them.
    pub(super) count: &'static str,
    /// What a list can be sorted by; the first is the default, newest first.
    pub(super) sorts: &'static [Sort],
}

/// What of a list is asked for.
pub(super) struct List {
    source: &'static Source,
    company: CompanyId,
    order: Order,
    filters: Vec<Filter>,
    slice: Slice,
    after: Option<(Key, Uuid)>,
    digest: [u8; 8],
    is_counted: bool,
}

/// A page: the ids of its records in order, and what the answer says about it.
pub(super) struct Page {
    pub(super) ids: Vec<Uuid>,
    meta: Meta,
}

impl List {
    /// Reads `sort`, `total` and the cursor.
    pub(super) fn parse(
        source: &'static Source,
        company: CompanyId,
        (sort, total): (Option<String>, Option<String>),
        slice: Slice,
        filters: Vec<Filter>,
    ) -> Result<Self, ApiError> {
        let order = Order::parse(source.sorts, sort)?;
        let is_counted = query::flag("total", total)?.unwrap_or(true);
        let digest = cursor::digest(source, &order, &filters);
        let after = slice.cursor.as_deref().map(|text| cursor::decode(text, digest, &order)).transpose()?;
        Ok(Self { source, company, order, filters, slice, after, digest, is_counted })
    }

    /// Reads the page.
    pub(super) async fn page(&self, pool: &PgPool) -> Result<Page, sqlx::Error> {
        let (mut places, total) = find::find(self, pool).await?;
        let shown = usize::try_from(self.slice.limit).unwrap_or(usize::MAX);
        let has_more = places.len() > shown;
        places.truncate(shown);
        let last = places.last().filter(|_| has_more);
        let next_cursor = last.map(|(key, id)| cursor::encode(self.digest, key, *id));
        let ids = places.into_iter().map(|(_, id)| id).collect();
        Ok(Page { ids, meta: Meta::new(&self.slice, total, next_cursor) })
    }
}

impl Page {
    /// The answer, with these records.
    pub(super) fn respond<T: Serialize>(self, records: Vec<T>) -> Response {
        answer::json(StatusCode::OK, &Listed::new(records, self.meta))
    }
}

/// The number of all records that match; `None` if nobody asked.
type Counted = Option<Total>;
