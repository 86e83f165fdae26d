//! Companies: the tenants.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

use super::{Admin, Error};
use crate::model::ids::CompanyId;
use crate::model::time::serialize_time;

/// A company.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct Company {
    pub id: CompanyId,
    pub name: String,
    #[serde(serialize_with = "serialize_time")]
    pub created_at: DateTime<Utc>,
}

/// Creates a company. Names need not be unique.
pub async fn create(admin: &Admin, name: &str) -> Result<Company, Error> {
    let created_at = admin.clock.now();
    let company = Company { id: CompanyId(admin.ids.next(created_at)), name: name.to_owned(), created_at };
    insert(&admin.pool, &company).await?;
    Ok(company)
}

pub(super) async fn insert(executor: impl PgExecutor<'_>, company: &Company) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO companies (id, name, created_at) VALUES ($1, $2, $3)",
        company.id.0,
        company.name,
        company.created_at,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Gives a company another name.
pub async fn rename(pool: &PgPool, company: CompanyId, name: &str) -> Result<(), Error> {
    sqlx::query!("UPDATE companies SET name = $2 WHERE id = $1", company.0, name).execute(pool).await?;
    Ok(())
}

/// All companies, the oldest first.
pub async fn list(pool: &PgPool) -> Result<Vec<Company>, Error> {
    Ok(sqlx::query!("SELECT id, name, created_at FROM companies ORDER BY created_at, id")
        .map(|row| Company { id: CompanyId(row.id), name: row.name, created_at: row.created_at })
        .fetch_all(pool)
        .await?)
}

/// The company with this id or, to the letter, this name.
pub async fn find(pool: &PgPool, id_or_name: &str) -> Result<Company, Error> {
    let id = CompanyId::parse(id_or_name).map(|id| id.0);
    let mut found = sqlx::query!(
        "SELECT id, name, created_at FROM companies WHERE id = $1 OR name = $2 ORDER BY created_at, id",
        id,
        id_or_name,
    )
    .map(|row| Company { id: CompanyId(row.id), name: row.name, created_at: row.created_at })
    .fetch_all(pool)
    .await?;
    match found.len() {
        0 | 1 => found.pop().ok_or_else(|| Error::NoCompany(id_or_name.to_owned())),
        _ => Err(Error::AmbiguousCompany {
            name: id_or_name.to_owned(),
            ids: found.iter().map(|company| company.id).collect(),
        }),
    }
}
