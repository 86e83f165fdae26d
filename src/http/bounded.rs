//! Lists that are short for nearly everybody, and cut off for the others.

use serde::Serialize;
use utoipa::ToSchema;

/// A list without pages, which ends at a limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct Bounded<T> {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// The entries.
    data: Vec<T>,
    meta: Bound,
}

/// Where a list ends.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Bound {
    /// The most entries of the list.
    #[schema(example = 1000)]
    limit: i64,
    /// Whether there are more entries, which are left out.
    #[schema(example = false)]
    has_more: bool,
}

impl<T> Bounded<T> {
    /// A list of `entries`, of which there may be one more than `limit`, to know if there are more.
    pub fn new(mut entries: Vec<T>, limit: i64) -> Self {
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = entries.len() > shown;
        entries.truncate(shown);
        Self { success: true, data: entries, meta: Bound { limit, has_more } }
    }
}
