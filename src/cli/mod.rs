//! The command line: what can be asked for, and who answers.

pub mod companies;
pub mod database;
pub mod keys;
pub mod listen;
pub mod members;
pub mod print;
pub mod transfer;
mod usage;
pub mod users;
mod values;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::filter::Targets;

use crate::admin::{self, Admin};
use crate::clock::Clock;
use crate::database::DatabaseConfig;
use crate::database::source::{self, Database};
use crate::model::ids::{Ids, KeyId};
use crate::server::config::Config;
use crate::server::{serve, threads};

pub use usage::parse;

/// For an option that every command has: after those that make it what it is.
const AT_THE_END: usize = 500;

/// A self-hosted CRM event server: contacts and deals over REST, and every change to every
/// subscriber, signed, in order, at least once.
///
/// Begin with `isao serve`: it brings its own database and prints what to try first. `isao listen`,
/// `isao trigger`, `isao import` and `isao export` speak to any server. The other commands work on the database, also while the server runs. Every setting can be given
/// as a flag or as an environment variable; a flag takes precedence.
#[derive(Parser)]
#[command(name = "isao", version, max_term_width = 100)]
pub struct Cli {
    /// What is logged to stderr: a level, or levels by module, such as info,isao::delivery=debug
    #[arg(
        long, env = "ISAO_LOG", value_name = "FILTER", global = true,
        display_order = AT_THE_END, default_value = "info,sqlx=warn",
        value_parser = values::log_filter
    )]
    pub log: Targets,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What there is to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Box<Config>),
    /// Show events as they happen, or forward them to a URL, signed, as webhooks
    ///
    /// It needs no subscription, no tunnel and no public address: it reads the feed of the server (GET
    /// /api/external/events/stream), in order and without gaps. It keeps its place: after a crash, a
    /// restart or a night's sleep it goes on where it was.
    Listen(Box<listen::Command>),
    /// Send a test event to subscriptions or to a URL
    ///
    /// The record is invented, nothing is written, and the request says so with the header X-ISAO-Test. A
    /// test is one attempt, which is not recorded.
    Trigger(Box<listen::Trigger>),
    /// Create contacts or deals from a CSV file
    Import(Box<transfer::Import>),
    /// Write contacts, deals or events to a CSV or JSON Lines file
    Export(Box<transfer::Export>),
    /// Companies: the tenants, each with its own keys and records
    #[command(subcommand)]
    Companies(companies::Command),
    /// API keys, with which programs authenticate
    #[command(subcommand)]
    Keys(keys::Command),
    /// Team members, to whom deals are assigned
    #[command(subcommand)]
    Members(members::Command),
    /// Users of the dashboard, and what they may do
    #[command(subcommand)]
    Users(users::Command),
    /// Print the database's address, or run a command on it
    Database(database::Command),
    /// Stop the embedded PostgreSQL once nobody uses it; isao starts this by itself
    #[command(name = embedded_postgres::SUBCOMMAND, hide = true)]
    PostgresSupervisor {
        /// The data directory of that PostgreSQL
        directory: PathBuf,
    },
}

/// Why a command failed, in a sentence.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error(transparent)]
    Serve(#[from] serve::Error),
    #[error(transparent)]
    Listen(#[from] listen::Error),
    #[error(transparent)]
    Transfer(#[from] transfer::Error),
    #[error(transparent)]
    Database(#[from] source::Error),
    #[error(transparent)]
    Admin(#[from] admin::Error),
    #[error(transparent)]
    Supervisor(#[from] embedded_postgres::Error),
    #[error("DATABASE_URL cannot be parsed for the command ({0})")]
    Url(#[from] sqlx::Error),
    #[error("{command} could not be run ({cause})")]
    Run { command: String, cause: io::Error },
    #[error("tokio could not be started ({0})")]
    Runtime(io::Error),
    #[error("the output could not be written ({0})")]
    Output(io::Error),
    #[error("stdout is closed or leads to /dev/null, where nobody would see the new key; no key was made")]
    Unseen,
    #[error("the new key could not be written to stdout ({cause}), so it was revoked")]
    Revoked { cause: io::Error },
    #[error(
        "the new key {id} could not be written to stdout ({cause}) nor revoked ({because}); revoke it with `isao keys revoke {id}`"
    )]
    NotRevoked { id: KeyId, cause: io::Error, because: admin::Error },
}

/// Does what was asked for.
pub fn run(command: Command) -> Result<ExitCode, Error> {
    if let Command::PostgresSupervisor { directory } = command {
        // It mostly sleeps, for as long as the server lives: no threads for that.
        embedded_postgres::supervise(&directory)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = threads::runtime("isao-http", threads::half()).map_err(Error::Runtime)?;
    runtime.block_on(async {
        match command {
            Command::Serve(config) => return Ok(serve::serve(*config).await?),
            Command::Listen(command) => return Ok(command.run().await?),
            Command::Trigger(command) => command.run().await?,
            Command::Import(command) => return Ok(command.run().await?),
            Command::Export(command) => return Ok(command.run().await?),
            Command::Companies(command) => command.run().await?,
            Command::Keys(command) => command.run().await?,
            Command::Members(command) => command.run().await?,
            Command::Users(command) => command.run().await?,
            Command::Database(command) => return command.run().await,
            Command::PostgresSupervisor { .. } => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What the commands on the database have in common.
#[derive(Args)]
pub struct Common {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    database: DatabaseConfig,
}

impl Common {
    /// Opens the database.
    async fn open(&self) -> Result<Session, Error> {
        let database = Database::open(&self.database, Box::new(|line| tracing::info!("{line}"))).await?;
        let admin = Admin { pool: database.pool.clone(), clock: Clock::system(), ids: Ids::default() };
        Ok(Session { admin, _database: database })
    }
}

/// A database in use by one command.
pub struct Session {
    admin: Admin,
    _database: Database,
}
