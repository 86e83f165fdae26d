//! Measures isao, and in the same run what the machine could do at best.
//!
//! Three kinds of processes: this one makes the load; the server under test runs with a
//! database that is thrown away; and the receiver, this program again, takes deliveries.

mod client;
mod delivery;
mod load;
mod pgbench;
mod phases;
mod proc;
mod receiver;
mod report;
mod server;

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use pgbench::Pgbench;
use phases::Phases;
use report::Report;
use server::Server;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Measures isao beside the machine's own limits, and prints a table in Markdown.
#[derive(Parser)]
struct Arguments {
    /// Half a minute instead of a few: enough to see that everything works
    #[arg(long)]
    quick: bool,
    /// The server's program; without it, it is built
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Take deliveries; started by the program itself
    #[command(hide = true)]
    Receiver,
}

/// How much of everything.
#[derive(Clone, Copy)]
pub struct Scale {
    rounds: u32,
    /// Of each load.
    time: Duration,
    /// Records to deliver.
    creates: u64,
    /// Of the load at an easy pace.
    latency: Duration,
}

const WHOLE: Scale =
    Scale { rounds: 3, time: Duration::from_secs(3), creates: 12_000, latency: Duration::from_secs(10) };
const QUICK: Scale =
    Scale { rounds: 1, time: Duration::from_secs(1), creates: 2_000, latency: Duration::from_secs(3) };

fn main() -> ExitCode {
    // One thread makes more load than the server takes (the table shows it), and leaves it the others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Error::from).and_then(|runtime| runtime.block_on(run(Arguments::parse())));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isao-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    if let Some(Role::Receiver) = arguments.role {
        return receiver::run().await;
    }
    let scale = if arguments.quick { QUICK } else { WHOLE };
    let program = match arguments.server {
        Some(program) => program,
        None => server::build().await?,
    };
    let data_dir = std::env::temp_dir().join(format!("isao-bench-{}", std::process::id()));
    let server = Server::start(program, data_dir).await?;
    let (mut child, receiver) = start_receiver().await?;
    let mut phases = Phases {
        server,
        receiver,
        receiver_pid: child.id().ok_or("the receiver is gone")?,
        pgbench: None,
        scale,
        phase: 0,
        contacts: Arc::default(),
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let measured = tokio::select! {
        measured = measure(&mut phases) => measured,
        _ = terminated.recv() => Err("stopped".into()),
        _ = interrupted.recv() => Err("stopped".into()),
    };
    drop(child.stdin.take());
    let stopped = phases.server.stop().await;
    println!("{}", measured?);
    stopped
}

async fn start_receiver() -> Result<(Child, std::net::SocketAddr), Error> {
    let mut receiver = Command::new(std::env::current_exe()?);
    receiver.arg("receiver").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = receiver.spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("the receiver has no output")?).lines();
    let address = lines.next_line().await?.ok_or("the receiver ended")?.parse()?;
    Ok((child, address))
}

async fn measure(phases: &mut Phases) -> Result<String, Error> {
    let (started, load) = (Instant::now(), proc::load());
    let (idle, _) = proc::memory(phases.server.pid);
    phases.pgbench = Pgbench::prepare(&phases.server).await?;
    if phases.pgbench.is_none() {
        eprintln!("There is no pgbench: the database's own limit is left out.");
    }
    phases.warm_up().await?;
    let mut rounds = Vec::new();
    for round in 1..=phases.scale.rounds {
        eprintln!("round {round} of {}", phases.scale.rounds);
        let mut figures = phases.round().await?;
        figures.set("memory idle", idle);
        figures.set("memory most", proc::memory(phases.server.pid).1);
        rounds.push(figures);
    }
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{}, {cores} cores, load before {load}; fsync on; medians of {} rounds, {:.0} s\n\n{}",
        proc::processor(),
        phases.scale.rounds,
        started.elapsed().as_secs_f64(),
        Report(&rounds).table()
    ))
}
