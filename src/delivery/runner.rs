//! Running an endpoint: attempt after attempt, until there is nothing to do.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sqlx::PgPool;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::courier::Courier;
use super::health::Degraded;
use super::lane::{Claim, Endpoint, Lane, Next, StartedAttempt};
use super::limits::{Permit, Reputation};
use super::outgoing::Size;
use crate::log::read;
use crate::model::attempt::AttemptCause;
use crate::outbound::retry::MAX_ATTEMPTS;
use crate::subscription::Subscription;

/// Pause before the database is asked again, or an endpoint whose task panicked is run again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs endpoints.
#[derive(Clone)]
pub(super) struct Runner(Arc<Inner>);

struct Inner {
    courier: Arc<Courier>,
    backlog: Backlog,
    pool: PgPool,
    degraded: Degraded,
}

/// An endpoint waits for a permit.
struct Acquiring {
    host: String,
    reputation: Reputation,
    permit: BoxFuture<'static, Option<Permit>>,
}

impl Runner {
    pub(super) fn new(courier: Arc<Courier>, pool: PgPool, degraded: Degraded) -> Self {
        Self(Arc::new(Inner { courier, backlog: Backlog::new(pool.clone()), pool, degraded }))
    }

    /// Notes that a lane changed, and starts its endpoint if it has work and does not run.
    pub(super) fn kick(&self, lane: &Arc<Lane>) {
        self.0.courier.notes.dirty(lane);
        self.start(&lane.endpoint);
    }

    /// Starts an endpoint if it has work and does not run.
    pub(super) fn start(&self, endpoint: &Arc<Endpoint>) {
        if endpoint.shard.is_halted() {
            return;
        }
        match endpoint.claim() {
            Claim::Nothing => {}
            Claim::Running => endpoint.changed.notify_one(),
            Claim::Claimed => {
                let (runner, endpoint) = (self.clone(), endpoint.clone());
                let shard = endpoint.shard.clone();
                shard.spawn(async move {
                    while AssertUnwindSafe(runner.run(&endpoint)).catch_unwind().await.is_err() {
                        tracing::error!(company = %endpoint.company, "the task of an endpoint panicked; it is run again");
                        tokio::time::sleep(PAUSE).await;
                    }
                });
            }
        }
    }

    async fn run(&self, endpoint: &Arc<Endpoint>) {
        let mut shard = endpoint.shard.halted();
        let mut halted = std::pin::pin!(shard.wait_for(|halted| *halted));
        let mut valid = self.0.courier.valid.clone();
        let mut work: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        let mut acquiring: Option<Acquiring> = None;
        // A wait goes on whatever wakes the endpoint meanwhile, and what was waited for is due:
        // the clock may have been set back.
        let mut sleeping: Option<(DateTime<Utc>, BoxFuture<'_, ()>)> = None;
        let mut reached = None;
        endpoint.begin();
        loop {
            if endpoint.shard.is_halted() {
                while work.next().await.is_some() {}
                return endpoint.abandon();
            }
            let now = self.now(reached);
            let next = endpoint.next(now);
            if !matches!(next, Next::Attempt(_)) {
                acquiring = None;
            }
            let mut refused = false;
            let due = match next {
                Next::Rest => return,
                Next::Recall(lane, owed) => {
                    work.push(self.recall(lane, owed).boxed());
                    continue;
                }
                Next::Backlog(lane, position, room) => {
                    work.push(self.read_backlog(lane, position, room).boxed());
                    continue;
                }
                Next::Wait(due) => due,
                Next::Attempt(subscription) => {
                    refused = *valid.borrow_and_update() <= Instant::now();
                    if !refused && let Some(permit) = self.permit(endpoint, &subscription, &mut acquiring) {
                        acquiring = None;
                        if let Some(started) = endpoint.start(now) {
                            reached = None;
                            work.push(self.attempt(started, permit).boxed());
                        }
                        continue;
                    }
                    None
                }
            };
            sleeping = due.map(|due| match sleeping.take() {
                Some((until, sleep)) if until == due => (until, sleep),
                _ => (due, self.0.courier.clock.sleep((due - now).to_std().unwrap_or_default()).boxed()),
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
                () = endpoint.changed.notified() => {}
                permit = permitted => {
                    acquiring = None;
                    // Nothing is sent by a subscription that is old by now: it is looked up anew.
                    let Some(permit) = permit else { return endpoint.abandon() };
                    if *valid.borrow_and_update() > Instant::now()
                        && let Some(started) = endpoint.start(self.now(reached))
                    {
                        reached = None;
                        work.push(self.attempt(started, permit).boxed());
                    }
                }
                _ = valid.changed(), if refused => {}
                until = pause => reached = Some(until),
            }
        }
    }

    /// The time, but not before what was reached by waiting.
    fn now(&self, reached: Option<DateTime<Utc>>) -> DateTime<Utc> {
        self.0.courier.clock.now().max(reached.unwrap_or(DateTime::<Utc>::MIN_UTC))
    }

    /// A permit for an attempt, if there is one at once; otherwise `acquiring` waits for
    /// it, unless it does already.
    fn permit(
        &self,
        endpoint: &Endpoint,
        subscription: &Subscription,
        acquiring: &mut Option<Acquiring>,
    ) -> Option<Permit> {
        let wanted = (subscription.target.authority(), endpoint.reputation());
        if acquiring
            .as_ref()
            .is_some_and(|acquiring| (acquiring.host.as_str(), acquiring.reputation) == wanted)
        {
            return None;
        }
        let (host, reputation) = wanted;
        if let Some(permit) = self.0.courier.limits.try_acquire(endpoint.company, host, reputation) {
            return Some(permit);
        }
        let permit =
            self.0.courier.limits.clone().acquire(endpoint.company, host.to_owned(), reputation).boxed();
        *acquiring = Some(Acquiring { host: host.to_owned(), reputation, permit });
        None
    }

    async fn recall(&self, lane: Arc<Lane>, owed: Vec<i64>) {
        match read::by_numbers(&self.0.pool, lane.company, &owed).await {
            Ok(events) => lane.recalled(events),
            Err(error) => self.not_read(&lane, &error).await,
        }
    }

    async fn read_backlog(&self, lane: Arc<Lane>, position: i64, room: Size) {
        // What the tail has is in the log; what comes after, it will offer.
        let to = lane.shard.offering();
        match self.0.backlog.read((lane.company, lane.types), (position, to), room).await {
            Ok(read) => {
                lane.took_backlog(read);
                self.0.courier.notes.dirty(&lane);
            }
            Err(error) => self.not_read(&lane, &error).await,
        }
    }

    async fn not_read(&self, lane: &Lane, error: &sqlx::Error) {
        tracing::warn!(%error, company = %lane.company, subscription = %lane.id, "the backlog of a subscription cannot be read yet");
        tokio::time::sleep(PAUSE).await;
        lane.not_read();
    }

    /// Makes one attempt and passes its outcome to the lane.
    async fn attempt(&self, started: StartedAttempt, permit: Permit) {
        let StartedAttempt { lane, outgoing, subscription, attempt } = started;
        let Inner { courier, degraded, .. } = &*self.0;
        let kind = (attempt, AttemptCause::Live);
        let made = courier.attempt(&lane, (&outgoing, &subscription), kind, permit).await;
        let (seq, event) = (outgoing.event.seq, outgoing.event.id);
        if let Some(in_row) = lane.attempted(seq, attempt, &made.outcome, (made.at, made.duration), *degraded)
        {
            tracing::warn!(
                company = %lane.company, subscription = %lane.id, %event,
                "an event was not delivered after {MAX_ATTEMPTS} attempts"
            );
            if let Some(last) = &made.failed {
                courier.deactivation.undelivered(&lane, &subscription, in_row, last).await;
            }
        }
        courier.notes.dirty(&lane);
    }
}
