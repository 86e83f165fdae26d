//! `isao companies`

use clap::Subcommand;

use super::{Common, Error, print, values};
use crate::admin::companies;

/// What can be done with companies.
#[derive(Subcommand)]
#[expect(missing_docs, reason = "the help texts say it")]
pub enum Command {
    /// Create a company
    Create {
        /// What it is called; names need not be unique
        #[arg(value_parser = values::name)]
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// List the companies, the oldest first
    List {
        #[command(flatten)]
        common: Common,
    },
}

impl Command {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Create { name, common } => {
                let session = common.open().await?;
                let company = companies::create(&session.admin, &name).await?;
                if common.json {
                    return print::json(&company);
                }
                eprintln!("The company {name:?} has the id");
                print::text(&format!("{}\n", company.id))
            }
            Self::List { common } => {
                let session = common.open().await?;
                let companies = companies::list(&session.admin.pool).await?;
                if common.json {
                    return print::json(&companies);
                }
                let rows: Vec<_> = companies
                    .into_iter()
                    .map(|company| [company.id.to_string(), company.name, print::time(company.created_at)])
                    .collect();
                print::table(["ID", "NAME", "CREATED"], &rows)
            }
        }
    }
}
