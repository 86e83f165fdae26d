//! Events that wait for one subscription: inserted into the log as the server writes them,
//! many at once.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Error;
use crate::server::Server;

/// Events inserted by one transaction, at most.
const BATCH: u64 = 100_000;
/// How often the tail is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Where the contacts of the backlog live, and no others.
const CITY: &str = "Lyon";

/// Room in the log, made as `src/retention/` makes it, under its lock.
const PARTITION: &str = r#"
DO $$
DECLARE
    bound  bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(x'6973616f0002'::bigint);
    SELECT max((regexp_match(pg_get_expr(relpartbound, oid), 'TO \(''(\d+)''\)'))[1]::bigint) INTO bound
        FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'events'::regclass;
    EXECUTE format('CREATE TABLE events_from_%s (LIKE events INCLUDING ALL)', bound);
    EXECUTE format('ALTER TABLE events ATTACH PARTITION events_from_%1$s FOR VALUES FROM (%1$s) TO (%2$s)',
                   bound, bound + EVENTS);
END $$
"#;

/// As the writer appends. EVENTS above, and BATCH, FIRST, PHASE and CITY here, are filled in.
const INSERT: &str = r#"
WITH head AS (
    UPDATE log_head SET seq = seq + BATCH, at = greatest(at, now()) RETURNING seq - BATCH AS before, at
), contact AS (
    SELECT number, gen_random_uuid() AS id, FIRST + number - 1 AS n,
           to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
    FROM generate_series(1, BATCH) AS number
)
INSERT INTO events (seq, company_id, type, id, record_id, source, at, data)
SELECT head.before + number, company.id, 'contact.created', gen_random_uuid(), contact.id, 'api', head.at,
       format('{"id":"contact_%1$s","name":"Load pPHASE c0 n%2$s t0","firstName":"Load","lastName":"pPHASE c0 n%2$s t0",'
              '"phoneNumber":"+%2$s","email":"john.doe@example.com","position":"Buyer","currentCompany":"Acme",'
              '"industrySector":null,"city":"CITY","country":"France","tags":["lead"],"createdAt":"%3$s","updatedAt":"%3$s"}',
              replace(contact.id::text, '-', ''), n, contact.at)
FROM head, contact, (SELECT id FROM companies ORDER BY created_at LIMIT 1) AS company
"#;

/// Shards that were not offered everything yet.
const BEHIND: &str = "SELECT count(*) FROM shards, log_head WHERE checkpoint < seq";

/// What a subscription wants that wants the backlog.
pub fn filters() -> Value {
    json!({ "city": CITY })
}

/// Inserts the backlog, and waits until the tail has gone past it.
pub async fn insert(server: &Server, phase: u32, events: u64) -> Result<(), Error> {
    psql(server, &PARTITION.replace("EVENTS", &events.to_string())).await?;
    for first in (0..events).step_by(BATCH as usize) {
        let insert = INSERT
            .replace("BATCH", &BATCH.min(events - first).to_string())
            .replace("FIRST", &first.to_string());
        psql(server, &insert.replace("PHASE", &phase.to_string()).replace("CITY", CITY)).await?;
    }
    while psql(server, BEHIND).await?.trim() != "0" {
        sleep(LOOK).await;
    }
    Ok(())
}

async fn psql(server: &Server, sql: &str) -> Result<String, Error> {
    let mut command = server.on_database();
    command.args(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql]).stdin(Stdio::null());
    let output = command.output().await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr)).into())
}
