//! Who receives: one socket for all subscriptions, a path for each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpListener;

use super::random::percent;

/// How many of a hundred deliveries an unreliable receiver fails.
const FAILS: usize = 30;

/// Below this path, receivers fail now and then.
pub const UNRELIABLE: &str = "/unreliable/";

/// A delivery that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub event: String,
    pub attempt: u8,
    pub at: Instant,
    /// Was it answered with 200?
    pub accepted: bool,
    /// Was the connection closed instead of an answer? Where it was a kept one, the same attempt
    /// comes once more.
    pub cut: bool,
}

/// By path.
type Arrivals = Arc<Mutex<HashMap<String, Vec<Arrival>>>>;

/// Records what arrives at each path.
pub struct Receiver {
    address: SocketAddr,
    arrivals: Arrivals,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrivals = Arrivals::default();
        let app = Router::new().fallback(receive).with_state(Arc::clone(&arrivals));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, arrivals, task }
    }

    /// Where to subscribe.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What arrived at a path, in order.
    pub fn arrivals(&self, path: &str) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().get(path).cloned().unwrap_or_default()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(arrivals): State<Arrivals>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let Ok(body) = body.collect().await else {
        // Cut off on the way: it did not arrive.
        return Response::builder().status(400).body(Body::empty()).unwrap();
    };
    let envelope: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    let header = |name| parts.headers[name].to_str().unwrap();
    let event = header("webhook-id").to_owned();
    assert_eq!(envelope["metadata"]["eventId"], *event);
    let accepted = !(path.starts_with(UNRELIABLE) && percent(FAILS));
    let attempt = header("x-isao-attempt").parse().unwrap();
    let cut = !accepted && percent(50);
    let arrival = Arrival { event, attempt, at: Instant::now(), accepted, cut };
    arrivals.lock().unwrap().entry(path).or_default().push(arrival);
    match accepted {
        true => Response::new(Body::from("ok")),
        false if !cut => Response::builder().status(503).body(Body::empty()).unwrap(),
        // The connection closes: the body is broken before anything of the answer was sent.
        false => {
            let broken =
                futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("broken")) });
            Response::new(Body::from_stream(broken))
        }
    }
}
