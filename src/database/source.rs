//! The database at hand: somebody's own PostgreSQL, or the embedded one.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, PgPool};

use crate::database::postgres;
use crate::database::{DatabaseConfig, DatabaseSource};
use embedded_postgres::{Durability, Embedded, Options, Say, Search};

/// The name of our database in the embedded PostgreSQL.
const NAME: &str = "isao";
/// Somebody was faster: `CREATE DATABASE` found the name taken, at its start or at its end.
const TAKEN: [&str; 2] = ["42P04", "23505"];
/// How often somebody looks whether the embedded PostgreSQL is still there. Each look costs it
/// the start of a process.
const LOOK: Duration = Duration::from_secs(2);

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error(transparent)]
    Embedded(#[from] embedded_postgres::Error),
    #[error("isao cannot find its own binary, which supervises PostgreSQL ({0})")]
    OwnBinary(std::io::Error),
    #[error("the start of PostgreSQL was interrupted ({0})")]
    CutShort(#[from] tokio::task::JoinError),
    #[error("the database `{NAME}` could not be created ({0})")]
    Create(sqlx::Error),
    #[error(transparent)]
    Open(#[from] postgres::OpenError),
}

/// A PostgreSQL with a database for us, perhaps empty. The embedded one stays up for as
/// long as this lives.
#[derive(Debug)]
pub struct Server {
    url: String,
    own: Option<Own>,
}

/// What only the embedded one has.
#[derive(Debug)]
struct Own {
    data_dir: PathBuf,
    search: Search,
    server: Embedded,
}

impl Own {
    async fn start(data_dir: PathBuf, search: Search, say: Say) -> Result<Self, Error> {
        let options = Options {
            data_dir: data_dir.clone(),
            durability: Durability::Full,
            supervisor: std::env::current_exe().map_err(Error::OwnBinary)?,
            search: search.clone(),
            cache_dir: None,
            say,
        };
        let server = tokio::task::spawn_blocking(|| Embedded::start(options)).await??;
        Ok(Self { data_dir, search, server })
    }
}

impl Server {
    /// Takes the configured one; starts or adopts it if it is the embedded one.
    /// `say` is told what takes long.
    pub async fn start(config: &DatabaseConfig, say: Say) -> Result<Self, Error> {
        let data_dir = match config.source()? {
            DatabaseSource::Url(url) => return Ok(Self { url, own: None }),
            DatabaseSource::Embedded { data_dir } => data_dir,
        };
        let own = Own::start(data_dir, config.search(), say).await?;
        create_if_missing(&own.server).await.map_err(Error::Create)?;
        Ok(Self { url: own.server.url(NAME), own: Some(own) })
    }

    /// Starts the embedded one again whenever it is gone, killed for example by a system
    /// that is short of memory. Somebody's own is not for us to start.
    pub async fn keep_up(&mut self) -> Infallible {
        let Some(own) = &mut self.own else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK).await;
            if own.server.listens().await {
                continue;
            }
            tracing::warn!("PostgreSQL stopped; it is started again");
            let say = Box::new(|line: &str| tracing::info!("{line}"));
            // Until then the old one keeps the supervisor from stopping what was started.
            match Own::start(own.data_dir.clone(), own.search.clone(), say).await {
                Ok(started) => {
                    *own = started;
                    tracing::info!("PostgreSQL runs again");
                }
                Err(error) => tracing::error!(%error, "PostgreSQL does not start; another attempt follows"),
            }
        }
    }

    /// The database's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The embedded one's data directory.
    pub fn data_dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.data_dir.as_path())
    }

    /// Where the embedded one's programs are, `psql` perhaps among them.
    pub fn bin_dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.server.bin_dir())
    }
}

async fn create_if_missing(server: &Embedded) -> Result<(), sqlx::Error> {
    let options: PgConnectOptions = server.url("postgres").parse()?;
    let mut connection = PgConnection::connect_with(&options).await?;
    let exists = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(NAME);
    if exists.fetch_optional(&mut connection).await?.is_none() {
        match sqlx::raw_sql("CREATE DATABASE isao").execute(&mut connection).await {
            Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| TAKEN.contains(&&*code)) => {
            }
            created => _ = created?,
        }
    }
    connection.close().await
}

/// The database, ready for use: reachable, and its schema up to date.
#[derive(Debug)]
pub struct Database {
    /// Connections to it.
    pub pool: PgPool,
    /// What it is part of. It has to live for as long as the pool is used.
    pub server: Server,
}

impl Database {
    /// Opens the configured database. `say` is told what takes long.
    pub async fn open(config: &DatabaseConfig, say: Say) -> Result<Self, Error> {
        let server = Server::start(config, say).await?;
        let pool = postgres::open(server.url()).await?;
        Ok(Self { pool, server })
    }
}
