//! A connection, and one request and answer on it.

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::http::header::HOST;
use axum::http::uri::InvalidUri;
use axum::http::{Request, Uri};
use futures_util::FutureExt as _;
use futures_util::future::{self, Either};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::{Executor, Read, Write};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::body::Body;
use super::error::AttemptError;
use super::heard::{Heard, Hearing};
use super::{BODY_BYTES, Response, answer};
use crate::outbound::address::TargetUrl;

/// How often a busy HTTP/2 connection is asked for a sign of life, and how long
/// that may take. All attempts to a host share one such connection: a dead one
/// must not fail them until TCP notices.
const PING: Duration = Duration::from_secs(10);

/// Headers that an answer may have; a delivery is not to fail because there are more than usual.
const MAX_HEADERS: usize = 512;
/// Bytes that the head of an answer may have.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Bytes that may come before and with the head of an answer: there may be informational ones first.
const HEAD_ALLOWED: u64 = 2 * MAX_HEAD_BYTES as u64;
/// Bytes that may come after it, however the body is cut into chunks.
const BODY_ALLOWED: u64 = 8 * BODY_BYTES as u64;
/// Bytes that may come on a shared connection while no answer on it goes on: more than what may be
/// on its way of answers whose rest nobody wants.
const SHARED_ALLOWED: u64 = 2 * SHARED_WINDOW as u64;
/// Bytes that a peer may send on a shared connection before they are read…
const SHARED_WINDOW: u32 = 1024 * 1024;
/// …and of one answer.
const STREAM_WINDOW: u32 = BODY_BYTES as u32;

/// How long a request waits for a stream on a shared connection before it goes on another one.
const OPEN_TIMEOUT: Duration = Duration::from_millis(200);

/// To one host.
pub(super) struct Connection {
    remote_addr: Option<SocketAddr>,
    /// When it was opened.
    born: Instant,
    kind: Kind,
}

enum Kind {
    /// It has no task of its own: whoever waits for the answer moves the bytes, and so there
    /// is one task to wake for each thing that happens.
    Http1 { sender: http1::SendRequest<Body>, driver: Option<Driver>, heard: Heard },
    /// Many share it; a task drives it.
    Http2 { sender: http2::SendRequest<Body>, heard: Heard },
}

/// What moves the bytes of a connection; ends when the connection does.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Runs the tasks of a connection, each time for one turn.
#[derive(Clone)]
struct InTurns(Heard);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for InTurns {
    fn execute(&self, task: F) {
        let heard = self.0.clone();
        let mut task = Box::pin(task);
        tokio::spawn(std::future::poll_fn(move |context| {
            heard.begin_turn();
            task.as_mut().poll(context)
        }));
    }
}

/// Why there is no answer.
pub(super) enum ExchangeError {
    /// The connection had ended before anything was sent: the request can go on another one.
    Unsent(Box<Request<Body>>),
    /// The peer says that it did not look at the request.
    Refused(AttemptError),
    /// The peer takes no more streams on this connection for now; nothing was sent.
    Crowded,
    /// The connection ended before a byte of the answer came. If it had been kept for a while, the
    /// peer had probably closed it just then.
    Unanswered(AttemptError),
    /// The request was sent, perhaps.
    Failed(AttemptError),
}

impl Connection {
    pub(super) async fn http1<S>(stream: S, remote_addr: Option<SocketAddr>) -> hyper::Result<Self>
    where
        S: Read + Write + Send + Unpin + 'static,
    {
        let heard = Heard::default();
        let stream = Hearing { stream: TokioIo::new(stream), heard: heard.clone() };
        // What ends a delivery well is its status: the rest of the head may be as odd as it likes.
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
        builder.allow_spaces_after_header_name_in_responses(true);
        builder.allow_obsolete_multiline_headers_in_responses(true);
        builder.ignore_invalid_headers_in_responses(true);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await?;
        let kind = Kind::Http1 { sender, driver: Some(Box::pin(driver)), heard };
        Ok(Self { remote_addr, born: Instant::now(), kind })
    }

    pub(super) async fn http2<S>(stream: S, remote_addr: Option<SocketAddr>) -> hyper::Result<Self>
    where
        S: Read + Write + Send + Unpin + 'static,
    {
        let heard = Heard::default();
        heard.allow(SHARED_ALLOWED);
        let mut builder = http2::Builder::new(InTurns(heard.clone()));
        builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
        builder.max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
        builder.initial_connection_window_size(SHARED_WINDOW).initial_stream_window_size(STREAM_WINDOW);
        let stream = Hearing { stream: TokioIo::new(stream), heard: heard.clone() };
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await?;
        // How it ends is told to those who wait for answers.
        tokio::spawn(driver.map(drop));
        Ok(Self { remote_addr, born: Instant::now(), kind: Kind::Http2 { sender, heard } })
    }

    /// How long it has been open.
    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Makes it as old as if that time had passed.
    #[cfg(test)]
    pub(super) fn grow_older(&mut self, time: Duration) {
        self.born -= time;
    }

    /// The same connection once more, if several may use it at a time.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.kind {
            Kind::Http1 { .. } => None,
            Kind::Http2 { sender, heard } => {
                let Self { remote_addr, born, .. } = *self;
                let kind = Kind::Http2 { sender: sender.clone(), heard: heard.clone() };
                Some(Self { remote_addr, born, kind })
            }
        }
    }

    /// Can it be used once more, after an answer was read to its end?
    pub(super) fn is_reusable(&mut self) -> bool {
        match &mut self.kind {
            Kind::Http1 { sender, driver, heard } => {
                heard.begin_turn();
                driver.as_mut().is_some_and(|driver| driver.now_or_never().is_none()) && sender.is_ready()
            }
            Kind::Http2 { sender, .. } => !sender.is_closed(),
        }
    }

    /// Sends a request to `target` and reads the answer. Tells with it whether it was read to its end.
    /// On a connection that `is_new`, nobody else can be waited for.
    pub(super) async fn exchange(
        &mut self,
        target: &TargetUrl,
        mut request: Request<Body>,
        is_new: bool,
    ) -> Result<(Response, bool), ExchangeError> {
        let remote_addr = self.remote_addr;
        match &mut self.kind {
            Kind::Http1 { sender, driver, heard } => {
                let url = target.url();
                let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
                *request.uri_mut() = path.parse().map_err(unfit)?;
                request.headers_mut().insert(HOST, target.authority().parse().map_err(unfit)?);
                let before = heard.bytes();
                heard.allow(HEAD_ALLOWED);
                let failed = |error: hyper::Error| {
                    let told = AttemptError::broken(&error);
                    if heard.bytes() == before {
                        ExchangeError::Unanswered(told)
                    } else {
                        ExchangeError::Failed(told)
                    }
                };
                let exchange = async {
                    if sender.ready().await.is_err() {
                        return Err(ExchangeError::Unsent(Box::new(request)));
                    }
                    let sent = sender.try_send_request(request).await;
                    let response = sent.map_err(|error| unsent(error, failed))?;
                    heard.allow(BODY_ALLOWED);
                    answer(response, remote_addr, || {}).await.map_err(failed)
                };
                tokio::pin!(exchange);
                std::future::poll_fn(|context| {
                    heard.begin_turn();
                    // What is to be sent is left for the driver, and what it reads is there at once.
                    if let Poll::Ready(done) = exchange.as_mut().poll(context) {
                        return Poll::Ready(done);
                    }
                    if let Some(moving) = driver
                        && moving.poll_unpin(context).is_ready()
                    {
                        *driver = None;
                    }
                    exchange.as_mut().poll(context)
                })
                .await
            }
            Kind::Http2 { sender, heard } => {
                *request.uri_mut() = uri(target).map_err(ExchangeError::Failed)?;
                // If another connection was tried before: here, the URI names the host.
                request.headers_mut().remove(HOST);
                if sender.ready().await.is_err() {
                    return Err(ExchangeError::Unsent(Box::new(request)));
                }
                let begun = request.body().begun();
                heard.allow(SHARED_ALLOWED);
                let sending = std::pin::pin!(sender.try_send_request(request));
                // Others may wait for their answers on all the streams that the peer takes at a time.
                let sent = match future::select(sending, Box::pin(tokio::time::sleep(OPEN_TIMEOUT))).await {
                    Either::Left((sent, _)) => sent,
                    Either::Right((_, _)) if !is_new && !begun.has() => return Err(ExchangeError::Crowded),
                    Either::Right((_, sending)) => sending.await,
                };
                let response = sent.map_err(|error| unsent(error, unanswered_stream))?;
                answer(response, remote_addr, || heard.allow(SHARED_ALLOWED)).await.map_err(broken)
            }
        }
    }
}

/// The target as HTTP names it.
pub(super) fn uri(target: &TargetUrl) -> Result<Uri, AttemptError> {
    target.url().as_str().parse().map_err(|error: InvalidUri| AttemptError::Other(error.to_string()))
}

fn unfit(error: impl std::error::Error) -> ExchangeError {
    ExchangeError::Failed(AttemptError::Other(error.to_string()))
}

fn broken(error: hyper::Error) -> ExchangeError {
    ExchangeError::Failed(AttemptError::broken(&error))
}

fn unsent(
    mut error: TrySendError<Request<Body>>,
    failed: impl Fn(hyper::Error) -> ExchangeError,
) -> ExchangeError {
    match error.take_message() {
        Some(request) => ExchangeError::Unsent(Box::new(request)),
        None => failed(error.into_error()),
    }
}

/// Why an HTTP/2 stream has no answer. RFC 9113 §6.8 and §8.7: what comes after the last stream
/// of a GOAWAY, and a stream that is reset with REFUSED_STREAM, was not processed.
fn unanswered_stream(error: hyper::Error) -> ExchangeError {
    let told = AttemptError::broken(&error);
    match error.source().and_then(|source| source.downcast_ref::<h2::Error>()) {
        Some(h2) if h2.is_go_away() && h2.is_remote() => ExchangeError::Refused(told),
        Some(h2) if h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM) => {
            ExchangeError::Refused(told)
        }
        Some(h2) if h2.is_io() => ExchangeError::Unanswered(told),
        Some(_) => ExchangeError::Failed(told),
        None if error.is_closed() || error.is_canceled() => ExchangeError::Unanswered(told),
        None => ExchangeError::Failed(told),
    }
}
