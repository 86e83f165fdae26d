//! The database that is measured on, beside the server: its programs, and statements of our own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::Error;

/// What psql is asked for: nothing but rows, and to end at the first error.
const PSQL: [&str; 4] = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"];

/// So many warnings are enough to see what is wrong.
const WARNINGS: usize = 20;

/// Where it is, and by which program it is found.
#[derive(Clone)]
pub struct Database {
    program: PathBuf,
    dir: PathBuf,
}

/// A transaction that sees the database as it was when it began, and by that keeps all row
/// versions since; it ends with this.
pub struct Snapshot(Child);

impl Database {
    pub fn new(program: PathBuf, dir: PathBuf) -> Self {
        Self { program, dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the server writes what it warns of.
    pub fn warnings(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    /// Shows what it warned of, but for the requests that it refused: these are counted.
    pub fn tell_warnings(&self) -> Result<(), Error> {
        let warnings = std::fs::read_to_string(self.warnings())?;
        for warning in warnings.lines().filter(|line| !line.contains(r#""status":503"#)).take(WARNINGS) {
            eprintln!("{warning}");
        }
        Ok(std::fs::remove_file(self.warnings())?)
    }

    /// `isao …`, kept away from any database but this one.
    pub fn isao(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let settings = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ISAO_"));
        for (name, _) in settings {
            command.env_remove(name);
        }
        command.args(arguments).arg("--data-dir").arg(&self.dir);
        command
            .env_remove("DATABASE_URL")
            .env("ISAO_LOG", "warn")
            .env("ISAO_ALLOW_TARGETS", "127.0.0.1")
            .kill_on_drop(true);
        command
    }

    /// `isao database -- …`
    pub fn command(&self) -> Command {
        let mut command = self.isao(&["database"]);
        command.arg("--");
        command
    }

    /// Carries out statements, in one transaction; the rows of the last one.
    pub async fn run(&self, sql: &str) -> Result<String, Error> {
        let output = self.command().args(PSQL).args(["-c", sql]).stdin(Stdio::null()).output().await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    /// Opens a transaction that stays open.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let mut command = self.command();
        let mut child = command.args(PSQL).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = child.stdin.as_mut().zip(child.stdout.take()).ok_or("psql has no input")?;
        stdin.write_all(b"BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT seq FROM log_head;\n").await?;
        let seen = BufReader::new(stdout).lines().next_line().await?;
        seen.ok_or("psql ended before it had a snapshot")?;
        Ok(Snapshot(child))
    }
}

impl Snapshot {
    pub async fn end(mut self) -> Result<(), Error> {
        drop(self.0.stdin.take());
        self.0.wait().await?;
        Ok(())
    }
}
