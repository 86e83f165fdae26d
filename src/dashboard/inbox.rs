//! An inbox of this server: a URL that keeps what it receives, so that a first webhook is watched arriving
//! without any other program.
//!
//! A company has one at most. It keeps the newest messages, and expires when nobody uses its page.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Dashboard, Failure};
use crate::admin::Admin;
use crate::model::ids::CompanyId;
use crate::model::words::words;
use crate::outbound::signature::Secrets;
use crate::random;

/// Messages that are kept.
pub(super) const KEPT: i64 = 100;
/// Bytes of a message's body that are kept, and of its headers.
const BODY: usize = 64 * 1024;
const HEADERS: usize = 8 * 1024;
/// How long an inbox lasts after it was used last.
pub(super) const LASTS: TimeDelta = TimeDelta::days(7);
/// How long a slow answer takes.
const SLOW: Duration = Duration::from_secs(5);
/// Messages that are being received, in this process; and those of one company.
pub(super) const AT_ONCE: (usize, usize) = (64, 16);

words! {
    /// What an inbox answers.
    pub enum Answers {
        /// 200.
        Ok = "ok",
        /// 500.
        Error = "error",
        /// 200, after a while.
        Slow = "slow",
        /// 410: the sender may stop.
        Gone = "gone",
    }
}

/// An inbox.
pub(super) struct Inbox {
    pub(super) token: String,
    pub(super) answers: Answers,
}

/// What it received.
pub(super) struct Message {
    pub(super) id: Uuid,
    pub(super) at: DateTime<Utc>,
    pub(super) headers: String,
    pub(super) body: String,
    pub(super) status: i16,
    pub(super) verified: Option<bool>,
}

/// The inbox of a company, if it has one.
pub(super) async fn of(
    pool: &PgPool,
    company: CompanyId,
    now: DateTime<Utc>,
) -> Result<Option<Inbox>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT token, answer FROM inboxes WHERE company_id = $1 AND expires_at > $2",
        company.0,
        now,
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| Inbox { token: row.token, answers: Answers::parse(&row.answer).unwrap_or(Answers::Ok) }))
}

/// Gives a company an inbox, in place of one that expired.
pub(super) async fn open(admin: &Admin, company: CompanyId) -> Result<(), Failure> {
    let token: [u8; 16] = random::bytes().map_err(crate::admin::Error::from)?;
    let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let now = admin.clock.now();
    sqlx::query!("DELETE FROM inboxes WHERE company_id = $1 AND expires_at <= $2", company.0, now)
        .execute(&admin.pool)
        .await?;
    sqlx::query!(
        "INSERT INTO inboxes (company_id, token, expires_at) VALUES ($1, $2, $3) ON CONFLICT (company_id) DO NOTHING",
        company.0,
        token,
        now + LASTS,
    )
    .execute(&admin.pool)
    .await?;
    Ok(())
}

/// Says what it answers from now on; it lasts longer for that.
pub(super) async fn answer(admin: &Admin, company: CompanyId, answers: Answers) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE inboxes SET answer = $2, expires_at = $3 WHERE company_id = $1",
        company.0,
        answers.word(),
        admin.clock.now() + LASTS,
    )
    .execute(&admin.pool)
    .await?;
    Ok(())
}

/// Throws away what was received.
pub(super) async fn empty(pool: &PgPool, company: CompanyId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM inbox_messages WHERE company_id = $1", company.0).execute(pool).await?;
    Ok(())
}

/// What was received, the newest first.
pub(super) async fn messages(pool: &PgPool, company: CompanyId) -> Result<Vec<Message>, sqlx::Error> {
    sqlx::query_as!(
        Message,
        "SELECT id, at, headers, body, status, verified FROM inbox_messages
         WHERE company_id = $1 ORDER BY id DESC LIMIT $2",
        company.0,
        KEPT,
    )
    .fetch_all(pool)
    .await
}

/// The newest message, by which it is seen whether there is a new one.
pub(super) async fn newest(pool: &PgPool, company: CompanyId) -> Result<Option<Uuid>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM inbox_messages WHERE company_id = $1 ORDER BY id DESC LIMIT 1",
        company.0,
    );
    id.fetch_optional(pool).await
}

/// Receives a message.
pub(super) async fn receive(
    State(dashboard): State<Dashboard>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match keep(&dashboard, &token, &headers, &body).await {
        Ok(status) => {
            let received = status.is_success();
            (status, axum::Json(json!({"received": received}))).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "an inbox could not keep a message");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn keep(
    dashboard: &Dashboard,
    token: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<StatusCode, sqlx::Error> {
    let (pool, now) = (dashboard.pool(), dashboard.admin.clock.now());
    let inbox = sqlx::query!(
        "SELECT company_id, answer FROM inboxes WHERE token = $1 AND expires_at > $2",
        token,
        now,
    );
    // None, or none any more: the sender may stop.
    let Some(inbox) = inbox.fetch_optional(pool).await? else { return Ok(StatusCode::GONE) };
    let company = CompanyId(inbox.company_id);
    let Ok(_place) = dashboard.receiving.try_take(company) else {
        return Ok(StatusCode::TOO_MANY_REQUESTS);
    };
    let answers = Answers::parse(&inbox.answer).unwrap_or(Answers::Ok);
    let status = match answers {
        Answers::Ok | Answers::Slow => StatusCode::OK,
        Answers::Error => StatusCode::INTERNAL_SERVER_ERROR,
        Answers::Gone => StatusCode::GONE,
    };
    let verified = verify(pool, company, (token, headers), body).await?;
    sqlx::query!(
        "WITH kept AS (SELECT id FROM inbox_messages WHERE company_id = $1 ORDER BY id DESC OFFSET $8 LIMIT 1),
              dropped AS (DELETE FROM inbox_messages WHERE company_id = $1 AND id <= (SELECT id FROM kept))
         INSERT INTO inbox_messages (company_id, id, at, headers, body, status, verified)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        company.0,
        dashboard.admin.ids.next(now),
        now,
        shown(headers),
        text(body, BODY),
        status.as_u16() as i16,
        verified,
        KEPT - 1,
    )
    .execute(pool)
    .await?;
    if answers == Answers::Slow {
        tokio::time::sleep(SLOW).await;
    }
    Ok(status)
}

/// Is it signed with the secret of a subscription to this URL? None if it is not signed.
async fn verify(
    pool: &PgPool,
    company: CompanyId,
    (token, headers): (&str, &HeaderMap),
    body: &[u8],
) -> Result<Option<bool>, sqlx::Error> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(at), Some(signature)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return Ok(None);
    };
    let host = header("host").unwrap_or_default();
    let rows = sqlx::query!(
        "SELECT secret, previous_secrets::text AS \"previous!\" FROM subscriptions
         WHERE company_id = $1 AND status <> 'deleted' AND md5(target_url) IN (md5($2), md5($3)) LIMIT 1000",
        company.0,
        format!("http://{host}/in/{token}"),
        format!("https://{host}/in/{token}"),
    );
    let at = at.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let verified = rows.fetch_all(pool).await?.into_iter().any(|row| {
        let secrets = Secrets::read(&row.secret, &row.previous);
        let (Some(secrets), Some(at)) = (secrets, at) else { return false };
        let expected = secrets.sign(id, at, body);
        expected.split(' ').any(|one| signature.split(' ').any(|sent| sent == one))
    });
    Ok(Some(verified))
}

/// The headers as they came, as far as they are kept.
fn shown(headers: &HeaderMap) -> String {
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    text(lines.collect::<String>().as_bytes(), HEADERS)
}

/// Text as PostgreSQL takes it, cut off at so many bytes.
fn text(bytes: &[u8], most: usize) -> String {
    let cut = &bytes[..bytes.len().min(most)];
    let mut text = String::from_utf8_lossy(cut).replace('\0', "\u{fffd}");
    if bytes.len() > most {
        text.push('…');
    }
    text
}
