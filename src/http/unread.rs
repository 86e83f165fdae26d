//! Request bodies that nobody read, because the answer came first.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};

use super::body::MAX_BODY;

/// Bytes that are read and thrown away.
const MAX_DRAINED: usize = 16 * MAX_BODY;
/// How long that may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A body of which the rest can still be read when somebody has dropped it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Rest>>);

struct Rest {
    body: Body,
    /// Was it read to its end? A chunked body does not tell by itself.
    ended: bool,
}

impl Shared {
    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl hyper::body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut rest = self.rest();
        let frame = Pin::new(&mut rest.body).poll_frame(context);
        rest.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        let rest = self.rest();
        rest.ended || rest.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.rest().body.size_hint()
    }
}

/// Around everything that may answer before the body was read, such as 401, 413 and 429: reads the
/// rest, within bounds, so that the caller sees the answer and can use the connection again; or
/// else says that the connection ends. Otherwise callers see a broken pipe.
pub async fn drain(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let (version, expects) = (parts.version, parts.headers.contains_key(header::EXPECT));
    let mut rest = Shared(Arc::new(Mutex::new(Rest { body, ended: false })));
    let mut response = next.run(Request::from_parts(parts, Body::new(rest.clone()))).await;
    let endless = rest.size_hint().lower() > MAX_DRAINED as u64;
    let mut drained = 0;
    let all = async {
        while let Some(frame) = rest.frame().await {
            drained += frame.ok()?.data_ref().map_or(0, Bytes::len);
            if drained > MAX_DRAINED {
                return None;
            }
        }
        Some(())
    };
    // Whoever asks first whether to send the body has its answer, and does not send it.
    let read =
        !expects && !endless && tokio::time::timeout(DRAIN_TIMEOUT, all).await.ok().flatten().is_some();
    if !read && !rest.is_end_stream() && version <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
