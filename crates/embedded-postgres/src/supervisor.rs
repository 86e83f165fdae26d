//! The supervisor: a process that waits for the last holder to go, and then stops the server.

use std::fs::TryLockError;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::cluster::Cluster;
use super::error::Error;
use super::locks;

/// The hidden subcommand that [`supervise`] is the body of.
pub const SUBCOMMAND: &str = "postgres-supervisor";

/// How long the server stays without holders: time enough for a restart, or
/// for the next run of the tests to begin.
const LINGER: Duration = Duration::from_secs(3);

/// What a supervisor says once it watches.
const WATCHING: &str = "watching";

/// Sees to it that a supervisor watches.
///
/// For holders of the start lock and of the life lock: a supervisor ends
/// under the former, and not before the latter is free.
pub(super) fn ensure(cluster: &Cluster, program: &Path) -> Result<(), Error> {
    let watch = locks::open(cluster.data_dir(), locks::SUPERVISOR)?;
    match watch.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(()),
        tried => drop(tried),
    }
    drop(watch);

    let failed = |because: String| Error::Supervisor { program: program.into(), because };
    // A process group of its own: Ctrl-C on the terminal is not for it.
    let mut child = Command::new(program)
        .arg(SUBCOMMAND)
        .arg(cluster.data_dir())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).map_err(|error| failed(error.to_string()))?;
    }
    if said.trim() == WATCHING {
        return Ok(());
    }
    let _ = child.kill();
    let because = match child.wait() {
        Ok(status) => format!("it does not watch but ended with {status}"),
        Err(error) => error.to_string(),
    };
    Err(failed(because))
}

/// Watches over the server on `data_dir` until it has no holders, and stops
/// it. Blocks for as long as that takes.
///
/// # Errors
/// When the data directory cannot be used, or the server does not stop.
pub fn supervise(data_dir: &Path) -> Result<(), Error> {
    let cluster = Cluster::open(data_dir)?;
    let open = |name| locks::open(cluster.data_dir(), name);
    let (watch, life, start) = (open(locks::SUPERVISOR)?, open(locks::LIFE)?, open(locks::START)?);
    let broken = |error| Error::at(cluster.data_dir())(error);

    // One is enough; who started this one learns from its silence that it has to ask again.
    watch.try_lock().map_err(|error| broken(error.into()))?;
    // Nobody is left to read it? Then the life lock is about to be free.
    let _ = writeln!(std::io::stdout(), "{WATCHING}");

    loop {
        // Exclusive, so it waits for all who share it, however they end.
        life.lock().and_then(|()| life.unlock()).map_err(broken)?;
        std::thread::sleep(LINGER);

        // Who comes now waits for the start lock, and finds either the server
        // as it was or no server and no supervisor.
        start.lock().map_err(broken)?;
        match life.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => start.unlock().map_err(broken)?,
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
    }
    let stopped = cluster.stop();
    drop(life);
    drop(watch);
    drop(start);
    stopped
}
