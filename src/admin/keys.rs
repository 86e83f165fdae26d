//! API keys: made, listed and revoked.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

use super::companies::Company;
use super::{Admin, Error};
use crate::model::api_key::{ApiKey, ServiceType};
use crate::model::ids::{CompanyId, KeyId};
use crate::model::permission::Permission;
use crate::model::time::{serialize_time, serialize_time_option};
use crate::random;

/// A key as it is known: everything but the key itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct Key {
    pub id: KeyId,
    /// Prefix and last digits, to recognise it by.
    pub hint: String,
    pub company_id: CompanyId,
    pub company_name: String,
    pub name: String,
    pub description: Option<String>,
    #[serde(rename = "type")]
    pub service_type: String,
    pub permissions: Vec<String>,
    /// Requests per minute; `None` is unlimited.
    pub rate_limit: Option<i32>,
    pub state: State,
    #[serde(serialize_with = "serialize_time_option")]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "serialize_time")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "serialize_time_option")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// To the minute.
    #[serde(serialize_with = "serialize_time_option")]
    pub last_used_at: Option<DateTime<Utc>>,
    /// The address of whoever used it then.
    pub last_used_from: Option<String>,
}

/// Whether a key opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl State {
    /// Does it open anything?
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Active)
    }

    fn of(expires_at: Option<DateTime<Utc>>, revoked_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        match (revoked_at, expires_at) {
            (Some(_), _) => Self::Revoked,
            (None, Some(expiry)) if expiry <= now => Self::Expired,
            _ => Self::Active,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        })
    }
}

/// What a new key is to be.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewKey {
    pub name: String,
    pub description: Option<String>,
    pub permissions: Vec<Permission>,
    /// Requests per minute, at least 1; `None` is unlimited.
    pub rate_limit: Option<i32>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a key of the operating system's randomness.
pub fn generate(service: ServiceType) -> Result<ApiKey, Error> {
    Ok(ApiKey::generate(service, random::bytes()?))
}

/// Gives a company a new key. The key itself is in the answer and nowhere else.
pub async fn create(
    admin: &Admin,
    company: &Company,
    service: ServiceType,
    new: NewKey,
) -> Result<(ApiKey, Key), Error> {
    let key = generate(service)?;
    let id = insert(&admin.pool, admin, company, &key, new).await?;
    let known = fetch(admin, None, Some(id)).await?.pop().ok_or(Error::NoKey)?;
    Ok((key, known))
}

pub(super) async fn insert(
    executor: impl PgExecutor<'_>,
    admin: &Admin,
    company: &Company,
    key: &ApiKey,
    new: NewKey,
) -> Result<KeyId, Error> {
    let now = admin.clock.now();
    if let Some(expiry) = new.expires_at.filter(|expiry| *expiry <= now) {
        return Err(Error::ExpiresInPast(expiry));
    }
    let id = KeyId(admin.ids.next(now));
    let permissions: Vec<_> = new.permissions.iter().map(|permission| permission.word().to_owned()).collect();
    sqlx::query!(
        "INSERT INTO api_keys (id, company_id, name, description, service_type, permissions,
                               rate_limit, expires_at, hash, hint, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        id.0,
        company.id.0,
        new.name,
        new.description,
        key.service().name(),
        &permissions,
        new.rate_limit,
        new.expires_at,
        &key.hash()[..],
        key.hint(),
        now,
    )
    .execute(executor)
    .await?;
    Ok(id)
}

/// The keys of one company or of all, by company, the oldest first.
pub async fn list(admin: &Admin, company: Option<CompanyId>) -> Result<Vec<Key>, Error> {
    Ok(fetch(admin, company, None).await?)
}

/// Takes a key back, named by its id or by itself. Again is as good as once.
pub async fn revoke(admin: &Admin, id_or_key: &str) -> Result<Key, Error> {
    let id = KeyId::parse(id_or_key).map(|id| id.0);
    let hash = ApiKey::parse(id_or_key).map(|key| key.hash().to_vec());
    let revoked = sqlx::query_scalar!(
        "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $3) WHERE id = $1 OR hash = $2 RETURNING id",
        id,
        hash,
        admin.clock.now(),
    )
    .fetch_optional(&admin.pool)
    .await?;
    let id = revoked.ok_or(Error::NoKey)?;
    fetch(admin, None, Some(KeyId(id))).await?.pop().ok_or(Error::NoKey)
}

/// What is known of a key, if anything.
pub(super) async fn state(
    executor: impl PgExecutor<'_>,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<Option<State>, sqlx::Error> {
    sqlx::query!("SELECT expires_at, revoked_at FROM api_keys WHERE hash = $1", &key.hash()[..])
        .map(|row| State::of(row.expires_at, row.revoked_at, now))
        .fetch_optional(executor)
        .await
}

async fn fetch(
    admin: &Admin,
    company: Option<CompanyId>,
    id: Option<KeyId>,
) -> Result<Vec<Key>, sqlx::Error> {
    let now = admin.clock.now();
    sqlx::query!(
        "SELECT k.id, k.hint, k.company_id, c.name AS company_name, k.name, k.description, k.service_type,
                k.permissions, k.rate_limit, k.expires_at, k.created_at, k.revoked_at,
                k.last_used_at, k.last_used_from
         FROM api_keys k JOIN companies c ON c.id = k.company_id
         WHERE ($1::uuid IS NULL OR k.company_id = $1) AND ($2::uuid IS NULL OR k.id = $2)
         ORDER BY c.created_at, c.id, k.created_at, k.id",
        company.map(|company| company.0),
        id.map(|id| id.0),
    )
    .map(|row| Key {
        id: KeyId(row.id),
        hint: row.hint,
        company_id: CompanyId(row.company_id),
        company_name: row.company_name,
        name: row.name,
        description: row.description,
        service_type: row.service_type,
        permissions: row.permissions,
        rate_limit: row.rate_limit,
        state: State::of(row.expires_at, row.revoked_at, now),
        expires_at: row.expires_at,
        created_at: row.created_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
        last_used_from: row.last_used_from,
    })
    .fetch_all(&admin.pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_active_until_it_expires_or_is_revoked() {
        let at = |ms| DateTime::from_timestamp_millis(ms);
        let now = at(1000).unwrap();
        assert_eq!(State::of(None, None, now), State::Active);
        assert_eq!(State::of(at(1001), None, now), State::Active);
        assert_eq!(State::of(at(1000), None, now), State::Expired);
        assert_eq!(State::of(at(999), at(500), now), State::Revoked);
    }
}
