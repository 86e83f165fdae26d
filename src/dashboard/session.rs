//! Who is signed in: a cookie with a secret, of which the database keeps the hash.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::admin::users::{self, Link, Role};
use crate::model::ids::{CompanyId, UserId};

/// The cookie's name.
const COOKIE: &str = "isao_session";
/// How long a session lasts without a request.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a session lasts in all.
const LASTS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often a request is written down: one that comes sooner says nothing new.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) hash: [u8; 32],
    pub(super) user: UserId,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) language: Option<String>,
    pub(super) company: CompanyId,
    pub(super) company_name: String,
    pub(super) role: Role,
}

/// From where somebody comes.
#[derive(Clone, Debug)]
pub(super) struct From<'a> {
    pub(super) address: &'a str,
    pub(super) user_agent: &'a str,
}

/// The session that the request belongs to, if it is in force.
pub(super) async fn of(
    pool: &PgPool,
    headers: &HeaderMap,
    now: DateTime<Utc>,
) -> Result<Option<Session>, sqlx::Error> {
    let Some(secret) = cookie(headers, COOKIE) else { return Ok(None) };
    let hash = users::kept(secret);
    let row = sqlx::query!(
        "SELECT s.user_id, s.company_id, s.seen_at, u.email, u.name, u.language, c.name AS company_name, m.role
         FROM sessions s JOIN users u ON u.id = s.user_id JOIN companies c ON c.id = s.company_id
              JOIN memberships m ON m.company_id = s.company_id AND m.user_id = s.user_id
         WHERE s.hash = $1 AND s.seen_at > $2 AND s.created_at > $3 AND u.disabled_at IS NULL",
        &hash[..],
        now - IDLE,
        now - LASTS,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.seen_at < now - SEEN_EVERY {
        sqlx::query!("UPDATE sessions SET seen_at = $2 WHERE hash = $1", &hash[..], now)
            .execute(pool)
            .await?;
    }
    Ok(Some(Session {
        hash,
        user: UserId(row.user_id),
        email: row.email,
        name: row.name,
        language: row.language,
        company: CompanyId(row.company_id),
        company_name: row.company_name,
        role: Role::parse(&row.role).unwrap_or(Role::ReadOnly),
    }))
}

/// Begins a session of a user; answers the cookie. None if the user works in no company.
pub(super) async fn begin(
    pool: &PgPool,
    user: UserId,
    from: From<'_>,
    (now, secure): (DateTime<Utc>, bool),
) -> Result<Option<HeaderValue>, super::Failure> {
    let (secret, hash) = users::secret()?;
    let begun = sqlx::query!(
        "INSERT INTO sessions (hash, user_id, company_id, address, user_agent, created_at, seen_at)
         SELECT $1, m.user_id, m.company_id, $3, $4, $5, $5
         FROM memberships m JOIN users u ON u.id = m.user_id
         WHERE m.user_id = $2 AND u.disabled_at IS NULL ORDER BY m.created_at, m.company_id LIMIT 1",
        &hash[..],
        user.0,
        from.address,
        from.user_agent.chars().take(255).collect::<String>(),
        now,
    )
    .execute(pool)
    .await?;
    if begun.rows_affected() == 0 {
        return Ok(None);
    }
    Ok(set_cookie(&secret, LASTS.as_secs(), secure))
}

/// Ends a session; answers the cookie that takes the other one away.
pub(super) async fn end(
    pool: &PgPool,
    session: &Session,
    secure: bool,
) -> Result<Option<HeaderValue>, sqlx::Error> {
    sqlx::query!("DELETE FROM sessions WHERE hash = $1", &session.hash[..]).execute(pool).await?;
    Ok(set_cookie("", 0, secure))
}

/// Ends all sessions of a user but this one.
pub(super) async fn end_others(pool: &PgPool, user: UserId, keep: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1 AND hash <> $2", user.0, keep)
        .execute(pool)
        .await?;
    Ok(())
}

/// A session, as its owner sees it.
pub(super) struct Known {
    /// The hash, by which it is named.
    pub(super) name: String,
    pub(super) address: String,
    pub(super) user_agent: String,
    pub(super) seen_at: DateTime<Utc>,
    /// Is it the one that asks?
    pub(super) is_this: bool,
}

/// The sessions of a user that are in force, the one that was used last first.
pub(super) async fn all(
    pool: &PgPool,
    session: &Session,
    now: DateTime<Utc>,
) -> Result<Vec<Known>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT hash, address, user_agent, seen_at FROM sessions
         WHERE user_id = $1 AND seen_at > $2 AND created_at > $3 ORDER BY seen_at DESC LIMIT 100",
        session.user.0,
        now - IDLE,
        now - LASTS,
    );
    let rows = rows.fetch_all(pool).await?.into_iter().map(|row| Known {
        name: row.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        address: row.address,
        user_agent: row.user_agent,
        seen_at: row.seen_at,
        is_this: row.hash == session.hash,
    });
    Ok(rows.collect())
}

/// Ends one session of a user, by its name.
pub(super) async fn end_one(pool: &PgPool, user: UserId, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1 AND encode(hash, 'hex') = $2", user.0, name)
        .execute(pool)
        .await?;
    Ok(())
}

/// The companies of a user: id, name, and whether it is the one at work for.
pub(super) async fn companies(
    pool: &PgPool,
    session: &Session,
) -> Result<Vec<(String, String, bool)>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT c.id, c.name FROM memberships m JOIN companies c ON c.id = m.company_id
         WHERE m.user_id = $1 ORDER BY c.name, c.id",
        session.user.0,
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    let rows = rows.map(|row| (CompanyId(row.id).to_string(), row.name, row.id == session.company.0));
    Ok(rows.collect())
}

/// Goes to work for another company of the user.
pub(super) async fn switch(pool: &PgPool, session: &Session, company: &str) -> Result<(), sqlx::Error> {
    let company = CompanyId::parse(company).unwrap_or(session.company);
    sqlx::query!(
        "UPDATE sessions s SET company_id = m.company_id FROM memberships m
         WHERE s.hash = $1 AND m.user_id = s.user_id AND m.company_id = $2",
        &session.hash[..],
        company.0,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What is kept of a user's password.
pub(super) async fn password(pool: &PgPool, user: UserId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT password FROM users WHERE id = $1", user.0).fetch_one(pool).await
}

/// Keeps a password's hash.
pub(super) async fn set_password(pool: &PgPool, user: UserId, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users SET password = $2 WHERE id = $1", user.0, hash).execute(pool).await?;
    Ok(())
}

/// Keeps a user's language.
pub(super) async fn set_language(pool: &PgPool, user: UserId, language: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users SET language = $2 WHERE id = $1", user.0, language).execute(pool).await?;
    Ok(())
}

/// Takes a link that works once; answers whose it was.
pub(super) async fn take_link(
    pool: &PgPool,
    secret: &str,
    kind: Link,
    now: DateTime<Utc>,
) -> Result<Option<UserId>, sqlx::Error> {
    let user = sqlx::query_scalar!(
        "DELETE FROM one_time_links WHERE hash = $1 AND kind = $2 AND expires_at > $3 RETURNING user_id",
        &users::kept(secret)[..],
        kind.word(),
        now,
    );
    Ok(user.fetch_optional(pool).await?.map(UserId))
}

/// Does such a link work?
pub(super) async fn knows_link(
    pool: &PgPool,
    secret: &str,
    kind: Link,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM one_time_links WHERE hash = $1 AND kind = $2 AND expires_at > $3) AS "known!""#,
        &users::kept(secret)[..],
        kind.word(),
        now,
    )
    .fetch_one(pool)
    .await
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

/// A cookie that lasts for a year; scripts need not see it.
pub(super) fn lasting_cookie(name: &str, value: &str, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).ok()
}

fn set_cookie(secret: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; isao_session_x=2;isao_session=s3cret"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(cookie(&headers, COOKIE), Some("s3cret"));
        assert_eq!(cookie(&headers, "b"), Some("2"));
        assert_eq!(cookie(&headers, "c"), None);
    }
}
