//! The `isao` binary: parse, trace, run.

use std::io::{self, Write as _};
use std::process::ExitCode;

use isao::diagnostics;

/// Each delivery allocates a good deal. The C library's allocator is slow at what is not tiny, and
/// keeps what a crowd of connections took once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = isao::cli::parse();
    let log = diagnostics::start(cli.log);
    let ended = isao::cli::run(cli.command);
    // What was logged comes first.
    drop(log);
    ended.unwrap_or_else(|error| {
        // Nobody may be there to read it.
        let _ = writeln!(io::stderr(), "isao: {}", isao::cli::print::shown(&error.to_string()));
        ExitCode::FAILURE
    })
}
