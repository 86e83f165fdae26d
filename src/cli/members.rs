//! `isao members`

use clap::Subcommand;

use super::{Common, Error, print, values};
use crate::admin::{companies, members};

/// What can be done with team members.
#[derive(Subcommand)]
#[expect(missing_docs, reason = "the help texts say it")]
pub enum Command {
    /// Add a team member to a company
    Create {
        /// The company, by its id or its exact name
        #[arg(long)]
        company: String,
        /// The member's full name
        #[arg(long, value_parser = values::name)]
        name: String,
        /// The member's email address
        #[arg(long, value_parser = values::email)]
        email: String,
        #[command(flatten)]
        common: Common,
    },
    /// List the team members; their ids are what deals are assigned to
    List {
        /// Only those of one company, by its id or its exact name
        #[arg(long)]
        company: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

impl Command {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Create { company, name, email, common } => {
                let session = common.open().await?;
                let company = companies::find(&session.admin.pool, &company).await?;
                let member = members::create(&session.admin, &company, &name, &email).await?;
                if common.json {
                    return print::json(&member);
                }
                eprintln!("The member {name:?} of {:?} has the id", company.name);
                print::text(&format!("{}\n", member.id))
            }
            Self::List { company, common } => {
                let session = common.open().await?;
                let company = match company {
                    Some(company) => Some(companies::find(&session.admin.pool, &company).await?.id),
                    None => None,
                };
                let members = members::list(&session.admin.pool, company).await?;
                if common.json {
                    return print::json(&members);
                }
                let rows: Vec<_> = members
                    .into_iter()
                    .map(|member| {
                        let created = print::time(member.created_at);
                        [member.id.to_string(), member.company_name, member.name, member.email, created]
                    })
                    .collect();
                print::table(["ID", "COMPANY", "NAME", "EMAIL", "CREATED"], &rows)
            }
        }
    }
}
