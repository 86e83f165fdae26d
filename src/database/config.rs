//! Which database, as flags and the environment say.

use std::path::PathBuf;

use clap::Args;
use embedded_postgres::Search;

/// What the help puts the settings of the database under.
const DATABASE: &str = "Database";

/// Which database, for the server and for every command beside it.
#[derive(Args, Clone)]
pub struct DatabaseConfig {
    /// A PostgreSQL (15 or newer) to use, as postgres://user:password@host:5432/database
    ///
    /// Without it, isao runs a PostgreSQL of its own in the data directory.
    #[arg(
        long, env = "DATABASE_URL", help_heading = DATABASE, value_name = "URL",
        hide_env_values = true, value_parser = parse_database_url
    )]
    pub database_url: Option<String>,

    /// The directory in which isao's own PostgreSQL keeps its data
    ///
    /// Without it, root uses /var/lib/isao and others $XDG_DATA_HOME/isao or ~/.local/share/isao.
    #[arg(long, env = "ISAO_DATA_DIR", help_heading = DATABASE, value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,

    /// The directory with the programs of isao's own PostgreSQL (initdb, pg_ctl, postgres)
    ///
    /// Without it, isao searches this machine, and fetches them if there are none.
    #[arg(long, env = "PG_BIN_DIR", help_heading = DATABASE, value_name = "DIRECTORY")]
    pub pg_bin_dir: Option<PathBuf>,
}

/// The address of a PostgreSQL; the rest of it is for sqlx to read.
fn parse_database_url(text: &str) -> Result<String, &'static str> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("postgres" | "postgresql") => Ok(text.to_owned()),
        _ => Err("write postgres://user:password@host:5432/database; isao works with PostgreSQL only"),
    }
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseSource {
    /// A PostgreSQL that somebody else runs.
    Url(String),
    /// Our own.
    Embedded {
        /// Its data directory.
        data_dir: PathBuf,
    },
}

impl DatabaseConfig {
    /// Decides between the two: `DATABASE_URL` goes first.
    ///
    /// # Errors
    /// When nobody says where data belongs, neither a setting nor the user's home.
    pub fn source(&self) -> Result<DatabaseSource, embedded_postgres::Error> {
        if let Some(url) = &self.database_url {
            return Ok(DatabaseSource::Url(url.clone()));
        }
        let data_dir = match &self.data_dir {
            Some(data_dir) => data_dir.clone(),
            None => {
                let [xdg, home] =
                    ["XDG_DATA_HOME", "HOME"].map(|name| std::env::var_os(name).map(PathBuf::from));
                embedded_postgres::default_data_dir(
                    embedded_postgres::is_root()?,
                    xdg.as_deref(),
                    home.as_deref(),
                )?
            }
        };
        Ok(DatabaseSource::Embedded { data_dir })
    }

    /// Where to look for PostgreSQL's programs.
    pub fn search(&self) -> Search {
        Search::new(self.pg_bin_dir.clone(), std::env::var_os("PATH"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_postgresql_is_a_database() {
        for url in ["postgres://db/isao", "postgresql://a:b@db:5433/isao", "POSTGRES:///isao?host=/tmp"] {
            assert_eq!(parse_database_url(url).as_deref(), Ok(url));
        }
        for url in
            ["mysql://db/isao", "sqlite://isao.db", "db", "postgres", "postgres:isao", "http://db/", "://"]
        {
            assert!(parse_database_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_database_of_ones_own_goes_first() {
        let both = DatabaseConfig {
            database_url: Some("postgres://db/isao".into()),
            data_dir: Some("/data".into()),
            pg_bin_dir: None,
        };
        assert_eq!(both.source().unwrap(), DatabaseSource::Url("postgres://db/isao".into()));
        let embedded = DatabaseConfig { database_url: None, ..both };
        assert_eq!(embedded.source().unwrap(), DatabaseSource::Embedded { data_dir: "/data".into() });
    }
}
