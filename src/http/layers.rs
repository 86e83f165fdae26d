//! What happens to every request and response, whichever route it takes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::answer::json_text;
use super::error::{ApiError, Code};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::ids::Ids;

/// How long a request may take in all, its body included. Longer than the
/// database's own limits, so that those speak first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Quoted in reports; on every response.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken over from the caller.
const MAX_REQUEST_ID: usize = 128;
/// How often refused requests are logged: where there is one 503 there are thousands.
const TELL_REFUSALS: Duration = Duration::from_secs(1);
/// What requests for a route that there is not are counted under.
const NO_ROUTE: &str = "none";

/// What the outermost layer works with.
pub struct Outermost {
    /// The time.
    pub clock: Clock,
    /// For request ids.
    pub ids: Ids,
    /// Every request is counted.
    pub metrics: Arc<Metrics>,
    /// Refused ones are not all logged.
    pub refusals: Refusals,
}

/// When a refused request was last told of, and how many were not since.
#[derive(Default)]
pub struct Refusals(Mutex<Option<(Instant, u64)>>);

impl Refusals {
    /// Another one. If it is time to tell of it: how many others there were meanwhile.
    fn others(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *told {
            Some((at, others)) if now.duration_since(*at) < TELL_REFUSALS => {
                *others += 1;
                None
            }
            _ => Some(told.replace((now, 0)).map_or(0, |(_, others)| others)),
        }
    }
}

/// The outermost layer: a request id, a bound on time, panics caught, errors rendered, one log line,
/// one more counted.
pub async fn outermost(
    State(outermost): State<Arc<Outermost>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let Outermost { clock, ids, metrics, refusals } = &*outermost;
    let started = Instant::now();
    let id = request_id(&request).unwrap_or_else(|| {
        let id = format!("req_{}", ids.next(clock.now()).simple());
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("req"))
    });
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let answered = async {
        match check_host(&request) {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        }
    };
    let handled =
        tokio::time::timeout(REQUEST_TIMEOUT, std::panic::AssertUnwindSafe(answered).catch_unwind());
    let response = match handled.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            ApiError::internal(&format_args!("a handler panicked: {method} {path}")).into_response()
        }
        Err(_) => ApiError::outcome_unknown().into_response(),
    };
    let mut response = render(response, clock);
    let (status, took) = (response.status().as_u16(), started.elapsed());
    metrics.answered(method.as_str(), route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str), status, took);
    let ms = took.as_secs_f64() * 1000.0;
    let request_id = id.to_str().unwrap_or_default();
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        if let Some(others) = refusals.others(started + took) {
            tracing::warn!(%method, path, status, ms, request_id, others, "request refused, and others before");
        }
    } else if response.status().is_server_error() {
        tracing::warn!(%method, path, status, ms, request_id, "request failed");
    } else {
        tracing::debug!(%method, path, status, ms, request_id, "request");
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// One request, one host (RFC 9112 §3.2): those in front of the server must not read it differently.
fn check_host(request: &Request) -> Result<(), ApiError> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts == 1 || (hosts == 0 && request.version() != Version::HTTP_11) {
        return Ok(());
    }
    let message = "A request of HTTP/1.1 has the header Host exactly once";
    Err(ApiError::new(Code::BadRequest, "Host header missing or repeated", message))
}

/// The caller's own request id, if it is harmless.
fn request_id(request: &Request) -> Option<HeaderValue> {
    let id = request.headers().get(REQUEST_ID)?;
    let harmless = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:".contains(b);
    ((1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(harmless)).then(|| id.clone())
}

/// Gives an error its body, now that the time is known; also one that came from axum itself.
fn render(mut response: Response, clock: &Clock) -> Response {
    let status = response.status();
    let Some(error) = response.extensions_mut().remove::<ApiError>().or_else(|| foreign(&response)) else {
        return response;
    };
    // To HEAD, hyper sends the length of the body and not the body.
    let mut rendered = json_text(error.code.status(), error.body(clock.now()));
    // Keep what layers in between added (rate limits, Allow).
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    for (name, value) in error.headers() {
        rendered.headers_mut().insert(name, value.clone());
    }
    debug_assert_eq!(status, rendered.status());
    rendered
}

/// Answers of axum's own that have no body in our shape.
fn foreign(response: &Response) -> Option<ApiError> {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let ours = kind == b"application/json" || kind.starts_with(b"text/html");
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Some(ApiError::new(
            Code::MethodNotAllowed,
            "Method not allowed",
            "This route exists, but not with this method; the Allow header names those it has",
        )),
        StatusCode::NOT_FOUND if !ours => Some(no_such_route()),
        StatusCode::UNSUPPORTED_MEDIA_TYPE if !ours => Some(ApiError::new(
            Code::UnsupportedMediaType,
            "Content-Encoding not supported",
            "Please send the body as it is, or with Content-Encoding: gzip",
        )),
        // Of the extractors only axum's `Path` is not ours.
        StatusCode::BAD_REQUEST if !ours => {
            Some(ApiError::new(Code::BadRequest, "Invalid path", "The path must be valid UTF-8"))
        }
        _ => None,
    }
}

/// 404 for a route that does not exist.
pub fn no_such_route() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "Route not found",
        "There is no such route; GET /api/external/openapi.json lists those there are",
    )
}

/// The fallback of the router.
pub async fn not_found(_: Option<MatchedPath>) -> ApiError {
    no_such_route()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_of_once_a_second_with_their_number() {
        let refusals = Refusals::default();
        let now = Instant::now();
        assert_eq!([0, 1, 2].map(|_| refusals.others(now)), [Some(0), None, None]);
        assert_eq!([0, 1].map(|_| refusals.others(now + TELL_REFUSALS)), [Some(2), None]);
    }
}
