//! Dropping partitions whose rows are all too old.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::time::timeout;

use super::{attempts, events, gaps};
use crate::database::postgres;

/// The advisory lock of the process that drops partitions; any number, but always the same.
const DROPPING: i64 = 0x6973_616f_0003;
/// The comment on a table that is to be dropped. Without it, a table that somebody detached
/// to keep it would look the same as one that a crash left behind.
const CONDEMNED: &str = "isao: to be dropped";
/// Bound on one statement. To count what is lost takes longest.
const STATEMENT_TIMEOUT: &str = "10min";
/// How long a statement waits for others. Meanwhile it keeps those who read the partition
/// waiting, and those who make new ones; what does not work now is tried again in a minute.
const LOCK_TIMEOUT: &str = "1s";
/// The time after which the database takes the lock from a silent process.
const SILENT_TIMEOUT: &str = "20s";
/// Bound on everything.
const DROP_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// A table on its way out.
struct Condemned {
    name: String,
    /// The table that it is still a partition of.
    parent: Option<String>,
    /// Was its detaching interrupted?
    pending: bool,
}

/// Drops the partitions whose youngest row is older than `keep`, unless another process
/// is at it.
pub(super) async fn drop_old(pool: &PgPool, now: DateTime<Utc>, keep: Duration) -> Result<(), sqlx::Error> {
    let work = async {
        let mut connection = postgres::connect(pool).await?;
        if alone(&mut connection).await? {
            while drop_next(&mut connection, now, keep).await? {}
        }
        connection.close().await
    };
    timeout(DROP_TIMEOUT, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Gives the session its own limits, and the lock if it is free.
async fn alone(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT set_config('statement_timeout', $2, false), set_config('lock_timeout', $3, false) AS lock_timeout,
                  set_config('idle_session_timeout', $4, false) AS idle_timeout,
                  pg_try_advisory_lock($1) AS "locked!""#,
        DROPPING,
        STATEMENT_TIMEOUT,
        LOCK_TIMEOUT,
        SILENT_TIMEOUT,
    )
    .fetch_one(connection)
    .await?;
    Ok(row.locked)
}

/// Drops a partition that is condemned, or else condemns one that is too old. False if
/// there is neither.
async fn drop_next(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    keep: Duration,
) -> Result<bool, sqlx::Error> {
    if let Some(condemned) = condemned(connection).await? {
        remove(connection, condemned).await?;
        return Ok(true);
    }
    let before = now - keep;
    if let Some(range) = events::outlived(connection, before).await? {
        let mut transaction = connection.begin().await?;
        condemn(&mut transaction, &range.name()).await?;
        let lost = gaps::record(&mut transaction, range, now).await?;
        gaps::missed(&mut transaction, range).await?;
        transaction.commit().await?;
        if lost.subscriptions > 0 {
            let gaps::Lost { subscriptions, events } = lost;
            tracing::warn!(
                subscriptions,
                events,
                "subscriptions lost events that became too old to be kept; their gaps are recorded"
            );
        }
        return Ok(true);
    }
    if let Some(name) = attempts::outlived(connection, before).await? {
        condemn(connection, &name).await?;
        return Ok(true);
    }
    Ok(false)
}

async fn condemned(connection: &mut PgConnection) -> Result<Option<Condemned>, sqlx::Error> {
    sqlx::query_as!(
        Condemned,
        r#"SELECT pg_class.oid::regclass::text AS "name!", inhparent::regclass::text AS parent,
                  coalesce(inhdetachpending, false) AS "pending!"
           FROM pg_class LEFT JOIN pg_inherits ON inhrelid = pg_class.oid
           WHERE relkind = 'r' AND obj_description(pg_class.oid, 'pg_class') = $1
             AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'events'::regclass)
           ORDER BY 3 DESC, pg_class.oid LIMIT 1"#,
        CONDEMNED,
    )
    .fetch_optional(connection)
    .await
}

async fn condemn(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    execute(connection, format!("COMMENT ON TABLE {name} IS '{CONDEMNED}'")).await
}

/// Detaches the table and drops it. Detaching waits for the transactions that use its
/// parent, but nobody waits for it; when they take too long, it remains *pending*: no new
/// statement sees the partition.
async fn remove(connection: &mut PgConnection, condemned: Condemned) -> Result<(), sqlx::Error> {
    let Condemned { name, parent, pending } = condemned;
    if let Some(parent) = parent {
        let how = if pending { "FINALIZE" } else { "CONCURRENTLY" };
        execute(connection, format!("ALTER TABLE {parent} DETACH PARTITION {name} {how}")).await?;
    }
    execute(connection, format!("DROP TABLE {name}")).await?;
    tracing::info!(partition = name, "dropped a partition");
    Ok(())
}

/// Names come from the catalogue, which quotes them.
async fn execute(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
