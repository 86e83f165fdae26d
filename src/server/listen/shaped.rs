//! Answers to what is no proper request, in the shape of all others.
//!
//! Before a request gets as far as a route, the HTTP library has judged its head. What it refuses
//! it answers by itself: a status without a body. Such an answer is recognised on its way out, by
//! what all of ours have, and gets a body that says what is wrong.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;
use crate::http::error::{ApiError, Code};

/// A stream to a caller.
pub(super) struct Shaped<S> {
    stream: S,
    clock: Clock,
    /// What is sent instead, and how much of it has been.
    instead: Option<(Vec<u8>, usize)>,
}

impl<S> Shaped<S> {
    pub(super) fn new(stream: S, clock: Clock) -> Self {
        Self { stream, clock, instead: None }
    }
}

/// The head of an answer that ends the connection.
pub(super) fn head(status: &str, body: &str, more: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}connection: close\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// What to say instead, if these bytes are an answer of the library's own.
fn instead(bytes: &[u8], clock: &Clock) -> Option<Vec<u8>> {
    let text = bytes.strip_prefix(b"HTTP/1.1 4")?;
    let text = str::from_utf8(text.strip_suffix(b"\r\n\r\n")?).ok()?;
    if text.contains("x-request-id") {
        return None;
    }
    let (status, message) = match text.get(..2)? {
        "14" => ("414 URI Too Long", "The target of the request is too long"),
        "31" => (
            "431 Request Header Fields Too Large",
            "The head of the request is too large; send fewer or shorter headers",
        ),
        _ => ("400 Bad Request", "The head of the request is not proper HTTP/1.1"),
    };
    let body = ApiError::new(Code::BadRequest, "Bad request", message).body(clock.now());
    Some([head(status, &body, "").into_bytes(), body.into_bytes()].concat())
}

impl<S: AsyncRead + Unpin> AsyncRead for Shaped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shaped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, clock, instead: saying } = &mut *self;
        if saying.is_none() {
            *saying = instead(bytes, clock).map(|instead| (instead, 0));
        }
        let Some((instead, sent)) = saying else { return Pin::new(stream).poll_write(context, bytes) };
        while *sent < instead.len() {
            *sent += std::task::ready!(Pin::new(&mut *stream).poll_write(context, &instead[*sent..]))?;
        }
        *saying = None;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [one] => self.poll_write(context, one),
            _ => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
