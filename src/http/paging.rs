//! Pages of a list: by number, or by cursor for deep paging.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ApiError;
use super::query;

/// Records on a page, unless asked otherwise.
pub const DEFAULT_LIMIT: i64 = 50;
/// Records on a page at most.
pub const MAX_LIMIT: i64 = 200;
/// The last page by number; a cursor goes deeper, and costs no more the deeper it goes.
const MAX_PAGE: i64 = 10_000;

/// Which part of a list, by number or after a cursor.
#[derive(Debug)]
pub struct Slice {
    /// The number of the page, from 1.
    pub page: i64,
    /// The most records on a page.
    pub limit: i64,
    /// Where the page begins, unless by number.
    pub cursor: Option<String>,
}

impl Slice {
    /// Reads `page`, `limit` and `cursor`.
    pub fn parse(
        page: Option<String>,
        limit: Option<String>,
        cursor: Option<String>,
    ) -> Result<Self, ApiError> {
        let cursor = query::text(cursor);
        if cursor.is_some() && page.is_some() {
            return Err(ApiError::invalid_query("cursor", "goes without `page`; use one of them"));
        }
        Ok(Self {
            page: query::number("page", page, 1..=MAX_PAGE)?.unwrap_or(1),
            limit: query::number("limit", limit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT),
            cursor,
        })
    }

    /// Rows to ask the database for: one more than shown, to know if there are more.
    pub fn rows(&self) -> i64 {
        self.limit + 1
    }

    /// Rows to skip.
    pub fn offset(&self) -> i64 {
        if self.cursor.is_some() { 0 } else { (self.page - 1) * self.limit }
    }
}

/// A page by cursor, of a list that is newest first.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    limit: i64,
    after: Option<(DateTime<Utc>, Uuid)>,
}

impl Page {
    /// A page by cursor, of so many entries unless asked otherwise.
    pub fn by_cursor(
        limit: Option<String>,
        cursor: Option<String>,
        default_limit: i64,
    ) -> Result<Self, ApiError> {
        let is_limited = limit.is_some();
        let slice = Slice::parse(None, limit, cursor)?;
        let after = slice.cursor.as_deref().map(|cursor| {
            decode(cursor).ok_or_else(|| {
                ApiError::invalid_query("cursor", "must be the `meta.nextCursor` of an earlier answer")
            })
        });
        Ok(Self { limit: if is_limited { slice.limit } else { default_limit }, after: after.transpose()? })
    }

    /// Cuts off what belongs to the next page, and makes a page of what `data` makes of the rest.
    pub async fn next<T, U, E>(
        self,
        mut records: Vec<T>,
        position: impl Fn(&T) -> (DateTime<Utc>, Uuid),
        data: impl AsyncFnOnce(Vec<T>) -> Result<Vec<U>, E>,
    ) -> Result<Continued<U>, E> {
        let next_cursor = self.cut(&mut records, position);
        Ok(Continued::new(data(records).await?, self.limit, next_cursor))
    }

    /// Cuts off what belongs to the next page, and returns its cursor.
    fn cut<T>(self, records: &mut Vec<T>, position: impl Fn(&T) -> (DateTime<Utc>, Uuid)) -> Option<String> {
        let shown = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = records.len() > shown;
        records.truncate(shown);
        records.last().filter(|_| more).map(|last| encode(position(last)))
    }

    /// Rows to ask the database for: one more than shown, to know if there are more.
    pub fn rows(self) -> i64 {
        self.limit + 1
    }

    /// The record after which the page begins: its time and id.
    pub fn after(self) -> (Option<DateTime<Utc>>, Option<Uuid>) {
        self.after.unzip()
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed<T> {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// The records on this page.
    data: Vec<T>,
    /// The page and how to go on.
    meta: Meta,
}

impl<T> Listed<T> {
    /// A page of these records.
    pub fn new(data: Vec<T>, meta: Meta) -> Self {
        Self { success: true, data, meta }
    }
}

/// A number of records.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    count: i64,
    is_estimate: bool,
}

impl Total {
    /// Counted.
    pub fn exact(count: i64) -> Self {
        Self { count, is_estimate: false }
    }

    /// Estimated.
    pub fn estimate(count: i64) -> Self {
        Self { count, is_estimate: true }
    }
}

/// The page and how to go on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The number of the page, from 1.
    #[schema(example = 1)]
    pub page: i64,
    /// The most records on a page.
    #[schema(example = 50)]
    pub limit: i64,
    /// The number of records that match, on all pages. Absent with `total=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    pub total: Option<i64>,
    /// The number of pages. Absent with `total=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    pub total_pages: Option<i64>,
    /// True if `total` is an estimate: more than 10000 records match a filter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total_is_estimate: bool,
    /// The `cursor` of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Meta {
    /// What an answer says about a page. Nobody asked for the total if there is none.
    pub fn new(slice: &Slice, total: Option<Total>, next_cursor: Option<String>) -> Self {
        let count = total.map(|total| total.count);
        Self {
            page: slice.page,
            limit: slice.limit,
            total: count,
            total_pages: count.map(|count| count.saturating_add(slice.limit - 1) / slice.limit),
            total_is_estimate: total.is_some_and(|total| total.is_estimate),
            next_cursor,
        }
    }
}

/// A page of a list that goes on by cursor alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct Continued<T> {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// What is on this page.
    pub data: Vec<T>,
    /// How the list goes on.
    meta: NextPage,
}

/// How a list goes on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NextPage {
    /// The most entries on a page.
    #[schema(example = 50)]
    limit: i64,
    /// The `cursor` of the next page; absent at the end of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl<T> Continued<T> {
    /// A page that may have `limit` entries.
    pub fn new(data: Vec<T>, limit: i64, next_cursor: Option<String>) -> Self {
        Self { success: true, data, meta: NextPage { limit, next_cursor } }
    }
}

fn encode((at, id): (DateTime<Utc>, Uuid)) -> String {
    let mut bytes = at.timestamp_millis().to_be_bytes().to_vec();
    bytes.extend(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(cursor: &str) -> Option<(DateTime<Utc>, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (at, id) = bytes.split_at_checked(8)?;
    let at = DateTime::from_timestamp_millis(i64::from_be_bytes(at.try_into().ok()?))?;
    // Beyond these years PostgreSQL has no dates, and we made no such cursor.
    let years = 1..=9999;
    Some((at, Uuid::from_slice(id).ok()?)).filter(|_| years.contains(&chrono::Datelike::year(&at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let position = (DateTime::from_timestamp_millis(1_731_061_800_123).unwrap(), Uuid::from_u128(7));
        assert_eq!(decode(&encode(position)), Some(position));
        let absurd = URL_SAFE_NO_PAD.encode([0x7f; 24]);
        for bad in ["", "x", "AAAA", "!!!!", &encode(position)[1..], &absurd] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
