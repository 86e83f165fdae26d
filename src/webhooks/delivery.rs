//! Running a lane: attempt after attempt, in order, until there is nothing to do.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use futures_util::FutureExt;
use sqlx::PgPool;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;

use super::client::Client;
use super::lane::{Definition, Lane, Next, Outcome, Outgoing};
use super::log;
use super::recorder::{Attempt, Notes};
use super::retry::{MAX_ATTEMPTS, RetryDelays, retry_after};
use crate::clock::Clock;
use crate::random;

/// Attempts in flight in this process: bounds sockets and memory.
const IN_FLIGHT: usize = 1024;
/// Pause before the database is asked again, or a lane that failed is run again.
const PAUSE: Duration = Duration::from_secs(1);

/// `X-ISAO-Event`
const EVENT: HeaderName = HeaderName::from_static("x-isao-event");
/// `X-ISAO-Attempt`
const ATTEMPT: HeaderName = HeaderName::from_static("x-isao-attempt");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("ISAO-Webhooks/", env!("CARGO_PKG_VERSION")));

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
        // What was waited for is due, whatever the clock says: it may have been set back meanwhile.
        let mut waited = None;
        loop {
            if *stopping.borrow() {
                return lane.abandon();
            }
            match lane.next() {
                Next::Rest => return,
                Next::Backlog(position) => self.read_backlog(lane, position).await,
                Next::Attempt { outgoing, definition, attempt, due } => {
                    let now = self.0.settings.clock.now();
                    if let Some(wait) = due
                        .filter(|due| waited != Some(*due))
                        .and_then(|due| (due - now).to_std().ok())
                        .filter(|wait| !wait.is_zero())
                    {
                        tokio::select! {
                            () = self.0.settings.clock.sleep(wait) => waited = due,
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
        let answer = self.post(outgoing, definition, number).await;
        let ended = clock.now();
        drop(permit);
        let Answer { status, error, retry_after } = answer;
        let gone = status == Some(410);
        let (word, outcome) = match error {
            None => ("delivered", Outcome::Delivered),
            Some(error) => {
                let delay = self.0.settings.retry_delays.after(number, retry_after, fraction());
                let word = if number < MAX_ATTEMPTS { "failed" } else { "undelivered" };
                (word, Outcome::Failed { error, next_attempt_at: delay.map(|delay| ended + delay) })
            }
        };
        let error = match &outcome {
            Outcome::Failed { error, .. } => Some(error.clone()),
            Outcome::Delivered => None,
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
            status,
            error,
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

    async fn post(&self, outgoing: &Outgoing, definition: &Definition, number: u8) -> Answer {
        let Settings { clock, client, timeout, .. } = &self.0.settings;
        let body = outgoing.body();
        let headers = headers(outgoing, definition, number, clock.now().timestamp(), &body);
        let answer = tokio::select! {
            answer = client.post(&definition.target, definition.loopback, headers, body) => answer,
            () = clock.sleep(*timeout) => {
                let error = format!("no complete answer within {}", crate::duration::format_duration(*timeout));
                return Answer { status: None, error: Some(error), retry_after: None };
            }
        };
        match answer {
            Ok(response) => {
                let wished = response.retry_after.filter(|_| matches!(response.status, 429 | 503));
                Answer {
                    status: Some(response.status),
                    error: (!(200..300).contains(&response.status))
                        .then(|| format!("answered {}", response.status)),
                    retry_after: wished.and_then(|header| retry_after(&header, clock.now())),
                }
            }
            Err(error) => Answer { status: None, error: Some(error.to_string()), retry_after: None },
        }
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

/// What came of a POST; `error` is none if it was delivered.
struct Answer {
    status: Option<u16>,
    error: Option<String>,
    retry_after: Option<Duration>,
}

/// Standard Webhooks and our own two. Signed over the attempt's own time.
fn headers(
    outgoing: &Outgoing,
    definition: &Definition,
    number: u8,
    timestamp: i64,
    body: &[u8],
) -> HeaderMap {
    let id = outgoing.event.id.to_string();
    let signature = definition.secret.sign(&id, timestamp, body);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, USER_AGENT);
    headers.insert(EVENT, HeaderValue::from_static(outgoing.event.event_type.name()));
    headers.insert(ATTEMPT, HeaderValue::from(u16::from(number)));
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
    // Ids and base64 are always fit for a header.
    for (name, value) in [(WEBHOOK_ID, id), (WEBHOOK_SIGNATURE, signature)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers
}

/// A random number in [0, 1); without randomness, none is as good.
fn fraction() -> f64 {
    random::bytes().map_or(0.0, |bytes| f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
}
