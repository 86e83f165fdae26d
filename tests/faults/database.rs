//! A PostgreSQL of the suite's own, as durable as the one that `isao serve` runs, to be killed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use embedded_postgres::{Durability, Embedded, Options, Search};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::random::below;

/// A database of one round; [`super::proxy`] takes it from here, too.
pub struct Database {
    pub name: String,
    pub url: String,
}

/// The server, and the directory with its data.
pub struct Cluster {
    data_dir: PathBuf,
    server: Embedded,
}

impl Cluster {
    /// Makes one, or starts the one that is in the directory after it was killed.
    pub fn start(directory: &Path) -> Self {
        let data_dir = directory.join("database");
        let server = Embedded::start(Options {
            data_dir: data_dir.clone(),
            durability: Durability::Full,
            supervisor: env!("CARGO_BIN_EXE_isao").into(),
            search: Search::new(std::env::var_os("PG_BIN_DIR").map(PathBuf::from), std::env::var_os("PATH")),
            cache_dir: Some(env!("CARGO_TARGET_TMPDIR").into()),
            say: Box::new(|_| {}),
        });
        Self { data_dir, server: server.expect("PostgreSQL starts") }
    }

    /// A new database without anything in it.
    pub async fn create(&self, name: &str) -> Database {
        self.execute(format!("CREATE DATABASE {name}")).await;
        Database { name: name.to_owned(), url: self.server.url(name) }
    }

    /// Drops a database, whoever is still connected.
    pub async fn drop(&self, database: &Database) {
        self.execute(format!("DROP DATABASE {} WITH (FORCE)", database.name)).await;
    }

    async fn execute(&self, statement: String) {
        let mut connection = PgConnection::connect(&self.server.url("postgres")).await.unwrap();
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// `kill -9` of the server's first process; the others notice, sooner or later.
    pub fn kill_postmaster(&self) {
        kill_9(self.postmaster());
    }

    /// `kill -9` of one that serves a connection of isao: the server ends all others, and recovers.
    pub fn kill_backend(&self, database: &Database) {
        let output = Command::new("ps").args(["-eo", "pid=,ppid=,args="]).output().unwrap();
        let postmaster = self.postmaster().to_string();
        let backends: Vec<u32> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let pid = words.next()?.parse().ok()?;
                (words.next()? == postmaster && words.any(|word| word == database.name)).then_some(pid)
            })
            .collect();
        kill_9(backends[below(backends.len())]);
    }

    /// `pg_ctl restart -m immediate`: as if the power had failed for a moment.
    pub fn restart_immediately(&self) {
        let pgdata = self.data_dir.join("postgres");
        let owner = fs::metadata(&pgdata).unwrap();
        let mut command = Command::new(self.server.bin_dir().join("pg_ctl"));
        command.args(["restart", "-w", "-s", "-m", "immediate", "-D"]).arg(&pgdata);
        command.arg("-l").arg(pgdata.join("server.log")).current_dir(&self.data_dir);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        // PostgreSQL refuses to be run by root.
        if embedded_postgres::is_root().unwrap() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        assert!(command.status().unwrap().success(), "pg_ctl restarts PostgreSQL");
    }

    fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.data_dir.join("postgres/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }
}

fn kill_9(pid: u32) {
    // It may have ended by itself just now.
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}
