//! The `isao` binary: parse, trace, run.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

/// Each delivery allocates a good deal. The C library's allocator is slow at what is not tiny, and
/// keeps what a crowd of connections took once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = isao::cli::parse();
    trace(cli.log);
    isao::cli::run(cli.command).unwrap_or_else(|error| {
        eprintln!("isao: {}", isao::cli::print::shown(&error.to_string()));
        ExitCode::FAILURE
    })
}

/// Logs to stderr: for a person at a terminal, as JSON for programs elsewhere.
fn trace(filter: Targets) {
    let (registry, lines) = (registry().with(filter), fmt::layer().with_writer(io::stderr));
    if io::stderr().is_terminal() { registry.with(lines).init() } else { registry.with(lines.json()).init() }
}
