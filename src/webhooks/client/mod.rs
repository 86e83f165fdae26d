//! The HTTP client that makes every delivery.
//!
//! [`Client::post`] is one attempt without its deadline: the caller wraps it in a
//! timeout that spans connecting, sending, and the answer's headers and body. A
//! receiver that is still sending a short body when the time is up has failed,
//! even if its status said 200.
//!
//! Where it may connect is for [`Targets`] to say, at two points: the URL
//! before sending, because literal addresses never reach a resolver, and every
//! address a name resolves to, at the moment of connecting, so that a name cannot
//! change its mind in between. Redirects are not followed and proxies of the
//! environment not used: both would lead around these checks.

mod error;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};
use reqwest::redirect;

use crate::address::TargetUrl;
use crate::targets::Targets;

pub use error::AttemptError;

/// How much of an answer's body is kept, in bytes: enough for an error message, and
/// little enough to keep with every attempt.
pub const SNIPPET_BYTES: usize = 1024;

/// How many of an answer's headers are kept. Servers send some ten; the receiver
/// chooses, so there is a bound.
pub const HEADERS_KEPT: usize = 32;

/// How much of a header's value is kept, in characters.
pub const HEADER_CHARS: usize = 256;

/// How much of an answer's body is read, in bytes, so that the connection can be
/// used again. A longer answer counts as complete here; its connection is closed.
pub const BODY_BYTES: usize = 64 * 1024;

/// How long an unused connection is kept. Under the 5 s after which Node and
/// Apache close theirs: a request sent just then would be lost and cost a retry.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How many unused connections are kept per host, so that many subscriptions of
/// one receiver share a bounded number.
const POOL_IDLE_PER_HOST: usize = 256;

/// How often a busy HTTP/2 connection is asked for a sign of life, and how long
/// that may take. All attempts to a host share one such connection: a dead one
/// must not fail them until TCP notices.
const HTTP2_PING: Duration = Duration::from_secs(10);

/// Sends deliveries; cheap to clone, all clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    targets: Targets,
    /// For subscriptions that may reach loopback. A connection once open is not
    /// judged again, so these do not share a pool with the others.
    local: reqwest::Client,
    public: reqwest::Client,
}

/// What the receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status, whatever it says.
    pub status: u16,
    /// The `Retry-After` header, for [`super::retry::retry_after`].
    pub retry_after: Option<String>,
    /// Where the answer came from.
    pub remote_addr: Option<SocketAddr>,
    /// The first [`HEADERS_KEPT`] headers, names and values, cut to [`HEADER_CHARS`].
    /// Cookies are left out: they are credentials of the receiver.
    pub headers: Vec<(String, String)>,
    /// The first [`SNIPPET_BYTES`] of the body, as far as they are UTF-8, without NUL.
    pub snippet: String,
}

impl Client {
    /// A client that connects where `targets` allows. `timeout` is that of an
    /// attempt: a host's addresses share it, so that a dead one leaves time for the next.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up, such as on a machine without CA certificates; the
    /// error's source says so.
    pub fn new(targets: Targets, timeout: Duration) -> Result<Self, reqwest::Error> {
        let http = |loopback| {
            reqwest::Client::builder()
                .dns_resolver(JudgingResolver { targets: targets.clone(), loopback })
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .connect_timeout(timeout)
                .tcp_nodelay(true)
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
                .http2_keep_alive_interval(HTTP2_PING)
                .http2_keep_alive_timeout(HTTP2_PING)
                .build()
        };
        Ok(Self { local: http(true)?, public: http(false)?, targets })
    }

    /// Posts `body` to `target` and reads the answer. `loopback` tells whether this
    /// subscription may use the policy's loopback exception.
    pub async fn post(
        &self,
        target: &TargetUrl,
        loopback: bool,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, AttemptError> {
        self.targets.check_url(target, loopback)?;
        let http = if loopback { &self.local } else { &self.public };
        let mut response = http.post(target.url().clone()).headers(headers).body(body).send().await?;
        let snippet = read_body(&mut response).await?;
        Ok(Response {
            status: response.status().as_u16(),
            retry_after: response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            remote_addr: response.remote_addr(),
            headers: kept(response.headers()),
            snippet,
        })
    }
}

/// The headers as they are kept.
fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| storable(bytes).chars().take(HEADER_CHARS).collect();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = if name == SET_COOKIE { "…".to_owned() } else { text(value.as_bytes()) };
        (text(name.as_str().as_bytes()), value)
    };
    headers.iter().take(HEADERS_KEPT).map(header).collect()
}

/// Text of whatever bytes; without NUL, which PostgreSQL does not store.
fn storable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

/// Reads the body to its end or [`BODY_BYTES`] and returns its beginning.
async fn read_body(response: &mut reqwest::Response) -> Result<String, reqwest::Error> {
    let mut snippet = Vec::new();
    let mut read = 0;
    while read < BODY_BYTES {
        let Some(chunk) = response.chunk().await? else { break };
        read += chunk.len();
        let room = SNIPPET_BYTES - snippet.len();
        snippet.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(storable(&snippet))
}

/// Lets the HTTP client resolve by [`Targets`].
#[derive(Debug)]
struct JudgingResolver {
    targets: Targets,
    loopback: bool,
}

impl Resolve for JudgingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (targets, loopback) = (self.targets.clone(), self.loopback);
        Box::pin(async move {
            let allowed = targets.connectable(name.as_str(), loopback).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
