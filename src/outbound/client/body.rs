//! What is sent: all of it at once.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};

/// The body of a request, which knows whether anybody has begun to send it.
pub(super) struct Body {
    bytes: Full<Bytes>,
    begun: Arc<AtomicBool>,
}

/// Whether a body has begun to be sent.
pub(super) struct Begun(Arc<AtomicBool>);

impl Body {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes: Full::new(bytes), begun: Arc::default() }
    }

    pub(super) fn begun(&self) -> Begun {
        Begun(self.begun.clone())
    }
}

impl Begun {
    pub(super) fn has(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.begun.store(true, Ordering::Relaxed);
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}
