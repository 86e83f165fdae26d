//! Who changed what: keys, users, subscriptions, settings.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Admin, Error};
use crate::model::ids::CompanyId;

/// Who changes something, and from where.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct By {
    pub id: String,
    pub name: String,
    pub address: String,
}

/// Notes what was done to what.
///
/// # Errors
/// When the database does not answer.
pub async fn note(
    admin: &Admin,
    company: CompanyId,
    by: &By,
    (action, subject, details): (&str, &str, &str),
) -> Result<(), Error> {
    let now = admin.clock.now();
    sqlx::query!(
        "INSERT INTO audit_log (company_id, id, at, actor, actor_name, action, subject, details, address)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        company.0,
        admin.ids.next(now),
        now,
        by.id,
        by.name,
        action,
        subject,
        details,
        by.address,
    )
    .execute(&admin.pool)
    .await?;
    Ok(())
}

/// What was noted.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Entry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub by: By,
    pub action: String,
    pub subject: String,
    pub details: String,
}

/// What was noted for a company before an entry, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    pool: &PgPool,
    company: CompanyId,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let rows = sqlx::query!(
        "SELECT id, at, actor, actor_name, action, subject, details, address FROM audit_log
         WHERE company_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        company.0,
        before.unwrap_or(Uuid::max()),
        limit,
    );
    let rows = rows.fetch_all(pool).await?.into_iter().map(|row| Entry {
        id: row.id,
        at: row.at,
        by: By { id: row.actor, name: row.actor_name, address: row.address },
        action: row.action,
        subject: row.subject,
        details: row.details,
    });
    Ok(rows.collect())
}
