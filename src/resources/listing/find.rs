//! Finding the records of a page.

use sqlx::postgres::PgRow;
use sqlx::{PgPool, QueryBuilder, Row as _};

use super::walk::{self, Place};
use super::{Counted, Filter, Key, List, count};
use crate::http::paging::Total;

/// Records that a walk goes past at most. More than are quickly read, and so few that those who match are
/// quickly put in order when it ends without a full page: a hundredth of the records, if they are spread.
const WALK: i64 = 5_000;

/// The places of the page's records, and of one more if there is one; and the number of all.
pub(super) async fn find(list: &List, pool: &PgPool) -> Result<(Vec<Place>, Counted), sqlx::Error> {
    let (rows, offset) = (list.slice.rows(), list.slice.offset());
    if list.filters.is_empty() {
        let places = places(&walk(list, offset + rows, (rows, offset), pool).await?, list)?;
        let total = if list.is_counted { Some(Total::exact(count::all(list, pool).await?)) } else { None };
        return Ok((places, total));
    }
    let is_walk = !list.filters.iter().any(Filter::is_narrow) && offset + rows <= WALK;
    if is_walk {
        let found = walk(list, WALK, (rows, offset), pool).await?;
        if let Some(last) = found.last().filter(|_| i64::try_from(found.len()) == Ok(rows)) {
            let seen = last.try_get::<i64, _>("n")?.max(1);
            let total = match list.is_counted {
                true => Some(count::matching(list, (offset + rows, seen), pool).await?),
                false => None,
            };
            return Ok((places(&found, list)?, total));
        }
    }
    let found = collect(list, (rows, offset), pool).await?;
    let total = match found.first() {
        _ if !list.is_counted => None,
        Some(first) => Some(Total::exact(first.try_get("n")?)),
        None => Some(count::matching(list, (0, 1), pool).await?),
    };
    Ok((places(&found, list)?, total))
}

fn places(rows: &[PgRow], list: &List) -> Result<Vec<Place>, sqlx::Error> {
    rows.iter().map(|row| Ok((Key::decode(row, list.order.sort.kind)?, row.try_get("id")?))).collect()
}

/// Goes along the index of the order, past `bound` records at most.
async fn walk(
    list: &List,
    bound: i64,
    (rows, offset): (i64, i64),
    pool: &PgPool,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let mut sql =
        QueryBuilder::new("SELECT c.id, c.sort_key, c.n FROM (SELECT c.*, row_number() OVER () AS n FROM (");
    walk::push(list, list.after.as_ref(), bound, &mut sql);
    sql.push(") c) c WHERE true");
    for filter in &list.filters {
        filter.push_plain(&mut sql);
    }
    sql.push(" LIMIT ").push_bind(rows).push(" OFFSET ").push_bind(offset);
    // Each statement is planned with its parameters, and not kept.
    sql.build().persistent(false).fetch_all(pool).await
}

/// Collects all records that match, and puts them in order.
async fn collect(list: &List, (rows, offset): (i64, i64), pool: &PgPool) -> Result<Vec<PgRow>, sqlx::Error> {
    let (column, order) = (list.order.sort.column, list.order);
    let mut sql = QueryBuilder::new("WITH found AS MATERIALIZED (SELECT c.id, ");
    sql.push(column).push(" AS sort_key FROM ").push(list.source.table).push(" c WHERE c.company_id = ");
    sql.push_bind(list.company.0);
    for filter in &list.filters {
        filter.push_indexed(&mut sql);
    }
    sql.push(") SELECT id, sort_key, (SELECT count(*) FROM found) AS n FROM found");
    match &list.after {
        Some((Key::Null, id)) => {
            sql.push(" WHERE sort_key IS NULL AND id").push(order.beyond()).push_bind(*id);
        }
        Some((key, id)) => {
            sql.push(" WHERE sort_key IS NULL OR (sort_key, id)").push(order.beyond()).push("(");
            key.bind(&mut sql);
            sql.push(", ").push_bind(*id).push(")");
        }
        None => {}
    }
    sql.push(" ORDER BY sort_key IS NULL, sort_key").push(order.direction());
    sql.push(", id").push(order.direction());
    sql.push(" LIMIT ").push_bind(rows).push(" OFFSET ").push_bind(offset);
    sql.build().persistent(false).fetch_all(pool).await
}
