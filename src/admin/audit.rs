//! Who changed what: keys, users, subscriptions, settings.

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
