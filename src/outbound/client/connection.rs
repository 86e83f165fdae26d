//! A connection, and one request and answer on it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::http::header::HOST;
use axum::http::uri::InvalidUri;
use axum::http::{Request, Uri};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::Full;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::error::AttemptError;
use super::{Response, answer};
use crate::outbound::address::TargetUrl;

/// How often a busy HTTP/2 connection is asked for a sign of life, and how long
/// that may take. All attempts to a host share one such connection: a dead one
/// must not fail them until TCP notices.
const PING: Duration = Duration::from_secs(10);

/// What is sent: all of it at once.
pub(super) type Body = Full<Bytes>;

/// To one host.
pub(super) struct Connection {
    remote_addr: Option<SocketAddr>,
    kind: Kind,
}

enum Kind {
    /// It has no task of its own: whoever waits for the answer moves the bytes, and so there
    /// is one task to wake for each thing that happens.
    Http1 { sender: http1::SendRequest<Body>, driver: Option<Driver> },
    /// Many share it; a task drives it.
    Http2(http2::SendRequest<Body>),
}

/// What moves the bytes of a connection; ends when the connection does.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Why there is no answer.
pub(super) enum ExchangeError {
    /// The connection had ended before anything was sent: the request can go on another one.
    Unsent(Box<Request<Body>>),
    /// The request was sent, perhaps.
    Failed(AttemptError),
}

impl Connection {
    pub(super) async fn http1<S>(stream: S, remote_addr: Option<SocketAddr>) -> hyper::Result<Self>
    where
        S: Read + Write + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::handshake(stream).await?;
        Ok(Self { remote_addr, kind: Kind::Http1 { sender, driver: Some(Box::pin(driver)) } })
    }

    pub(super) async fn http2<S>(stream: S, remote_addr: Option<SocketAddr>) -> hyper::Result<Self>
    where
        S: Read + Write + Send + Unpin + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
        let (sender, driver) = builder.handshake(stream).await?;
        // How it ends is told to those who wait for answers.
        tokio::spawn(driver.map(drop));
        Ok(Self { remote_addr, kind: Kind::Http2(sender) })
    }

    /// The same connection once more, if several may use it at a time.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.kind {
            Kind::Http1 { .. } => None,
            Kind::Http2(sender) => {
                Some(Self { remote_addr: self.remote_addr, kind: Kind::Http2(sender.clone()) })
            }
        }
    }

    /// Can it be used once more, after an answer was read to its end?
    pub(super) fn is_reusable(&mut self) -> bool {
        match &mut self.kind {
            Kind::Http1 { sender, driver } => {
                driver.as_mut().is_some_and(|driver| driver.now_or_never().is_none()) && sender.is_ready()
            }
            Kind::Http2(sender) => !sender.is_closed(),
        }
    }

    /// Sends a request to `target` and reads the answer. Tells with it whether it was read to its end.
    pub(super) async fn exchange(
        &mut self,
        target: &TargetUrl,
        mut request: Request<Body>,
    ) -> Result<(Response, bool), ExchangeError> {
        let remote_addr = self.remote_addr;
        match &mut self.kind {
            Kind::Http1 { sender, driver } => {
                let url = target.url();
                let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
                *request.uri_mut() = path.parse().map_err(unfit)?;
                request.headers_mut().insert(HOST, target.authority().parse().map_err(unfit)?);
                let exchange = async {
                    if sender.ready().await.is_err() {
                        return Err(ExchangeError::Unsent(Box::new(request)));
                    }
                    let response = sender.try_send_request(request).await.map_err(unsent)?;
                    answer(response, remote_addr).await.map_err(broken)
                };
                tokio::pin!(exchange);
                std::future::poll_fn(|context| {
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
            Kind::Http2(sender) => {
                *request.uri_mut() = uri(target).map_err(ExchangeError::Failed)?;
                // If another connection was tried before: here, the URI names the host.
                request.headers_mut().remove(HOST);
                if sender.ready().await.is_err() {
                    return Err(ExchangeError::Unsent(Box::new(request)));
                }
                let response = sender.try_send_request(request).await.map_err(unsent)?;
                answer(response, remote_addr).await.map_err(broken)
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

fn unsent(mut error: TrySendError<Request<Body>>) -> ExchangeError {
    match error.take_message() {
        Some(request) => ExchangeError::Unsent(Box::new(request)),
        None => broken(error.into_error()),
    }
}
