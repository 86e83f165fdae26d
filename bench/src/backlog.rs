//! Events that are inserted into the log as the server writes them, but many at once: those
//! that wait for one subscription, and those that were there before.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Error;
use crate::database::Database;

/// Events inserted by one transaction, at most.
const BATCH: u64 = 100_000;
/// How often the tail is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Where the contacts live that a single subscription waits for.
pub const CITY: &str = "Lyon";

/// Events to insert.
pub struct Inserted {
    /// Is in the names of their contacts.
    pub phase: u32,
    pub count: u64,
    /// Whose they are, by the age of the companies. They take turns.
    pub companies: Range<u32>,
    /// Where their contacts live.
    pub city: &'static str,
}

/// Room for EVENTS more in the log, and the first partition ahead of them, made as
/// `src/retention/` makes it, under its lock. As wide as it makes them for a few million events
/// in a month.
const PARTITIONS: &str = r#"
DO $$
DECLARE
    width  bigint := 200000;
    bound  bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(x'6973616f0002'::bigint);
    SELECT max((regexp_match(pg_get_expr(relpartbound, oid), 'TO \(''(\d+)''\)'))[1]::bigint) INTO bound
        FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'events'::regclass;
    WHILE bound < (SELECT seq FROM log_head) + EVENTS + width LOOP
        EXECUTE format('CREATE TABLE events_from_%s (LIKE events INCLUDING ALL)', bound);
        EXECUTE format('ALTER TABLE events ATTACH PARTITION events_from_%1$s FOR VALUES FROM (%1$s) TO (%2$s)',
                       bound, bound + width);
        bound := bound + width;
    END LOOP;
END $$
"#;

/// As the writer appends. Words in capitals are filled in.
const INSERT: &str = r#"
WITH head AS (
    UPDATE log_head SET seq = seq + BATCH, at = greatest(at, now()) RETURNING seq - BATCH AS before, at
), company AS (
    SELECT array_agg(id ORDER BY created_at) AS ids
    FROM (SELECT id, created_at FROM companies ORDER BY created_at OFFSET SKIPPED LIMIT COMPANIES) AS chosen
), contact AS (
    SELECT number, gen_random_uuid() AS id, FIRST + number - 1 AS n,
           to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
    FROM generate_series(1, BATCH) AS number
)
INSERT INTO events (seq, company_id, type, id, record_id, source, at, data)
SELECT head.before + number, company.ids[1 + n % COMPANIES], 'contact.created', gen_random_uuid(), contact.id, 'api', head.at,
       format('{"id":"contact_%1$s","name":"Load pPHASE c0 n%2$s t0","firstName":"Load","lastName":"pPHASE c0 n%2$s t0",'
              '"phoneNumber":"+%2$s","email":"john.doe@example.com","position":"Buyer","currentCompany":"Acme",'
              '"industrySector":null,"city":"CITY","country":"France","tags":["lead"],"createdAt":"%3$s","updatedAt":"%3$s"}',
              replace(contact.id::text, '-', ''), n, contact.at)
FROM head, contact, company
"#;

/// Shards that were not offered everything yet.
const BEHIND: &str = "SELECT count(*) FROM shards, log_head WHERE checkpoint < seq";

/// What a subscription wants that wants contacts of a city.
pub fn filters(city: &str) -> Value {
    json!({ "city": city })
}

/// Inserts events. A server that runs must be given time to read them ([`offered`]).
pub async fn insert(database: &Database, events: &Inserted) -> Result<(), Error> {
    let Inserted { phase, count, companies, city } = events;
    database.run(&PARTITIONS.replace("EVENTS", &count.to_string())).await?;
    for first in (0..*count).step_by(BATCH as usize) {
        let filled = [
            ("BATCH", BATCH.min(count - first).to_string()),
            ("FIRST", first.to_string()),
            ("PHASE", phase.to_string()),
            ("CITY", (*city).to_owned()),
            ("SKIPPED", companies.start.to_string()),
            ("COMPANIES", companies.len().to_string()),
        ];
        let insert = filled.iter().fold(INSERT.to_owned(), |sql, (word, value)| sql.replace(word, value));
        database.run(&insert).await?;
    }
    Ok(())
}

/// Waits until the tail has gone past everything.
pub async fn offered(database: &Database) -> Result<(), Error> {
    while database.run(BEHIND).await?.trim() != "0" {
        sleep(LOOK).await;
    }
    Ok(())
}
