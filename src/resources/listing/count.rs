//! Counting the records that match.

use serde_json::Value;
use sqlx::{PgPool, QueryBuilder};

use super::{Filter, List, walk};
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
    if list.filters.iter().any(Filter::is_by_tokens) && found > 0 {
        // One token may be in every record; others are judged by the index alone.
        if found * DENSE >= seen && walked(list, pool).await? > EXACT {
            let share = found.saturating_mul(all(list, pool).await?) / seen.max(1);
            return Ok(Total::estimate(share.max(EXACT + 1)));
        }
        let candidates = candidates(list, pool).await?;
        if candidates > EXACT + EXACT / 4 {
            return Ok(Total::estimate(candidates));
        }
    }
    let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM ");
    sql.push(list.source.table).push(" c WHERE c.company_id = ").push_bind(list.company.0);
    for filter in &list.filters {
        filter.push_indexed(&mut sql);
    }
    sql.push(" LIMIT ").push_bind(EXACT + 1).push(") c");
    let counted = sql.build_query_scalar().persistent(false).fetch_one(pool).await?;
    Ok(if counted > EXACT { Total::estimate(planned(list, pool).await?) } else { Total::exact(counted) })
}

/// Counts along the index of the order, from the start.
async fn walked(list: &List, pool: &PgPool) -> Result<i64, sqlx::Error> {
    let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM (");
    walk::push(list, None, COUNTING_WALK, &mut sql);
    sql.push(") c WHERE true");
    for filter in &list.filters {
        filter.push_plain(&mut sql);
    }
    sql.push(" LIMIT ").push_bind(EXACT + 1).push(") c");
    sql.build_query_scalar().persistent(false).fetch_one(pool).await
}

/// The number of records that the index of tokens takes for matches, of which nearly all are. PostgreSQL tells
/// it when it explains a statement that needs no more than one of them, and does not fetch the others.
async fn candidates(list: &List, pool: &PgPool) -> Result<i64, sqlx::Error> {
    let plan = explain(list, ("ANALYZE, TIMING OFF, ", " LIMIT 1"), pool).await?;
    Ok(found_by_bitmap(&plan[0]["Plan"]).unwrap_or_default())
}

/// The rows of the first index scan or combination of them.
fn found_by_bitmap(plan: &Value) -> Option<i64> {
    let children = || plan["Plans"].as_array().into_iter().flatten();
    match plan["Node Type"].as_str()? {
        // A number with two decimals since PostgreSQL 18.
        #[expect(clippy::cast_possible_truncation, reason = "a number of rows is far smaller")]
        "Bitmap Index Scan" => plan["Actual Rows"].as_f64().map(|rows| rows as i64),
        "BitmapOr" => Some(children().filter_map(found_by_bitmap).sum()),
        _ => children().filter_map(found_by_bitmap).min(),
    }
}

/// The number of records that match as the planner has it.
async fn planned(list: &List, pool: &PgPool) -> Result<i64, sqlx::Error> {
    let plan = explain(list, ("", ""), pool).await?;
    Ok(plan[0]["Plan"]["Plan Rows"].as_i64().unwrap_or_default().max(EXACT + 1))
}

async fn explain(
    list: &List,
    (options, limit): (&'static str, &'static str),
    pool: &PgPool,
) -> Result<Value, sqlx::Error> {
    let mut sql = QueryBuilder::new("EXPLAIN (");
    sql.push(options).push("FORMAT JSON) SELECT FROM ").push(list.source.table);
    sql.push(" c WHERE c.company_id = ").push_bind(list.company.0);
    for filter in &list.filters {
        filter.push_indexed(&mut sql);
    }
    sql.push(limit);
    sql.build_query_scalar().persistent(false).fetch_one(pool).await
}
