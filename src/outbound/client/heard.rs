//! A stream that knows what came back on it, and takes no more than there is reason for.
//!
//! Who answers may send what it likes before the answer: informational answers (1xx), or frames of
//! HTTP/2 that mean nothing, without end. HTTP libraries read and drop them as fast as they come. So
//! whoever waits says how much may come ([`Heard::allow`]), and the stream breaks when more does. And
//! as one that sends without pause would never let go of the thread that reads it, a *turn* reads so
//! much and no more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read in one turn.
const TURN: u64 = 64 * 1024;

/// How many bytes have come, and how many may; clones share the counts.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Counts>);

#[derive(Default)]
struct Counts {
    bytes: AtomicU64,
    allowed: AtomicU64,
    /// Where this turn ends.
    turn: AtomicU64,
}

impl Heard {
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// From now on, so many bytes may come.
    pub(super) fn allow(&self, bytes: u64) {
        self.0.allowed.store(self.bytes().saturating_add(bytes), Ordering::Relaxed);
    }

    /// Begins a turn: whoever moves the bytes of the connection is at it once more.
    pub(super) fn begin_turn(&self) {
        self.0.turn.store(self.bytes() + TURN, Ordering::Relaxed);
    }
}

/// Counts what is read from a stream.
pub(super) struct Hearing<S> {
    pub(super) stream: S,
    pub(super) heard: Heard,
}

impl<S: AsyncRead + Unpin> AsyncRead for Hearing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Counts { bytes, allowed, turn } = &*self.heard.0;
        let had = bytes.load(Ordering::Relaxed);
        if had > allowed.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, TooMuch)));
        }
        if had >= turn.load(Ordering::Relaxed) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let come = buffer.filled().len() - before;
        self.heard.0.bytes.fetch_add(u64::try_from(come).unwrap_or(u64::MAX), Ordering::Relaxed);
        read
    }
}

/// Why a stream broke.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the receiver sent too much that is no answer")]
pub(super) struct TooMuch;

impl<S: AsyncWrite + Unpin> AsyncWrite for Hearing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
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
