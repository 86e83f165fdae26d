//! Replays: events that a subscriber wants again.
//!
//! A replay walks its own part of the log, beside the subscription's lane and without
//! touching its order or its health: one event after the other, no faster than it was
//! asked to, each with the usual attempts. It *runs* until it is *done*, *cancelled*, or
//! has *failed* because event after event was not delivered. Its progress is stored
//! every second; whoever holds the shard next goes on from there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use super::courier::Courier;
use super::lane::{Lane, Outcome};
use super::limits::Reputation;
use super::outgoing::Outgoing;
use crate::log::read::{self, Page};
use crate::model::attempt::AttemptCause;
use crate::model::events::Event;
use crate::model::ids::SubscriptionId;
use crate::outbound::retry::MAX_ATTEMPTS;
use crate::subscription::Subscription;

/// Events read at once.
const PAGE: usize = 64;
/// Bytes of the data of events read at once; the event that exceeds it is the last one.
const PAGE_BYTES: usize = 512 * 1024;
/// Undelivered events in a row after which a replay fails.
const GIVE_UP_AFTER: u32 = 5;
/// How often progress is stored, and a cancellation seen.
const PROGRESS: Duration = Duration::from_secs(1);
/// Pause before the database is asked again, or a paused subscription looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs replays.
#[derive(Clone)]
pub(super) struct Replays(Arc<Inner>);

struct Inner {
    courier: Arc<Courier>,
    pool: PgPool,
    /// Those that run in this process, each with the lane it runs beside.
    running: Mutex<HashSet<(Uuid, usize)>>,
}

/// A replay as stored, and how far it is.
struct Replay {
    id: Uuid,
    only_undelivered: bool,
    per_second: i16,
    /// Is it about one event, named by somebody? Then the filters do not matter.
    single: bool,
    to: i64,
    position: i64,
    delivered: i64,
    undelivered: i64,
    in_row: u32,
    /// When its progress was stored last.
    stored: Instant,
}

/// Why a replay does not go on here, although it is not done.
enum Ended {
    Failed(String),
    /// Whoever holds the shard next goes on.
    Halted,
    /// Cancelled, or somebody else's now.
    Elsewhere,
}

impl Replays {
    pub(super) fn new(courier: Arc<Courier>, pool: PgPool) -> Self {
        Self(Arc::new(Inner { courier, pool, running: Mutex::default() }))
    }

    fn running(&self) -> MutexGuard<'_, HashSet<(Uuid, usize)>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a replay of the lane's subscription, unless it runs already.
    pub(super) fn start(&self, lane: &Arc<Lane>, id: Uuid) {
        // With the lane: one that still ends beside a lane of before may begin again.
        let key = (id, Arc::as_ptr(lane).addr());
        if lane.shard.is_halted() || !self.running().insert(key) {
            return;
        }
        let (replays, lane) = (self.clone(), lane.clone());
        let shard = lane.shard.clone();
        shard.spawn(async move {
            run(&replays.0, &lane, id).await;
            replays.running().remove(&key);
        });
    }
}

/// The replays that are to run, of these subscriptions.
pub(super) async fn to_run(
    pool: &PgPool,
    subscriptions: &[Uuid],
) -> Result<Vec<(SubscriptionId, Uuid)>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT subscription_id, id FROM replays WHERE subscription_id = ANY($1) AND status = 'running'",
        subscriptions,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (SubscriptionId(row.subscription_id), row.id)).collect())
}

async fn run(inner: &Inner, lane: &Arc<Lane>, id: Uuid) {
    let Inner { courier, pool, .. } = inner;
    let mut replay = loop {
        match load(pool, id).await {
            _ if lane.shard.is_halted() => return,
            Ok(Some(replay)) => break replay,
            Ok(None) => return,
            Err(error) => wait_for_database(&error).await,
        }
    };
    let (company, subscription) = (lane.company, lane.id);
    tracing::info!(%company, %subscription, replay = %id, from = replay.position, to = replay.to, "a replay runs");
    let ended = replay.run(inner, lane).await;
    let (status, reason) = match ended {
        Ok(()) => ("done", None),
        Err(Ended::Failed(reason)) => ("failed", Some(reason)),
        Err(Ended::Halted) => ("running", None),
        Err(Ended::Elsewhere) => return,
    };
    if status != "running" {
        // Whoever sees the end finds the attempts, too.
        courier.notes.flush().await;
    }
    while let Err(error) = replay.store(inner, lane, status, reason.as_deref()).await {
        wait_for_database(&error).await;
    }
    tracing::info!(
        %company, %subscription, replay = %id, status, replay.delivered, replay.undelivered,
        "a replay ended in this process"
    );
}

async fn wait_for_database(error: &sqlx::Error) {
    tracing::warn!(%error, "a replay waits for the database");
    tokio::time::sleep(PAUSE).await;
}

/// Waits for something, but not when the shard is halted.
async fn wait<T>(lane: &Lane, work: impl Future<Output = T>) -> Result<T, Ended> {
    lane.shard.unless_halted(work).await.ok_or(Ended::Halted)
}

impl Replay {
    async fn run(&mut self, inner: &Inner, lane: &Arc<Lane>) -> Result<(), Ended> {
        let interval = Duration::from_secs(1) / u32::from(self.per_second.unsigned_abs().max(1));
        let mut next = Instant::now();
        while self.position < self.to {
            // What is read is sent soon, so that what the retention drops is not counted as missed.
            self.turn(inner, lane).await?;
            let page = match wait(lane, self.page(&inner.pool, lane)).await? {
                Ok(page) => page,
                Err(error) => {
                    wait(lane, wait_for_database(&error)).await?;
                    continue;
                }
            };
            for event in page.events {
                let subscription = self.turn(inner, lane).await?;
                if self.single || subscription.wants_now(event.change()) {
                    wait(lane, tokio::time::sleep_until(next)).await?;
                    next = Instant::now() + interval;
                    self.deliver(inner, lane, &event).await?;
                }
                self.position = event.seq;
                if self.in_row >= GIVE_UP_AFTER {
                    return Err(Ended::Failed(format!("{GIVE_UP_AFTER} events in a row were not delivered")));
                }
            }
            self.position = self.position.max(page.read_to);
        }
        Ok(())
    }

    /// Waits until an attempt may be made: not while the subscription is paused. Stores
    /// the progress now and then, and learns of a cancellation by that.
    async fn turn(&mut self, inner: &Inner, lane: &Lane) -> Result<Arc<Subscription>, Ended> {
        loop {
            if lane.shard.is_halted() {
                return Err(Ended::Halted);
            }
            if self.stored.elapsed() >= PROGRESS {
                self.stored = Instant::now();
                match self.store(inner, lane, "running", None).await {
                    Ok(true) => {}
                    Ok(false) => return Err(Ended::Elsewhere),
                    Err(error) => wait(lane, wait_for_database(&error)).await?,
                }
            }
            // Gone to another URL, it has another lane, and the replay goes on beside that.
            let subscription = lane.subscription().ok_or(Ended::Elsewhere)?;
            if subscription.is_active() {
                return Ok(subscription);
            }
            // Paused, it waits like everything else.
            wait(lane, tokio::time::sleep(PAUSE)).await?;
        }
    }

    /// The next events that are wanted.
    async fn page(&self, pool: &PgPool, lane: &Lane) -> Result<Page, sqlx::Error> {
        if !self.only_undelivered {
            let range = (self.position, self.to);
            return read::of_types_within(pool, lane.company, lane.types, range, (PAGE, PAGE_BYTES)).await;
        }
        let seqs = undelivered(pool, lane, (self.position, self.to), PAGE).await?;
        let read_to = if seqs.len() == PAGE { seqs.last().copied() } else { None };
        let events = read::by_numbers(pool, lane.company, &seqs).await?;
        Ok(Page { events, read_to: read_to.unwrap_or(self.to) })
    }

    /// Delivers one event, with the usual attempts. One that is in flight when the shard
    /// is halted may end.
    async fn deliver(&mut self, inner: &Inner, lane: &Arc<Lane>, event: &Arc<Event>) -> Result<(), Ended> {
        let Inner { courier, .. } = inner;
        let outgoing = Outgoing::new(event.clone());
        for attempt in 1..=MAX_ATTEMPTS {
            let subscription = self.turn(inner, lane).await?;
            wait(lane, courier.until_valid()).await?;
            // Like those that do not do well: live deliveries have most of the room.
            let host = subscription.target.authority().to_owned();
            let permit =
                wait(lane, courier.limits.clone().acquire(lane.company, host, Reputation::Suspect)).await?;
            let permit = permit.ok_or(Ended::Halted)?;
            let kind = (attempt, AttemptCause::Replay);
            let made = courier.attempt(lane, (&outgoing, &subscription), kind, permit).await;
            courier.notes.wake();
            match made.outcome {
                Outcome::Delivered => {
                    (self.delivered, self.in_row) = (self.delivered + 1, 0);
                    return Ok(());
                }
                Outcome::Failed { next_attempt_at: Some(due), .. } if attempt < MAX_ATTEMPTS => {
                    let pause = (due - courier.clock.now()).to_std().unwrap_or_default();
                    wait(lane, courier.clock.sleep(pause)).await?;
                }
                Outcome::Failed { .. } => {}
            }
        }
        (self.undelivered, self.in_row) = (self.undelivered + 1, self.in_row + 1);
        Ok(())
    }

    /// Stores the progress; false if the replay was cancelled, or the shard is lost.
    async fn store(
        &self,
        Inner { courier, pool, .. }: &Inner,
        lane: &Lane,
        status: &str,
        reason: Option<&str>,
    ) -> Result<bool, sqlx::Error> {
        let stored = sqlx::query!(
            "WITH held AS (SELECT id FROM shards WHERE id = $1 AND epoch = $2 FOR SHARE)
             UPDATE replays SET position = $4, delivered = $5, undelivered = $6, status = $7, status_reason = $8,
                    updated_at = $9
             WHERE company_id = $10 AND id = $3 AND status = 'running' AND EXISTS (SELECT FROM held)
                   AND EXISTS (SELECT FROM subscriptions s WHERE s.id = $11 AND s.status <> 'deleted')",
            lane.shard.id,
            lane.shard.epoch,
            self.id,
            self.position,
            self.delivered,
            self.undelivered,
            status,
            reason,
            courier.clock.now(),
            lane.company.0,
            lane.id.0,
        )
        .execute(pool)
        .await?;
        Ok(stored.rows_affected() == 1)
    }
}

async fn load(pool: &PgPool, id: Uuid) -> Result<Option<Replay>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT only_undelivered, per_second, from_seq, to_seq, position, delivered, undelivered FROM replays
         WHERE id = $1 AND status = 'running'",
        id,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Replay {
        id,
        only_undelivered: row.only_undelivered,
        per_second: row.per_second,
        single: row.from_seq == row.to_seq,
        to: row.to_seq,
        position: row.position,
        delivered: row.delivered,
        undelivered: row.undelivered,
        in_row: 0,
        stored: Instant::now(),
    }))
}

/// Numbers of events in a range that were given up and not delivered since.
async fn undelivered(
    pool: &PgPool,
    lane: &Lane,
    (position, to): (i64, i64),
    limit: usize,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT DISTINCT a.seq FROM attempts a
         WHERE a.company_id = $1 AND a.subscription_id = $2 AND a.outcome = 'undelivered' AND a.seq > $3 AND a.seq <= $4
           AND NOT EXISTS (SELECT FROM attempts d
                           WHERE d.subscription_id = $2 AND d.seq = a.seq AND d.outcome = 'delivered')
         ORDER BY a.seq LIMIT $5",
        lane.company.0,
        lane.id.0,
        position,
        to,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(pool)
    .await
}
