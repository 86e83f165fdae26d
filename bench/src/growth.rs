//! Does it stay as fast while subscriptions and the log grow, others lag, and old row versions
//! must be kept?
//!
//! What is measured is the same each time: loads on one company with 10 subscriptions. What grows
//! is around it. Creates that spread over the companies with many subscriptions are delivered ten
//! times as well; the other subscriptions of these want contacts from elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::backlog::{self, Inserted};
use crate::load::{Until, Work};
use crate::phases::{CREATING, DRAIN, Phases, between, requests};
use crate::receivers::Receiver;
use crate::report::Figures;
use crate::tenants::{self, CITY, WANTING};
use crate::{Error, proc};

/// How far it grows.
#[derive(Clone, Copy)]
pub struct Scale {
    /// That share the subscriptions.
    pub companies: u32,
    pub some: u32,
    pub many: u32,
    /// In the log.
    pub few_events: u64,
    pub many_events: u64,
    /// An hour of events: those that lag have not read them.
    pub lag: u64,
    /// How long old row versions must have been kept.
    pub snapshot: Duration,
}

pub const WHOLE: Scale = Scale {
    companies: 100,
    some: 1_000,
    many: 10_000,
    few_events: 10_000,
    many_events: 5_000_000,
    lag: 180_000,
    snapshot: Duration::from_secs(60),
};
pub const QUICK: Scale = Scale {
    companies: 10,
    some: 100,
    many: 1_000,
    few_events: 10_000,
    many_events: 200_000,
    lag: 18_000,
    snapshot: Duration::from_secs(5),
};

/// What there is around the load, in the order of measurement. The first is what all others are
/// put beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Small,
    Some,
    Many,
    ManyLong,
    Long,
    Lagging,
    Snapshot,
}

pub const STAGES: [Stage; 7] =
    [Stage::Small, Stage::Some, Stage::Many, Stage::ManyLong, Stage::Long, Stage::Lagging, Stage::Snapshot];

/// Where contacts live that nobody waits for.
const ELSEWHERE: &str = "Lille";
/// How long a receiver thinks that lags.
const SLOW: Duration = Duration::from_secs(1);
/// Subscriptions that are delivered to while measuring.
pub const DELIVERED: u32 = WANTING;

impl Stage {
    /// Before the names of its figures.
    pub fn key(self) -> String {
        format!("{self:?}")
    }

    fn subscriptions(self, scale: &Scale) -> u32 {
        match self {
            Self::Small | Self::Long | Self::Snapshot => 0,
            Self::Some | Self::Lagging => scale.some,
            Self::Many | Self::ManyLong => scale.many,
        }
    }

    fn is_long(self) -> bool {
        !matches!(self, Self::Small | Self::Some | Self::Many)
    }
}

impl Phases {
    /// All stages; each is looked at `rounds` times.
    pub async fn growth(&mut self, scale: &Scale, rounds: u32) -> Result<Vec<Figures>, Error> {
        let mut all: Vec<_> = (0..rounds).map(|_| Figures::default()).collect();
        tenants::make(&self.server.database, scale.companies).await?;
        let mut events = 0;
        for stage in STAGES {
            let wanted = if stage.is_long() { scale.many_events } else { scale.few_events };
            eprintln!("{} subscriptions more, {wanted} events, {stage:?}", stage.subscriptions(scale));
            let slow = Receiver::start().await?;
            slow.delay(SLOW).await?;
            let started = self.prepare(stage, scale, wanted - events, &slow).await?;
            events = wanted;
            self.warm_up().await?;
            let snapshot = match stage {
                Stage::Snapshot => Some(self.server.database.snapshot().await?),
                _ => None,
            };
            // A first time for nothing, so that no stage is the one that finds everything cold.
            self.churn(snapshot.as_ref().map_or(Duration::ZERO, |_| scale.snapshot)).await?;
            for figures in &mut all {
                let (early, looked) = (slow.count().await?, Instant::now());
                let mut own = self.look_at(stage, scale).await?;
                own.set("lagging", (slow.count().await? - early) as f64 / looked.elapsed().as_secs_f64());
                own.set("start", started.as_secs_f64());
                own.set("subscriptions", f64::from(stage.subscriptions(scale).max(DELIVERED)));
                own.set("events", wanted as f64);
                figures.add(&stage.key(), own);
            }
            if let Some(snapshot) = snapshot {
                snapshot.end().await?;
            }
        }
        Ok(all)
    }

    /// Restarts the server on what the stage has. Answers how long its start took.
    async fn prepare(
        &mut self,
        stage: Stage,
        scale: &Scale,
        events: u64,
        slow: &Receiver,
    ) -> Result<Duration, Error> {
        self.phase += 1;
        let (database, phase) = (self.server.database.clone(), self.phase);
        let is_lagging = stage == Stage::Lagging;
        let receiver = if is_lagging { slow.address } else { self.receiver.address };
        let each = stage.subscriptions(scale) / scale.companies;
        slow.begin(phase).await?;
        let meanwhile = async {
            let history =
                Inserted { phase, count: events, companies: 0..scale.companies + 1, city: ELSEWHERE };
            backlog::insert(&database, &history).await?;
            tenants::subscribe(&database, receiver, each, is_lagging).await?;
            if is_lagging {
                let companies = 1..scale.companies + 1;
                let unread = Inserted { phase, count: scale.lag, companies, city: CITY };
                backlog::insert(&database, &unread).await?;
            }
            tenants::settle(&database).await
        };
        self.server.restart(meanwhile).await
    }

    /// Creates, updates and deliveries, once and for some time.
    async fn churn(&mut self, time: Duration) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            self.load(Work::Update, CREATING, Until::Time(self.scale.time)).await?;
            self.live(&mut Figures::default(), DELIVERED).await?;
            if started.elapsed() >= time {
                return Ok(());
            }
        }
    }

    async fn look_at(&mut self, stage: Stage, scale: &Scale) -> Result<Figures, Error> {
        let mut figures = Figures::default();
        let before = self.cpu();
        sleep(self.scale.time).await;
        let idle = self.cpu().since(&before).product() / 1000.0;
        figures.set("idle", idle / self.scale.time.as_secs_f64());
        let time = Until::Time(self.scale.time);
        for connections in [CREATING, 64] {
            let key = format!("create/{connections}");
            let (creates, cpu) = self.load(Work::Create, connections, time).await?;
            requests(&mut figures, &key, &creates);
            figures.set(format!("{key}/cpu"), cpu.product() / creates.latencies.len() as f64);
        }
        let (updates, _) = self.load(Work::Update, CREATING, time).await?;
        requests(&mut figures, "update", &updates);
        self.live(&mut figures, DELIVERED).await?;
        self.latency(&mut figures).await?;
        let has_others = stage != Stage::Lagging && stage.subscriptions(scale) > 0;
        self.spread(&mut figures, scale.companies, has_others).await?;
        figures.set("memory", proc::memory(self.server.pid).0);
        figures.set("memory most", proc::memory(self.server.pid).1);
        Ok(figures)
    }

    /// Deliveries while records are created, by as many connections as there are companies: in
    /// all of these, or in the one that the server made by itself.
    async fn spread(&mut self, figures: &mut Figures, companies: u32, over_all: bool) -> Result<(), Error> {
        let count = self.scale.creates;
        let mut load = self.of(Work::Create, companies, Until::Count(count));
        let ids = if over_all {
            load.authorizations = Arc::new(tenants::authorizations(companies));
            self.receiver.begin(self.phase + 1).await?;
            Vec::new()
        } else {
            self.subscribe(DELIVERED).await?
        };
        let (creates, _) = self.run(load).await?;
        let deliveries = count * u64::from(DELIVERED);
        let result = self.receiver.drained(deliveries, DRAIN).await?;
        figures.set("spread", deliveries as f64 / between(creates.started_at, &result));
        self.unsubscribe(ids).await
    }
}
