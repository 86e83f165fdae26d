//! Who writes: several workers, each one write after the other, who remember what they were told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::random::{below, percent};

/// Workers at once.
const WORKERS: usize = 6;
/// Longest pause of a worker between two writes, in milliseconds; with it, the
/// unreliable receivers keep up on a small machine.
const PAUSE_MS: usize = 40;
/// Pause after a write that was not answered, before the next one.
const AFTER_FAILURE: Duration = Duration::from_millis(50);
/// How long a worker waits for an answer. A frozen server gives none.
const ANSWER_AT_MOST: Duration = Duration::from_secs(4);
/// The cities that contacts live in; a subscription filters by the first.
pub const CITIES: [&str; 3] = ["Paris", "Berlin", "Rome"];
/// The stages that deals go through; a subscription filters by the first.
pub const STAGES: [&str; 3] = ["proposal", "negotiation", "closing"];

/// What a worker knows of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// That it happened.
    Done,
    /// That nothing was changed.
    Refused,
    /// Nothing.
    Unknown,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    pub worker: usize,
    /// What it wrote into the record; no two writes write the same.
    pub mark: String,
    /// The event that it fires, the first one if several.
    pub event: &'static str,
    pub told: Told,
}

/// The servers to write to, as they come and go.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Arc<Mutex<Vec<SocketAddr>>>);

impl Addresses {
    /// From now on writes go to these.
    pub fn set(&self, addresses: Vec<SocketAddr>) {
        *self.0.lock().unwrap() = addresses;
    }

    fn any(&self) -> Option<SocketAddr> {
        let addresses = self.0.lock().unwrap();
        (!addresses.is_empty()).then(|| addresses[below(addresses.len())])
    }
}

/// The API as a client sees it.
#[derive(Clone)]
pub struct Api {
    pub addresses: Addresses,
    key: String,
    http: reqwest::Client,
}

impl Api {
    pub fn new(key: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_AT_MOST).build().unwrap();
        Self { addresses: Addresses::default(), key: key.to_owned(), http }
    }

    /// Sends one request to any of the servers; the answer, if one came whole.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Option<(StatusCode, Value)> {
        let url = format!("http://{}/api/external{path}", self.addresses.any()?);
        let response = self.http.request(method, url).bearer_auth(&self.key).json(body).send().await.ok()?;
        let status = response.status();
        Some((status, response.json().await.ok()?))
    }
}

/// The workers at work.
pub struct Load {
    shared: Arc<Shared>,
    workers: Vec<tokio::task::JoinHandle<Vec<Write>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    /// Nobody at work.
    pub fn idle() -> Self {
        Self { shared: Arc::default(), workers: Vec::new() }
    }

    pub fn start(api: &Api) -> Self {
        let shared = Arc::new(Shared::default());
        let workers = (0..WORKERS).map(|number| {
            let shared = shared.clone();
            let mut worker = Worker::new(api.clone(), number);
            tokio::spawn(async move {
                while !shared.stop.load(Ordering::Relaxed) {
                    let told = worker.write().await;
                    if told == Told::Done {
                        shared.answered.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(below(PAUSE_MS) as u64)).await;
                    } else {
                        tokio::time::sleep(AFTER_FAILURE).await;
                    }
                }
                worker.writes
            })
        });
        let workers = workers.collect();
        Self { shared, workers }
    }

    /// Writes that were answered so far.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Ends the work; everything that was written.
    pub async fn stop(self) -> Vec<Write> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut writes = Vec::new();
        for worker in self.workers {
            writes.extend(worker.await.unwrap());
        }
        writes
    }
}

/// Writes everything that there is a subscription to, once more, so that the very last event
/// of each of them is one that came after everything else.
pub async fn close(api: &Api) -> Vec<Write> {
    let mut worker = Worker::new(api.clone(), WORKERS);
    let mut written = 0;
    while written < 4 {
        let told = match written {
            0 => worker.create_contact(0).await,
            1 => worker.update_contact(0).await,
            2 => worker.create_deal(1).await,
            _ => worker.update_deal(0).await,
        };
        match told {
            Told::Done => written += 1,
            Told::Refused | Told::Unknown => tokio::time::sleep(AFTER_FAILURE).await,
        }
    }
    worker.writes
}

struct Worker {
    api: Api,
    number: usize,
    writes: Vec<Write>,
    /// Ids of what it has made.
    contacts: Vec<String>,
    deals: Vec<String>,
}

impl Worker {
    fn new(api: Api, number: usize) -> Self {
        Self { api, number, writes: Vec::new(), contacts: Vec::new(), deals: Vec::new() }
    }

    async fn write(&mut self) -> Told {
        match below(10) {
            0..3 => self.create_contact(below(CITIES.len())).await,
            3..7 if !self.contacts.is_empty() => self.update_contact(below(CITIES.len())).await,
            7 => self.create_deal(below(STAGES.len())).await,
            8.. if !self.deals.is_empty() => self.update_deal(below(STAGES.len())).await,
            _ => self.create_contact(0).await,
        }
    }

    async fn create_contact(&mut self, city: usize) -> Told {
        let mark = self.mark();
        let body = json!({"name": "Ann", "phoneNumber": format!("+33{mark}"), "city": CITIES[city], "position": mark});
        let (told, id) = self.send(mark, "contact.created", Method::POST, "/contacts", body).await;
        self.contacts.extend(id);
        told
    }

    async fn update_contact(&mut self, city: usize) -> Told {
        let mark = self.mark();
        let path = format!("/contacts/{}", any(&self.contacts));
        let body = json!({"city": CITIES[city], "position": mark});
        self.send(mark, "contact.updated", Method::PUT, &path, body).await.0
    }

    async fn create_deal(&mut self, stage: usize) -> Told {
        let mark = self.mark();
        let mut body = json!({"title": "A deal", "stage": STAGES[stage], "description": mark});
        if !self.contacts.is_empty() && percent(50) {
            body["contactId"] = json!(any(&self.contacts));
        }
        let (told, id) = self.send(mark, "deal.created", Method::POST, "/deals", body).await;
        self.deals.extend(id);
        told
    }

    async fn update_deal(&mut self, stage: usize) -> Told {
        let mark = self.mark();
        let path = format!("/deals/{}", any(&self.deals));
        let body = json!({"stage": STAGES[stage], "description": mark});
        self.send(mark, "deal.updated", Method::PUT, &path, body).await.0
    }

    /// Digits only, since it goes into telephone numbers, too.
    fn mark(&self) -> String {
        format!("{:02}{:06}", self.number, self.writes.len())
    }

    /// Sends a write and remembers it; the id of the record if it was done.
    async fn send(
        &mut self,
        mark: String,
        event: &'static str,
        method: Method,
        path: &str,
        body: Value,
    ) -> (Told, Option<String>) {
        let answer = self.api.send(method, path, &body).await;
        let (told, id) = match &answer {
            Some((status, answer)) if status.is_success() => {
                (Told::Done, answer["data"]["id"].as_str().map(str::to_owned))
            }
            Some((StatusCode::SERVICE_UNAVAILABLE, answer)) if answer["code"] != "TIMEOUT" => {
                (Told::Refused, None)
            }
            Some((status, answer)) if !status.is_server_error() => {
                panic!("{path} with {body} was answered with {status}: {answer}")
            }
            _ => (Told::Unknown, None),
        };
        self.writes.push(Write { worker: self.number, mark, event, told });
        (told, id)
    }
}

fn any(ids: &[String]) -> &str {
    &ids[below(ids.len())]
}
