//! `isao database`

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use clap::Args;
use percent_encoding::percent_decode_str;
use sqlx::postgres::PgConnectOptions;
use tokio::process;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use super::{Error, print};
use crate::database::DatabaseConfig;
use crate::database::source::Server;

/// As shells have it: a command that signal n ended gives 128 + n.
const ENDED_BY_SIGNAL: i32 = 128;

/// The database's address, or a command to run on it.
#[derive(Args)]
#[command(after_help = "Examples:
  isao database -- psql                      look around
  isao database -- pg_dump -Fc -f isao.dump  back it up
  isao database                              print the address

The command finds the database by DATABASE_URL and, as PostgreSQL's own programs do, by PGHOST, \
PGPORT, PGUSER, PGPASSWORD and PGDATABASE. isao's own PostgreSQL runs for as long as the command \
does; after the address alone was printed, it stops within seconds unless a server uses it.")]
pub struct Command {
    /// A command to run on the database, and its arguments
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    #[command(flatten)]
    database: DatabaseConfig,
}

impl Command {
    /// Does it. Gives the command's exit code.
    pub async fn run(self) -> Result<ExitCode, Error> {
        let server = Server::start(&self.database, Box::new(|line| tracing::info!("{line}"))).await?;
        let Some((program, args)) = self.command.split_first() else {
            print::text(&format!("{}\n", server.url()))?;
            return Ok(ExitCode::SUCCESS);
        };
        let failed = |cause| Error::Run { command: program.display().to_string(), cause };
        // Ctrl-C is for the command alone (psql cancels a query by it): with a listener, even
        // one that nobody asks, it does not end this process.
        let _interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut command = process::Command::new(program);
        command.args(args).envs(environment(server.url())?);
        if let Some(path) = server.bin_dir().and_then(search_first) {
            command.env("PATH", path);
        }
        let status = command.status().await.map_err(failed)?;
        Ok(exit_code(status))
    }
}

/// The environment by which PostgreSQL's programs find the database.
fn environment(url: &str) -> Result<Vec<(&'static str, String)>, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let host = match options.get_socket() {
        Some(directory) => directory.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let mut variables = vec![
        ("DATABASE_URL", url.to_owned()),
        ("PGHOST", host),
        ("PGPORT", options.get_port().to_string()),
        ("PGUSER", options.get_username().to_owned()),
    ];
    variables.extend(options.get_database().map(|name| ("PGDATABASE", name.to_owned())));
    let parsed = Url::parse(url).ok();
    if let Some(password) = parsed.as_ref().and_then(Url::password) {
        variables.push(("PGPASSWORD", percent_decode_str(password).decode_utf8_lossy().into_owned()));
    }
    Ok(variables)
}

/// `PATH` with one more directory, in front: a dump wants the `pg_dump` of the server's version.
fn search_first(directory: &Path) -> Option<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let rest = std::env::split_paths(OsStr::new(&path));
    std::env::join_paths(std::iter::once(directory.to_path_buf()).chain(rest)).ok()
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| Some(ENDED_BY_SIGNAL + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_programs_are_told_where_the_database_is() {
        let variables = environment("postgres://ann:p%40ss+word@db.example:5433/crm").unwrap();
        for (name, value) in [
            ("PGHOST", "db.example"),
            ("PGPORT", "5433"),
            ("PGUSER", "ann"),
            ("PGPASSWORD", "p@ss+word"),
            ("PGDATABASE", "crm"),
        ] {
            assert!(variables.contains(&(name, value.to_owned())), "{name}");
        }
        let variables = environment("postgres://postgres@localhost:5432/isao?host=%2Ftmp%2Fisao-1").unwrap();
        assert!(variables.contains(&("PGHOST", "/tmp/isao-1".to_owned())));
        assert!(!variables.iter().any(|(name, _)| *name == "PGPASSWORD"));
    }
}
