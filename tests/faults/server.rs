//! The servers under test: real processes, or inside this one where the clock is the fault.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use isao::clock::Clock;
use isao::database::postgres;
use isao::delivery::Tuning;
use isao::model::duration::format_duration;
use isao::outbound::client::TrustedCas;
use isao::server::{Role, Server, Settings};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use super::{DEGRADED_PAUSE, LEASE, RETRY_DELAYS, eventually};

/// Shorter than the furthest jump of a clock.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// `isao serve` in a process of its own.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
    /// A log that nobody reads.
    unread: Option<Lines<BufReader<ChildStderr>>>,
}

impl Process {
    /// Starts one on the database; answers when it listens. Its log goes to a file.
    pub async fn serve(database_url: &str, log: PathBuf) -> Self {
        let child = Self::command(database_url).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let address = eventually(&format!("a server listens ({})", log.display()), async || {
            std::fs::read_to_string(&log).unwrap().lines().find_map(listening)
        })
        .await;
        Self { address, child, unread: None }
    }

    /// Starts one that logs a lot, and whose log nobody reads once it listens.
    pub async fn serve_unread(database_url: &str) -> Self {
        let mut child =
            Self::command(database_url).env("ISAO_LOG", "debug").stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = log.next_line().await.unwrap().expect("the server listens");
            if let Some(address) = listening(&line) {
                break address;
            }
        };
        Self { address, child, unread: Some(log) }
    }

    /// From now on its stderr is a broken pipe.
    pub fn close_log(&mut self) {
        self.unread = None;
    }

    fn command(database_url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isao"));
        command
            .args(["serve", "--bind", "127.0.0.1:0"])
            .env("DATABASE_URL", database_url)
            .env("ISAO_LOG", "info")
            .env("ISAO_ALLOW_TARGETS", "127.0.0.1")
            .env("ISAO_RETRY_DELAYS", RETRY_DELAYS)
            .env("ISAO_LEASE", format_duration(LEASE))
            .env("ISAO_DEGRADED_PAUSE", format_duration(DEGRADED_PAUSE))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// `kill -9`: it can do nothing about it.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops it in its tracks.
    pub async fn freeze(&self) {
        self.signal("STOP").await;
    }

    /// Lets it go on.
    pub async fn thaw(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap();
        assert!(sent.success());
    }
}

/// The address, if the line of a log says that a server listens.
fn listening(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let listening = line["fields"]["message"] == "listening";
    listening.then(|| line["fields"]["address"].as_str().unwrap().parse().unwrap())
}

/// A server in this process, with a clock that can be set wrong.
pub async fn in_process(database_url: &str, clock: Clock) -> Server {
    Server::start(Settings {
        bind: "127.0.0.1:0".parse().unwrap(),
        pool: postgres::open(database_url).await.unwrap(),
        clock,
        role: Role::All,
        tuning: Tuning {
            retry_delays: RETRY_DELAYS.parse().unwrap(),
            lease: LEASE,
            degraded_pause: DEGRADED_PAUSE,
            ..Tuning::default()
        },
        trusted: TrustedCas::default(),
        allow_targets: "127.0.0.1".parse().unwrap(),
        loopback_for: None,
        connections: 1024,
        retention: RETENTION,
        resolver: isao::outbound::dns::Resolver::asking(&[]),
    })
    .await
    .unwrap()
}

/// Sends what the servers in this process log to a file.
pub fn log_to(path: &Path) {
    let filter: Targets = "info,sqlx=warn".parse().unwrap();
    let lines = fmt::layer().json().with_writer(std::sync::Mutex::new(File::create(path).unwrap()));
    registry().with(filter).with(lines).init();
}
