//! Users of the dashboard: made, listed, and let in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};

use super::companies::Company;
use super::{Admin, Error};
use crate::model::ids::{CompanyId, UserId};
use crate::model::permission::Permission;
use crate::model::time::{serialize_time, serialize_time_option};
use crate::model::words::{Words as _, words};
use crate::random;

/// How long a link to choose a password works.
pub const PASSWORD_LINK: Duration = Duration::from_secs(72 * 60 * 60);
/// How long the link to sign in works that the server prints at its start.
pub const SIGN_IN_LINK: Duration = Duration::from_secs(60 * 60);

words! {
    /// What a user may do in a company.
    pub enum Role {
        /// Everything, also keys, users and settings.
        Admin = "admin",
        /// Contacts and deals; looking at all else.
        Member = "member",
        /// Looking.
        ReadOnly = "read_only",
    }
}

impl Role {
    /// What a user of this role may do through the API's routes.
    pub fn permissions(self) -> Vec<Permission> {
        match self {
            Self::Admin => Permission::ALL.into(),
            Self::Member => vec![
                Permission::ContactsRead,
                Permission::ContactsWrite,
                Permission::DealsRead,
                Permission::DealsWrite,
                Permission::WebhooksRead,
            ],
            Self::ReadOnly => {
                vec![Permission::ContactsRead, Permission::DealsRead, Permission::WebhooksRead]
            }
        }
    }
}

/// A user in a company.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub name: String,
    pub company_id: CompanyId,
    pub company_name: String,
    pub role: Role,
    /// Has a password been chosen?
    pub has_password: bool,
    #[serde(serialize_with = "serialize_time")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "serialize_time_option")]
    pub disabled_at: Option<DateTime<Utc>>,
}

/// What a link that works once is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Signing in.
    SignIn,
    /// Choosing a password.
    Password,
}

impl Link {
    /// As it is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Password => "password",
        }
    }
}

/// An address as it is compared.
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A secret of 256 bits, for whoever has it, and what is kept of it.
pub fn secret() -> Result<(String, [u8; 32]), Error> {
    let bytes: [u8; 32] = random::bytes()?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = kept(&text);
    Ok((text, hash))
}

/// What is kept of such a secret.
pub fn kept(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Lets somebody work in a company: a new user, or one that is known by the address.
///
/// # Errors
/// When they do so already, or the database is away.
pub async fn create(
    admin: &Admin,
    company: &Company,
    (email, name): (&str, &str),
    role: Role,
) -> Result<UserId, Error> {
    let mut transaction = admin.pool.begin().await?;
    let id = ensure(&mut transaction, admin, (email, name)).await?;
    let added = sqlx::query!(
        "INSERT INTO memberships (company_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        company.id.0,
        id.0,
        role.word(),
        admin.clock.now(),
    )
    .execute(&mut *transaction)
    .await?;
    if added.rows_affected() == 0 {
        return Err(Error::MemberAlready { email: email.to_owned(), company: company.name.clone() });
    }
    transaction.commit().await?;
    Ok(id)
}

async fn ensure(
    connection: &mut PgConnection,
    admin: &Admin,
    (email, name): (&str, &str),
) -> Result<UserId, Error> {
    let now = admin.clock.now();
    let id = sqlx::query_scalar!(
        "INSERT INTO users (id, email, email_key, name, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (email_key) DO UPDATE SET email_key = excluded.email_key RETURNING id",
        admin.ids.next(now),
        email.trim(),
        email_key(email),
        name,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(UserId(id))
}

/// Users with their companies, the oldest first; those of one company, or all.
pub async fn list(pool: &PgPool, company: Option<CompanyId>) -> Result<Vec<User>, Error> {
    let rows = sqlx::query!(
        r#"SELECT u.id, u.email, u.name, u.password IS NOT NULL AS "has_password!", u.created_at, u.disabled_at,
                  m.role, c.id AS company_id, c.name AS company_name
           FROM memberships m JOIN users u ON u.id = m.user_id JOIN companies c ON c.id = m.company_id
           WHERE $1::uuid IS NULL OR m.company_id = $1 ORDER BY c.created_at, c.id, u.created_at, u.id"#,
        company.map(|company| company.0),
    )
    .fetch_all(pool)
    .await?;
    let users = rows.into_iter().map(|row| User {
        id: UserId(row.id),
        email: row.email,
        name: row.name,
        company_id: CompanyId(row.company_id),
        company_name: row.company_name,
        role: Role::parse(&row.role).unwrap_or(Role::ReadOnly),
        has_password: row.has_password,
        created_at: row.created_at,
        disabled_at: row.disabled_at,
    });
    Ok(users.collect())
}

/// The user with this address.
///
/// # Errors
/// When there is none.
pub async fn find(pool: &PgPool, email: &str) -> Result<UserId, Error> {
    let id = sqlx::query_scalar!("SELECT id FROM users WHERE email_key = $1", email_key(email));
    let id = id.fetch_optional(pool).await?;
    id.map(UserId).ok_or_else(|| Error::NoUser(email.to_owned()))
}

/// Makes a link that works once; answers its secret part. A former one of the kind works no more.
pub async fn link(
    connection: &mut PgConnection,
    admin: &Admin,
    user: UserId,
    (kind, lasts): (Link, Duration),
) -> Result<String, Error> {
    let (secret, hash) = secret()?;
    sqlx::query!("DELETE FROM one_time_links WHERE user_id = $1 AND kind = $2", user.0, kind.word())
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "INSERT INTO one_time_links (hash, kind, user_id, expires_at) VALUES ($1, $2, $3, $4)",
        &hash[..],
        kind.word(),
        user.0,
        admin.clock.now() + lasts,
    )
    .execute(connection)
    .await?;
    Ok(secret)
}

/// Has the user chosen a password?
pub async fn has_password(pool: &PgPool, user: UserId) -> Result<bool, Error> {
    let has =
        sqlx::query_scalar!(r#"SELECT password IS NOT NULL AS "has!" FROM users WHERE id = $1"#, user.0);
    Ok(has.fetch_one(pool).await?)
}

/// Does the user work in this company alone?
pub async fn works_only_in(pool: &PgPool, company: CompanyId, user: UserId) -> Result<bool, Error> {
    let only = sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (SELECT FROM memberships WHERE user_id = $2 AND company_id <> $1) AS "only!""#,
        company.0,
        user.0,
    );
    Ok(only.fetch_one(pool).await?)
}

/// Gives a user of the company a role. Returns false, and changes nothing, if nobody would be left who
/// may change users.
pub async fn set_role(pool: &PgPool, company: CompanyId, user: UserId, role: Role) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        "UPDATE memberships SET role = $3 WHERE company_id = $1 AND user_id = $2",
        company.0,
        user.0,
        role.word(),
    )
    .execute(&mut *transaction)
    .await?;
    keep_an_admin(transaction, company).await
}

/// Takes a user out of the company. Returns false, and changes nothing, if nobody would be left who may
/// change users.
pub async fn remove(pool: &PgPool, company: CompanyId, user: UserId) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
    for statement in [
        sqlx::query!("DELETE FROM sessions WHERE company_id = $1 AND user_id = $2", company.0, user.0),
        sqlx::query!("DELETE FROM memberships WHERE company_id = $1 AND user_id = $2", company.0, user.0),
    ] {
        statement.execute(&mut *transaction).await?;
    }
    keep_an_admin(transaction, company).await
}

/// Commits, if the company has an administrator then.
async fn keep_an_admin(
    mut transaction: sqlx::Transaction<'_, sqlx::Postgres>,
    company: CompanyId,
) -> Result<bool, Error> {
    // Two who send each other away wait here, one for the other.
    let admins = sqlx::query_scalar!(
        "SELECT user_id FROM memberships WHERE company_id = $1 AND role = 'admin' ORDER BY user_id FOR UPDATE",
        company.0,
    );
    if admins.fetch_all(&mut *transaction).await?.is_empty() {
        return Ok(false);
    }
    transaction.commit().await?;
    Ok(true)
}
