//! Running a lane: attempt after attempt, until there is nothing to do.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt::Sender;
use super::backlog::Backlog;
use super::health::{Alert, Alerts, Degraded};
use super::lane::{Claim, Definition, Lane, Next, Outcome, Started};
use super::limits::{Limits, Permit, Standing};
use super::log;
use super::recorder::{Cause, Notes};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::outbound::retry::MAX_ATTEMPTS;

/// Pause before the database is asked again, or a lane that failed is run again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs lanes.
#[derive(Clone)]
pub(super) struct Runner(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) metrics: Arc<Metrics>,
    pub(super) pool: PgPool,
    pub(super) backlog: Backlog,
    pub(super) clock: Clock,
    pub(super) sender: Sender,
    pub(super) limits: Arc<Limits>,
    pub(super) notes: Notes,
    /// Until when attempts may start: the lease.
    pub(super) valid: watch::Receiver<Instant>,
    pub(super) degraded: Degraded,
    /// Undelivered events in a row after which a subscription is deactivated.
    pub(super) deactivate_after: i32,
    pub(super) alerts: Alerts,
    pub(super) replays: super::replay::Replays,
}

/// A lane waits for a permit.
struct Acquiring {
    host: String,
    standing: Standing,
    permit: BoxFuture<'static, Option<Permit>>,
}

impl Runner {
    /// Notes that a lane changed, and starts it if it has work and does not run.
    pub(super) fn kick(&self, lane: &Arc<Lane>) {
        self.0.notes.dirty(lane);
        self.start(lane);
    }

    /// Starts a lane if it has work and does not run.
    pub(super) fn start(&self, lane: &Arc<Lane>) {
        if lane.shard.is_halted() {
            return;
        }
        match lane.claim() {
            Claim::Nothing => {}
            Claim::Running => lane.changed.notify_one(),
            Claim::Claimed => {
                let (runner, lane) = (self.clone(), lane.clone());
                let shard = lane.shard.clone();
                shard.spawn(async move {
                    while AssertUnwindSafe(runner.run(&lane)).catch_unwind().await.is_err() {
                        tracing::error!(subscription = %lane.id, "a lane panicked; it is run again");
                        tokio::time::sleep(PAUSE).await;
                    }
                });
            }
        }
    }

    /// Runs replays of a lane's subscription that do not run yet.
    pub(super) fn replay(&self, lane: &Arc<Lane>, replays: Vec<Uuid>) {
        for id in replays {
            self.0.replays.start(self, lane, id);
        }
    }

    async fn run(&self, lane: &Arc<Lane>) {
        let mut shard = lane.shard.halted();
        let mut halted = std::pin::pin!(shard.wait_for(|halted| *halted));
        let mut valid = self.0.valid.clone();
        let mut work: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        let mut acquiring: Option<Acquiring> = None;
        // A wait goes on whatever wakes the lane meanwhile, and what was waited for is due:
        // the clock may have been set back.
        let mut sleeping: Option<(DateTime<Utc>, BoxFuture<'_, ()>)> = None;
        let mut reached = None;
        lane.begin();
        loop {
            if lane.shard.is_halted() {
                while work.next().await.is_some() {}
                return lane.abandon();
            }
            let now = self.now(reached);
            let next = lane.next(now);
            if !matches!(next, Next::Attempt(_)) {
                acquiring = None;
            }
            let mut refused = false;
            let due = match next {
                Next::Rest => return,
                Next::Recall(owed) => {
                    work.push(self.recall(lane, owed).boxed());
                    continue;
                }
                Next::Backlog(position, limit) => {
                    work.push(self.read_backlog(lane, position, limit).boxed());
                    continue;
                }
                Next::Wait(due) => due,
                Next::Attempt(definition) => {
                    refused = *valid.borrow_and_update() <= Instant::now();
                    if !refused && let Some(permit) = self.permit(lane, &definition, &mut acquiring) {
                        acquiring = None;
                        if let Some(started) = lane.start(now) {
                            reached = None;
                            work.push(self.attempt(lane, started, permit).boxed());
                        }
                        continue;
                    }
                    None
                }
            };
            sleeping = due.map(|due| match sleeping.take() {
                Some((until, sleep)) if until == due => (until, sleep),
                _ => (due, self.0.clock.sleep((due - now).to_std().unwrap_or_default()).boxed()),
            });
            let pause = async {
                match &mut sleeping {
                    Some((until, sleep)) => {
                        sleep.await;
                        *until
                    }
                    None => std::future::pending().await,
                }
            };
            let permitted = async {
                match &mut acquiring {
                    Some(acquiring) => (&mut acquiring.permit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut halted => {}
                Some(()) = work.next(), if !work.is_empty() => {}
                () = lane.changed.notified() => {}
                permit = permitted => {
                    acquiring = None;
                    // Nothing is sent by a definition that is old by now: it is looked up anew.
                    let Some(permit) = permit else { return lane.abandon() };
                    if *valid.borrow_and_update() > Instant::now()
                        && let Some(started) = lane.start(self.now(reached))
                    {
                        reached = None;
                        work.push(self.attempt(lane, started, permit).boxed());
                    }
                }
                _ = valid.changed(), if refused => {}
                until = pause => reached = Some(until),
            }
        }
    }

    /// The time, but not before what was reached by waiting.
    fn now(&self, reached: Option<DateTime<Utc>>) -> DateTime<Utc> {
        self.0.clock.now().max(reached.unwrap_or(DateTime::<Utc>::MIN_UTC))
    }

    /// A permit for an attempt, if there is one at once; otherwise `acquiring` waits for
    /// it, unless it does already.
    fn permit(
        &self,
        lane: &Lane,
        definition: &Definition,
        acquiring: &mut Option<Acquiring>,
    ) -> Option<Permit> {
        let wanted = (definition.target.authority(), lane.standing());
        if acquiring.as_ref().is_some_and(|acquiring| (acquiring.host.as_str(), acquiring.standing) == wanted)
        {
            return None;
        }
        let (host, standing) = wanted;
        if let Some(permit) = self.0.limits.try_acquire(host, standing) {
            return Some(permit);
        }
        let permit = self.0.limits.clone().acquire(host.to_owned(), standing).boxed();
        *acquiring = Some(Acquiring { host: host.to_owned(), standing, permit });
        None
    }

    async fn recall(&self, lane: &Arc<Lane>, owed: Vec<i64>) {
        match log::these(&self.0.pool, lane.company, &owed).await {
            Ok(events) => lane.recalled(events),
            Err(error) => self.not_read(lane, &error).await,
        }
    }

    async fn read_backlog(&self, lane: &Arc<Lane>, position: i64, limit: usize) {
        // What the tail has is in the log; what comes after, it will offer.
        let to = lane.shard.offering();
        match self.0.backlog.read((lane.company, lane.event_type), (position, to), limit).await {
            Ok(read) => {
                lane.took_backlog(read);
                self.0.notes.dirty(lane);
            }
            Err(error) => self.not_read(lane, &error).await,
        }
    }

    async fn not_read(&self, lane: &Arc<Lane>, error: &sqlx::Error) {
        tracing::warn!(%error, subscription = %lane.id, "a backlog cannot be read yet");
        tokio::time::sleep(PAUSE).await;
        lane.not_read();
    }

    /// Makes one attempt and notes what became of it.
    async fn attempt(&self, lane: &Arc<Lane>, started: Started, permit: Permit) {
        let Started { outgoing, definition, attempt } = started;
        let sent = self.0.sender.send(&outgoing, &definition, attempt).await;
        drop(permit);
        let outcome = sent.outcome();
        let (at, duration) = (sent.at, sent.duration);
        let gone = sent.is_gone();
        let record = sent.into_record(lane, &outgoing.event, attempt, Cause::Live);
        match &record.error {
            Some(error) => {
                tracing::info!(subscription = %lane.id, event = %outgoing.event.id, attempt, error, "attempt failed");
            }
            None => {
                tracing::debug!(subscription = %lane.id, event = %outgoing.event.id, attempt, "delivered")
            }
        }
        self.0.notes.attempt(record).await;
        if gone {
            self.gone(lane, &definition).await;
        }
        let seq = outgoing.event.seq;
        if let Some(in_row) = lane.attempted(seq, attempt, &outcome, (at, duration), self.0.degraded) {
            tracing::warn!(subscription = %lane.id, event = %outgoing.event.id, "undelivered after {MAX_ATTEMPTS} attempts");
            self.undelivered(lane, &definition, in_row, &outcome).await;
        }
        self.0.notes.dirty(lane);
    }

    /// The receiver wants nothing more.
    pub(super) async fn gone(&self, lane: &Arc<Lane>, definition: &Definition) {
        self.deactivate(lane, definition, "gone", "the receiver answered 410 Gone".to_owned()).await;
    }

    /// So many events in a row were not delivered.
    async fn undelivered(&self, lane: &Arc<Lane>, definition: &Definition, in_row: i32, outcome: &Outcome) {
        let last = match outcome {
            Outcome::Failed { error, .. } => error.as_str(),
            Outcome::Delivered => return,
        };
        let limit = self.0.deactivate_after;
        if in_row >= limit {
            let reason = format!("{in_row} events in a row were not delivered; the last error: {last}");
            self.deactivate(lane, definition, "undelivered", reason).await;
        } else if in_row == (limit + 1) / 2 {
            let reason = format!(
                "{in_row} events in a row were not delivered; after {limit} the subscription is deactivated; the last error: {last}"
            );
            self.0.alerts.tell(self.alert("subscription.failing", lane, definition, reason));
        }
    }

    /// Deactivates a subscription, unless it was changed meanwhile; its events wait.
    /// `cause` is the reason in one word.
    async fn deactivate(
        &self,
        lane: &Arc<Lane>,
        definition: &Definition,
        cause: &'static str,
        reason: String,
    ) {
        let mut halted = lane.shard.halted();
        loop {
            match log::deactivate(&self.0.pool, lane.id, definition.version, &reason, self.0.clock.now())
                .await
            {
                Ok(Some(version)) => {
                    self.0.metrics.deactivated.of(cause).inc();
                    self.0.alerts.tell(self.alert("subscription.deactivated", lane, definition, reason));
                    return lane.redefine(Definition { active: false, version, ..definition.clone() });
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, subscription = %lane.id, "a deactivation cannot be stored yet");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = halted.wait_for(|halted| *halted) => return,
            }
        }
    }

    fn alert(&self, kind: &'static str, lane: &Lane, definition: &Definition, reason: String) -> Alert {
        Alert {
            kind,
            company: lane.company,
            subscription: lane.id,
            origin: definition.target.url().origin().ascii_serialization(),
            reason,
            at: self.0.clock.now(),
        }
    }
}
