//! Making one partition.

use sqlx::{AssertSqlSafe, PgConnection, PgTransaction};

/// The advisory lock of whoever makes partitions, held for a short transaction; any number,
/// but always the same.
const MAKING: i64 = 0x6973_616f_0002;

/// Begins a transaction that alone makes partitions. A process that freezes in it is
/// thrown out by `idle_in_transaction_session_timeout`.
pub(super) async fn begin(connection: &mut PgConnection) -> Result<PgTransaction<'_>, sqlx::Error> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", MAKING).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Makes the partition `name` of `table` for the values from `from` until before `to`.
/// Attaching a table blocks neither readers nor writers; `CREATE … PARTITION OF` would.
pub(super) async fn make(
    connection: &mut PgConnection,
    table: &str,
    name: &str,
    (from, to): (&str, &str),
) -> Result<(), sqlx::Error> {
    let create = format!("CREATE TABLE {name} (LIKE {table} INCLUDING ALL)");
    sqlx::query(AssertSqlSafe(create)).execute(&mut *connection).await?;
    let attach =
        format!("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')");
    sqlx::query(AssertSqlSafe(attach)).execute(&mut *connection).await?;
    tracing::info!(partition = name, from, to, "made a partition");
    Ok(())
}
