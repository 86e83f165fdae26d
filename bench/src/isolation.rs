//! What must leave others alone: bad receivers, and a subscription with a long backlog.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;

use crate::backlog::Inserted;
use crate::bad_receivers::{KINDS, Kind};
use crate::delivery::now;
use crate::load::Outcome;
use crate::phases::{DRAIN, Phases, between};
use crate::receivers::{BadReceivers, Receiver};
use crate::report::Figures;
use crate::{Error, backlog, proc, server};

/// Subscriptions whose receiver does well.
pub const GOOD: u32 = 10;
/// Subscriptions with a bad receiver, of each kind.
pub const BAD_EACH: u32 = 100;
/// How long the receiver with the backlog thinks at first, so that the backlog stays.
const SLOW: Duration = Duration::from_secs(1);
/// Time for the whole backlog to arrive; the slowest machine has some hundred a second.
const DRAIN_BACKLOG: Duration = Duration::from_secs(60 * 60);
/// How often memory and attempts in flight are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What the server had at most.
#[derive(Default)]
pub struct Most {
    /// Resident, in MB.
    pub memory: f64,
    /// Attempts.
    pub in_flight: f64,
}

/// Looks at a server while `work` is done.
pub async fn watched<T>(
    (pid, address): (u32, SocketAddr),
    work: impl Future<Output = Result<T, Error>>,
) -> Result<(T, Most), Error> {
    let mut work = pin!(work);
    let mut most = Most::default();
    loop {
        tokio::select! {
            done = &mut work => return Ok((done?, most)),
            () = sleep(LOOK) => {
                most.memory = most.memory.max(proc::memory(pid).0);
                let in_flight = server::metric(address, "isao_delivery_attempts_in_flight").await?;
                most.in_flight = most.in_flight.max(in_flight);
            }
        }
    }
}

impl Phases {
    /// Good receivers alone, and then beside bad ones of all kinds.
    pub async fn beside_bad_ones(
        &mut self,
        figures: &mut Figures,
        (alone, beside): (Duration, Duration),
    ) -> Result<(), Error> {
        self.good(figures, "good/alone", alone).await?;
        self.beside(figures, "good/all", &KINDS, beside).await
    }

    /// Good receivers beside bad ones of one kind at a time.
    pub async fn beside_each_kind(&mut self, figures: &mut Figures, time: Duration) -> Result<(), Error> {
        for kind in KINDS {
            self.beside(figures, &format!("good/{kind:?}"), &[kind], time).await?;
        }
        Ok(())
    }

    async fn beside(
        &mut self,
        figures: &mut Figures,
        key: &str,
        kinds: &[Kind],
        time: Duration,
    ) -> Result<(), Error> {
        let bad = BadReceivers::start().await?;
        let mut ids = Vec::new();
        for kind in kinds {
            for number in 0..BAD_EACH {
                ids.push(self.server.subscribe(bad.target(*kind, number)?, None).await?);
            }
        }
        self.good(figures, key, time).await?;
        self.unsubscribe(ids).await
    }

    /// From create to arrival at good receivers, at an easy pace, and what the server has meanwhile.
    async fn good(&mut self, figures: &mut Figures, key: &str, time: Duration) -> Result<(), Error> {
        let ids = self.subscribe(GOOD).await?;
        let server = (self.server.pid, self.server.address);
        let ((Outcome { latencies, .. }, _), most) = watched(server, self.paced(time)).await?;
        let result = self.receiver.drained(latencies.len() as u64 * u64::from(GOOD), DRAIN).await?;
        for share in ["p50", "p99"] {
            figures.set(format!("{key}/{share}"), result[share].as_f64().unwrap_or_default() / 1000.0);
        }
        figures.set(format!("{key}/memory"), most.memory);
        figures.set(format!("{key}/in flight"), most.in_flight);
        self.unsubscribe(ids).await
    }

    /// A long backlog of one subscription: waiting, and then delivered. `time` is for each
    /// look at the good ones.
    pub async fn long_backlog(
        &mut self,
        figures: &mut Figures,
        events: u64,
        time: Duration,
    ) -> Result<(), Error> {
        self.bare(figures, 1).await?;
        self.good(figures, "long/before", time).await?;

        self.phase += 1;
        let receiver = Receiver::start().await?;
        receiver.begin(self.phase).await?;
        receiver.delay(SLOW).await?;
        let target = format!("http://{}/{}/0", receiver.address, self.phase);
        let id = self.server.subscribe(target, Some(backlog::filters(backlog::CITY))).await?;
        self.server.set_active(&id, false).await?;
        eprintln!("inserting {events} events");
        let database = &self.server.database;
        let waiting = Inserted { phase: self.phase, count: events, companies: 0..1, city: backlog::CITY };
        backlog::insert(database, &waiting).await?;
        backlog::offered(database).await?;
        self.server.set_active(&id, true).await?;
        self.good(figures, "long/waiting", time).await?;

        eprintln!("delivering them");
        let (early, before, started_at) = (receiver.count().await?, self.cpu(), now());
        receiver.delay(Duration::ZERO).await?;
        self.good(figures, "long/draining", time).await?;
        let server = (self.server.pid, self.server.address);
        let (result, most) = watched(server, receiver.drained(events, DRAIN_BACKLOG)).await?;
        let cpu = self.cpu().since(&before);
        let deliveries = (events - early) as f64;
        figures.set("long/events", events as f64);
        figures.set("long", deliveries / between(started_at, &result));
        figures.set("long/cpu", cpu.product() / deliveries);
        figures.set("long/cpu server", cpu.server / deliveries);
        figures.set("long/memory", most.memory);
        self.server.unsubscribe(&id).await?;
        self.good(figures, "long/after", time).await
    }
}
