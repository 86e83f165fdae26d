//! Who is calling: API keys, looked up by their hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::error::{ApiError, Code};
use super::peer::address;
use super::rate_limit::{RateLimits, Usage};
use crate::clock::Clock;
use crate::log::Author;
use crate::model::actor::Actor;
use crate::model::api_key::ApiKey;
use crate::model::ids::{CompanyId, KeyId, UserId};
use crate::model::permission::Permission;

/// How long a key is taken for what it was: a revocation is heard sooner than in a second.
const CACHED_FOR: Duration = Duration::from_millis(500);
/// How often it is noted that a key is in use.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// Keys remembered before old ones are swept out.
const SWEEP_AT: usize = 4096;

/// Recognises callers.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    pool: PgPool,
    clock: Clock,
    limits: RateLimits,
    cache: Mutex<Cache>,
    /// When the use of keys was noted last, by [`Clock::monotonic`].
    noted: Mutex<HashMap<KeyId, Duration>>,
}

/// Keys by their hash, and when each was looked up, by [`Clock::monotonic`].
type Cache = HashMap<[u8; 32], (Duration, Arc<KeyRecord>)>;

/// A key that is in force.
#[derive(Debug)]
struct KeyRecord {
    id: KeyId,
    hash: [u8; 32],
    company: CompanyId,
    company_name: String,
    permissions: Vec<Permission>,
    rate_limit: Option<u32>,
    expires_at: Option<DateTime<Utc>>,
}

/// The caller of a request; a handler gets it as [`Allowed`](super::allowed::Allowed).
#[derive(Clone, Debug)]
pub struct Caller {
    who: Who,
    /// Did the request come through a proxy? Then being on loopback says nothing
    /// about where the caller is.
    pub proxied: bool,
}

#[derive(Clone, Debug)]
enum Who {
    Key(Arc<KeyRecord>),
    User(Arc<SignedIn>),
}

/// Somebody who is signed in, at work for one company.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SignedIn {
    pub user: UserId,
    pub company: CompanyId,
    pub company_name: String,
    pub permissions: Vec<Permission>,
    /// May the user have events delivered again, without changing subscriptions?
    pub redelivers: bool,
}

impl Caller {
    /// A caller on a page of the dashboard.
    pub fn on_a_page(signed_in: Arc<SignedIn>, proxied: bool) -> Self {
        Self { who: Who::User(signed_in), proxied }
    }

    /// The company whose data it is about.
    pub fn company(&self) -> CompanyId {
        match &self.who {
            Who::Key(key) => key.company,
            Who::User(user) => user.company,
        }
    }

    /// In whose name it writes.
    pub fn author(&self) -> Author {
        let actor = match &self.who {
            Who::Key(key) => Actor::Key(key.id),
            Who::User(user) => Actor::User(user.user),
        };
        Author { company: self.company(), actor }
    }

    /// The company's name.
    pub fn company_name(&self) -> &str {
        match &self.who {
            Who::Key(key) => &key.company_name,
            Who::User(user) => &user.company_name,
        }
    }

    /// What it may do.
    pub fn permissions(&self) -> &[Permission] {
        match &self.who {
            Who::Key(key) => &key.permissions,
            Who::User(user) => &user.permissions,
        }
    }

    /// May a user who cannot change subscriptions have events delivered again?
    pub fn redelivers(&self) -> bool {
        matches!(&self.who, Who::User(user) if user.redelivers)
    }

    /// 403 unless the key has the permission.
    pub fn require(&self, wanted: Permission) -> Result<(), ApiError> {
        if self.permissions().iter().any(|held| held.grants(wanted)) {
            Ok(())
        } else {
            Err(ApiError::permission_denied(wanted, self.permissions()))
        }
    }
}

/// The layer in front of every route that needs a key.
pub async fn authenticate(State(auth): State<Auth>, mut request: Request, next: Next) -> Response {
    let known = match auth.identify(request.headers()).await {
        Ok(known) => known,
        Err(error) => return error.into_response(),
    };
    let clock = &auth.0.clock;
    auth.note_use(&known, || address(request.headers(), request.extensions().get().copied()));
    let usage = known.rate_limit.map(|limit| auth.0.limits.count(known.id, limit, clock.monotonic()));
    let mut response = match usage {
        Some(usage) if !usage.allowed => rate_limited(usage).into_response(),
        _ => {
            let proxied = is_proxied(request.headers());
            request.extensions_mut().insert(Caller { who: Who::Key(known), proxied });
            next.run(request).await
        }
    };
    if let Some(usage) = usage {
        usage.write(response.headers_mut(), clock.now());
    }
    response
}

fn rate_limited(usage: Usage) -> ApiError {
    let seconds = usage.seconds_left();
    ApiError::new(
        Code::RateLimitExceeded,
        "Rate limit exceeded",
        format!(
            "This API key has used up its requests for this minute; please try again in {seconds} seconds"
        ),
    )
    .retry_after(seconds)
}

/// RFC 7239 and the headers before it.
pub fn is_proxied(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name == header::FORWARDED || name.as_str().starts_with("x-forwarded-"))
}

impl Auth {
    /// Recognises keys that are in the database.
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            pool,
            clock,
            limits: RateLimits::default(),
            cache: Mutex::default(),
            noted: Mutex::default(),
        }))
    }

    /// Does the database answer?
    ///
    /// # Errors
    /// If not.
    pub async fn answers(&self) -> Result<(), ApiError> {
        sqlx::query("SELECT 1").execute(&self.0.pool).await?;
        Ok(())
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Arc<KeyRecord>, ApiError> {
        let Some(token) = bearer(headers) else {
            return Err(unauthorized(
                Code::MissingApiKey,
                "API key required in Authorization header",
                "Please provide a valid API key in the format: Authorization: Bearer YOUR_API_KEY",
            ));
        };
        let key = ApiKey::parse(token).ok_or_else(|| {
            unauthorized(
                Code::InvalidApiKeyFormat,
                "Invalid API key format",
                "API key appears to be invalid or too short",
            )
        })?;
        self.in_force(key.hash()).await?.ok_or_else(|| {
            unauthorized(
                Code::InvalidApiKey,
                "Invalid API key",
                "This API key is unknown, expired or revoked",
            )
        })
    }

    /// Notes when and from where a key was used, once a minute at most.
    fn note_use(&self, key: &KeyRecord, from: impl FnOnce() -> String) {
        let now = self.0.clock.monotonic();
        {
            let mut noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.get(&key.id).is_some_and(|at| now < *at + NOTED_EVERY) {
                return;
            }
            if noted.len() >= SWEEP_AT {
                noted.retain(|_, at| now < *at + NOTED_EVERY);
            }
            noted.insert(key.id, now);
        }
        let (auth, key, at, from) = (self.clone(), key.id, self.0.clock.now(), from());
        // Nobody waits for it, and without it nothing is missing but the note.
        tokio::spawn(async move {
            let noted = sqlx::query!(
                "UPDATE api_keys SET last_used_at = $2, last_used_from = $3 WHERE id = $1",
                key.0,
                at,
                from,
            );
            if let Err(error) = noted.execute(&auth.0.pool).await {
                tracing::debug!(%error, "the use of an API key could not be noted");
            }
        });
    }

    /// Is the caller's key still in force, and does it still have the permission? For
    /// whatever outlasts a request.
    pub async fn still_grants(&self, caller: &Caller, wanted: Permission) -> Result<bool, ApiError> {
        // A page does not outlast its request.
        let Who::Key(key) = &caller.who else { return Ok(false) };
        let known = self.in_force(key.hash).await?;
        Ok(known.is_some_and(|known| known.permissions.iter().any(|held| held.grants(wanted))))
    }

    /// The key with this hash, unless it is unknown, expired or revoked.
    async fn in_force(&self, hash: [u8; 32]) -> Result<Option<Arc<KeyRecord>>, ApiError> {
        let now = self.0.clock.now();
        let known = self.look_up(hash, self.0.clock.monotonic()).await?;
        Ok(known.filter(|known| known.expires_at.is_none_or(|expiry| expiry > now)))
    }

    async fn look_up(&self, hash: [u8; 32], now: Duration) -> Result<Option<Arc<KeyRecord>>, ApiError> {
        if let Some((seen, known)) = self.cache().get(&hash)
            && now < *seen + CACHED_FOR
        {
            return Ok(Some(known.clone()));
        }
        // Equality of SHA-256 hashes of 256-bit random keys: timing reveals nothing useful.
        let row = sqlx::query!(
            "SELECT k.id, k.company_id, c.name AS company_name, k.permissions, k.rate_limit, k.expires_at
             FROM api_keys k JOIN companies c ON c.id = k.company_id
             WHERE k.hash = $1 AND k.revoked_at IS NULL",
            &hash[..],
        )
        .fetch_optional(&self.0.pool)
        .await?;
        let known = row.map(|row| {
            Arc::new(KeyRecord {
                id: KeyId(row.id),
                hash,
                company: CompanyId(row.company_id),
                company_name: row.company_name,
                permissions: row.permissions.iter().filter_map(|name| Permission::parse(name)).collect(),
                rate_limit: row.rate_limit.map(i32::unsigned_abs),
                expires_at: row.expires_at,
            })
        });
        let mut cache = self.cache();
        if cache.len() >= SWEEP_AT {
            cache.retain(|_, (seen, _)| now < *seen + CACHED_FOR);
        }
        match &known {
            Some(known) => cache.insert(hash, (now, known.clone())),
            None => cache.remove(&hash),
        };
        Ok(known)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn unauthorized(code: Code, error: &str, message: &str) -> ApiError {
    ApiError::new(code, error, message).header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
