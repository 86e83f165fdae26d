//! Counting by company and subscription, per minute and per hour, for the dashboard.
//!
//! Whoever counts adds to what this process holds in memory; once a second it is added to the database.
//! So a delivery costs two additions here, and a row in a second costs the database one update, however
//! many were delivered. What was not written when the process is killed is not counted: these are numbers
//! for people, and no delivery depends on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::database::postgres::is_unavailable;
use crate::model::events::Event;
use crate::model::ids::{CompanyId, SubscriptionId};

/// How often what was counted is written.
const EVERY: Duration = Duration::from_secs(1);
/// Rows that are held at most, while the database is away or thousands of subscriptions are at work.
/// Then only companies are counted.
const ROWS: usize = 20_000;
/// The number of classes of latency. The first one is up to 1 ms, and each is √2 times as wide as the one
/// before; the last one has all the rest, over an hour.
pub const LATENCIES: usize = 45;
/// Stands for the company as a whole.
pub const WHOLE: Uuid = Uuid::nil();

/// How long a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Of companies alone.
    Minute,
    /// Of companies and of subscriptions.
    Hour,
}

impl Unit {
    /// As it is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    fn begin(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let span = match self {
            Self::Minute => TimeDelta::minutes(1),
            Self::Hour => TimeDelta::hours(1),
        };
        at.duration_trunc(span).unwrap_or(at)
    }
}

/// What is counted.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub events: i64,
    pub attempts: i64,
    pub failed: i64,
    pub delivered: i64,
    pub undelivered: i64,
    /// Deliveries by class of latency.
    pub latencies: [i64; LATENCIES],
}

impl Default for Counts {
    fn default() -> Self {
        Self { events: 0, attempts: 0, failed: 0, delivered: 0, undelivered: 0, latencies: [0; LATENCIES] }
    }
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        self.events += more.events;
        self.attempts += more.attempts;
        self.failed += more.failed;
        self.delivered += more.delivered;
        self.undelivered += more.undelivered;
        self.latencies.iter_mut().zip(more.latencies).for_each(|(count, more)| *count += more);
    }

    /// The latency that this share of the deliveries did not exceed, to the accuracy of a class.
    pub fn latency(&self, share: f64) -> Option<Duration> {
        let all: i64 = self.latencies.iter().sum();
        let wanted = (all as f64 * share).ceil();
        let mut sum = 0;
        let class = self.latencies.iter().position(|count| {
            sum += count;
            sum > 0 && sum as f64 >= wanted
        })?;
        Some(Duration::from_secs_f64(limit(class) / 1000.0))
    }
}

/// The upper limit of a class, in milliseconds.
fn limit(class: usize) -> f64 {
    2_f64.powf(class as f64 / 2.0)
}

fn class(latency: TimeDelta) -> usize {
    let milliseconds = latency.num_microseconds().map_or(f64::MAX, |micros| micros as f64 / 1000.0);
    let class = (0..LATENCIES - 1).find(|class| milliseconds <= limit(*class));
    class.unwrap_or(LATENCIES - 1)
}

/// An attempt that ended.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ended {
    pub company: CompanyId,
    pub subscription: SubscriptionId,
    pub at: DateTime<Utc>,
    pub how: How,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// So long after the event, if it was the event's turn.
    Delivered(Option<TimeDelta>),
    /// Another attempt follows.
    Failed,
    /// None does.
    Undelivered,
}

type Key = (CompanyId, Uuid, Unit, DateTime<Utc>);

/// What this process has counted and not written yet; cheap to clone, all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Tallies(Arc<Mutex<HashMap<Key, Counts>>>);

impl Tallies {
    /// Counts events that were committed.
    pub fn events(&self, events: &[Arc<Event>]) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            for unit in [Unit::Minute, Unit::Hour] {
                held.entry((event.company, WHOLE, unit, unit.begin(event.at))).or_default().events += 1;
            }
        }
    }

    /// Counts attempts.
    pub fn attempts(&self, attempts: impl Iterator<Item = Ended>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for Ended { company, subscription, at, how } in attempts {
            for (whose, unit) in [(WHOLE, Unit::Minute), (WHOLE, Unit::Hour), (subscription.0, Unit::Hour)] {
                let key = (company, whose, unit, unit.begin(at));
                if whose != WHOLE && held.len() >= ROWS && !held.contains_key(&key) {
                    continue;
                }
                let counts = held.entry(key).or_default();
                counts.attempts += 1;
                match how {
                    How::Delivered(latency) => {
                        counts.delivered += 1;
                        if let Some(latency) = latency {
                            counts.latencies[class(latency)] += 1;
                        }
                    }
                    How::Failed => counts.failed += 1,
                    How::Undelivered => {
                        counts.failed += 1;
                        counts.undelivered += 1;
                    }
                }
            }
        }
    }

    /// Writes what is counted, for ever.
    pub async fn run(self, pool: PgPool) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.write(&pool).await;
        }
    }

    /// Writes what was counted.
    pub async fn write(&self, pool: &PgPool) {
        let held = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if held.is_empty() {
            return;
        }
        // In one order, so that processes don't wait for each other in a circle.
        let mut rows: Vec<_> = held.into_iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        if let Err(error) = add(pool, &rows).await {
            if is_unavailable(&error) {
                tracing::debug!(%error, "what was counted cannot be written yet");
            } else {
                tracing::error!(%error, "what was counted cannot be written");
            }
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, counts) in rows {
                if held.len() < ROWS || held.contains_key(&key) {
                    held.entry(key).or_default().add(&counts);
                }
            }
        }
    }
}

async fn add(pool: &PgPool, rows: &[(Key, Counts)]) -> Result<(), sqlx::Error> {
    fn column<T>(rows: &[(Key, Counts)], value: impl Fn(&Key, &Counts) -> T) -> Vec<T> {
        rows.iter().map(|(key, counts)| value(key, counts)).collect()
    }
    sqlx::query!(
        "INSERT INTO tallies (company_id, subscription_id, unit, at, events, attempts, failed, delivered, undelivered, latencies)
         SELECT n.company_id, n.subscription_id, n.unit, n.at, n.events, n.attempts, n.failed, n.delivered, n.undelivered,
                n.latencies::bigint[]
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::bigint[], $10::text[])
             AS n (company_id, subscription_id, unit, at, events, attempts, failed, delivered, undelivered, latencies)
         ON CONFLICT (company_id, subscription_id, unit, at) DO UPDATE SET
             events = tallies.events + excluded.events, attempts = tallies.attempts + excluded.attempts,
             failed = tallies.failed + excluded.failed, delivered = tallies.delivered + excluded.delivered,
             undelivered = tallies.undelivered + excluded.undelivered,
             latencies = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0)
                              FROM unnest(tallies.latencies, excluded.latencies) WITH ORDINALITY AS both_ (a, b, class)
                              ORDER BY class)",
        &column(rows, |key, _| key.0.0),
        &column(rows, |key, _| key.1),
        &column(rows, |key, _| key.2.word()) as &[&str],
        &column(rows, |key, _| key.3),
        &column(rows, |_, counts| counts.events),
        &column(rows, |_, counts| counts.attempts),
        &column(rows, |_, counts| counts.failed),
        &column(rows, |_, counts| counts.delivered),
        &column(rows, |_, counts| counts.undelivered),
        &column(rows, |_, counts| array(&counts.latencies)),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// As PostgreSQL writes an array; without the zeros at its end.
fn array(counts: &[i64]) -> String {
    let used = counts.iter().rposition(|count| *count != 0).map_or(0, |last| last + 1);
    let texts: Vec<_> = counts[..used].iter().map(i64::to_string).collect();
    format!("{{{}}}", texts.join(","))
}

/// What was counted of a company, or of one of its subscriptions, from a time on, the oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn since(
    pool: &PgPool,
    (company, subscription): (CompanyId, Uuid),
    unit: Unit,
    from: DateTime<Utc>,
) -> Result<Vec<(DateTime<Utc>, Counts)>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT at, events, attempts, failed, delivered, undelivered, latencies FROM tallies
         WHERE company_id = $1 AND subscription_id = $2 AND unit = $3 AND at >= $4 ORDER BY at",
        company.0,
        subscription,
        unit.word(),
        from,
    );
    let rows = rows.fetch_all(pool).await?.into_iter().map(|row| {
        let mut latencies = [0; LATENCIES];
        latencies.iter_mut().zip(row.latencies).for_each(|(count, kept)| *count = kept);
        let counts = Counts {
            events: row.events,
            attempts: row.attempts,
            failed: row.failed,
            delivered: row.delivered,
            undelivered: row.undelivered,
            latencies,
        };
        (row.at, counts)
    });
    Ok(rows.collect())
}

/// How many deliveries of each of these subscriptions were made and how many failed, per hour from a time on.
///
/// # Errors
/// When the database does not answer.
pub async fn of_subscriptions(
    pool: &PgPool,
    company: CompanyId,
    subscriptions: &[Uuid],
    from: DateTime<Utc>,
) -> Result<HashMap<Uuid, Vec<(DateTime<Utc>, i64, i64)>>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT subscription_id, at, delivered, failed FROM tallies
         WHERE company_id = $1 AND subscription_id = ANY ($2) AND unit = 'hour' AND at >= $3
         ORDER BY subscription_id, at",
        company.0,
        subscriptions,
        from,
    );
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows.fetch_all(pool).await? {
        found.entry(row.subscription_id).or_default().push((row.at, row.delivered, row.failed));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_classes() {
        let classes = [0, 1, 2, 3, 1000, 10_000_000].map(|ms| class(TimeDelta::milliseconds(ms)));
        assert_eq!(classes, [0, 0, 2, 4, 20, 44]);
        assert_eq!(class(TimeDelta::milliseconds(-5)), 0, "the clocks of two servers can differ");
        let mut counts = Counts::default();
        assert_eq!(counts.latency(0.5), None);
        counts.latencies[2] = 98;
        counts.latencies[20] = 2;
        let percentile = |share| counts.latency(share).unwrap().as_millis();
        assert_eq!([percentile(0.5), percentile(0.98), percentile(0.99)], [2, 2, 1024]);
    }

    #[test]
    fn an_array_ends_with_its_last_count() {
        assert_eq!(array(&[0, 2, 0, 5, 0, 0]), "{0,2,0,5}");
        assert_eq!(array(&[0; LATENCIES]), "{}");
    }
}
