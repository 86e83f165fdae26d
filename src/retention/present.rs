//! What is taken for the present when something old is dropped.
//!
//! Dropping cannot be undone, and a clock may be wrong: for a minute after a machine starts, for as
//! long as somebody has set it by mistake. So several clocks are asked, and the one that is behind
//! the others counts; and a clock that has just jumped, or just been met, is watched first.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use crate::clock::Clock;

/// How far a clock may be off without being wrong.
const OFF: TimeDelta = TimeDelta::hours(1);
/// How long our clock has to go evenly before it is believed.
const WATCHED: Duration = Duration::from_secs(60 * 60);

/// Watches our clock.
#[derive(Default)]
pub(super) struct Watch {
    /// The time and [`Clock::monotonic`], when they were looked at last.
    last: Option<(DateTime<Utc>, Duration)>,
    /// Since when it has gone evenly, by [`Clock::monotonic`].
    even_since: Duration,
}

/// The times by which things are old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Present {
    /// By our clock and that of the database, whichever is behind.
    pub(super) clocks: DateTime<Utc>,
    /// The same, and not after the last event: while nothing happens, nothing gets old.
    pub(super) log: DateTime<Utc>,
}

impl Watch {
    /// Begins to watch.
    pub(super) fn new(clock: &Clock) -> Self {
        Self { last: None, even_since: clock.monotonic() }
    }

    /// The present, unless a clock may be wrong.
    pub(super) async fn present(
        &mut self,
        pool: &PgPool,
        clock: &Clock,
    ) -> Result<Option<Present>, sqlx::Error> {
        let row = sqlx::query!(r#"SELECT clock_timestamp() AS "database!: DateTime<Utc>", at AS "log: DateTime<Utc>" FROM log_head"#)
            .fetch_one(pool)
            .await?;
        let (ours, now) = (clock.now(), clock.monotonic());
        let even = self.goes_evenly(ours, now);
        if ours - row.database > OFF {
            tracing::warn!(
                %ours, database = %row.database,
                "the clock of this machine is ahead of the database's; nothing is dropped until they agree"
            );
            return Ok(None);
        }
        let clocks = ours.min(row.database);
        Ok(even.then_some(Present { clocks, log: clocks.min(row.log) }))
    }

    /// Has the clock gone evenly for long enough?
    fn goes_evenly(&mut self, ours: DateTime<Utc>, now: Duration) -> bool {
        if let Some((time, then)) = self.last.replace((ours, now)) {
            let passed = TimeDelta::from_std(now.saturating_sub(then)).unwrap_or(TimeDelta::MAX);
            if ((ours - time) - passed).abs() > OFF {
                tracing::warn!(was = %time, is = %ours, "the clock has jumped; nothing is dropped for an hour");
                self.even_since = now;
            }
        }
        now.saturating_sub(self.even_since) >= WATCHED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_believed_after_an_hour_without_a_jump() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let mut watch = Watch::new(&clock);
        let mut ahead = TimeDelta::zero();
        let mut after = |minutes: u64, jump: TimeDelta| {
            clock.advance(Duration::from_secs(minutes * 60));
            ahead += jump;
            watch.goes_evenly(clock.now() + ahead, clock.monotonic())
        };
        assert!(!after(1, TimeDelta::zero()), "just met");
        assert!(!after(58, TimeDelta::minutes(2)));
        assert!(after(1, TimeDelta::zero()), "a small step is none");
        assert!(after(40 * 24 * 60, TimeDelta::zero()));
        assert!(!after(1, TimeDelta::days(40)));
        assert!(!after(1, TimeDelta::days(-40)));
        assert!(!after(59, TimeDelta::zero()));
        assert!(after(1, TimeDelta::zero()));
    }
}
