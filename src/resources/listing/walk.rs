//! Walking along the index of an order.

use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Key, List};

/// The place of a record in the list.
pub(super) type Place = (Key, Uuid);

/// The first records in the order, or those after a place. Records without a value come last: as no
/// index serves both directions so, they are a part by themselves.
pub(super) fn push(list: &List, after: Option<&Place>, bound: i64, sql: &mut QueryBuilder<Postgres>) {
    let (sort, order) = (list.order.sort, list.order);
    let mut parts = vec![false];
    if sort.is_nullable {
        parts.push(true);
    }
    if matches!(after, Some((Key::Null, _))) {
        parts.remove(0);
    }
    let mut company = Some(list.company.0);
    for (number, is_null) in parts.into_iter().enumerate() {
        sql.push(if number == 0 { "(SELECT c.*, " } else { " UNION ALL (SELECT c.*, " });
        sql.push(sort.column)
            .push(" AS sort_key FROM ")
            .push(list.source.table)
            .push(" c WHERE c.company_id = ");
        match company.take() {
            Some(company) => drop(sql.push_bind(company)),
            None => drop(sql.push("$1")),
        }
        if sort.is_nullable {
            sql.push(" AND ").push(sort.column).push(if is_null { " IS NULL" } else { " IS NOT NULL" });
        }
        match after {
            Some((Key::Null, id)) => drop(sql.push(" AND c.id").push(order.beyond()).push_bind(*id)),
            Some((key, id)) if !is_null => {
                sql.push(" AND (").push(sort.column).push(", c.id)").push(order.beyond()).push("(");
                key.bind(sql);
                sql.push(", ").push_bind(*id).push(")");
            }
            _ => {}
        }
        for filter in list.filters.iter().filter(|filter| filter.is_range_of(sort.name)) {
            filter.push_indexed(sql);
        }
        sql.push(" ORDER BY ").push(sort.column).push(order.direction());
        sql.push(", c.id").push(order.direction()).push(" LIMIT ").push_bind(bound).push(")");
    }
}
