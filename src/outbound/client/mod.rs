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

mod body;
mod connection;
#[cfg(test)]
mod connection_tests;
mod connector;
mod error;
mod heard;
mod pool;
#[cfg(test)]
mod tests;
mod trust;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};
use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::model::ids::CompanyId;
use crate::outbound::address::TargetUrl;
use crate::outbound::targets::Targets;
use body::Body;
use connection::ExchangeError;
use connector::Connector;
use error::BoxError;
use pool::Pool;

pub use error::AttemptError;
pub use trust::TrustedCas;

/// How much of an answer's body is kept, in bytes: enough for an error message, and
/// little enough to keep with every attempt.
pub const SNIPPET_BYTES: usize = 1024;

/// How many of an answer's headers are kept. Servers send some ten; the receiver
/// chooses, so there is a bound.
pub const HEADERS_KEPT: usize = 32;
/// Bytes of all headers that are kept of an answer, names and values. Written as JSON they may take
/// twice as many: with the body, an attempt has less than 8 KiB.
const HEADERS_KEPT_BYTES: usize = 3 * 1024;

/// How much of a header's value is kept, in characters.
pub const HEADER_CHARS: usize = 256;

/// How much of an answer's body is read, in bytes, so that the connection can be
/// used again. A longer answer counts as complete here; its connection is closed.
pub const BODY_BYTES: usize = 64 * 1024;

/// How often a request is made again within an attempt because the peer says that it did not look
/// at it, each time on a new connection.
const MAX_REFUSALS: u32 = 3;

/// Sends deliveries; cheap to clone, all clones share the connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    targets: Targets,
    /// For subscriptions that may reach loopback. A connection once open is not
    /// judged again, so these do not share a pool with the others.
    local: Way,
    public: Way,
}

/// How to get to hosts.
struct Way {
    connector: Connector,
    pool: Pool,
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
    /// The first [`HEADERS_KEPT`] headers, names and values, cut to [`HEADER_CHARS`], as far as they
    /// have `HEADERS_KEPT_BYTES` together.
    /// Cookies are left out: they are credentials of the receiver.
    pub headers: Vec<(String, String)>,
    /// The first [`SNIPPET_BYTES`] of the body as UTF-8, where U+FFFD stands for NUL and for bytes that are
    /// none.
    pub snippet: String,
}

impl Client {
    /// A client that connects where `targets` allows. `timeout` is that of an
    /// attempt: a host's addresses share it, so that a dead one leaves time for the next. `trusted` are
    /// authorities beside those of the system.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up, such as on a machine without CA certificates.
    pub fn new(targets: Targets, timeout: Duration, trusted: &TrustedCas) -> Result<Self, BoxError> {
        let way = |loopback| {
            let connector = Connector::new(targets.clone(), loopback, timeout, trusted)?;
            Ok::<_, BoxError>(Way { connector, pool: Pool::default() })
        };
        let (local, public) = (way(true)?, way(false)?);
        Ok(Self(Arc::new(Inner { targets, local, public })))
    }

    /// Whether a subscription of `company` may reach loopback ([`Targets::lift_loopback`]).
    pub fn lift_loopback(&self, company: CompanyId, here: bool) -> bool {
        self.0.targets.lift_loopback(company, here)
    }

    /// Posts `body` to `target` and reads the answer. `loopback` says whether this
    /// subscription may use the policy's loopback exception. `headers` makes the headers, once more if
    /// the request has to go on another connection.
    pub async fn post(
        &self,
        target: &TargetUrl,
        loopback: bool,
        headers: impl Fn() -> HeaderMap,
        body: Bytes,
    ) -> Result<Response, AttemptError> {
        let Inner { targets, local, public } = &*self.0;
        targets.check_url(target, loopback)?;
        let way = if loopback { local } else { public };
        way.post(target, headers, body).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Way {
    /// Posts on a connection that is there, or on a new one.
    async fn post(
        &self,
        target: &TargetUrl,
        headers: impl Fn() -> HeaderMap,
        body: Bytes,
    ) -> Result<Response, AttemptError> {
        let make = || {
            let mut request = Request::new(Body::new(body.clone()));
            *request.method_mut() = Method::POST;
            *request.headers_mut() = headers();
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
            request
        };
        let mut request = make();
        let mut refusals = 0;
        let origin = &target.url()[..url::Position::BeforePath];
        let mut kept = self.pool.take(origin);
        loop {
            let is_new = kept.is_none();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                // Apart, because it is rare and large: it would be moved about with every attempt.
                None => Box::pin(self.connector.connect(connection::uri(target)?)).await?,
            };
            match connection.exchange(target, request, is_new).await {
                Ok((response, complete)) => {
                    if complete && connection.is_reusable() {
                        self.pool.put(origin, connection);
                    }
                    return Ok(response);
                }
                Err(ExchangeError::Unsent(unsent)) if !is_new => request = *unsent,
                Err(ExchangeError::Unsent(_)) => {
                    return Err(AttemptError::Broken("the connection was closed at once".to_owned()));
                }
                // Nothing that the receiver could help: once more, on a connection of its own.
                Err(ExchangeError::Crowded) => request = make(),
                Err(ExchangeError::Unanswered(_)) if !is_new => request = make(),
                Err(ExchangeError::Refused(_)) if refusals < MAX_REFUSALS => {
                    refusals += 1;
                    request = make();
                }
                Err(
                    ExchangeError::Unanswered(error)
                    | ExchangeError::Refused(error)
                    | ExchangeError::Failed(error),
                ) => return Err(error),
            }
        }
    }
}

/// Reads an answer, and says whenever something of it has come. Tells with it whether it was read to
/// its end.
async fn answer(
    response: axum::http::Response<Incoming>,
    remote_addr: Option<SocketAddr>,
    came: impl Fn(),
) -> hyper::Result<(Response, bool)> {
    let (parts, mut body) = response.into_parts();
    let mut snippet = Vec::new();
    let mut read = 0;
    let complete = loop {
        came();
        if read >= BODY_BYTES {
            break false;
        }
        let Some(frame) = body.frame().await.transpose()? else { break true };
        let Some(chunk) = frame.data_ref() else { continue };
        read += chunk.len();
        let room = SNIPPET_BYTES - snippet.len();
        snippet.extend_from_slice(&chunk[..chunk.len().min(room)]);
    };
    // No time is longer; the receiver could make it wait with the record otherwise.
    let retry_after = parts.headers.get(RETRY_AFTER).filter(|value| value.len() <= HEADER_CHARS);
    let retry_after = retry_after.and_then(|value| value.to_str().ok());
    let response = Response {
        status: parts.status.as_u16(),
        retry_after: retry_after.map(str::to_owned),
        remote_addr,
        headers: kept(&parts.headers),
        snippet: cut_bytes(storable(&snippet), SNIPPET_BYTES),
    };
    Ok((response, complete))
}

/// The headers as they are kept.
fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = if name == SET_COOKIE { "…".to_owned() } else { cut(storable(value.as_bytes())) };
        (cut(name.as_str().to_owned()), value)
    };
    let mut room = HEADERS_KEPT_BYTES;
    let fits = |(name, value): &(String, String)| {
        let rest = room.checked_sub(name.len() + value.len());
        room = rest.unwrap_or(room);
        rest.is_some()
    };
    headers.iter().take(HEADERS_KEPT).map(header).take_while(fits).collect()
}

/// The first [`HEADER_CHARS`], in memory of no more than that.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(HEADER_CHARS) {
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

/// The first `bytes`, or a few less where a character would be cut, in memory of no more than that.
fn cut_bytes(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text.shrink_to_fit();
    text
}

/// Text of whatever bytes; without NUL, which PostgreSQL does not store.
fn storable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => text.to_owned(),
        _ => String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}"),
    }
}
