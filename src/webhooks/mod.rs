//! Webhooks: every event, signed, to every subscriber, in order, at least once.
//!
//! The log is the queue. Who takes part:
//!
//! - the **leader** ([`run`]): of all processes on one database, the one that
//!   delivers. It holds a session-level advisory lock, and an *epoch* that fences
//!   off whoever held it before.
//! - the **tail**: reads the log once, for all, and offers each event to
//! - the **lanes**, one per subscription: a queue each, and a task while there is work.
//! - the **client**: makes one POST, where the address policy allows it.
//! - the **recorder**: writes cursors and attempts, all lanes together.
//!
//! An event in a lane is *waiting*, then *attempted* up to four times, then
//! *delivered* or *undelivered*; only then comes the next one. A subscription's
//! cursor stands before the first event that is neither. What was done but not
//! recorded when a process dies is done again.

pub mod client;
mod delivery;
mod lane;
mod log;
mod recorder;
pub mod request;
pub mod retry;
pub mod signature;
mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::db;
use crate::writer::{CHANNEL, Committed};
use client::Client;
use delivery::{Runner, Settings};
use recorder::Recorder;
use retry::RetryDelays;
use tail::Tail;

/// The advisory lock of the process that delivers; any number, but always the same.
const LOCK: i64 = 0x6973_616f_0001;
/// How often a process that does not deliver tries to, and one that does makes
/// sure that it still holds the lock.
const BEAT: Duration = Duration::from_secs(1);
/// How long the database may take to answer a beat before the lock counts as lost.
const BEAT_AT_MOST: Duration = Duration::from_secs(3);
/// How long the database may take over everything before the first delivery.
const START_AT_MOST: Duration = Duration::from_secs(10);
/// The database takes the lock from a process that it has not heard of for so long:
/// one that is frozen, or whose machine or network is gone without a word. Longer
/// than [`GRACE`] and [`LAST_RECORD`] together, during which there are no beats.
const SILENT_AT_MOST: &str = "20s";
/// How long attempts in flight are waited for when the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// How long the last record may take when the server stops.
const LAST_RECORD: Duration = Duration::from_secs(5);

/// How to deliver.
#[derive(Clone)]
pub struct Delivery {
    /// For everything but the lock.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Makes the POSTs.
    pub client: Client,
    /// Delays before the second, third and fourth attempt.
    pub retry_delays: RetryDelays,
    /// For a whole attempt: connect, send, response headers and body.
    pub timeout: Duration,
    /// Tells the writer whether this process delivers.
    pub delivering: Arc<AtomicBool>,
}

/// Delivers whenever no other process does, until `stop` is true; then finishes
/// what is in flight, within a bound, and records it.
pub async fn run(delivery: Delivery, mut feed: mpsc::Receiver<Committed>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match lead(&delivery, &mut feed, stop.clone()).await {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "deliveries are interrupted"),
        }
        delivery.delivering.store(false, Ordering::SeqCst);
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            _ = stop.wait_for(|stop| *stop) => {}
            // Nobody reads the feed meanwhile; what it drops is in the log.
            () = drain(&mut feed) => {}
        }
    }
}

async fn drain(feed: &mut mpsc::Receiver<Committed>) {
    while feed.recv().await.is_some() {}
    std::future::pending().await
}

/// Why this process no longer delivers.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("the database does not answer ({0})")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Fenced(#[from] recorder::Fenced),
    #[error("the recorder ended unexpectedly")]
    Recorder,
}

/// Delivers, if no other process does, until it is told to stop or loses the lock.
async fn lead(
    delivery: &Delivery,
    feed: &mut mpsc::Receiver<Committed>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Interrupted> {
    let taken = timeout(START_AT_MOST, take_lead(&delivery.pool)).await;
    let Some(Lead { mut lock, hints, epoch, checkpoint }) =
        taken.map_err(|_| sqlx::Error::PoolTimedOut)??
    else {
        return Ok(());
    };
    tracing::info!(epoch, checkpoint, "this process delivers");

    let offered = Arc::new(AtomicI64::new(checkpoint));
    let offering = Arc::new(AtomicI64::new(checkpoint));
    let (recorder, notes) = Recorder::new(delivery.pool.clone(), epoch, offered.clone());
    let (rested, rest) = oneshot::channel();
    let mut recorder = tokio::spawn(recorder.run(rest));
    let settings = Settings {
        pool: delivery.pool.clone(),
        clock: delivery.clock.clone(),
        client: delivery.client.clone(),
        retry_delays: delivery.retry_delays,
        timeout: delivery.timeout,
    };
    let (halt, halted) = watch::channel(false);
    let runner = Runner::new(settings, notes, offering.clone(), halted);
    let mut tail = Tail::new(delivery.pool.clone(), runner.clone(), offered, offering);
    delivery.delivering.store(true, Ordering::SeqCst);

    let ended: Result<(), Interrupted> = tokio::select! {
        error = tail.run(feed, hints) => error.map(|never| match never {}).map_err(Interrupted::from),
        error = hold(&mut lock) => Err(error.into()),
        ended = &mut recorder => Err(match ended {
            Ok(Err(fenced)) => fenced.into(),
            _ => Interrupted::Recorder,
        }),
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    };
    delivery.delivering.store(false, Ordering::SeqCst);
    let _ = halt.send(true);
    // Attempts in flight may end, whatever happened; only the lock decides whether
    // they can still be recorded, and the epoch sees to that.
    if timeout(GRACE, runner.rest()).await.is_err() {
        tracing::warn!("some attempts were still in flight; they will be made again");
    }
    if !recorder.is_finished() {
        let _ = rested.send(());
        if timeout(LAST_RECORD, &mut recorder).await.is_err() {
            recorder.abort();
            tracing::warn!("the last deliveries could not be recorded; they will be made again");
        }
    }
    // Lets go of the lock at once; a lost connection has already.
    let _ = timeout(BEAT_AT_MOST, lock.close()).await;
    ended
}

/// What the process that delivers has.
struct Lead {
    /// The connection that holds the lock.
    lock: PgConnection,
    hints: PgListener,
    epoch: i64,
    checkpoint: i64,
}

/// Takes the lock and the shard; none if another process has them.
async fn take_lead(pool: &PgPool) -> Result<Option<Lead>, sqlx::Error> {
    let mut lock = db::connect(pool).await?;
    let locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, LOCK)
        .fetch_one(&mut lock)
        .await?;
    if !locked {
        lock.close().await?;
        return Ok(None);
    }
    sqlx::query("SELECT set_config('idle_session_timeout', $1, false)")
        .bind(SILENT_AT_MOST)
        .execute(&mut lock)
        .await?;
    // From here on NOTIFYs are heard; what came before is read from the log.
    let mut hints = PgListener::connect_with(pool).await?;
    hints.listen(CHANNEL).await?;
    let shard = sqlx::query!("UPDATE shards SET epoch = epoch + 1 WHERE id = 0 RETURNING epoch, checkpoint")
        .fetch_one(pool)
        .await?;
    Ok(Some(Lead { lock, hints, epoch: shard.epoch, checkpoint: shard.checkpoint }))
}

/// Holds the connection with the lock; answers when it is lost.
async fn hold(lock: &mut PgConnection) -> sqlx::Error {
    loop {
        tokio::time::sleep(BEAT).await;
        match timeout(BEAT_AT_MOST, lock.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(_) => return sqlx::Error::PoolTimedOut,
        }
    }
}
