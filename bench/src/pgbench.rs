//! The database's own limit: pgbench with the inserts that a create needs, on the same
//! PostgreSQL, into copies of the same tables.

use std::process::Stdio;
use std::time::Duration;

use crate::Error;
use crate::database::Database;

/// Ways to insert a contact and its event.
pub const VARIANTS: [(&str, &str); 3] = [
    ("transaction", "pgbench, BEGIN … COMMIT, a statement each"),
    ("statement", "pgbench, one statement"),
    ("unordered", "pgbench, one statement, numbers from a sequence (no order)"),
];

/// Copies of the tables. Fails if a commit may be lost.
const SETUP: &str = "
SELECT 1 / (current_setting('fsync') = 'on' AND current_setting('synchronous_commit') = 'on'
            AND current_setting('full_page_writes') = 'on')::int;
CREATE SCHEMA bench;
CREATE TABLE bench.companies (LIKE public.companies INCLUDING ALL);
INSERT INTO bench.companies VALUES ('00000000-0000-0000-0000-000000000001', 'Acme', now());
CREATE TABLE bench.contacts (LIKE public.contacts INCLUDING ALL,
    FOREIGN KEY (company_id) REFERENCES bench.companies (id) ON DELETE CASCADE);
CREATE TABLE bench.events (LIKE public.events INCLUDING ALL);
CREATE TABLE bench.log_head (LIKE public.log_head INCLUDING ALL) WITH (fillfactor = 10);
INSERT INTO bench.log_head (seq, at) VALUES (0, now());
CREATE SEQUENCE bench.numbers START 1000000000000;
";

/// Ids and phone numbers grow, as those of the server do.
const KEYS: &str = r"
\set n :n + 1
\set key :base * 1000000000000 + :client_id * 1000000000 + :n
";

const CONTACT: &str = "INSERT INTO contacts (company_id, id, name, first_name, last_name, phone_number, phone_key,
    email, position, current_company, industry_sector, city, country, tags, created_at, updated_at)
VALUES ('00000000-0000-0000-0000-000000000001', lpad(:key::text, 32, '0')::uuid, 'Load p1 c1 n1 t1760000000000000',
    'Load', 'p1 c1 n1 t1760000000000000', :key::text, :key::text, 'john.doe@example.com', 'Buyer', 'Acme', NULL,
    'Paris', 'France', '[\"lead\"]', now(), now())";

/// No word or number follows a colon: pgbench would take it for a variable.
const EVENT: &str = r#"INSERT INTO events (seq, company_id, type, id, record_id, source, at, data)
SELECT head.seq, '00000000-0000-0000-0000-000000000001', 'contact.created', lpad(:key::text, 32, '0')::uuid,
    lpad(:key::text, 32, '0')::uuid, 'api', now(), '{"id":"contact_00000000000000000000000000000001","name":"Load p1 c1 n1 t1760000000000000","firstName":"Load","lastName":"p1 c1 n1 t1760000000000000","phoneNumber":"+0010010000000001","email":"john.doe@example.com","position":"Buyer","currentCompany":"Acme","industrySector": null,"city":"Paris","country":"France","tags":["lead"],"createdAt":"2025-01-01T00.00.00.000Z","updatedAt":"2025-01-01T00.00.00.000Z"}'"#;

const HEAD: &str = "UPDATE log_head SET seq = seq + 1, at = greatest(at, now()) RETURNING seq";

fn script(variant: &str) -> String {
    match variant {
        "transaction" => format!(
            "{KEYS}BEGIN;\n{CONTACT};\n{HEAD} \\gset head_\n{EVENT} FROM (SELECT :head_seq::bigint AS seq) head;\nCOMMIT;\n"
        ),
        "statement" => {
            format!("{KEYS}WITH contact AS ({CONTACT}), head AS ({HEAD})\n{EVENT} FROM head;\n")
        }
        "unordered" => format!(
            "{KEYS}WITH contact AS ({CONTACT})\n{EVENT} FROM (SELECT nextval('numbers') AS seq) head;\n"
        ),
        other => unreachable!("no variant {other}"),
    }
}

/// What pgbench did in some seconds.
pub struct Measured {
    pub per_second: f64,
    /// Of each transaction, in microseconds, sorted.
    pub latencies: Vec<u32>,
}

pub struct Pgbench {
    /// Runs so far: each has keys of its own.
    runs: u32,
}

impl Pgbench {
    /// Makes the tables; `None` if there is no pgbench.
    pub async fn prepare(database: &Database) -> Result<Option<Self>, Error> {
        let mut version = database.command();
        version.args(["pgbench", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        if !version.status().await?.success() {
            return Ok(None);
        }
        std::fs::write(database.dir().join("setup.sql"), SETUP)?;
        for (variant, _) in VARIANTS {
            std::fs::write(database.dir().join(format!("{variant}.sql")), script(variant))?;
        }
        run(database, "setup", &["-t", "1"]).await?;
        Ok(Some(Self { runs: 0 }))
    }

    /// Transactions of so many clients.
    pub async fn measure(
        &mut self,
        database: &Database,
        variant: &str,
        clients: u32,
        pace: Option<f64>,
        time: Duration,
    ) -> Result<Measured, Error> {
        self.runs += 1;
        let threads = clients.min(2).to_string();
        let (clients, time) = (clients.to_string(), time.as_secs().max(1).to_string());
        let base = format!("base={}", self.runs);
        let logs = database.dir().join(format!("pgbench-{}", self.runs));
        std::fs::create_dir(&logs)?;
        let prefix = format!("--log-prefix={}/log", logs.display());
        let mut arguments = vec![
            "-M", "prepared", "-c", &clients, "-j", &threads, "-T", &time, "-D", &base, "-D", "n=0", "-l",
            &prefix,
        ];
        let pace = pace.map(|pace| format!("--rate={pace}"));
        arguments.extend(pace.as_deref());
        let said = run(database, variant, &arguments).await?;
        let per_second =
            said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        let per_second = per_second.ok_or_else(|| format!("pgbench said no tps: {said}"))?;
        let mut latencies = Vec::new();
        for log in std::fs::read_dir(&logs)? {
            latencies.extend(std::fs::read_to_string(log?.path())?.lines().filter_map(latency_in));
        }
        std::fs::remove_dir_all(&logs)?;
        latencies.sort_unstable();
        Ok(Measured { per_second, latencies })
    }
}

async fn run(database: &Database, script: &str, arguments: &[&str]) -> Result<String, Error> {
    let mut command = database.command();
    command.args(["pgbench", "-n"]).args(arguments).arg("-f");
    command.arg(database.dir().join(format!("{script}.sql")));
    let output = command.env("PGOPTIONS", "-c search_path=bench,public").output().await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// A line of the log begins with the client, the transaction, and the time that it took; at a
/// pace, the last field is how much of that it began late.
fn latency_in(line: &str) -> Option<u32> {
    let fields: Vec<u32> = line.split(' ').map_while(|field| field.parse().ok()).collect();
    fields.get(2)?.checked_sub(fields.get(6).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_latencies() {
        assert_eq!(latency_in("0 199 2241 0 1175850568 995598"), Some(2241));
        assert_eq!(latency_in("0 199 2241 0 1175850568 995598 41"), Some(2200));
        assert_eq!(latency_in(""), None);
    }
}
