//! Team members, to whom deals are assigned.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

use super::companies::Company;
use super::{Admin, Error};
use crate::model::ids::{CompanyId, MemberId};
use crate::model::time::serialize_time;

/// A team member.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct Member {
    pub id: MemberId,
    pub company_id: CompanyId,
    pub company_name: String,
    pub name: String,
    pub email: String,
    #[serde(serialize_with = "serialize_time")]
    pub created_at: DateTime<Utc>,
}

/// Adds a member to a company.
pub async fn create(admin: &Admin, company: &Company, name: &str, email: &str) -> Result<Member, Error> {
    Ok(insert(&admin.pool, admin, company, name, email).await?)
}

pub(super) async fn insert(
    executor: impl PgExecutor<'_>,
    admin: &Admin,
    company: &Company,
    name: &str,
    email: &str,
) -> Result<Member, sqlx::Error> {
    let now = admin.clock.now();
    let member = Member {
        id: MemberId(admin.ids.next(now)),
        company_id: company.id,
        company_name: company.name.clone(),
        name: name.to_owned(),
        email: email.to_owned(),
        created_at: now,
    };
    sqlx::query!(
        "INSERT INTO team_members (company_id, id, name, email, created_at) VALUES ($1, $2, $3, $4, $5)",
        member.company_id.0,
        member.id.0,
        member.name,
        member.email,
        member.created_at,
    )
    .execute(executor)
    .await?;
    Ok(member)
}

/// The members of one company or of all, by company, the oldest first.
pub async fn list(pool: &PgPool, company: Option<CompanyId>) -> Result<Vec<Member>, Error> {
    Ok(sqlx::query!(
        "SELECT m.id, m.company_id, c.name AS company_name, m.name, m.email, m.created_at
         FROM team_members m JOIN companies c ON c.id = m.company_id
         WHERE $1::uuid IS NULL OR m.company_id = $1
         ORDER BY c.created_at, c.id, m.created_at, m.id",
        company.map(|company| company.0),
    )
    .map(|row| Member {
        id: MemberId(row.id),
        company_id: CompanyId(row.company_id),
        company_name: row.company_name,
        name: row.name,
        email: row.email,
        created_at: row.created_at,
    })
    .fetch_all(pool)
    .await?)
}
