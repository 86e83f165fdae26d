//! A recording receiver on a real socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::eventually;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    /// The envelope.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The record.
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    pub fn event_id(&self) -> String {
        self.json()["metadata"]["eventId"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status.
    Status(u16),
    /// This status with one header.
    With(u16, &'static str, String),
    /// This status, after a while of real time.
    After(Duration, u16),
    /// 200, as soon as this turns true.
    When(watch::Receiver<bool>),
    /// 200 with 42 KB of headers and a body of 10 KB that is no text.
    Large,
    /// Nothing, ever.
    Never,
    /// Status 200 at once, and a body that never ends.
    EndlessBody,
}

type Script = dyn Fn(usize, &Received) -> Reply + Send + Sync;

struct Inner {
    received: Mutex<Vec<Received>>,
    script: Mutex<Arc<Script>>,
    /// Requests that are not answered yet, and the most that there were at once.
    open: Mutex<(usize, usize)>,
}

/// A request that is not answered yet.
struct Open(Arc<Inner>);

impl Open {
    fn new(inner: &Arc<Inner>) -> Self {
        let mut open = inner.open.lock().unwrap();
        open.0 += 1;
        open.1 = open.1.max(open.0);
        Self(inner.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.lock().unwrap().0 -= 1;
    }
}

/// Records what arrives and answers by a script.
pub struct Receiver {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// One that answers 200.
    pub async fn start() -> Self {
        Self::scripted(|_, _| Reply::Status(200)).await
    }

    /// One that answers by `script`, which is given the number of the request (from 0).
    pub async fn scripted(script: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            received: Mutex::default(),
            script: Mutex::new(Arc::new(script)),
            open: Mutex::default(),
        });
        let app = Router::new().fallback(receive).with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, inner, task }
    }

    /// From now on it answers like that.
    pub fn rescript(&self, script: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static) {
        *self.inner.script.lock().unwrap() = Arc::new(script);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Received> {
        self.inner.received.lock().unwrap().clone()
    }

    /// The most requests that were open at once.
    pub fn most_at_once(&self) -> usize {
        self.inner.open.lock().unwrap().1
    }

    /// Waits for `count` requests and answers all there are.
    pub async fn expect(&self, count: usize) -> Vec<Received> {
        eventually(&format!("the arrival of {count} requests"), async || {
            Some(self.all()).filter(|received| received.len() >= count)
        })
        .await
    }

    /// Fails if more than `count` requests arrive within a moment.
    pub async fn expect_no_more_than(&self, count: usize) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let all = self.all();
        assert!(all.len() <= count, "{} instead of {count} requests: {all:#?}", all.len());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    let _open = Open::new(&inner);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let received = Received { path: parts.uri.path().to_owned(), headers: parts.headers, body };
    let number = {
        let mut all = inner.received.lock().unwrap();
        all.push(received.clone());
        all.len() - 1
    };
    let script = inner.script.lock().unwrap().clone();
    let status = |status: u16| Response::builder().status(StatusCode::from_u16(status).unwrap());
    match script(number, &received) {
        Reply::Status(code) => status(code).body(Body::from("ok")).unwrap(),
        Reply::With(code, name, value) => status(code).header(name, value).body(Body::empty()).unwrap(),
        Reply::After(pause, code) => {
            tokio::time::sleep(pause).await;
            status(code).body(Body::from("ok")).unwrap()
        }
        Reply::When(mut open) => {
            open.wait_for(|open| *open).await.unwrap();
            status(200).body(Body::from("ok")).unwrap()
        }
        Reply::Large => {
            let headers = (0..42).fold(status(200), |response, number| {
                response.header(format!("x-large-{number}"), "\"".repeat(1000))
            });
            headers.body(Body::from(vec![0xff; 10_000])).unwrap()
        }
        Reply::Never => std::future::pending().await,
        Reply::EndlessBody => {
            let drip = futures_util::stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b".")), ()))
            });
            status(200).body(Body::from_stream(drip)).unwrap()
        }
    }
}

/// Answers these bytes to whatever comes, and hangs up.
pub async fn blunt(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    address.to_string()
}
