//! What is measured, in the order of a round.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::delivery::now;
use crate::load::{Load, Outcome, Refused, Until, Work, percentile};
use crate::pgbench::{Pgbench, VARIANTS};
use crate::proc::{self, Cpu};
use crate::receivers::Receiver;
use crate::report::Figures;
use crate::server::Server;
use crate::{Error, Scale};

/// Connections of the generator, and clients of pgbench.
pub const CONNECTIONS: [u32; 3] = [1, 16, 64];
/// Connections that create while deliveries are measured.
pub const CREATING: u32 = 16;
/// Subscriptions to the same events.
pub const SUBSCRIPTIONS: [u32; 2] = [1, 10];
/// Connections of the bare client.
pub const BARE: [u32; 2] = [1, 16];
/// Creates per second while the time to the arrival is measured, on how many connections.
pub const PACE: (f64, u32) = (50.0, 4);
/// How long a receiver thinks that is delivered to in the order of each record, and how many
/// deliveries it is sent at a time.
const THINKS: Duration = Duration::from_millis(50);
const AT_A_TIME: u32 = 16;
/// So many answers a second it can give.
pub const THOUGHTS: f64 = AT_A_TIME as f64 / 0.050;
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

    /// A load on the company that the server makes by itself, as fast as it is answered.
    pub fn of(&self, work: Work, connections: u32, until: Until) -> Load {
        Load {
            address: if work == Work::Trivial { self.receiver.address } else { self.server.address },
            authorizations: Arc::new(vec![Server::authorization()]),
            phase: 0,
            connections,
            work,
            until,
            pace: None,
            contacts: self.contacts.clone(),
            refused: Refused::Fails,
        }
    }

    pub async fn load(
        &mut self,
        work: Work,
        connections: u32,
        until: Until,
    ) -> Result<(Outcome, Cpu), Error> {
        self.run(self.of(work, connections, until)).await
    }

    /// Creates at an easy pace.
    pub async fn paced(&mut self, time: Duration) -> Result<(Outcome, Cpu), Error> {
        let (pace, connections) = PACE;
        let until = Until::Count((time.as_secs_f64() * pace) as u64);
        self.run(Load { pace: Some(pace), ..self.of(Work::Create, connections, until) }).await
    }

    /// Runs a load as the next phase.
    pub async fn run(&mut self, load: Load) -> Result<(Outcome, Cpu), Error> {
        sleep(CALM).await;
        self.phase += 1;
        let before = self.cpu();
        let outcome = Load { phase: self.phase, ..load }.run().await?;
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
                    let measured = pgbench
                        .measure(&self.server.database, variant, connections, None, self.scale.time)
                        .await?;
                    let key = format!("{variant}/{connections}");
                    figures.set(key.clone(), measured.per_second);
                    percentiles(&mut figures, &key, &measured.latencies);
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
        self.per_record(&mut figures).await?;
        for subscriptions in SUBSCRIPTIONS {
            self.live(&mut figures, subscriptions).await?;
            self.backlog(&mut figures, subscriptions).await?;
        }
        self.latency(&mut figures).await?;
        let time = self.scale.latency;
        self.beside_bad_ones(&mut figures, (time, time)).await?;
        Ok(figures)
    }

    /// Deliveries while their records are created: to how many subscribers per second?
    pub async fn live(&mut self, figures: &mut Figures, subscriptions: u32) -> Result<(), Error> {
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

    /// Deliveries that need no order but that of their record, to a receiver that thinks.
    async fn per_record(&mut self, figures: &mut Figures) -> Result<(), Error> {
        let count = (self.scale.thinking.as_secs_f64() * THOUGHTS) as u64;
        self.receiver.delay(THINKS).await?;
        self.bare_of(figures, "bare/thinking", AT_A_TIME, count / u64::from(AT_A_TIME)).await?;
        let phase = self.phase + 1;
        self.receiver.begin_unordered(phase).await?;
        let target = format!("http://{}/{phase}/0", self.receiver.address);
        let per_record = json!({ "ordering": "record", "concurrency": AT_A_TIME });
        let id = self.server.subscribe_with(target, per_record).await?;
        let (creates, _) = self.load(Work::Create, CREATING, Until::Count(count)).await?;
        let result = self.receiver.drained(count, DRAIN).await?;
        figures.set("record", count as f64 / between(creates.started_at, &result));
        self.receiver.delay(Duration::ZERO).await?;
        self.unsubscribe(vec![id]).await
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
    pub async fn latency(&mut self, figures: &mut Figures) -> Result<(), Error> {
        let ids = self.subscribe(1).await?;
        let (creates, _) = self.paced(self.scale.latency).await?;
        let result = self.receiver.drained(creates.latencies.len() as u64, DRAIN).await?;
        requests(figures, "paced", &creates);
        for share in ["p50", "p99"] {
            figures.set(format!("arrival/{share}"), result[share].as_f64().unwrap_or_default() / 1000.0);
        }
        self.unsubscribe(ids).await?;
        if let Some(pgbench) = &mut self.pgbench {
            let pace = Some(PACE.0);
            let idle =
                pgbench.measure(&self.server.database, "statement", 1, pace, self.scale.latency).await?;
            percentiles(figures, "statement/paced", &idle.latencies);
        }
        Ok(())
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

pub fn requests(figures: &mut Figures, key: &str, outcome: &Outcome) {
    figures.set(key.to_owned(), outcome.per_second());
    percentiles(figures, key, &outcome.latencies);
}

/// In milliseconds.
pub fn percentiles(figures: &mut Figures, key: &str, sorted: &[u32]) {
    for (name, share) in [("p50", 0.50), ("p99", 0.99)] {
        let millis = f64::from(percentile(sorted, share)) / 1000.0;
        figures.set(format!("{key}/{name}"), millis);
    }
}

/// Seconds until the last arrival.
pub fn between(started_at: u64, result: &Value) -> f64 {
    result["lastAt"].as_u64().unwrap_or_default().saturating_sub(started_at) as f64 / 1e6
}
