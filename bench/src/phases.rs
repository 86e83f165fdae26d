//! What is measured, in the order of a round.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client::Connection;
use crate::delivery::{Mark, Signer, envelope, now};
use crate::load::{Load, Outcome, Until, Work, percentile};
use crate::pgbench::{Pgbench, VARIANTS};
use crate::proc::{self, Cpu};
use crate::receivers::Receiver;
use crate::report::Figures;
use crate::server::Server;
use crate::{Error, Scale};

/// Connections of the generator, and clients of pgbench.
pub const CONNECTIONS: [u32; 3] = [1, 16, 64];
/// Connections that create while deliveries are measured.
const CREATING: u32 = 16;
/// Subscriptions to the same events.
pub const SUBSCRIPTIONS: [u32; 2] = [1, 10];
/// Connections of the bare client.
pub const BARE: [u32; 2] = [1, 16];
/// Creates per second while the time to the arrival is measured, on how many connections.
pub const PACE: (f64, u32) = (50.0, 4);
/// Time for the last delivery to arrive.
pub const DRAIN: Duration = Duration::from_secs(120);
/// Time for background work (checkpoints aside) to calm down between two measurements.
const CALM: Duration = Duration::from_millis(200);

pub struct Phases {
    pub server: Server,
    pub receiver: Receiver,
    pub pgbench: Option<Pgbench>,
    pub scale: Scale,
    /// Phases so far.
    pub phase: u32,
    /// To update and read.
    pub contacts: Arc<Vec<String>>,
}

impl Phases {
    pub fn cpu(&self) -> Cpu {
        Cpu {
            server: proc::of(self.server.pid),
            postgres: proc::of_family(self.server.postmaster),
            receiver: proc::of(self.receiver.pid),
            generator: proc::of(std::process::id()),
        }
    }

    async fn load(&mut self, work: Work, connections: u32, until: Until) -> Result<(Outcome, Cpu), Error> {
        self.paced_load(work, connections, until, None).await
    }

    pub async fn paced_load(
        &mut self,
        work: Work,
        connections: u32,
        until: Until,
        pace: Option<f64>,
    ) -> Result<(Outcome, Cpu), Error> {
        sleep(CALM).await;
        self.phase += 1;
        let address = if work == Work::Trivial { self.receiver.address } else { self.server.address };
        let load = Load {
            address,
            authorization: Server::authorization(),
            phase: self.phase,
            connections,
            work,
            until,
            pace,
            contacts: self.contacts.clone(),
        };
        let before = self.cpu();
        let outcome = load.run().await?;
        let used = self.cpu().since(&before);
        match &outcome.first_error {
            Some(error) => Err(format!("{} requests failed: {error}", outcome.errors).into()),
            None => Ok((outcome, used)),
        }
    }

    /// Contacts to update and read, and warm code and plans.
    pub async fn warm_up(&mut self) -> Result<(), Error> {
        let (outcome, _) = self.load(Work::Create, CREATING, Until::Count(1000)).await?;
        self.contacts = Arc::new(outcome.ids);
        Ok(())
    }

    /// Everything once.
    pub async fn round(&mut self) -> Result<Figures, Error> {
        let mut figures = Figures::default();
        let time = Until::Time(self.scale.time);
        for connections in CONNECTIONS {
            let (trivial, _) = self.load(Work::Trivial, connections, time).await?;
            figures.set(format!("trivial/{connections}"), trivial.per_second());
            let (creates, cpu) = self.load(Work::Create, connections, time).await?;
            let count = creates.latencies.len() as f64;
            requests(&mut figures, &format!("create/{connections}"), &creates);
            figures.set(format!("create/{connections}/cpu"), cpu.product() / count);
            figures.set(format!("create/{connections}/cpu server"), cpu.server / count);
            if let Some(pgbench) = &mut self.pgbench {
                for (variant, _) in VARIANTS {
                    let tps = pgbench.measure(&self.server, variant, connections, self.scale.time).await?;
                    figures.set(format!("{variant}/{connections}"), tps);
                }
            }
        }
        for (name, work) in [("update", Work::Update), ("read", Work::Read), ("mixed", Work::Mixed)] {
            let (outcome, cpu) = self.load(work, CREATING, time).await?;
            requests(&mut figures, name, &outcome);
            figures.set(format!("{name}/cpu"), cpu.product() / outcome.latencies.len() as f64);
        }
        for connections in BARE {
            self.bare(&mut figures, connections).await?;
        }
        for subscriptions in SUBSCRIPTIONS {
            self.live(&mut figures, subscriptions).await?;
            self.backlog(&mut figures, subscriptions).await?;
        }
        self.latency(&mut figures).await?;
        let time = self.scale.latency;
        self.beside_bad_ones(&mut figures, (time, time)).await?;
        Ok(figures)
    }

    /// A bare client posts to the receiver what the server would.
    pub async fn bare(&mut self, figures: &mut Figures, connections: u32) -> Result<(), Error> {
        self.phase += 1;
        self.receiver.begin(self.phase).await?;
        let signer = Signer::new();
        let count = self.scale.creates / u64::from(connections).min(4);
        let posts: Vec<_> = (0..count as u32).map(|number| Post::new(&signer, self.phase, number)).collect();
        let posts = Arc::new(posts);
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Connection::open(self.receiver.address).await?);
        }
        let (before, started) = (self.cpu(), Instant::now());
        let mut workers = tokio::task::JoinSet::new();
        for (index, mut client) in clients.into_iter().enumerate() {
            let (posts, path) = (posts.clone(), format!("/{}/{index}", self.phase));
            workers.spawn(async move {
                for post in posts.iter() {
                    client.send(Method::POST, &path, &post.headers(), post.body.clone()).await?;
                }
                Ok::<_, Error>(())
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        let seconds = started.elapsed().as_secs_f64();
        let cpu = self.cpu().since(&before);
        let all = (count * u64::from(connections)) as f64;
        self.receiver.check(all as u64).await?;
        figures.set(format!("bare/{connections}"), all / seconds);
        figures.set(format!("bare/{connections}/cpu"), cpu.generator / all);
        figures.set(format!("bare/{connections}/cpu receiver"), cpu.receiver / all);
        Ok(())
    }

    /// Deliveries while their records are created: to how many subscribers per second?
    async fn live(&mut self, figures: &mut Figures, subscriptions: u32) -> Result<(), Error> {
        let ids = self.subscribe(subscriptions).await?;
        let count = self.scale.creates;
        let before = self.cpu();
        let (creates, _) = self.load(Work::Create, CREATING, Until::Count(count)).await?;
        let deliveries = count * u64::from(subscriptions);
        let result = self.receiver.drained(deliveries, DRAIN).await?;
        let cpu = self.cpu().since(&before);
        let seconds = between(creates.started_at, &result);
        let key = format!("live/{subscriptions}");
        let deliveries = deliveries as f64;
        let of_creates = figures.get(&format!("create/{CREATING}/cpu")).unwrap_or_default() * count as f64;
        figures.set(key.clone(), deliveries / seconds);
        figures.set(format!("{key}/creates"), creates.per_second());
        figures.set(format!("{key}/cpu"), (cpu.product() - of_creates) / deliveries);
        self.unsubscribe(ids).await
    }

    /// Deliveries of what piled up during a pause.
    async fn backlog(&mut self, figures: &mut Figures, subscriptions: u32) -> Result<(), Error> {
        let ids = self.subscribe(subscriptions).await?;
        for id in &ids {
            self.server.set_active(id, false).await?;
        }
        let count = self.scale.creates;
        self.load(Work::Create, CREATING, Until::Count(count)).await?;
        sleep(CALM).await;
        let (before, started_at) = (self.cpu(), now());
        for id in &ids {
            self.server.set_active(id, true).await?;
        }
        let deliveries = count * u64::from(subscriptions);
        let result = self.receiver.drained(deliveries, DRAIN).await?;
        let cpu = self.cpu().since(&before);
        let key = format!("backlog/{subscriptions}");
        let deliveries = deliveries as f64;
        figures.set(key.clone(), deliveries / between(started_at, &result));
        figures.set(format!("{key}/cpu"), cpu.product() / deliveries);
        figures.set(format!("{key}/cpu server"), cpu.server / deliveries);
        figures.set(format!("{key}/cpu receiver"), cpu.receiver / deliveries);
        self.unsubscribe(ids).await
    }

    /// From a create's request to its arrival at the receiver, without haste.
    async fn latency(&mut self, figures: &mut Figures) -> Result<(), Error> {
        let ids = self.subscribe(1).await?;
        let (pace, connections) = PACE;
        let until = Until::Count((self.scale.latency.as_secs_f64() * pace) as u64);
        let (creates, _) = self.paced_load(Work::Create, connections, until, Some(pace)).await?;
        let result = self.receiver.drained(creates.latencies.len() as u64, DRAIN).await?;
        requests(figures, "paced", &creates);
        for share in ["p50", "p99"] {
            figures.set(format!("arrival/{share}"), result[share].as_f64().unwrap_or_default() / 1000.0);
        }
        self.unsubscribe(ids).await
    }

    /// Subscriptions for the phase that comes next.
    pub async fn subscribe(&mut self, count: u32) -> Result<Vec<String>, Error> {
        let phase = self.phase + 1;
        self.receiver.begin(phase).await?;
        let mut ids = Vec::new();
        for index in 0..count {
            let target = format!("http://{}/{phase}/{index}", self.receiver.address);
            ids.push(self.server.subscribe(target, None).await?);
        }
        Ok(ids)
    }

    pub async fn unsubscribe(&self, ids: Vec<String>) -> Result<(), Error> {
        for id in ids {
            self.server.unsubscribe(&id).await?;
        }
        Ok(())
    }
}

fn requests(figures: &mut Figures, key: &str, outcome: &Outcome) {
    figures.set(key.to_owned(), outcome.per_second());
    for (name, share) in [("p50", 0.50), ("p99", 0.99)] {
        let millis = f64::from(percentile(&outcome.latencies, share)) / 1000.0;
        figures.set(format!("{key}/{name}"), millis);
    }
}

/// Seconds until the last arrival.
pub fn between(started_at: u64, result: &Value) -> f64 {
    result["lastAt"].as_u64().unwrap_or_default().saturating_sub(started_at) as f64 / 1e6
}

/// A delivery made beforehand.
struct Post {
    id: String,
    signature: String,
    body: Bytes,
}

impl Post {
    const TIMESTAMP: &str = "1760000000";

    fn new(signer: &Signer, phase: u32, number: u32) -> Self {
        let body = envelope(&Mark { phase, connection: 0, number, at: now() });
        let id = format!("event_{number:032x}");
        let signature = signer.sign(&id, Self::TIMESTAMP, &body);
        Self { id, signature, body }
    }

    fn headers(&self) -> [(&str, &str); 5] {
        [
            ("content-type", "application/json"),
            ("user-agent", "isao-bench"),
            ("webhook-id", &self.id),
            ("webhook-timestamp", Self::TIMESTAMP),
            ("webhook-signature", &self.signature),
        ]
    }
}
