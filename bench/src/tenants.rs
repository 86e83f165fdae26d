//! Companies with a key and subscriptions each, inserted at once while no server runs: the next
//! one reads them when it starts.

use std::net::SocketAddr;

use crate::database::Database;
use crate::receiver::PER_COMPANY;
use crate::{Error, delivery};

/// Where the contacts of all loads live.
pub const CITY: &str = "Paris";
/// Subscriptions of each company that want contacts from there; more of them want others.
pub const WANTING: u32 = 10;

/// As `isao companies create` and `isao keys create` do it. Words in capitals are filled in.
const COMPANIES: &str = "
WITH made AS (
    INSERT INTO companies (id, name, created_at)
    SELECT gen_random_uuid(), 'Tenant ' || number, clock_timestamp() + number * interval '1 us'
    FROM generate_series(1, COUNT) AS number
    WHERE NOT EXISTS (SELECT FROM companies WHERE name LIKE 'Tenant %')
    RETURNING id, substr(name, 8)::int AS number, created_at
)
INSERT INTO api_keys (id, company_id, name, service_type, permissions, hash, hint, created_at)
SELECT gen_random_uuid(), made.id, 'load', 'generic', (SELECT permissions FROM api_keys LIMIT 1),
       sha256(('ck_' || lpad(to_hex(number), 64, '0'))::bytea), 'ck_…', created_at
FROM made
";

/// As the writer does it, but for the version: all of them are one change. Those before go.
const SUBSCRIPTIONS: &str = r#"
DELETE FROM subscriptions;
UPDATE subscription_version SET version = version + 1;
WITH made AS (
    INSERT INTO subscriptions (company_id, id, events, target_url, filters, secret, status, loopback,
                               created_at, updated_at, version)
    SELECT company.id, gen_random_uuid(), 'contact.created',
           format('http://ADDRESS/any/%s', (company.number - 1) * PER_COMPANY + nth),
           format('{"city":"%s"}', CASE WHEN nth <= WANTING THEN 'CITY' ELSE 'Nice' END),
           'SECRET', 'active', true, now(), now(), version
    FROM (SELECT id, substr(name, 8)::int AS number FROM companies WHERE name LIKE 'Tenant %') AS company,
         generate_series(1, EACH) AS nth, subscription_version
    RETURNING company_id, id, target_url
)
INSERT INTO cursors (company_id, subscription_id, seq, lagging, shard)
SELECT company_id, id, log_head.seq, LAGGING, endpoint_shard(company_id, target_url) FROM made, log_head
"#;

/// What is in the log was offered to everybody.
const OFFERED: &str = "UPDATE shards SET checkpoint = seq FROM log_head";

/// Makes companies, unless they are there; they come after the one that the server makes by itself.
pub async fn make(database: &Database, count: u32) -> Result<(), Error> {
    database.run(&COMPANIES.replace("COUNT", &count.to_string())).await.map(drop)
}

/// Their keys.
pub fn authorizations(count: u32) -> Vec<String> {
    (1..=count).map(|number| format!("Bearer ck_{number:064x}")).collect()
}

/// Gives each company so many subscriptions, instead of all there were. Those that lag have yet
/// to read what is inserted from now on; others begin where the log ends when the server starts.
pub async fn subscribe(
    database: &Database,
    receiver: SocketAddr,
    each: u32,
    lagging: bool,
) -> Result<(), Error> {
    let filled = [
        ("ADDRESS", receiver.to_string()),
        ("PER_COMPANY", PER_COMPANY.to_string()),
        ("WANTING", WANTING.to_string()),
        ("CITY", CITY.to_owned()),
        ("SECRET", delivery::secret()),
        ("EACH", each.to_string()),
        ("LAGGING", lagging.to_string()),
    ];
    let sql = filled.iter().fold(SUBSCRIPTIONS.to_owned(), |sql, (word, value)| sql.replace(word, value));
    database.run(&sql).await.map(drop)
}

/// Leaves the database as it is after some quiet minutes: the log read, nothing to vacuum or to
/// write out.
pub async fn settle(database: &Database) -> Result<(), Error> {
    for statement in [OFFERED, "VACUUM (ANALYZE)", "CHECKPOINT"] {
        database.run(statement).await?;
    }
    Ok(())
}
