//! The tail: the one reader of the log in this process.
//!
//! It is fed by this process's own writer as long as the numbers are contiguous,
//! and reads the log when they are not, when another process sends a NOTIFY, and
//! now and then anyway: a wake-up is a hint, the query is the truth. It never
//! offers an event under definitions of subscriptions older than the event.
//!
//! It offers to the lanes of the shards that this process holds. Those of a shard
//! that is new here are first offered what lies between the shard's checkpoint and
//! where the tail is.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::lane::{Endpoint, Lane};
use super::lease::Change;
use super::outgoing::Outgoing;
use super::replay::{self, Replays};
use super::runner::Runner;
use super::shard::{SHARDS, Shard};
use crate::listeners::Listeners;
use crate::log::read;
use crate::log::{Committed, LogState};
use crate::model::events::{Event, EventType};
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::subscription::{self, Status, Stored, Subscription};

/// How often the log is looked at without a hint.
const POLL: Duration = Duration::from_secs(1);
/// Pause before the database is asked again when it did not answer.
const RETRY: Duration = Duration::from_millis(300);

/// The reader of the log, with the lanes it offers to.
pub(super) struct Tail {
    pool: PgPool,
    runner: Runner,
    replays: Replays,
    listeners: Listeners,
    log: LogState,
    /// The shards that are held, all of them offered everything up to `position`.
    shards: HashMap<i16, Arc<Shard>>,
    position: i64,
    /// The version of the subscriptions that is known.
    version: i64,
    lanes: Lanes,
}

/// Lanes, to be found by subscription and by event, and their endpoints.
#[derive(Default)]
struct Lanes {
    by_id: HashMap<SubscriptionId, Arc<Lane>>,
    by_type: HashMap<(CompanyId, EventType), Vec<Arc<Lane>>>,
    /// By company and URL.
    endpoints: HashMap<(CompanyId, String), Weak<Endpoint>>,
}

impl Lanes {
    /// Makes the lane of a subscription, at the endpoint of its URL.
    fn make(&mut self, stored: Stored, shard: &Arc<Shard>) -> Arc<Lane> {
        let Subscription { company, target, .. } = &stored.subscription;
        let place = self.endpoints.entry((*company, target.as_str().to_owned())).or_default();
        // One of before, of a shard that was lost meanwhile, may be held by somebody still.
        let known = place.upgrade().filter(|known| Arc::ptr_eq(&known.shard, shard));
        let endpoint = known.unwrap_or_else(|| Endpoint::new(*company, shard.clone()));
        *place = Arc::downgrade(&endpoint);
        let lane = Lane::new(stored, &endpoint);
        self.insert(lane.clone());
        lane
    }

    fn insert(&mut self, lane: Arc<Lane>) {
        for event_type in lane.types.iter() {
            self.by_type.entry((lane.company, event_type)).or_default().push(lane.clone());
        }
        self.by_id.insert(lane.id, lane);
    }

    fn remove(&mut self, leaves: impl Fn(&Lane) -> bool) {
        self.by_id.retain(|_, lane| !leaves(lane));
        self.by_type.retain(|_, lanes| {
            lanes.retain(|lane| !leaves(lane));
            !lanes.is_empty()
        });
        self.endpoints.retain(|_, endpoint| endpoint.upgrade().is_some_and(|endpoint| !endpoint.is_empty()));
    }

    /// Takes over all lanes of others, whose shards were not here.
    fn extend(&mut self, others: Self) {
        self.endpoints.extend(others.endpoints);
        others.by_id.into_values().for_each(|lane| self.insert(lane));
    }

    /// Offers events to the lanes of their company and type.
    fn offer(&self, events: Vec<Arc<Event>>, runner: &Runner) {
        for event in events {
            let Some(lanes) = self.by_type.get(&(event.company, event.event_type)) else { continue };
            let outgoing = Outgoing::new(event);
            for lane in lanes {
                if lane.offer(&outgoing) {
                    runner.kick(lane);
                }
            }
        }
    }
}

impl Tail {
    pub(super) fn new(
        pool: PgPool,
        (runner, replays): (Runner, Replays),
        listeners: Listeners,
        log: LogState,
    ) -> Self {
        let (shards, lanes) = Default::default();
        Self { pool, runner, replays, listeners, log, shards, position: 0, version: 0, lanes }
    }

    /// Reads and offers until it is dropped.
    pub(super) async fn run(
        &mut self,
        committed: &mut mpsc::Receiver<Committed>,
        hints: &Notify,
        mut changes: mpsc::Receiver<Change>,
    ) -> Infallible {
        loop {
            let done = tokio::select! {
                Some(change) = changes.recv() => match change {
                    Change::Take(shards) => {
                        self.take_shards(shards).await;
                        // Whoever had them may have told nobody of what it wrote.
                        self.catch_up().await
                    }
                    Change::Leave(shards, left) => {
                        self.leave_shards(&shards);
                        let _ = left.send(());
                        Ok(())
                    }
                },
                Some(batch) = committed.recv() => self.take(batch).await,
                () = hints.notified() => self.catch_up().await,
                () = tokio::time::sleep(POLL) => self.catch_up().await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "the log cannot be read yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Takes a batch from this process's writer, if it comes next.
    async fn take(&mut self, committed: Committed) -> Result<(), sqlx::Error> {
        if self.shards.is_empty() {
            return Ok(());
        }
        match (committed.events.first(), committed.events.last()) {
            (Some(first), _) if first.seq > self.position + 1 => self.catch_up().await,
            // Read from the log already.
            (_, Some(last)) if last.seq <= self.position => Ok(()),
            (_, last) => {
                let last = last.map_or(self.position, |last| last.seq);
                self.know(committed.version).await?;
                self.offer(committed.events, last);
                Ok(())
            }
        }
    }

    /// Reads the log to its end.
    async fn catch_up(&mut self) -> Result<(), sqlx::Error> {
        if self.shards.is_empty() {
            return Ok(());
        }
        let end = read::end(&self.pool).await?;
        self.know(end.version).await?;
        while self.position < end.seq {
            let page = read::after(&self.pool, self.position, end.seq).await?;
            // The events of other processes among them have not been told of yet.
            self.listeners.tell(&page.events);
            self.offer(page.events, page.read_to);
        }
        Ok(())
    }

    /// Offers events; now everything up to `last` was offered.
    fn offer(&mut self, events: Vec<Arc<Event>>, last: i64) {
        self.shards.values().for_each(|shard| shard.will_offer(last));
        self.lanes.offer(events, &self.runner);
        self.shards.values().for_each(|shard| shard.has_offered(last));
        self.position = self.position.max(last);
    }

    /// Learns of the changes of subscriptions up to `version`, at least.
    async fn know(&mut self, version: i64) -> Result<(), sqlx::Error> {
        if version <= self.version {
            return Ok(());
        }
        let changed = subscription::changed_after(&self.pool, self.version).await?;
        let replays = self.replays_of(&changed).await?;
        for stored in changed {
            self.version = self.version.max(stored.subscription.version);
            self.apply(stored);
        }
        self.start_replays(&self.lanes, replays);
        self.version = self.version.max(version);
        Ok(())
    }

    /// Applies a change of a subscription: its lane is updated, or leaves, or one is made. With its
    /// URL a subscription changes its endpoint, perhaps also its shard and process.
    fn apply(&mut self, mut stored: Stored) {
        let id = stored.subscription.id;
        let shard = self.shards.get(&stored.shard).filter(|_| stored.subscription.status != Status::Deleted);
        if let Some(lane) = self.lanes.by_id.get(&id).cloned() {
            let target = lane.subscription().map(|known| known.target.clone());
            if shard.is_some() && target.is_some_and(|target| target == stored.subscription.target) {
                lane.update(stored.subscription);
                return self.runner.kick(&lane);
            }
            if let Some(left) = lane.leave() {
                stored.progress = left.at_another_endpoint();
            }
            self.lanes.remove(|lane| lane.id == id);
        }
        if let Some(shard) = shard.cloned() {
            let lane = self.lanes.make(stored, &shard);
            self.runner.kick(&lane);
        }
    }

    /// The replays that are to run of subscriptions.
    async fn replays_of(&self, stored: &[Stored]) -> Result<Vec<(SubscriptionId, Uuid)>, sqlx::Error> {
        let ids: Vec<_> = stored.iter().map(|stored| stored.subscription.id.0).collect();
        if ids.is_empty() { Ok(Vec::new()) } else { replay::to_run(&self.pool, &ids).await }
    }

    fn start_replays(&self, lanes: &Lanes, replays: Vec<(SubscriptionId, Uuid)>) {
        for (subscription, replay) in replays {
            if let Some(lane) = lanes.by_id.get(&subscription) {
                self.replays.start(lane, replay);
            }
        }
    }

    /// Joins shards, as soon as the database answers; stops if they are lost before.
    async fn take_shards(&mut self, new: Vec<Arc<Shard>>) {
        let mut lanes = Lanes::default();
        let mut joined = None;
        loop {
            if new.iter().all(|shard| shard.is_halted()) {
                // Without their lanes they are offered nothing: their checkpoints must stay.
                return;
            }
            match self.join(&new, &mut lanes, &mut joined).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, "the subscriptions of new shards cannot be read yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        lanes.by_id.values().for_each(|lane| self.runner.start(&lane.endpoint));
        self.lanes.extend(lanes);
        self.shards.extend(new.into_iter().map(|shard| (shard.id, shard)));
        self.log.set_sole_deliverer(self.shards.len() == usize::from(SHARDS.unsigned_abs()));
    }

    /// Makes the lanes of new shards, once, and offers them what the tail has passed:
    /// `joined` is the last number they were offered.
    async fn join(
        &mut self,
        new: &[Arc<Shard>],
        lanes: &mut Lanes,
        joined: &mut Option<i64>,
    ) -> Result<(), sqlx::Error> {
        let checkpoint = new.iter().map(|shard| shard.offered()).min().unwrap_or(self.position);
        let end = read::end(&self.pool).await?;
        let mut position = match *joined {
            Some(position) => position,
            None => {
                let ids: Vec<_> = new.iter().map(|shard| shard.id).collect();
                let found = subscription::of_shards(&self.pool, &ids).await?;
                let replays = self.replays_of(&found).await?;
                for stored in found {
                    if let Some(shard) = new.iter().find(|shard| shard.id == stored.shard) {
                        lanes.make(stored, shard);
                    }
                }
                self.start_replays(lanes, replays);
                if self.shards.is_empty() {
                    // The first ones: the tail begins where they do.
                    (self.position, self.version) = (checkpoint, end.version);
                }
                *joined.insert(checkpoint)
            }
        };
        while position < self.position {
            let page = read::after(&self.pool, position, self.position).await?;
            position = page.read_to;
            new.iter().for_each(|shard| shard.will_offer(position));
            lanes.offer(page.events, &self.runner);
            new.iter().for_each(|shard| shard.has_offered(position));
            *joined = Some(position);
        }
        // One whose checkpoint is beyond (another process had come farther) waits for the tail.
        Ok(())
    }

    /// Forgets shards.
    fn leave_shards(&mut self, shards: &[i16]) {
        self.log.set_sole_deliverer(false);
        self.shards.retain(|id, _| !shards.contains(id));
        self.lanes.remove(|lane| shards.contains(&lane.shard.id));
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;
    use tokio::sync::watch;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::clock::Clock;
    use crate::delivery::Tuning;
    use crate::delivery::attempt::Sender;
    use crate::delivery::courier::Courier;
    use crate::delivery::deactivation::Deactivation;
    use crate::delivery::health::{Alerts, Degraded};
    use crate::delivery::limits::Limits;
    use crate::delivery::recorder::Recorder;
    use crate::delivery::shard::HeldShards;
    use crate::metrics::Metrics;
    use crate::outbound::address::AddressPolicy;
    use crate::outbound::client::{Client, TrustedCas};
    use crate::outbound::dns::Resolver;
    use crate::outbound::targets::Targets;

    /// A tail whose database never answers.
    async fn tail() -> Tail {
        let pool = PgPoolOptions::new().connect_lazy("postgres://localhost/").unwrap();
        pool.close().await;
        let (tuning, clock, metrics) = (Tuning::default(), Clock::system(), Arc::new(Metrics::default()));
        let (_, notes) = Recorder::new(pool.clone(), HeldShards::default(), metrics.clone());
        let targets = Targets::new(AddressPolicy::default(), Resolver::asking(&[]));
        let sender = Sender {
            clock: clock.clone(),
            client: Client::new(targets, tuning.timeout, &TrustedCas::default()).unwrap(),
            retry_delays: tuning.retry_delays,
            timeout: tuning.timeout,
            metrics: metrics.clone(),
        };
        let courier = Arc::new(Courier {
            deactivation: Deactivation {
                pool: pool.clone(),
                clock: clock.clone(),
                metrics,
                alerts: Alerts::new(None),
                after: tuning.deactivate_after,
            },
            clock,
            sender,
            limits: Arc::new(Limits::new(tuning.in_flight, tuning.in_flight_per_host)),
            notes,
            valid: watch::channel(Instant::now()).1,
        });
        let runner = Runner::new(courier.clone(), pool.clone(), Degraded(tuning.degraded_pause));
        let replays = Replays::new(courier, pool.clone());
        Tail::new(pool, (runner, replays), Listeners::default(), LogState::default())
    }

    #[tokio::test]
    async fn a_shard_that_is_lost_before_its_lanes_are_known_keeps_its_checkpoint() {
        const CHECKPOINT: i64 = 7;
        let mut tail = tail().await;
        let (kept, lost) = (Shard::new(0, 1, CHECKPOINT), Shard::new(1, 1, CHECKPOINT));
        tail.shards.insert(kept.id, kept.clone());
        let halt = async {
            // By then the tail has asked the database in vain.
            tokio::time::sleep(RETRY / 3).await;
            lost.halt();
        };
        let taken = timeout(RETRY * 30, tail.take_shards(vec![lost.clone()]));
        assert!(tokio::join!(taken, halt).0.is_ok(), "the tail still waits for what it has lost");
        // The keeper still holds it until the tail has left it: what is offered now counts.
        tail.offer(Vec::new(), CHECKPOINT + 5);
        assert_eq!((kept.offered(), lost.offered()), (CHECKPOINT + 5, CHECKPOINT));
        assert_eq!(tail.shards.keys().collect::<Vec<_>>(), [&kept.id]);
    }
}
