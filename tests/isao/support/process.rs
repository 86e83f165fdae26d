//! The real binary, to be killed.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::PATIENCE;
use super::database::Database;

/// A server in a process of its own.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
}

impl Process {
    /// Starts one on the database; answers when it listens.
    pub async fn serve(database: &Database) -> Self {
        Self::with("DATABASE_URL", &database.url).await
    }

    /// Starts one where another one was.
    pub async fn at(database: &Database, address: SocketAddr) -> Self {
        Self::start_at(address, &[("DATABASE_URL", database.url.as_ref())]).await
    }

    /// Starts one whose lease is so long.
    pub async fn with_lease(database: &Database, lease: &str) -> Self {
        Self::start(&[("DATABASE_URL", database.url.as_ref()), ("ISAO_LEASE", lease.as_ref())]).await
    }

    /// Starts one with this setting.
    pub async fn with(name: &str, value: impl AsRef<OsStr>) -> Self {
        Self::start(&[(name, value.as_ref())]).await
    }

    async fn start(settings: &[(&str, &OsStr)]) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), settings).await
    }

    async fn start_at(address: SocketAddr, settings: &[(&str, &OsStr)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_isao"))
            .args(["serve", "--bind", &address.to_string()])
            .envs(settings.iter().copied())
            .env("ISAO_LOG", "info")
            .env("ISAO_ALLOW_TARGETS", "127.0.0.1")
            .env("ISAO_RETRY_DELAYS", "200ms,200ms,200ms")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            loop {
                let line = log.next_line().await.unwrap().expect("the server listens");
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if line["fields"]["message"] == "listening" {
                    return line["fields"]["address"].as_str().unwrap().parse().unwrap();
                }
            }
        };
        let address = timeout(PATIENCE, listening).await.expect("the server starts in time");
        // Somebody has to read on, or it would wait for room in the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { address, child }
    }

    /// `kill -9`: it can do nothing about it.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal by its name.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("the server ends in time").unwrap()
    }
}
