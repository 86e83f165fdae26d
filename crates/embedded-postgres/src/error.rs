//! What can go wrong, each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

use super::options::OLDEST_MAJOR;

/// Why there is no embedded PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory, or something in it, cannot be written or read.
    #[error(
        "{path} cannot be used ({cause}); make it readable and writable for this user, \
         or choose another data directory"
    )]
    DataDirectory {
        /// What was tried.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },

    /// A shell would read something else than the path.
    #[error(
        "{path:?} cannot be used for PostgreSQL, because the name has a quotation mark, a dollar sign, a back-tick, a \
         backslash or a control character; choose another directory"
    )]
    BadName {
        /// The path as given.
        path: PathBuf,
    },

    /// Neither `$XDG_DATA_HOME` nor `$HOME` says where an ordinary user's data belongs.
    #[error("neither XDG_DATA_HOME nor HOME is set to an absolute path; name a data directory")]
    NoHome,

    /// `<data directory>/postgres` holds files, but no database.
    #[error(
        "{path} holds files that are not a PostgreSQL database; move them away, or choose another data directory"
    )]
    NotADatabase {
        /// The directory in the way.
        path: PathBuf,
    },

    /// PostgreSQL refuses to run as root, and there is nobody else to run it.
    #[error(
        "PostgreSQL does not run as root and there is no user `postgres` or `nobody`; run isao as another user"
    )]
    NoAccount,

    /// The server's user cannot enter the data directory or run the server's programs.
    #[error(
        "the user `{user}`, who runs PostgreSQL when isao is started by root, may not enter \
         {directory} or run {program}; choose a data directory outside of private places such as /root"
    )]
    OutOfReach {
        /// Who runs the server.
        user: String,
        /// Where it was to be run.
        directory: PathBuf,
        /// What was to be run.
        program: PathBuf,
    },

    /// The directory for the server's socket is not ours.
    #[error("{path} is not a directory of {owner}'s own ({found}); remove it and start again")]
    NotOurs {
        /// The directory in question.
        path: PathBuf,
        /// Whose it has to be, as a user id.
        owner: String,
        /// What is there instead.
        found: String,
    },

    /// `PG_BIN_DIR` does not lead to a server.
    #[error(
        "PG_BIN_DIR is {path}, where this user finds no working initdb, pg_ctl and postgres; correct or unset it"
    )]
    BinDir {
        /// The directory as given.
        path: PathBuf,
    },

    /// `PG_BIN_DIR` leads to a server that is too old.
    #[error(
        "PG_BIN_DIR is {path}, which is PostgreSQL {major}; isao needs {OLDEST_MAJOR} or newer, \
         so name a newer one or unset it"
    )]
    TooOld {
        /// The directory as given.
        path: PathBuf,
        /// Its major version.
        major: u32,
    },

    /// No server was found, nor could one be fetched.
    #[error(
        "no PostgreSQL server ({OLDEST_MAJOR} or newer) was found and none could be fetched ({because}); install one \
         with `apt install postgresql` or `brew install postgresql@17`, or start one with `docker run -d \
         -p 127.0.0.1:5432:5432 -e POSTGRES_PASSWORD=isao postgres:17` and set \
         DATABASE_URL=postgres://postgres:isao@localhost/postgres"
    )]
    NoPrograms {
        /// Why fetching did not work.
        because: String,
    },

    /// The data needs another major version than any that was found.
    #[error(
        "the data in {path} needs PostgreSQL {needed}, but this machine has {found}; install it with \
         `apt install postgresql-{needed}` or `brew install postgresql@{needed}`, or name it by PG_BIN_DIR"
    )]
    WrongMajor {
        /// The database's directory.
        path: PathBuf,
        /// The major version that wrote it.
        needed: u32,
        /// What was found, for a person to read.
        found: String,
    },

    /// `initdb` failed.
    #[error("initdb could not create a database in {path}; it said: {output}")]
    InitDb {
        /// The directory it worked in.
        path: PathBuf,
        /// The last lines of what it said.
        output: String,
    },

    /// The server did not come up.
    #[error("PostgreSQL did not start; {log} ends with: {output}")]
    Start {
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        output: String,
    },

    /// The server did not stop.
    #[error("PostgreSQL in {path} did not stop; it said: {output}")]
    Stop {
        /// The database's directory.
        path: PathBuf,
        /// The last lines of what was said.
        output: String,
    },

    /// The process that stops the server after the last holder could not be started.
    #[error("{program} could not be started as PostgreSQL's supervisor ({because}); reinstall isao")]
    Supervisor {
        /// The binary that was run.
        program: PathBuf,
        /// What went wrong.
        because: String,
    },

    /// A program of the system could not be run.
    #[error("{program} could not be run ({cause}); install it or repair its permissions")]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl Error {
    /// For `map_err` on anything done to a file below the data directory.
    pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::DataDirectory { path, cause }
    }
}

/// The end of what a program said, on one line.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" / ")
}
