//! Running a lane: attempt after attempt, in order, until there is nothing to do.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use sqlx::PgPool;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;

use super::client::Client;
use super::lane::{Definition, Lane, Next, Outcome, Outgoing};
use super::log;
use super::recorder::{Attempt, Notes};
use super::request::{self, Answer, Request};
use super::retry::{MAX_ATTEMPTS, RetryDelays, retry_after};
use crate::clock::Clock;
use crate::events::Event;
use crate::random;

/// Attempts in flight in this process: bounds sockets and memory.
const IN_FLIGHT: usize = 1024;
/// Pause before the database is asked again, or a lane that failed is run again.
const PAUSE: Duration = Duration::from_secs(1);

/// How to deliver.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
    pub(super) client: Client,
    pub(super) retry_delays: RetryDelays,
    /// For a whole attempt: connect, send, response headers and body.
    pub(super) timeout: Duration,
}

/// Runs lanes.
#[derive(Clone)]
pub(super) struct Runner(Arc<Inner>);

struct Inner {
    settings: Settings,
    notes: Notes,
    in_flight: Semaphore,
    /// How far the tail has come, raised before it offers.
    offering: Arc<AtomicI64>,
    stopping: watch::Receiver<bool>,
    tasks: std::sync::Mutex<JoinSet<()>>,
}

impl Runner {
    pub(super) fn new(
        settings: Settings,
        notes: Notes,
        offering: Arc<AtomicI64>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let in_flight = Semaphore::new(IN_FLIGHT);
        Self(Arc::new(Inner {
            settings,
            notes,
            in_flight,
            offering,
            stopping,
            tasks: std::sync::Mutex::default(),
        }))
    }

    /// Notes that a lane changed, and starts it if it has work and does not run.
    pub(super) fn kick(&self, lane: &Arc<Lane>) {
        self.0.notes.dirty(lane);
        if *self.0.stopping.borrow() || !lane.claim() {
            return;
        }
        let (runner, lane) = (self.clone(), lane.clone());
        let mut tasks = self.0.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Those that ended leave nothing to be told.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            while std::panic::AssertUnwindSafe(runner.run(&lane)).catch_unwind().await.is_err() {
                tracing::error!(subscription = %lane.id, "a lane panicked; it is run again");
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// Waits until all lanes have come to rest, which they do once `stopping` is
    /// true and their attempts in flight have ended.
    pub(super) async fn rest(&self) {
        let mut tasks =
            std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    async fn run(&self, lane: &Arc<Lane>) {
        let mut stopping = self.0.stopping.clone();
        loop {
            if *stopping.borrow() {
                return lane.abandon();
            }
            match lane.next() {
                Next::Rest => return,
                Next::Backlog(position) => self.read_backlog(lane, position).await,
                Next::Attempt { outgoing, definition, attempt, due } => {
                    let now = self.0.settings.clock.now();
                    if let Some(wait) =
                        due.and_then(|due| (due - now).to_std().ok()).filter(|wait| !wait.is_zero())
                    {
                        tokio::select! {
                            () = self.0.settings.clock.sleep(wait) => {}
                            () = lane.changed.notified() => {}
                            _ = stopping.wait_for(|stopping| *stopping) => {}
                        }
                        // Due now, or things have changed: look again.
                        continue;
                    }
                    // Waiting for a permit may take long; nothing is sent by a definition that is old by then.
                    let permit = tokio::select! {
                        biased;
                        _ = stopping.wait_for(|stopping| *stopping) => continue,
                        () = lane.changed.notified() => continue,
                        permit = self.0.in_flight.acquire() => permit,
                    };
                    let Ok(permit) = permit else { return lane.abandon() };
                    self.attempt(lane, &outgoing, &definition, attempt, permit).await;
                }
            }
        }
    }

    async fn read_backlog(&self, lane: &Arc<Lane>, position: i64) {
        let pool = &self.0.settings.pool;
        let read = async {
            let head = log::head(pool).await?.seq;
            log::backlog(pool, (lane.company, lane.event_type), position, head).await
        };
        match read.await {
            Ok(page) => {
                lane.took_backlog(page, &self.0.offering);
                self.0.notes.dirty(lane);
            }
            Err(error) => {
                tracing::warn!(%error, subscription = %lane.id, "a backlog cannot be read yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Makes one attempt and notes what became of it.
    async fn attempt(
        &self,
        lane: &Arc<Lane>,
        outgoing: &Outgoing,
        definition: &Definition,
        number: u8,
        permit: SemaphorePermit<'_>,
    ) {
        let Settings { clock, .. } = &self.0.settings;
        let event = &outgoing.event;
        let at = clock.now();
        let (signature, Answer { response, failure }) = self.post(outgoing, definition, number, at).await;
        let ended = clock.now();
        drop(permit);
        let gone = response.as_ref().is_some_and(|response| response.status == 410);
        let (error, error_class) = failure.map(|failure| (failure.message, failure.class)).unzip();
        let (word, outcome) = match &error {
            None => ("delivered", Outcome::Delivered),
            Some(error) => {
                let wished = response
                    .as_ref()
                    .filter(|response| matches!(response.status, 429 | 503))
                    .and_then(|response| retry_after(response.retry_after.as_deref()?, ended));
                let delay = self.0.settings.retry_delays.after(number, wished, fraction());
                let word = if number < MAX_ATTEMPTS { "failed" } else { "undelivered" };
                let next_attempt_at = delay.map(|delay| ended + delay);
                (word, Outcome::Failed { error: error.clone(), next_attempt_at })
            }
        };
        match &error {
            Some(error) => {
                tracing::info!(subscription = %lane.id, event = %event.id, number, error, "attempt failed")
            }
            None => tracing::debug!(subscription = %lane.id, event = %event.id, number, "delivered"),
        }
        let attempt = Attempt {
            company: lane.company,
            subscription: lane.id,
            seq: event.seq,
            event: event.id,
            number,
            at,
            duration: (ended - at).to_std().unwrap_or_default(),
            outcome: word,
            answer: response,
            error,
            error_class,
            signature,
        };
        self.0.notes.attempt(attempt).await;
        if gone {
            self.deactivate(lane, definition).await;
        }
        if lane.attempted(&outcome, at) {
            tracing::warn!(subscription = %lane.id, event = %event.id, "undelivered after {MAX_ATTEMPTS} attempts");
        }
        self.0.notes.dirty(lane);
    }

    async fn post(
        &self,
        outgoing: &Outgoing,
        definition: &Definition,
        number: u8,
        at: DateTime<Utc>,
    ) -> (String, Answer) {
        let Settings { clock, client, timeout, .. } = &self.0.settings;
        let Event { id, event_type, .. } = *outgoing.event;
        let request = Request { event: id, event_type, attempt: number, at, test: false };
        let body = outgoing.body();
        let signature = request.sign(&definition.secret, &body);
        let target = (&definition.target, definition.loopback);
        let headers = request.headers(&signature);
        (signature, request::send(client, (clock, *timeout), target, headers, body).await)
    }

    /// 410 Gone: the receiver wants nothing more.
    async fn deactivate(&self, lane: &Arc<Lane>, definition: &Definition) {
        let Settings { pool, clock, .. } = &self.0.settings;
        let mut stopping = self.0.stopping.clone();
        loop {
            match log::deactivate(
                pool,
                lane.id,
                definition.version,
                "the receiver answered 410 Gone",
                clock.now(),
            )
            .await
            {
                Ok(Some(version)) => {
                    tracing::warn!(subscription = %lane.id, "deactivated: the receiver answered 410 Gone");
                    let definition = Definition { active: false, version, ..definition.clone() };
                    // The event is still in the queue, so it does not matter how far the tail is.
                    return lane.redefine(definition, 0);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, subscription = %lane.id, "a deactivation cannot be stored yet")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}

/// A random number in [0, 1); without randomness, none is as good.
fn fraction() -> f64 {
    random::bytes().map_or(0.0, |bytes| f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
}
