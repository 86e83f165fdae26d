//! `isao keys`

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::values::Permissions;
use super::{Common, Error, print, values};
use crate::admin::companies;
use crate::admin::keys::{self, Key, NewKey};
use crate::model::api_key::ServiceType;
use crate::model::permission::Permission;
use crate::model::words::Words;

/// What can be done with API keys.
#[derive(Subcommand)]
#[expect(missing_docs, reason = "the help texts say it")]
pub enum Command {
    /// Create an API key and print it; it is shown only once
    Create(Create),
    /// List the keys (name, permissions, expiry), not the secrets themselves
    List {
        /// Only those of one company, by its id or its exact name
        #[arg(long)]
        company: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Revoke a key; running servers refuse it within a second
    Revoke {
        /// The key's id (key_…), or the key itself
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        common: Common,
    },
}

/// What the new key is to be.
#[derive(Args)]
pub struct Create {
    /// The company, by its id or its exact name
    #[arg(long)]
    company: String,
    /// The name of the key, for example the program that uses it
    #[arg(long, value_parser = values::name)]
    name: String,
    /// A longer description
    #[arg(long, value_parser = values::name)]
    description: Option<String>,
    /// The kind of program that uses the key; it sets the prefix of the key (ck, zap, make, whk or cst)
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = ServiceType::Generic)]
    service: ServiceType,
    /// The permissions of the key: all, or names separated by commas
    ///
    /// The names are contacts:read, contacts:write, deals:read, deals:write, agents:read,
    /// webhooks:read and webhooks:write. Writing includes reading.
    #[arg(long)]
    permissions: Permissions,
    /// When the key expires, in ISO 8601, such as 2030-01-31 or 2030-01-31T12:00:00+01:00
    ///
    /// Without an offset the time is UTC. Without this flag the key does not expire.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    expires_at: Option<DateTime<Utc>>,
    /// The most requests per minute; unlimited without this flag
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    rate_limit: Option<i32>,
    #[command(flatten)]
    common: Common,
}

/// A new key as `--json` prints it: `key` is the key itself.
#[derive(Serialize)]
struct Created<'a> {
    key: &'a str,
    #[serde(flatten)]
    known: &'a Key,
}

impl Command {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List { company, common } => list(company, &common).await,
            Self::Revoke { key, common } => revoke(&key, &common).await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<(), Error> {
        if print::is_unseen() {
            return Err(Error::Unseen);
        }
        let session = self.common.open().await?;
        let company = companies::find(&session.admin.pool, &self.company).await?;
        let new = NewKey {
            name: self.name,
            description: self.description,
            permissions: self.permissions.0,
            rate_limit: self.rate_limit,
            expires_at: self.expires_at,
        };
        let (key, known) = keys::create(&session.admin, &company, self.service, new).await?;
        let text = if self.common.json {
            print::as_json(&Created { key: key.reveal(), known: &known })?
        } else {
            eprintln!(
                "The key {:?} of {:?} has the id {}. Keep it safe, it is not shown again:",
                known.name, known.company_name, known.id
            );
            format!("{}\n", key.reveal())
        };
        // A key that nobody saw would stay valid with nobody knowing of it.
        let Err(cause) = print::write(&text) else { return Ok(()) };
        match keys::revoke(&session.admin, &known.id.to_string()).await {
            Ok(_) => Err(Error::Revoked { cause }),
            Err(because) => Err(Error::NotRevoked { id: known.id, cause, because }),
        }
    }
}

async fn list(company: Option<String>, common: &Common) -> Result<(), Error> {
    let session = common.open().await?;
    let company = match company {
        Some(company) => Some(companies::find(&session.admin.pool, &company).await?.id),
        None => None,
    };
    let keys = keys::list(&session.admin, company).await?;
    if common.json {
        return print::json(&keys);
    }
    let headings =
        ["ID", "HINT", "COMPANY", "NAME", "TYPE", "PERMISSIONS", "PER MINUTE", "EXPIRES", "CREATED", "STATE"];
    print::table(headings, &keys.into_iter().map(row).collect::<Vec<_>>())
}

fn row(key: Key) -> [String; 10] {
    let permissions = if key.permissions.len() == Permission::ALL.len() {
        "all".to_owned()
    } else {
        key.permissions.join(",")
    };
    [
        key.id.to_string(),
        key.hint,
        key.company_name,
        key.name,
        key.service_type,
        permissions,
        key.rate_limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()),
        key.expires_at.map_or_else(|| "never".to_owned(), print::time),
        print::time(key.created_at),
        match key.revoked_at {
            Some(revoked_at) => format!("{} {}", key.state, print::time(revoked_at)),
            None => key.state.to_string(),
        },
    ]
}

async fn revoke(key: &str, common: &Common) -> Result<(), Error> {
    let session = common.open().await?;
    let key = keys::revoke(&session.admin, key).await?;
    if common.json {
        return print::json(&key);
    }
    let since = key.revoked_at.map(print::time).unwrap_or_default();
    print::text(&format!(
        "The key {:?} of {:?} ({}) is revoked since {since}.\n",
        key.name, key.company_name, key.hint
    ))
}
