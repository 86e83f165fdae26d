//! Measures isao, and in the same run what the machine could do at best.
//!
//! Three kinds of processes: this one makes the load; the server under test runs with a
//! database that is thrown away; and receivers, this program again, take deliveries.

mod backlog;
mod bad_receivers;
mod bare;
mod client;
mod database;
mod delivery;
mod growth;
mod isolation;
mod load;
mod parts;
mod pgbench;
mod phases;
mod pressure;
mod proc;
mod receiver;
mod receivers;
mod report;
mod server;
mod targets;
mod tenants;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use database::Database;
use pgbench::Pgbench;
use phases::Phases;
use receivers::Receiver;
use report::{Figures, Report};
use server::Server;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Measures isao beside the machine's own limits, and prints a table in Markdown.
#[derive(Parser)]
struct Arguments {
    /// Half a minute instead of a few: enough to see that everything works
    #[arg(long)]
    quick: bool,
    /// One part alone, and all of it; takes some minutes
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// How often everything is measured; the table shows medians [default: 3, and 1 of a part
    /// alone and of a quick run]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
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
    /// Take deliveries badly
    #[command(hide = true)]
    BadReceivers,
}

/// A part that can be measured by itself.
#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Good receivers beside bad ones, of all kinds and of each
    BadReceivers,
    /// A million events that wait for one subscription
    Backlog,
    /// Many subscriptions, a long log, others that lag, and a transaction that stays open
    Growth,
    /// Far more writers than the server takes on
    Pressure,
}

/// How much of everything.
#[derive(Clone, Copy)]
pub struct Scale {
    rounds: u32,
    /// Of each load.
    time: Duration,
    /// Records to deliver.
    creates: u64,
    /// Of deliveries to a receiver that thinks.
    thinking: Duration,
    /// Of the load at an easy pace.
    latency: Duration,
    /// Of the same in a part that is measured by itself.
    look: Duration,
    /// Of the same beside bad receivers of all kinds: longer than an attempt and its first
    /// retries, so that they come back.
    long_look: Duration,
    /// Events that wait for one subscription.
    backlog: u64,
    growth: growth::Scale,
    /// Of too many writers.
    pressure: Duration,
}

const WHOLE: Scale = Scale {
    rounds: 3,
    time: Duration::from_secs(3),
    creates: 12_000,
    thinking: Duration::from_secs(10),
    latency: Duration::from_secs(10),
    look: Duration::from_secs(30),
    long_look: Duration::from_secs(60),
    backlog: 1_000_000,
    growth: growth::WHOLE,
    pressure: Duration::from_secs(60),
};
const QUICK: Scale = Scale {
    rounds: 1,
    time: Duration::from_secs(1),
    creates: 2_000,
    thinking: Duration::from_secs(3),
    latency: Duration::from_secs(3),
    look: Duration::from_secs(3),
    long_look: Duration::from_secs(6),
    backlog: 20_000,
    growth: growth::QUICK,
    pressure: Duration::from_secs(5),
};

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
    match arguments.role {
        Some(Role::Receiver) => return receiver::run().await,
        Some(Role::BadReceivers) => return bad_receivers::run().await,
        None => {}
    }
    let scale = if arguments.quick { QUICK } else { WHOLE };
    let program = match arguments.server {
        Some(program) => program,
        None => server::build().await?,
    };
    let data_dir = std::env::temp_dir().join(format!("isao-bench-{}", std::process::id()));
    let server = Server::start(Database::new(program, data_dir)).await?;
    let mut phases = Phases {
        server,
        receiver: Receiver::start().await?,
        pgbench: None,
        scale,
        phase: 0,
        contacts: Arc::default(),
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let measured = tokio::select! {
        measured = measure(&mut phases, (arguments.only, arguments.rounds)) => measured,
        _ = terminated.recv() => Err("stopped".into()),
        _ = interrupted.recv() => Err("stopped".into()),
    };
    let stopped = phases.server.stop().await;
    println!("{}", measured?);
    stopped
}

async fn measure(phases: &mut Phases, arguments: (Option<Part>, Option<u32>)) -> Result<String, Error> {
    let (only, rounds) = arguments;
    let (started, load) = (Instant::now(), proc::load());
    let (idle, _) = proc::memory(phases.server.pid);
    if only.is_none() {
        phases.pgbench = Pgbench::prepare(&phases.server.database).await?;
        if phases.pgbench.is_none() {
            eprintln!("There is no pgbench: the database's own limit is left out.");
        }
    }
    phases.warm_up().await?;
    let count = rounds.unwrap_or(if only.is_some() { 1 } else { phases.scale.rounds });
    let mut rounds = match only {
        // What grew cannot be made small again: it goes its rounds at each size.
        Some(Part::Growth) => phases.growth(&phases.scale.growth.clone(), count).await?,
        _ => Vec::new(),
    };
    while rounds.len() < count as usize {
        eprintln!("round {} of {count}", rounds.len() + 1);
        rounds.push(match only {
            Some(part) => measure_part(phases, part).await?,
            None => phases.round().await?,
        });
    }
    let (end, most) = proc::memory(phases.server.pid);
    for figures in &mut rounds {
        figures.set("memory idle", idle);
        figures.set("memory end", end);
        figures.set("memory most", most);
    }
    let report = Report(&rounds);
    let table = match only {
        None => format!("{}\n{}", report.targets(), report.table()),
        Some(Part::BadReceivers | Part::Backlog) => report.isolation(),
        Some(Part::Growth) => report.growth(),
        Some(Part::Pressure) => report.pressure(),
    };
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{}, {cores} cores, load before {load}; fsync on; medians of {count} rounds, {:.0} s\n\n{table}",
        proc::processor(),
        started.elapsed().as_secs_f64(),
    ))
}

async fn measure_part(phases: &mut Phases, part: Part) -> Result<Figures, Error> {
    let mut figures = Figures::default();
    let Scale { look, long_look, backlog, .. } = phases.scale;
    match part {
        Part::BadReceivers => {
            phases.beside_bad_ones(&mut figures, (look, long_look)).await?;
            phases.beside_each_kind(&mut figures, look).await?;
        }
        Part::Backlog => phases.long_backlog(&mut figures, backlog, look).await?,
        Part::Growth => return Err("growth goes its own rounds".into()),
        Part::Pressure => phases.pressure(&mut figures).await?,
    }
    Ok(figures)
}
