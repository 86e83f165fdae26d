//! The recorder: writes down what the lanes did, all of them together.
//!
//! One statement moves every cursor that moved, appends every attempt and the
//! checkpoint, or does nothing at all if another process has taken the shard
//! meanwhile. What was not written when the process dies is sent again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, oneshot};

use super::client::Response;
use super::lane::{Lane, Snapshot};
use crate::ids::{CompanyId, EventId, SubscriptionId};

/// Results are gathered for so long before they are written.
const GATHER: Duration = Duration::from_millis(10);
/// The checkpoint is written at least so often; a restart reads the log from there.
const CHECKPOINT: Duration = Duration::from_secs(5);
/// Attempts that wait to be written; beyond it lanes wait for the database.
const ATTEMPTS: usize = 4096;
/// Lanes written in one statement, which must end well within `statement_timeout`
/// also when all lanes changed at once, as they do when the deliveries start.
const LANES: usize = 2048;
/// Pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// One attempt, to be appended.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) company: CompanyId,
    pub(super) subscription: SubscriptionId,
    pub(super) seq: i64,
    pub(super) event: EventId,
    pub(super) number: u8,
    pub(super) at: DateTime<Utc>,
    pub(super) duration: Duration,
    /// `delivered`, `failed` or `undelivered`.
    pub(super) outcome: &'static str,
    pub(super) answer: Option<Response>,
    pub(super) error: Option<String>,
    pub(super) error_class: Option<&'static str>,
    pub(super) signature: String,
}

/// Where lanes and the tail leave what is to be written.
#[derive(Clone)]
pub(super) struct Notes {
    attempts: mpsc::Sender<Attempt>,
    dirty: Arc<Mutex<Vec<Arc<Lane>>>>,
    wake: Arc<Notify>,
}

impl Notes {
    /// Notes an attempt; waits if too many are not written yet. Comes before the
    /// lane moves on, so that no cursor passes an attempt that nobody knows of.
    pub(super) async fn attempt(&self, attempt: Attempt) {
        // Without a recorder the shard is lost, and what happens now is not written.
        let _ = self.attempts.send(attempt).await;
    }

    /// Notes that a lane's state changed.
    pub(super) fn dirty(&self, lane: &Arc<Lane>) {
        // Marked and listed in one go: whoever finds a lane marked may rely on its
        // being listed, and a checkpoint on every marked lane being written with it.
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        if lane.mark_dirty() {
            dirty.push(lane.clone());
            self.wake.notify_one();
        }
    }
}

/// The shard was taken over by another process.
#[derive(Debug, thiserror::Error)]
#[error("another process has taken over the deliveries")]
pub(super) struct Fenced;

/// Writes down what the lanes did.
pub(super) struct Recorder {
    pool: PgPool,
    /// The epoch under which this process holds the shard.
    epoch: i64,
    /// Up to here every event was offered to every lane.
    offered: Arc<AtomicI64>,
    attempts: mpsc::Receiver<Attempt>,
    notes: Notes,
    /// The checkpoint that was written last.
    checkpoint: i64,
}

/// What is written at once.
struct Gathered {
    checkpoint: i64,
    snapshots: Vec<Snapshot>,
    attempts: Vec<Attempt>,
    /// Are there more lanes to be written?
    more: bool,
}

impl Recorder {
    pub(super) fn new(pool: PgPool, epoch: i64, offered: Arc<AtomicI64>) -> (Self, Notes) {
        let (sender, attempts) = mpsc::channel(ATTEMPTS);
        let notes = Notes { attempts: sender, dirty: Arc::default(), wake: Arc::default() };
        let checkpoint = offered.load(Ordering::SeqCst);
        (Self { pool, epoch, offered, attempts, notes: notes.clone(), checkpoint }, notes)
    }

    /// Writes until the lanes are at `rest`, and then once more.
    pub(super) async fn run(mut self, mut rest: oneshot::Receiver<()>) -> Result<(), Fenced> {
        loop {
            let last = tokio::select! {
                () = self.notes.wake.notified() => false,
                () = tokio::time::sleep(CHECKPOINT) => false,
                _ = &mut rest => true,
            };
            if !last {
                tokio::time::sleep(GATHER).await;
            }
            while self.flush().await? {}
            if last {
                return Ok(());
            }
        }
    }

    /// Writes what there is to write; answers whether there is more. Keeps trying
    /// with the same things while the database is away: lanes wait when the list of
    /// attempts is full.
    async fn flush(&mut self) -> Result<bool, Fenced> {
        let gathered = self.gather();
        if gathered.snapshots.is_empty()
            && gathered.attempts.is_empty()
            && gathered.checkpoint == self.checkpoint
        {
            return Ok(false);
        }
        let mut again = false;
        loop {
            match self.write(&gathered, again).await {
                Ok(true) => break,
                Ok(false) => return Err(Fenced),
                Err(error) => tracing::warn!(%error, "deliveries cannot be recorded yet"),
            }
            again = true;
            tokio::time::sleep(RETRY).await;
        }
        self.checkpoint = gathered.checkpoint;
        Ok(gathered.more)
    }

    fn gather(&mut self) -> Gathered {
        // First what was offered, then the lanes: a lane that took one of those
        // events is on the list by now.
        let offered = self.offered.load(Ordering::SeqCst);
        let (lanes, more) = {
            let mut dirty = self.notes.dirty.lock().unwrap_or_else(PoisonError::into_inner);
            let some = dirty.len().min(LANES);
            (dirty.drain(..some).collect::<Vec<_>>(), !dirty.is_empty())
        };
        // Only with the last of them may it move.
        let checkpoint = if more { self.checkpoint } else { offered };
        let snapshots = lanes.iter().map(|lane| lane.snapshot()).collect();
        // Last the attempts: those that the snapshots count are here.
        let attempts = std::iter::from_fn(|| self.attempts.try_recv().ok()).collect();
        Gathered { checkpoint, snapshots, attempts, more }
    }

    /// False if the shard is lost. `again`: it may have been written already, if only
    /// the answer was lost.
    async fn write(
        &self,
        Gathered { checkpoint, snapshots, attempts, .. }: &Gathered,
        again: bool,
    ) -> Result<bool, sqlx::Error> {
        fn column<S, T>(rows: &[S], value: impl Fn(&S) -> T) -> Vec<T> {
            rows.iter().map(value).collect()
        }
        let held = sqlx::query_scalar!(
            r#"WITH shard AS (
                   UPDATE shards SET checkpoint = greatest(checkpoint, $2) WHERE id = 0 AND epoch = $1 RETURNING id
               ), moved AS (
                   UPDATE cursors c SET seq = n.seq, lagging = n.lagging, head_attempts = n.head_attempts,
                          next_attempt_at = n.next_attempt_at, undelivered_in_row = n.undelivered_in_row,
                          last_attempt_at = n.last_attempt_at, last_success_at = n.last_success_at,
                          last_error = n.last_error
                   FROM shard, unnest($3::uuid[], $4::bigint[], $5::bool[], $6::smallint[], $7::timestamptz[], $8::int[],
                                      $9::timestamptz[], $10::timestamptz[], $11::text[])
                       AS n (id, seq, lagging, head_attempts, next_attempt_at, undelivered_in_row, last_attempt_at,
                             last_success_at, last_error)
                   WHERE c.subscription_id = n.id
               ), appended AS (
                   INSERT INTO attempts (company_id, subscription_id, seq, event_id, attempt, at, duration_ms, outcome,
                                         status, error, error_class, remote_addr, response_headers, response_body, signature)
                   SELECT n.* FROM shard, unnest($12::uuid[], $13::uuid[], $14::bigint[], $15::uuid[], $16::smallint[],
                                                 $17::timestamptz[], $18::int[], $19::text[], $20::smallint[], $21::text[],
                                                 $22::text[], $23::text[], $24::text[], $25::text[], $26::text[])
                       AS n (company_id, subscription_id, seq, event_id, attempt, at, duration_ms, outcome, status, error,
                             error_class, remote_addr, response_headers, response_body, signature)
                   WHERE NOT ($27 AND EXISTS (
                       SELECT FROM attempts known WHERE known.at = n.at AND known.subscription_id = n.subscription_id
                           AND known.event_id = n.event_id AND known.attempt = n.attempt))
               )
               SELECT count(*) AS "held!" FROM shard"#,
            self.epoch,
            checkpoint,
            &column(snapshots, |lane| lane.id.0),
            &column(snapshots, |lane| lane.cursor),
            &column(snapshots, |lane| lane.lagging),
            &column(snapshots, |lane| i16::from(lane.position.head_attempts)),
            &column(snapshots, |lane| lane.position.next_attempt_at) as &[Option<DateTime<Utc>>],
            &column(snapshots, |lane| lane.position.health.undelivered_in_row),
            &column(snapshots, |lane| lane.position.health.last_attempt_at) as &[Option<DateTime<Utc>>],
            &column(snapshots, |lane| lane.position.health.last_success_at) as &[Option<DateTime<Utc>>],
            &column(snapshots, |lane| lane.position.health.last_error.clone()) as &[Option<String>],
            &column(attempts, |attempt| attempt.company.0),
            &column(attempts, |attempt| attempt.subscription.0),
            &column(attempts, |attempt| attempt.seq),
            &column(attempts, |attempt| attempt.event.0),
            &column(attempts, |attempt| i16::from(attempt.number)),
            &column(attempts, |attempt| attempt.at),
            &column(attempts, |attempt| i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX)),
            &column(attempts, |attempt| attempt.outcome.to_owned()),
            &column(attempts, |attempt| i16::try_from(attempt.answer.as_ref()?.status).ok()) as &[Option<i16>],
            &column(attempts, |attempt| attempt.error.clone()) as &[Option<String>],
            &column(attempts, |attempt| attempt.error_class.map(str::to_owned)) as &[Option<String>],
            &column(attempts, |attempt| Some(attempt.answer.as_ref()?.remote_addr?.to_string())) as &[Option<String>],
            &column(attempts, |attempt| serde_json::to_string(&attempt.answer.as_ref()?.headers).ok()) as &[Option<String>],
            &column(attempts, |attempt| Some(attempt.answer.as_ref()?.snippet.clone())) as &[Option<String>],
            &column(attempts, |attempt| attempt.signature.clone()),
            again,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(held == 1)
    }
}
