//! Webhooks: every event, signed, to every subscriber, in order, at least once.
//!
//! The log is the queue. Who takes part:
//!
//! - the **keeper** holds this process's *lease* and its share of the *shards*; what a
//!   process records carries the shard's *epoch*, which fences off whoever held it before.
//! - the **tail** reads the log once, for all, and offers each event to
//! - the **lanes**, one per subscription: a queue each, and while there is work a task,
//!   which the **runner** runs within the **limits** of what may be in flight.
//! - the **client** makes one POST, where the address policy allows it.
//! - the **recorder** writes cursors and attempts, all lanes together.
//! - **replays** send again what somebody wants again, beside the lanes.
//!
//! An event in a lane is *waiting*, then *attempted* up to four times, then
//! *delivered* or *undelivered*; only then comes the next one (of its record, if the
//! subscriber wants it so). A subscription's cursor stands before the first event that
//! is neither. What was done but not recorded when a process dies is done again.

mod attempt;
mod backlog;
mod courier;
mod deactivation;
pub mod health;
mod lane;
pub mod lease;
pub mod limits;
mod outgoing;
mod portion;
mod record;
mod recorder;
mod replay;
mod runner;
mod shard;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::Clock;
use crate::database::postgres;
use crate::listeners::Listeners;
use crate::log::{Committed, LogState};
use crate::metrics::Metrics;
use crate::outbound::client::Client;
use crate::outbound::retry::RetryDelays;
use attempt::Sender;
use courier::Courier;
use deactivation::Deactivation;
use health::{AlertTarget, Alerts, Degraded};
use lease::Keeper;
use limits::Limits;
use recorder::Recorder;
use replay::Replays;
use runner::Runner;
use shard::HeldShards;
use tail::Tail;

/// Changes of shards that the tail has not heard of yet.
const CHANGES: usize = 16;

/// What of the delivery an operator may set.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Delays before the second, third and fourth attempt.
    pub retry_delays: RetryDelays,
    /// For a whole attempt: connect, send, response headers and body.
    pub timeout: Duration,
    /// How long this process may be silent before others take over.
    pub lease: Duration,
    /// Attempts in flight in this process.
    pub in_flight: usize,
    /// Attempts in flight to one host and port.
    pub in_flight_per_host: usize,
    /// Undelivered events in a row after which a subscription is deactivated.
    pub deactivate_after: i32,
    /// The pause of a degraded subscription; it doubles with every undelivered event.
    pub degraded_pause: Duration,
    /// Where the operator is told of subscriptions that fail.
    pub alerts: Option<AlertTarget>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            retry_delays: RetryDelays::default(),
            timeout: Duration::from_secs(30),
            lease: lease::LEASE,
            in_flight: limits::IN_FLIGHT,
            in_flight_per_host: limits::IN_FLIGHT_PER_HOST,
            deactivate_after: health::DEACTIVATE_AFTER,
            degraded_pause: health::DEGRADED_PAUSE,
            alerts: None,
        }
    }
}

/// How to deliver.
#[derive(Clone)]
pub struct Delivery {
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Makes the POSTs.
    pub client: Client,
    /// Names this process among those that deliver.
    pub replica: Uuid,
    /// What can be set.
    pub tuning: Tuning,
    /// What this process knows of the log; told whether it delivers everything.
    pub log: LogState,
    /// Those who follow the log.
    pub listeners: Listeners,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The threads that write down what was delivered.
    pub recording: Handle,
    /// The thread that renews the lease, which nothing else may hold up.
    pub keeping: Handle,
}

/// Delivers this process's share until `stop` is true; then finishes what is in flight,
/// within a bound, records it, and hands over.
pub async fn run(
    delivery: Delivery,
    committed: Arc<Mutex<mpsc::Receiver<Committed>>>,
    stop: watch::Receiver<bool>,
) {
    let Delivery { pool, clock, client, replica, tuning, log, listeners, metrics, recording, keeping } =
        delivery;
    let held = HeldShards::default();
    let (recorder, notes) = Recorder::new(pool.clone(), held.clone(), metrics.clone());
    let (valid, validity) = watch::channel(Instant::now());
    let (changes, changed) = mpsc::channel(CHANGES);
    let hints = Arc::new(Notify::new());
    let sender = Sender {
        clock: clock.clone(),
        client,
        retry_delays: tuning.retry_delays,
        timeout: tuning.timeout,
        metrics: metrics.clone(),
    };
    let deactivation = Deactivation {
        pool: pool.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        alerts: Alerts::new(tuning.alerts),
        after: tuning.deactivate_after,
    };
    let courier = Arc::new(Courier {
        clock,
        sender,
        limits: Arc::new(Limits::new(tuning.in_flight, tuning.in_flight_per_host)),
        notes: notes.clone(),
        valid: validity,
        deactivation,
    });
    let runner = Runner::new(courier.clone(), pool.clone(), Degraded(tuning.degraded_pause));
    let replays = Replays::new(courier, pool.clone());
    let mut tail = Tail::new(pool.clone(), (runner, replays), listeners, log);
    let keeper = {
        // Connections belong to the threads on which they are opened.
        let _there = keeping.enter();
        let pool = postgres::small(&pool);
        Keeper::new((pool, replica, tuning.lease), (held, metrics), valid, changes, hints.clone(), notes)
    };
    // Whoever of them ends, but for the keeper when told to stop, has panicked: so does this, and takes
    // the others with it.
    let mut others = JoinSet::new();
    others.spawn_on(recorder.run(), &recording);
    others.spawn_on(keeper.run(stop), &keeping);
    let mut committed = committed.lock().await;
    tokio::select! {
        never = tail.run(&mut committed, &hints, changed) => match never {},
        ended = others.join_next() => if let Some(Err(error)) = ended && error.is_panic() {
            std::panic::resume_unwind(error.into_panic());
        },
    }
}
