//! PostgreSQL without an installation: a server of isao's own, shared by all
//! processes that use the same data directory.
//!
//! # Who is who
//!
//! * A **holder** is a process that uses the server: `isao serve`, a command
//!   of the CLI, a test binary. It holds an [`Embedded`], and with it a
//!   shared lock on `life.lock`, which the system takes from it however it ends.
//! * The **server** is an ordinary PostgreSQL on `<data directory>/postgres`,
//!   started through `pg_ctl` and thus nobody's child. It listens on a Unix
//!   socket in a private directory, and on no network.
//! * The **supervisor** is `isao postgres-supervisor <data directory>`, a
//!   process that waits for `life.lock` to be free and then stops the server.
//!
//! # States
//!
//! ```text
//!            first holder                      last holder ends
//!   absent ───────────────▶ starting ──▶ ready ─────────────────▶ lingering
//!     ▲                                  ▲   ▲    next holder         │
//!     │                        further   │   └────────────────────────┤
//!     │                        holders ──┘                            │ some seconds
//!     └───────────────────────── stopping ◀───────────────────────────┘
//! ```
//!
//! Every change from or to *absent* is made under `start.lock`: who arrives
//! while the server is starting or stopping waits, and then adopts the server
//! or starts it anew. A server that was killed leaves files behind, which
//! the next start copes with. A holder may start again what it holds.
//!
//! What is not `async` here blocks; call it from `spawn_blocking`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

mod account;
mod cluster;
mod error;
mod fetch;
mod locks;
mod options;
mod places;
mod programs;
mod search;
mod supervisor;

pub use account::is_root;
pub use error::Error;
pub use options::{Durability, Say};
pub use places::{default_data_dir, throwaway_dir};
pub use search::Search;
pub use supervisor::{SUBCOMMAND, supervise};

use cluster::{Cluster, PORT};

/// How to come by a server.
pub struct Options {
    /// Where the data is, and everything else that belongs to the server but
    /// its socket. It is created if need be.
    pub data_dir: PathBuf,
    /// What a crash may cost. It is decided by the holder that starts the server.
    pub durability: Durability,
    /// The isao binary, which is run as `isao postgres-supervisor <data_dir>`.
    pub supervisor: PathBuf,
    /// Where to look for the server's programs.
    pub search: Search,
    /// Where programs are kept that had to be fetched; the data directory when `None`.
    pub cache_dir: Option<PathBuf>,
    /// Told what takes long.
    pub say: Say,
}

/// A server that runs, for as long as this lives and a few seconds longer.
#[derive(Debug)]
pub struct Embedded {
    /// Its shared lock is what keeps the server up.
    _life: std::fs::File,
    socket_dir: PathBuf,
    bin_dir: PathBuf,
}

impl Embedded {
    /// Adopts the server of the data directory, or starts it, creating the
    /// database first if there is none.
    ///
    /// # Errors
    /// One sentence that says what to do about it; see [`Error`].
    pub fn start(options: Options) -> Result<Self, Error> {
        let cluster = Cluster::open(&options.data_dir)?;
        let broken = |error| Error::at(cluster.data_dir())(error);
        let start = locks::open(cluster.data_dir(), locks::START)?;
        let life = locks::open(cluster.data_dir(), locks::LIFE)?;
        if start.try_lock().is_err() {
            (options.say)("waiting for another process that starts or stops PostgreSQL");
            start.lock().map_err(broken)?;
        }
        // Not before the start lock: its supervisor holds both while it stops the server.
        life.lock_shared().map_err(broken)?;

        let adopted = cluster.running()?;
        let is_adopted = adopted.is_some();
        let bin_dir = adopted.map_or_else(|| launch(&cluster, &options), Ok)?;
        if let Err(error) = supervisor::ensure(&cluster, &options.supervisor) {
            // Nobody would stop it later; an adopted one may have other holders.
            if !is_adopted {
                cluster.stop()?;
            }
            return Err(error);
        }
        drop(start);
        Ok(Self { _life: life, socket_dir: cluster.socket_dir(), bin_dir })
    }

    /// The address of a database, for sqlx and psql. The name is used as it
    /// is, so it has to be a plain one; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        // Explicit about what would else be taken from PGPORT and PGSSLMODE.
        let socket_dir = self.socket_dir.to_string_lossy().replace('/', "%2F");
        format!("postgres://postgres@localhost:{PORT}/{database}?host={socket_dir}&sslmode=disable")
    }

    /// The directory of the server's socket, as for `psql -h`.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Whether somebody listens on the server's socket; nobody does after the server was
    /// killed. One that is busy, or recovers by itself, listens.
    pub async fn listens(&self) -> bool {
        let socket = self.socket_dir.join(format!(".s.PGSQL.{PORT}"));
        match tokio::net::UnixStream::connect(socket).await {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
        }
    }

    /// The directory of the server's programs; `psql` and `pg_dump` may be missing in it.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }
}

/// Starts the server; gives the directory of its programs.
fn launch(cluster: &Cluster, options: &Options) -> Result<PathBuf, Error> {
    match try_launch(cluster, options) {
        Err(Error::Start { .. } | Error::WrongMajor { .. })
            if options.durability == Durability::Throwaway =>
        {
            (options.say)("making the throw-away database anew");
            cluster.wipe()?;
            try_launch(cluster, options)
        }
        launched => launched,
    }
}

fn try_launch(cluster: &Cluster, options: &Options) -> Result<PathBuf, Error> {
    let cache_dir = options.cache_dir.as_deref().unwrap_or(cluster.data_dir());
    let programs = search::find(cluster, &options.search, cache_dir, &options.say)?;
    if cluster.major()?.is_none() {
        let pgdata = cluster.pgdata();
        (options.say)(&format!(
            "creating a database of PostgreSQL {} in {}",
            programs.major,
            pgdata.display()
        ));
        cluster.create(&programs, options.durability)?;
    }
    cluster.start(&programs, options.durability)?;
    Ok(programs.dir)
}
