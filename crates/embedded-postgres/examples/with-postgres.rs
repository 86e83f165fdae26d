//! Runs a command with a PostgreSQL of its own: `with-postgres <data directory> <command> …`.
//!
//! The command finds the server by `DATABASE_URL`, `PGHOST` and `PGUSER`. `scripts/sqlx-prepare`
//! uses this, because it works also while the queries of isao do not compile.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use embedded_postgres::{Durability, Embedded, Options, SUBCOMMAND, Search, supervise};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [first, data_dir] if first == SUBCOMMAND => {
            supervise(Path::new(data_dir)).map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string())
        }
        [data_dir, program, rest @ ..] => run(data_dir.into(), Command::new(program).args(rest)),
        _ => Err("usage: with-postgres <data directory> <command> …".to_owned()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("with-postgres: {error}");
        ExitCode::FAILURE
    })
}

fn run(data_dir: PathBuf, command: &mut Command) -> Result<ExitCode, String> {
    let server = Embedded::start(Options {
        data_dir,
        durability: Durability::Throwaway,
        supervisor: env::current_exe().map_err(|error| error.to_string())?,
        search: Search::new(env::var_os("PG_BIN_DIR").map(Into::into), env::var_os("PATH")),
        cache_dir: None,
        say: Box::new(|line| eprintln!("{line}")),
    })
    .map_err(|error| error.to_string())?;
    let status = command
        .env("DATABASE_URL", server.url("postgres"))
        .env("PGHOST", server.socket_dir())
        .env("PGUSER", "postgres")
        .status()
        .map_err(|error| format!("the command could not be run ({error})"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
