//! What the operator does, beside the API: companies, their keys, team
//! members and users, and the demo. The CLI and the start of the server share it.
//!
//! Everything here works on the database alone, so also while a server runs on it.

pub mod audit;
pub mod companies;
pub mod demo;
pub mod keys;
pub mod members;
pub mod passwords;
pub mod users;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::clock::Clock;
use crate::model::ids::{CompanyId, Ids};
use crate::model::time::wire_time;

/// What the functions here work with.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Makes the ids.
    pub ids: Ids,
}

/// Why something was not done, in a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error("there is no company {0:?}; `isao companies list` lists the companies")]
    NoCompany(String),
    #[error("several companies are called {name:?}; use the id of the one you mean: {}", list(ids))]
    AmbiguousCompany { name: String, ids: Vec<CompanyId> },
    #[error("there is no such API key; `isao keys list` lists the keys with their ids (key_…)")]
    NoKey,
    #[error("the expiry {} is not in the future", wire_time(*.0))]
    ExpiresInPast(DateTime<Utc>),
    #[error("the operating system provided no random bytes for the key ({0})")]
    Random(#[from] getrandom::Error),
    #[error("{} could not be read or written ({cause})", path.display())]
    KeyFile { path: PathBuf, cause: std::io::Error },
    #[error(
        "{} does not hold an API key; restore it, or remove it to get a new demo key, which revokes the present one",
        path.display()
    )]
    DamagedKeyFile { path: PathBuf },
    #[error("there is no user with the address {0:?}; `isao users list` lists the users")]
    NoUser(String),
    #[error("{email} works in {company:?} already")]
    MemberAlready { email: String, company: String },
    #[error("the password could not be hashed")]
    Password,
    #[error("the database reported an error ({0})")]
    Database(#[from] sqlx::Error),
}

fn list(ids: &[CompanyId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
