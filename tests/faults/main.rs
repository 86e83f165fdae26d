//! The fault suite: servers and databases are killed, frozen, cut off and misled while workers
//! write and receivers listen. Afterwards the log tells what should have arrived, where, and in
//! which order.
//!
//! `cargo test` runs one round of each fault, `cargo test --test faults -- --rounds 20` more of
//! them, and with longer outages; `--only FAULT` picks one. Nothing may be lost or out of order,
//! and nothing may arrive twice but around a fault. What a failed round leaves behind (the logs of
//! the servers, the database) is kept, and it says where.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests may, and clippy does not take their helpers for tests"
)]

mod arguments;
mod check;
mod database;
mod fault;
mod load;
#[expect(dead_code, reason = "it can also cut a connection at a statement, which is not done here")]
#[path = "../isao/support/proxy.rs"]
mod proxy;
mod random;
mod receiver;
mod report;
mod round;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use arguments::{Arguments, Wish};
use database::Cluster;
use report::Report;
use round::Round;

/// `ISAO_LEASE` of the servers: how long one may be silent before others deliver in its place.
/// Short, so that a server that is frozen loses it soon.
const LEASE: Duration = Duration::from_secs(2);

/// `ISAO_RETRY_DELAYS` of the servers: short, so that unreliable receivers keep up.
const RETRY_DELAYS: &str = "20ms,40ms,80ms";

/// `ISAO_DEGRADED_PAUSE` of the servers: short, since unreliable receivers give some events up.
const DEGRADED_PAUSE: Duration = Duration::from_millis(20);

/// For whatever has to happen in the end: generous, since machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments = match arguments::read(std::env::args().skip(1)) {
        Ok(Wish::Run(arguments)) => arguments,
        Ok(Wish::Nothing) => return ExitCode::SUCCESS,
        Ok(Wish::List { names }) => {
            print!("{names}");
            return ExitCode::SUCCESS;
        }
        Err(sentence) => {
            eprintln!("faults: {sentence}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let well = runtime.block_on(run(&arguments));
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every round; true if all went well.
async fn run(arguments: &Arguments) -> bool {
    let directory = std::env::temp_dir().join(format!("isao-faults-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    server::log_to(&directory.join("in-process.log"));
    let mut cluster = tokio::task::block_in_place(|| Cluster::start(&directory));
    let mut report = Report::default();
    for number in 1..=arguments.rounds {
        for fault in &arguments.faults {
            let name = format!("{}_{number}", fault.name().replace('-', "_"));
            println!("{}, round {number}: {}", fault.name(), fault.about());
            let mut round = Round::start(&mut cluster, &directory, name, *fault).await;
            fault.strike(&mut round, arguments.away).await;
            report.add(*fault, round.end().await);
        }
    }
    println!("\n{report}");
    let well = report.is_well();
    if well {
        drop(cluster);
        let _ = std::fs::remove_dir_all(&directory);
    } else {
        println!("logs and databases are kept in {}", directory.display());
    }
    well
}

/// Waits until `check` answers something.
async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let started = tokio::time::Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
