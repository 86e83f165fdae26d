//! Counting the records that match.

use serde_json::Value;
use sqlx::{PgPool, QueryBuilder};

use super::{Filter, List, find};
use crate::http::paging::Total;

/// Records that are counted one by one; more are estimated.
const EXACT: i64 = 10_000;
/// Records that a walk may go past to find that there are more than [`EXACT`].
const COUNTING_WALK: i64 = 50_000;
/// Where one record in so many matches, a walk finds [`EXACT`] sooner than an index of tokens.
const DENSE: i64 = 5;

/// The number of all records of the company, which is kept.
pub(super) async fn all(list: &List, pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(list.source.count).bind(list.company.0).fetch_one(pool).await
}

/// The number of records that match, where `found` did among the first `seen`.
pub(super) async fn matching(
    list: &List,
    (found, seen): (i64, i64),
    pool: &PgPool,
) -> Result<Total, sqlx::Error> {
    let is_dense = list.filters.iter().any(Filter::is_by_tokens) && found * DENSE >= seen;
    if is_dense && walked(list, pool).await? > EXACT {
        return estimate(list, (found, seen), pool).await;
    }
    let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM ");
    sql.push(list.source.table).push(" c WHERE c.company_id = ").push_bind(list.company.0);
    for filter in &list.filters {
        filter.push_indexed(&mut sql);
    }
    sql.push(" LIMIT ").push_bind(EXACT + 1).push(") c");
    let counted = sql.build_query_scalar().persistent(false).fetch_one(pool).await?;
    if counted > EXACT { estimate(list, (found, seen), pool).await } else { Ok(Total::exact(counted)) }
}

/// Counts along the index of the order, from the start.
async fn walked(list: &List, pool: &PgPool) -> Result<i64, sqlx::Error> {
    let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM (");
    find::push_walk(list, None, COUNTING_WALK, &mut sql);
    sql.push(") c WHERE true");
    for filter in &list.filters {
        filter.push_plain(&mut sql);
    }
    sql.push(" LIMIT ").push_bind(EXACT + 1).push(") c");
    sql.build_query_scalar().persistent(false).fetch_one(pool).await
}

/// An estimate. Of text, which the planner knows little about: as many as if records matched everywhere as
/// often as among those seen. Otherwise the planner's.
async fn estimate(list: &List, (found, seen): (i64, i64), pool: &PgPool) -> Result<Total, sqlx::Error> {
    let share = if list.filters.iter().any(Filter::is_by_tokens) {
        found.saturating_mul(all(list, pool).await?) / seen.max(1)
    } else {
        let mut sql = QueryBuilder::new("EXPLAIN (FORMAT JSON) SELECT FROM ");
        sql.push(list.source.table).push(" c WHERE c.company_id = ").push_bind(list.company.0);
        for filter in &list.filters {
            filter.push_indexed(&mut sql);
        }
        let plan: Value = sql.build_query_scalar().persistent(false).fetch_one(pool).await?;
        plan[0]["Plan"]["Plan Rows"].as_i64().unwrap_or_default()
    };
    Ok(Total::estimate(share.max(EXACT + 1)))
}
