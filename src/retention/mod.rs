//! Retention: makes room ahead, and throws away what has served its time, so that no
//! table only grows.
//!
//! The log (`events`) is partitioned by its numbers, `attempts` by week. A partition is
//!
//! 1. *made* ahead, empty, in a short transaction that no reader or writer waits for;
//! 2. *filled*, and kept until the youngest row in it is older than the retention;
//! 3. *condemned*: a comment on the table says so, and in the same transaction the
//!    events that some subscription still waits for are written down as its *gaps*, and those
//!    that a replay has not come to are counted;
//! 4. *detached* concurrently, which waits for whoever reads, and is finished later if
//!    that takes too long;
//! 5. *dropped*.
//!
//! Each step shows in the database, so whichever process comes next goes on from there.
//! Making has a lock of its own (`partitions`): the one who drops may be slow, or frozen,
//! and the writers must find room all the same. If they do not, they make it themselves:
//! [`make_room`] and [`ensure_attempts`].

mod attempts;
mod drop;
mod events;
mod gaps;
mod partitions;
mod present;
mod rows;

pub use rows::IDEMPOTENCY_KEYS_KEPT;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgPool};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::database::postgres;
use crate::log::LogState;
use present::Watch;

/// How often everything is looked at.
const EVERY: Duration = Duration::from_secs(60);
/// How often the last number of this process's writer is looked at, which costs nothing.
/// At its fastest it takes some 13,000 numbers in that time, of [`events::AHEAD`].
const LOOK: Duration = Duration::from_secs(1);
/// How long making partitions may take, the connection and the wait for others included.
const MAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks after the tables that grow.
pub struct Retention {
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// How old events and attempts get, at least.
    pub keep: Duration,
    /// Knows the last number that this process's writer appended.
    pub log: LogState,
}

impl Retention {
    /// Makes the partitions that are needed next. Returns the last number of the log for
    /// which they suffice; if it fails, one that is passed already.
    pub async fn prepare(&self) -> i64 {
        let now = self.clock.now();
        let prepared = bounded(async {
            let mut connection = postgres::connect(&self.pool).await?;
            attempts::ensure(&mut connection, &[now, now + attempts::WEEK]).await?;
            let enough_until = events::make_ahead(&mut connection).await?;
            connection.close().await?;
            Ok(enough_until)
        });
        prepared.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "partitions cannot be made ahead yet");
            -1
        })
    }

    /// Works for ever. `enough_until` is what [`prepare`](Self::prepare) answered.
    pub async fn run(self, enough_until: i64) {
        tokio::join!(self.make_ahead(enough_until), self.clean_up());
    }

    async fn make_ahead(&self, mut enough_until: i64) {
        loop {
            let mut due = std::pin::pin!(self.clock.sleep(EVERY));
            loop {
                tokio::select! {
                    () = &mut due => break,
                    () = tokio::time::sleep(LOOK) => {}
                }
                if self.log.last_appended() > enough_until {
                    break;
                }
            }
            enough_until = self.prepare().await;
        }
    }

    async fn clean_up(&self) {
        let mut watch = Watch::new(&self.clock);
        loop {
            self.clock.sleep(EVERY).await;
            let present = match watch.present(&self.pool, &self.clock).await {
                Ok(Some(present)) => present,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(%error, "the database's clock cannot be asked yet");
                    continue;
                }
            };
            if let Err(error) = drop::drop_old(&self.pool, present.log, self.keep).await {
                tracing::warn!(%error, "old partitions cannot be dropped yet");
            }
            if let Err(error) = rows::delete_old(&self.pool, present.clocks, self.keep).await {
                tracing::warn!(%error, "old rows cannot be deleted yet");
            }
        }
    }
}

/// Makes partitions of the log until there is room for any batch.
///
/// # Errors
/// When the database is away, or its locks are held for too long.
pub async fn make_room(pool: &PgPool) -> Result<(), sqlx::Error> {
    bounded(async {
        let mut connection = postgres::connect(pool).await?;
        events::make_ahead(&mut connection).await?;
        connection.close().await
    })
    .await
}

/// Makes the partitions for attempts made at these times, where there are none.
///
/// # Errors
/// When the database is away, or its locks are held for too long.
pub async fn ensure_attempts(pool: &PgPool, times: &[DateTime<Utc>]) -> Result<(), sqlx::Error> {
    bounded(async {
        let mut connection = postgres::connect(pool).await?;
        attempts::ensure(&mut connection, times).await?;
        connection.close().await
    })
    .await
}

async fn bounded<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(MAKE_TIMEOUT, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
