//! The partitions of the attempts: one for each week, from Monday, UTC.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use sqlx::PgConnection;

use super::partitions;

/// A partition's length.
pub(super) const WEEK: TimeDelta = TimeDelta::days(7);

/// Makes the partitions for attempts made at these times, where there are none.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    times: &[DateTime<Utc>],
) -> Result<(), sqlx::Error> {
    let mut transaction = partitions::begin(connection).await?;
    let mondays: BTreeSet<_> = times.iter().map(|at| monday(at.date_naive())).collect();
    for monday in mondays {
        let covered = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid,
                        regexp_match(pg_get_expr(relpartbound, pg_class.oid),
                                     $$FROM \((?:'([^']+)'|MINVALUE)\) TO \('([^']+)'\)$$) AS bounds
                   WHERE inhparent = 'attempts'::regclass AND NOT inhdetachpending
                     AND coalesce(bounds[1]::timestamptz <= $1, true) AND bounds[2]::timestamptz > $1
               ) AS "covered!""#,
            monday.and_time(chrono::NaiveTime::MIN).and_utc(),
        )
        .fetch_one(&mut *transaction)
        .await?;
        if !covered {
            let next = monday + WEEK;
            let name = format!("attempts_from_{}", monday.format("%Y%m%d"));
            let bounds = (format!("{monday} 00:00:00+00"), format!("{next} 00:00:00+00"));
            partitions::make(&mut transaction, "attempts", &name, (&bounds.0, &bounds.1)).await?;
        }
    }
    transaction.commit().await
}

/// The oldest partition, if its week ended before that time.
pub(super) async fn outlived(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT inhrelid::regclass::text AS "name!"
           FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid,
                regexp_match(pg_get_expr(relpartbound, pg_class.oid), $$TO \('([^']+)'\)$$) AS bounds
           WHERE inhparent = 'attempts'::regclass AND bounds[1]::timestamptz <= $1
           ORDER BY bounds[1]::timestamptz LIMIT 1"#,
        before,
    )
    .fetch_optional(connection)
    .await
}

/// The Monday of a day's week.
fn monday(day: NaiveDate) -> NaiveDate {
    day - Days::new(day.weekday().num_days_from_monday().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_monday() {
        for (day, begins) in [
            ("2024-11-04", "2024-11-04"),
            ("2024-11-08", "2024-11-04"),
            ("2024-11-10", "2024-11-04"),
            ("2024-11-11", "2024-11-11"),
            ("2025-01-01", "2024-12-30"),
        ] {
            assert_eq!(monday(day.parse().unwrap()), begins.parse().unwrap(), "{day}");
        }
    }
}
