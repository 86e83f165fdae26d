//! Listening: connections of callers, how many and for how long.
//!
//! HTTP/1.1 and 1.0. HTTP/2 is for a proxy in front of the server, which speaks TLS, too: without TLS
//! nobody asks for it.
//!
//! A connection is *unused* while no request on it is being answered, also while the head of one
//! trickles in. When all places are taken, the one that is unused for longest makes room for a new
//! one: whoever keeps many connections open locks nobody out.

mod guests;
mod shaped;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::{Service, ServiceExt as _};

use crate::clock::Clock;
use crate::http::error::ApiError;
use crate::http::peer::Peer;
use guests::{Guest, Guests};
use shaped::Shaped;

/// How long a connection may be unused, and how long the head of a request may take.
const UNUSED: Duration = Duration::from_secs(60);
/// How long the other end of a connection may leave what it was sent: one that is gone
/// without a word would else be waited for a quarter of an hour.
#[cfg(target_os = "linux")]
const TAKEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause when no connection can be accepted, such as when no file can be opened.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers what comes on `listener` until `stop` is true, and then what has begun. At most so many
/// `connections` are open at a time.
pub(super) async fn listen<S>(
    listener: TcpListener,
    (service, clock): (S, Clock),
    connections: usize,
    mut stop: watch::Receiver<bool>,
) where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let guests = Guests::new(connections);
    let mut answering = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = answering.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((socket, from)) => {
                if let Err(error) = tune(&socket) {
                    tracing::debug!(%error, "a TCP option of a connection cannot be set");
                }
                match guests.welcome(from.ip()) {
                    Some(guest) => {
                        let guest = Arc::new(guest);
                        let answered = answer(
                            socket,
                            (service.clone(), clock.clone()),
                            (guest, Peer(from.ip())),
                            stop.clone(),
                        );
                        answering.spawn(answered);
                    }
                    None => refuse(&socket, &clock),
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; one that is unused is closed");
                guests.make_room();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    while answering.join_next().await.is_some() {}
}

/// Events of a stream go out at once, and a connection whose other end takes nothing any
/// more does not keep its place.
fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(TAKEN_TIMEOUT))?;
    Ok(())
}

/// Did it end before it was accepted? That says nothing about the next one.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Says that there is no place, as far as that can be said without waiting.
fn refuse(socket: &TcpStream, clock: &Clock) {
    let error = ApiError::overloaded(
        "Too many connections",
        "The server has as many connections open as it takes on. Nothing was changed; please try again in a few seconds",
    );
    let body = error.body(clock.now());
    let _ = socket.try_write(shaped::head("503 Service Unavailable", &body, "retry-after: 2\r\n").as_bytes());
    let _ = socket.try_write(body.as_bytes());
}

/// Answers what comes on one connection.
async fn answer<S>(
    socket: TcpStream,
    (service, clock): (S, Clock),
    (guest, peer): (Arc<Guest>, Peer),
    mut stop: watch::Receiver<bool>,
) where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let requests = guest.clone();
    let answering = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let busy = requests.busy();
        let answer = service.clone().oneshot(request.map(Body::new));
        async move { answer.await.map(|answer| answer.map(|body| busy.until_sent(body))) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(UNUSED);
    let socket = TokioIo::new(Shaped::new(socket, clock));
    let mut connection = pin!(builder.serve_connection(socket, answering));
    let mut told = false;
    loop {
        tokio::select! {
            // How it ended is nothing to us: whoever asked has an answer, or has gone.
            _ = poll_fn(|context| connection.as_mut().poll(context)) => return,
            () = guest.asked_to_leave() => return,
            _ = stop.wait_for(|stop| *stop), if !told => {
                if guest.is_unused() {
                    return;
                }
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
