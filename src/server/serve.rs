//! `isao serve`: from the settings to a running server, and to its end.

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::{self, Admin, demo};
use crate::clock::Clock;
use crate::database::source::{self, Database};
use crate::model::ids::Ids;
use crate::outbound::dns::Resolver;
use crate::server::config::Config;
use crate::server::open_files;
use crate::server::{Server, Settings, StartError};

/// The exit code when a second signal ends the server at once: that of a shell for SIGINT.
const INTERRUPTED: i32 = 130;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error(transparent)]
    Database(#[from] source::Error),
    #[error(transparent)]
    Admin(#[from] admin::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot install handlers for SIGINT, SIGTERM and SIGHUP ({0})")]
    Signals(io::Error),
}

/// Runs the server until SIGTERM or Ctrl-C. A second one ends the process at once.
pub async fn serve(config: Config) -> Result<ExitCode, Error> {
    let connections = open_files::raise(config.in_flight);
    let mut signals = Signals::listen().map_err(Error::Signals)?;
    let (mut database, mut server) = tokio::select! {
        started = start(&config, connections) => started?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    tokio::select! {
        () = signals.next() => {}
        part = server.failed() => {
            // Like a crash, which loses nothing; whoever runs it starts it again.
            tracing::error!("{part} ended unexpectedly; the process stops so that it can be started again");
            return Ok(ExitCode::FAILURE);
        }
        never = database.server.keep_up() => match never {},
    }
    tracing::info!(
        "stopping: requests and attempts in flight are finished first; send the signal again to stop at once"
    );
    let stopped = tokio::select! {
        stopped = server.stop() => stopped,
        () = signals.next() => std::process::exit(INTERRUPTED),
    };
    database.pool.close().await;
    tracing::info!("stopped");
    Ok(if stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn start(config: &Config, connections: usize) -> Result<(Database, Server), Error> {
    let database = Database::open(&config.database, Box::new(|line| tracing::info!("{line}"))).await?;
    let admin = Admin { pool: database.pool.clone(), clock: Clock::system(), ids: Ids::default() };
    let key = demo::ensure(&admin, config.demo_key.as_ref(), database.server.data_dir()).await?;
    // A database of our own, and whoever may be behind a proxy is of another company.
    let loopback_for = match database.server.data_dir() {
        Some(_) => demo::company(&admin.pool).await?,
        None => None,
    };
    let server = Server::start(Settings {
        bind: config.bind,
        pool: database.pool.clone(),
        clock: admin.clock.clone(),
        role: config.role,
        tuning: config.tuning(),
        trusted: config.delivery_ca.clone().unwrap_or_default(),
        allow_targets: config.allow_targets.clone(),
        loopback_for,
        connections,
        retention: config.retention,
        resolver: Resolver::system(),
    })
    .await?;
    let address = server.address();
    // Whoever reads this on the machine's own terminal may come in.
    let link = match loopback_for.filter(|_| address.ip().is_loopback()) {
        Some(_) => demo::sign_in_link(&admin).await?,
        None => None,
    };
    tracing::info!(%address, "listening");
    if address.ip().is_loopback() && loopback_for.is_some() {
        tracing::info!(
            "webhooks of the demo company may go to this machine's own services, because the server listens on loopback only; \
             for other companies, name them in ISAO_ALLOW_TARGETS"
        );
    }
    // To stdout, not to the log: it holds a key. Nobody needs to be there to read it.
    let mut stdout = io::stdout();
    let (program, link) = (program(), link.as_deref());
    let welcome = demo::welcome((address, &program), (key.as_ref(), link), admin.clock.now());
    let _ = write!(stdout, "{welcome}");
    let _ = stdout.flush();
    Ok((database, server))
}

/// The name by which this program was started, if a shell takes it as it is.
fn program() -> String {
    let name = std::env::args_os().next().and_then(|name| name.into_string().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    name.filter(|name| !name.is_empty() && name.chars().all(plain)).unwrap_or_else(|| "isao".to_owned())
}

/// SIGTERM and Ctrl-C, and SIGHUP, which would end the process if nobody listened.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop.
    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP is ignored: settings are read at the start only, so restart isao to change them");
                }
            }
        }
    }
}
