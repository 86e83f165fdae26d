//! The load generator: N keep-alive connections, each sending its next request when the last
//! one was answered, or when it is due.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::Error;
use crate::client::{Answer, Connection};
use crate::delivery::{Mark, contact, now};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Contacts, each with a phone number of its own.
    Create,
    /// A new name for a known contact.
    Update,
    /// A known contact.
    Read,
    /// Two reads, a create, an update, and again.
    Mixed,
    /// The same requests as creates, to the receiver's trivial endpoint.
    Trivial,
}

/// When it ends; every variant is an end.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Time(Duration),
    Count(u64),
}

/// What a connection does whose request is refused because too many wait (503, Retry-After).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// That is an error: nothing here should be too much.
    Fails,
    /// Asks again at once.
    Insists,
    /// Waits as long as it was told.
    Waits,
}

/// A load.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    /// Connections take turns with them.
    pub authorizations: Arc<Vec<String>>,
    /// Makes names and phone numbers this load's own.
    pub phase: u32,
    pub connections: u32,
    pub work: Work,
    pub until: Until,
    /// Requests per second in all, or as fast as they are answered.
    pub pace: Option<f64>,
    /// Ids to update and read.
    pub contacts: Arc<Vec<String>>,
    pub refused: Refused,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    /// In microseconds since 1970.
    pub started_at: u64,
    pub seconds: f64,
    /// In microseconds, sorted; one of each good answer. Of a paced load they count from
    /// when the request was due.
    pub latencies: Vec<u32>,
    pub errors: u64,
    pub first_error: Option<String>,
    /// Requests that were refused, where that is no error.
    pub refused: u64,
    /// What was created.
    pub ids: Vec<String>,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        self.refused += other.refused;
        self.first_error = self.first_error.take().or(other.first_error);
        self.ids.extend(other.ids);
    }
}

/// Of sorted values, in their unit.
pub fn percentile(sorted: &[u32], share: f64) -> u32 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

impl Load {
    /// Opens the connections, then starts the clock.
    pub async fn run(self) -> Result<Outcome, Error> {
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(Connection::open(self.address).await?);
        }
        let (started, started_at) = (Instant::now(), now());
        let begun = Arc::new(AtomicU64::new(0));
        let mut workers = JoinSet::new();
        for (index, connection) in (0..).zip(connections) {
            let worker = Worker { load: self.clone(), index, started, begun: begun.clone() };
            workers.spawn(worker.run(connection));
        }
        let mut outcome = Outcome { started_at, ..Outcome::default() };
        while let Some(ended) = workers.join_next().await {
            outcome.add(ended??);
        }
        outcome.seconds = started.elapsed().as_secs_f64();
        outcome.latencies.sort_unstable();
        Ok(outcome)
    }
}

struct Worker {
    load: Load,
    index: u32,
    started: Instant,
    /// Requests begun by all workers, when they are counted.
    begun: Arc<AtomicU64>,
}

impl Worker {
    async fn run(self, mut connection: Connection) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        let authorizations = &self.load.authorizations;
        let authorization = authorizations[self.index as usize % authorizations.len()].as_str();
        let headers = [("authorization", authorization), ("content-type", "application/json")];
        let mut number = 0;
        while self.may_begin() {
            let due = self.due(outcome.latencies.len() as u64 + outcome.errors);
            if let Some(due) = due {
                sleep_until(due).await;
            }
            let begun = due.unwrap_or_else(Instant::now);
            let (method, path, body, expected) = self.request(number);
            let Answer { status, retry_after, body: answer } =
                connection.send(method, &path, &headers, body).await?;
            if status.as_u16() == expected {
                // Refused ones keep their number, so that numbers have no gaps.
                number += 1;
                outcome.latencies.push(begun.elapsed().as_micros() as u32);
                if expected == 201 && self.load.work == Work::Create {
                    outcome.ids.extend(id_in(&answer));
                }
            } else if self.load.refused != Refused::Fails
                && status == StatusCode::SERVICE_UNAVAILABLE
                && let Some(retry_after) = retry_after
            {
                outcome.refused += 1;
                if self.load.refused == Refused::Waits {
                    sleep(retry_after).await;
                }
            } else {
                outcome.errors += 1;
                outcome
                    .first_error
                    .get_or_insert_with(|| format!("{path}: {status} {}", String::from_utf8_lossy(&answer)));
            }
        }
        Ok(outcome)
    }

    fn may_begin(&self) -> bool {
        match self.load.until {
            Until::Time(time) => self.started.elapsed() < time,
            Until::Count(count) => self.begun.fetch_add(1, Ordering::Relaxed) < count,
        }
    }

    /// Connections take turns.
    fn due(&self, done: u64) -> Option<Instant> {
        let turn = u64::from(self.index) + done * u64::from(self.load.connections);
        Some(self.started + Duration::from_secs_f64(turn as f64 / self.load.pace?))
    }

    /// Method, path, body, and the status of a good answer.
    fn request(&self, number: u32) -> (Method, String, Bytes, u16) {
        let mark = Mark { phase: self.load.phase, connection: self.index, number, at: now() };
        let known = || {
            let scattered =
                (u64::from(self.index) << 32 | u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let contacts = &self.load.contacts;
            format!("/api/external/contacts/{}", contacts[(scattered >> 33) as usize % contacts.len()])
        };
        let work = match (self.load.work, number % 4) {
            (Work::Mixed, 1) => Work::Create,
            (Work::Mixed, 3) => Work::Update,
            (Work::Mixed, _) => Work::Read,
            (work, _) => work,
        };
        match work {
            Work::Trivial => (Method::POST, "/trivial".into(), contact(&mark), 201),
            Work::Create => (Method::POST, "/api/external/contacts".into(), contact(&mark), 201),
            Work::Update => {
                let body = format!(r#"{{"name":"{}"}}"#, mark.name());
                (Method::PATCH, known(), body.into(), 200)
            }
            Work::Read | Work::Mixed => (Method::GET, known(), Bytes::new(), 200),
        }
    }
}

fn id_in(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let start = text.find("\"contact_")? + 1;
    text.get(start..start + "contact_".len() + 32).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.99)), (50, 99));
        assert_eq!((percentile(&[7], 0.5), percentile(&[7], 0.99), percentile(&[], 0.5)), (7, 7, 0));
    }
}
