//! The receiver: a process of its own that checks what arrives, and counts.
//!
//! Subscription `i` of phase `p` posts to `/p/i`. For each the receiver keeps the last number
//! of every connection of the generator, so that order, gaps and repeats are seen at once, and
//! a digest of the order in which records arrived, which must be the same for all of a company
//! (a thousand numbers of subscriptions are one company's). Those that outlive a phase post to
//! `/any/i`: the phase is that of the record. In a phase without order, only repeats are seen.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::Error;
use crate::delivery::{Mark, Signer, envelope, now};

/// Numbers that a company's subscriptions are chosen from.
pub const PER_COMPANY: u32 = 1000;

/// What has arrived in this phase.
#[derive(Default)]
struct Phase {
    number: u32,
    unordered: bool,
    subscriptions: HashMap<u32, Subscription>,
    count: u64,
    /// Numbers at or below the last one: duplicates, as long as nothing is `missing`.
    repeated: u64,
    /// Numbers that were skipped.
    missing: u64,
    unsigned: u64,
    unreadable: u64,
    last_at: u64,
    /// From the create's request to the arrival, in microseconds.
    latencies: Vec<u32>,
}

#[derive(Default)]
struct Subscription {
    /// The next number of each connection.
    next: Vec<u32>,
    order: u64,
    /// What has arrived, where that is not told by `next`.
    seen: HashSet<u64>,
}

impl Phase {
    fn arrive(&mut self, subscription: u32, mark: &Mark, at: u64) {
        let record = (u64::from(mark.connection) << 32) | u64::from(mark.number);
        let Subscription { next, order, seen } = self.subscriptions.entry(subscription).or_default();
        if self.unordered {
            if !seen.insert(record) {
                self.repeated += 1;
                return;
            }
            self.arrived(mark, at);
            return;
        }
        let connection = mark.connection as usize;
        if next.len() <= connection {
            next.resize(connection + 1, 0);
        }
        if mark.number < next[connection] {
            self.repeated += 1;
            return;
        }
        self.missing += u64::from(mark.number - next[connection]);
        next[connection] = mark.number + 1;
        *order = (order.rotate_left(5) ^ record).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.arrived(mark, at);
    }

    fn arrived(&mut self, mark: &Mark, at: u64) {
        self.count += 1;
        self.last_at = at;
        self.latencies.push(at.saturating_sub(mark.at) as u32);
    }

    fn result(&mut self) -> String {
        let mut orders = HashMap::new();
        let same_order = self.subscriptions.iter().all(|(number, subscription)| {
            *orders.entry(number / PER_COMPANY).or_insert(subscription.order) == subscription.order
        });
        self.latencies.sort_unstable();
        json!({
            "count": self.count,
            "repeated": self.repeated,
            "missing": self.missing,
            "unsigned": self.unsigned,
            "unreadable": self.unreadable,
            "sameOrder": same_order,
            "lastAt": self.last_at,
            "p50": crate::load::percentile(&self.latencies, 0.50),
            "p99": crate::load::percentile(&self.latencies, 0.99),
        })
        .to_string()
    }
}

struct Receiver {
    signer: Signer,
    phase: Mutex<Phase>,
    /// How long it thinks before it answers, in milliseconds.
    delay: AtomicU64,
    /// What `/trivial` answers: as many bytes as the server does to a create.
    trivial: Bytes,
}

/// Receives until its standard input ends, that is until its parent does.
pub async fn run() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let mark = Mark { phase: 0, connection: 0, number: 0, at: now() };
    let trivial = envelope(&mark);
    let receiver = Arc::new(Receiver {
        signer: Signer::new(),
        phase: Mutex::default(),
        delay: AtomicU64::new(0),
        trivial,
    });
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let receiver = receiver.clone();
            let service = service_fn(move |request| {
                let receiver = receiver.clone();
                async move { receiver.answer(request).await }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    };
    let (mut stdin, mut byte) = (tokio::io::stdin(), [0]);
    tokio::select! {
        ended = accept => ended,
        _ = stdin.read(&mut byte) => Ok(()),
    }
}

impl Receiver {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return Ok(respond(400, Bytes::new())) };
        let body = body.to_bytes();
        let mut path = parts.uri.path().trim_start_matches('/').split('/');
        let answer = match (path.next().unwrap_or_default(), path.next()) {
            ("trivial", _) => return Ok(respond(201, self.trivial.clone())),
            ("count", _) => self.phase().count.to_string(),
            ("result", _) => self.phase().result(),
            ("begin", Some(phase)) => {
                let number = phase.parse().unwrap_or_default();
                let unordered = path.next() == Some("unordered");
                *self.phase() = Phase { number, unordered, ..Phase::default() };
                String::new()
            }
            ("delay", Some(millis)) => {
                self.delay.store(millis.parse().unwrap_or_default(), Ordering::Relaxed);
                String::new()
            }
            (phase, Some(subscription)) => {
                let delay = self.delay.load(Ordering::Relaxed);
                if delay > 0 {
                    think(Duration::from_millis(delay)).await;
                }
                let is_signed = self.signer.is_signed(&parts.headers, &body);
                let mark = Mark::find(&body);
                let phase = match phase {
                    "any" => Ok(mark.map_or(0, |mark| mark.phase)),
                    phase => phase.parse(),
                };
                let subscription = subscription.parse();
                let mut now_phase = self.phase();
                // One that was on its way when its phase ended is nobody's fault.
                if phase == Ok(now_phase.number) {
                    now_phase.unsigned += u64::from(!is_signed);
                    match (subscription, mark) {
                        (Ok(subscription), Some(mark)) => now_phase.arrive(subscription, &mark, now()),
                        _ => now_phase.unreadable += 1,
                    }
                }
                String::new()
            }
            _ => return Ok(respond(404, Bytes::new())),
        };
        Ok(respond(200, answer.into()))
    }
}

/// To the point: the runtime's own timers round up to whole milliseconds, twice. At most some
/// hundred requests are under way, and each takes a thread.
async fn think(delay: Duration) {
    // It cannot fail but by panicking, and sleep does not.
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(delay)).await;
}

fn respond(status: u16, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_repeats_and_different_orders_are_seen() {
        let mark = |connection, number| Mark { phase: 1, connection, number, at: 0 };
        let mut phase = Phase::default();
        for subscription in [0, 1] {
            for mark in [mark(0, 0), mark(1, 0), mark(0, 1)] {
                phase.arrive(subscription, &mark, 7);
            }
        }
        let good = phase.result();
        assert!(good.contains(r#""count":6"#) && good.contains(r#""sameOrder":true"#), "{good}");
        phase.arrive(0, &mark(0, 1), 7);
        phase.arrive(0, &mark(1, 3), 7);
        let bad = phase.result();
        for part in [r#""repeated":1"#, r#""missing":2"#, r#""sameOrder":false"#] {
            assert!(bad.contains(part), "{part}: {bad}");
        }
    }

    #[test]
    fn companies_have_orders_of_their_own_and_a_phase_may_have_none() {
        let mark = |number| Mark { phase: 1, connection: 0, number, at: 0 };
        let mut phase = Phase::default();
        phase.arrive(0, &mark(0), 7);
        phase.arrive(PER_COMPANY, &mark(0), 7);
        phase.arrive(PER_COMPANY, &mark(1), 7);
        assert!(phase.result().contains(r#""sameOrder":true"#), "{}", phase.result());
        let mut phase = Phase { unordered: true, ..Phase::default() };
        for number in [2, 0, 1, 1] {
            phase.arrive(0, &mark(number), 7);
        }
        let result = phase.result();
        for part in [r#""count":3"#, r#""repeated":1"#, r#""missing":0"#, r#""sameOrder":true"#] {
            assert!(result.contains(part), "{part}: {result}");
        }
    }
}
