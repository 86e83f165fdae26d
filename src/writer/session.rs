//! The writer's session: one connection to the database, and what is known of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::{Instant, timeout};

use crate::database::postgres;

/// How long something that writes nothing may take.
const ASIDE_TIMEOUT: Duration = Duration::from_secs(6);

/// How long after its last use a connection is taken to be there still. Longer than the pauses
/// of a client that writes one thing after the other, and shorter than an outage that is noticed.
const TRUSTED_FOR: Duration = Duration::from_millis(50);

/// A connection of the writer's own.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    /// The process of PostgreSQL on its other end.
    pub(super) backend: Backend,
    /// How many transactions began on it.
    begun: u64,
    /// When the last of them did.
    used: Instant,
}

/// A process of PostgreSQL. Its number may be given out again, but not at the same time.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pid: i32,
    since: DateTime<Utc>,
}

impl Session {
    pub(super) async fn open(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut connection = postgres::connect_steady(pool).await?;
        let backend = sqlx::query_as!(
            Backend,
            r#"SELECT pid AS "pid!", backend_start AS "since!" FROM pg_stat_activity WHERE pid = pg_backend_pid()"#,
        );
        let backend = within(backend.fetch_one(&mut connection)).await?;
        Ok(Self { connection, backend, begun: 0, used: Instant::now() })
    }

    /// Before a transaction that is one statement: is somebody on the other end? When it turns
    /// out later, the statement is in doubt, and until the database is back its callers wait.
    pub(super) async fn prove(&mut self) -> Result<(), sqlx::Error> {
        if self.used.elapsed() > TRUSTED_FOR {
            within(self.connection.ping()).await?;
        }
        Ok(())
    }

    /// Before every transaction.
    ///
    /// By the indexes the plans are, but one that was made while a table was small may go by
    /// the wrong one, and PostgreSQL would keep it until it analyzes the table: so no plan
    /// outlives twice the transactions that were there when it was made.
    pub(super) async fn prepare(&mut self) -> Result<(), sqlx::Error> {
        self.begun += 1;
        self.used = Instant::now();
        if self.begun.is_power_of_two() {
            within(sqlx::query("DISCARD PLANS").execute(&mut self.connection)).await?;
        }
        Ok(())
    }
}

impl Backend {
    /// Is it gone, and with it whatever it was doing, done or undone? If not, it is told to go.
    pub(super) async fn is_gone(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let told = sqlx::query_scalar!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2",
            self.pid,
            self.since,
        );
        Ok(told.fetch_optional(connection).await?.is_none())
    }
}

async fn within<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(ASIDE_TIMEOUT, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
