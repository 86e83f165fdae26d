//! The composition root: everything, put together.

use std::io::{self, Write};

use crate::admin::{self, Admin, demo};
use crate::clock::Clock;
use crate::config::Config;
use crate::database::{self, Database};
use crate::ids::Ids;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    Admin(#[from] admin::Error),
}

/// Runs the server.
pub async fn serve(config: Config) -> Result<(), Error> {
    let database = Database::open(&config.database, Box::new(|line| tracing::info!("{line}"))).await?;
    let admin = Admin { pool: database.pool.clone(), clock: Clock::system(), ids: Ids::default() };
    let key = demo::ensure(&admin, config.demo_key.as_ref(), database.server.data_dir()).await?;
    // To stdout, not to the log: it holds a key. Nobody needs to be there to read it.
    let _ = write!(io::stdout(), "{}", demo::welcome(config.bind, key.as_ref(), admin.clock.now()));
    Ok(())
}
