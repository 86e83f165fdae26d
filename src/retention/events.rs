//! The partitions of the log: how far ahead, and how wide.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::partitions;

/// Numbers of the narrowest partition, and of the first ones (`0001_initial.sql`).
const NARROWEST: i64 = 100_000;
/// Numbers of the widest partition. What is dropped at once should not be all there is.
const WIDEST: i64 = 50_000_000;
/// Numbers that have room ahead of the head of the log, at least: several seconds of the
/// fastest writing, and far more than a batch takes.
pub(super) const AHEAD: i64 = NARROWEST;
/// A partition that filled faster than this is too narrow…
const FAST: TimeDelta = TimeDelta::days(1);
/// …and one that took longer than this too wide: with the retention of 30 days there are
/// some ten to thirty, few enough to plan with and not too coarse to drop.
const SLOW: TimeDelta = TimeDelta::days(4);

/// A partition of the log: numbers from `from` until before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Range {
    /// The name of the partition.
    pub(super) fn name(self) -> String {
        format!("events_from_{}", self.from)
    }
}

/// Makes partitions until one is wholly ahead of the head of the log, and [`AHEAD`] numbers
/// are. Returns the last head for which that is so.
pub(super) async fn make_ahead(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let mut transaction = partitions::begin(connection).await?;
    let head = sqlx::query_scalar!("SELECT seq FROM log_head").fetch_one(&mut *transaction).await?;
    let mut ranges = ranges(&mut transaction).await?;
    let took = match ranges.iter().rev().find(|range| range.to <= head) {
        Some(filled) => span(&mut transaction, *filled).await?.map(|(first, last)| last - first),
        None => None,
    };
    loop {
        let last = ranges.last().copied();
        let enough_until = last.map_or(-1, |last| (last.from - 1).min(last.to - 1 - AHEAD));
        if head <= enough_until {
            transaction.commit().await?;
            return Ok(enough_until);
        }
        let next = next(last, head, took);
        let (from, to) = (next.from.to_string(), next.to.to_string());
        partitions::make(&mut transaction, "events", &next.name(), (&from, &to)).await?;
        ranges.push(next);
    }
}

/// The partitions, in order.
async fn ranges(connection: &mut PgConnection) -> Result<Vec<Range>, sqlx::Error> {
    sqlx::query_as!(
        Range,
        r#"SELECT bounds[1]::bigint AS "from!", bounds[2]::bigint AS "to!"
           FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid,
                regexp_match(pg_get_expr(relpartbound, pg_class.oid), $$FROM \('(\d+)'\) TO \('(\d+)'\)$$) AS bounds
           WHERE inhparent = 'events'::regclass ORDER BY 1"#
    )
    .fetch_all(connection)
    .await
}

/// The oldest partition, if it is full and its last event is older than `before`.
pub(super) async fn outlived(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<Option<Range>, sqlx::Error> {
    let head = sqlx::query_scalar!("SELECT seq FROM log_head").fetch_one(&mut *connection).await?;
    let Some(oldest) = ranges(connection).await?.first().copied().filter(|oldest| oldest.to <= head) else {
        return Ok(None);
    };
    let last = span(connection, oldest).await?.map(|(_, last)| last);
    Ok(last.is_none_or(|last| last < before).then_some(oldest))
}

/// The times of the first and the last event of a partition.
async fn span(
    connection: &mut PgConnection,
    Range { from, to }: Range,
) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>, sqlx::Error> {
    let times = sqlx::query!(
        "SELECT (SELECT at FROM events WHERE seq >= $1 AND seq < $2 ORDER BY seq LIMIT 1) AS first,
                (SELECT at FROM events WHERE seq >= $1 AND seq < $2 ORDER BY seq DESC LIMIT 1) AS last",
        from,
        to,
    )
    .fetch_one(connection)
    .await?;
    Ok(times.first.zip(times.last))
}

/// The partition to make after `last`, with a width that suits how long the one that filled
/// last took.
fn next(last: Option<Range>, head: i64, took: Option<TimeDelta>) -> Range {
    let width = last.map_or(NARROWEST, |last| last.to - last.from);
    let width = match took {
        Some(took) if took <= FAST => width.saturating_mul(2),
        Some(took) if took > SLOW => width / 2 / NARROWEST * NARROWEST,
        _ => width,
    };
    // No number below the head is given out any more.
    let from = last.map_or(0, |last| last.to).max(head / NARROWEST * NARROWEST);
    Range { from, to: from + width.clamp(NARROWEST, WIDEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_follows_how_fast_the_log_grows() {
        let hours = |hours| Some(TimeDelta::hours(hours));
        for (width, took, wanted) in [
            (100_000, None, 100_000),
            (100_000, hours(1), 200_000),
            (100_000, hours(24), 200_000),
            (800_000, hours(25), 800_000),
            (800_000, hours(96), 800_000),
            (800_000, hours(97), 400_000),
            (300_000, hours(97), 100_000),
            (100_000, hours(97), 100_000),
            (40_000_000, hours(1), 50_000_000),
            (50_000_000, hours(1), 50_000_000),
            (300_000_000, hours(90), 50_000_000),
        ] {
            let last = Range { from: 700_000, to: 700_000 + width };
            let next = next(Some(last), 750_000, took);
            assert_eq!((next.from, next.to - next.from), (last.to, wanted), "{width} in {took:?}");
        }
    }

    #[test]
    fn it_begins_where_numbers_are_given_out() {
        assert_eq!(next(None, 0, None), Range { from: 0, to: NARROWEST });
        assert_eq!(next(None, 1_234_567, None), Range { from: 1_200_000, to: 1_300_000 });
        let last = Range { from: 0, to: 100_000 };
        assert_eq!(next(Some(last), 1_234_567, None).from, 1_200_000);
    }
}
