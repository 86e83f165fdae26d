//! `isao users`

use clap::Subcommand;

use super::{Common, Error, print, values};
use crate::admin::users::{self, Link, PASSWORD_LINK, Role};
use crate::admin::{Admin, companies};
use crate::model::ids::UserId;

/// What can be done with users of the dashboard.
#[derive(Subcommand)]
#[expect(missing_docs, reason = "the help texts say it")]
pub enum Command {
    /// Let somebody sign in and work in a company, and print a link to choose a password
    Create {
        /// The company, by its id or its exact name
        #[arg(long)]
        company: String,
        /// The user's email address
        #[arg(long, value_parser = values::email)]
        email: String,
        /// The user's full name
        #[arg(long, value_parser = values::name)]
        name: String,
        /// What the user may do: admin, member (contacts and deals; looks at deliveries) or read_only
        #[arg(long, default_value = "admin", value_parser = role)]
        role: Role,
        #[command(flatten)]
        common: Common,
    },
    /// List the users
    List {
        /// Only those of one company, by its id or its exact name
        #[arg(long)]
        company: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Print a link to choose a new password; a former link works no more
    ResetPassword {
        /// The user's email address
        email: String,
        #[command(flatten)]
        common: Common,
    },
}

impl Command {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Create { company, email, name, role, common } => {
                let session = common.open().await?;
                let company = companies::find(&session.admin.pool, &company).await?;
                let user = users::create(&session.admin, &company, (&email, &name), role).await?;
                eprintln!(
                    "{email} may work in {:?} now. Open this below the server's address, within 72 hours:",
                    company.name
                );
                print_link(&session.admin, user).await
            }
            Self::List { company, common } => {
                let session = common.open().await?;
                let company = match company {
                    Some(company) => Some(companies::find(&session.admin.pool, &company).await?.id),
                    None => None,
                };
                let users = users::list(&session.admin.pool, company).await?;
                if common.json {
                    return print::json(&users);
                }
                let rows: Vec<_> = users
                    .into_iter()
                    .map(|user| {
                        let created = print::time(user.created_at);
                        [
                            user.id.to_string(),
                            user.company_name,
                            user.email,
                            user.name,
                            user.role.to_string(),
                            created,
                        ]
                    })
                    .collect();
                print::table(["ID", "COMPANY", "EMAIL", "NAME", "ROLE", "CREATED"], &rows)
            }
            Self::ResetPassword { email, common } => {
                let session = common.open().await?;
                let user = users::find(&session.admin.pool, &email).await?;
                eprintln!("Open this below the server's address, within 72 hours:");
                print_link(&session.admin, user).await
            }
        }
    }
}

async fn print_link(admin: &Admin, user: UserId) -> Result<(), Error> {
    let mut connection = admin.pool.acquire().await?;
    let link = users::link(&mut connection, admin, user, (Link::Password, PASSWORD_LINK)).await?;
    print::text(&format!("/dashboard/password/{link}\n"))
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| format!("must be one of: {}", Role::WORDS.join(", ")))
}
