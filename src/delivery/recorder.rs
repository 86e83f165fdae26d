//! The recorder: writes down what the lanes did, all of them together.
//!
//! One statement moves every cursor that moved, appends every attempt and the
//! checkpoints, for those shards that this process still holds: it locks their rows, and
//! they carry the epoch. If that is too much for one statement ([`Portion`]), several do it: the
//! attempts come first, the checkpoints last. What was not written when the process dies is sent
//! again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::lane::{Lane, Snapshot};
use super::portion::Portion;
use super::record::{ATTEMPTS, Attempt, COMPANY_ATTEMPTS};
use super::shard::{HeldShards, Shard};
use crate::database::postgres;
use crate::metrics::Metrics;
use crate::model::attempt::AttemptOutcome;
use crate::model::ids::SubscriptionId;
use crate::retention;
use crate::shares::Shares;

/// How long results are gathered before they are written.
const GATHER: Duration = Duration::from_millis(10);
/// The checkpoints are written so often, if they have moved; a restart reads the log
/// from there.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// Lanes gathered at once, also when all lanes changed, as they do when a database comes back.
const LANES: usize = 2048;
/// The time after which what was written on the same connection is on disk: PostgreSQL takes three
/// times its `wal_writer_delay` at most, which can be set to 10 s.
const ON_DISK: Duration = Duration::from_secs(30);
/// Pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Where lanes and the tail leave what is to be written.
#[derive(Clone)]
pub(super) struct Notes {
    /// As many as have a place at most.
    attempts: mpsc::UnboundedSender<Attempt>,
    places: Shares,
    dirty: Arc<Mutex<Vec<Arc<Lane>>>>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    wake: Arc<Notify>,
}

impl Notes {
    /// Notes an attempt; waits if too many, or too many of its company, are not written yet. Comes
    /// before the lane moves on, so that no cursor passes an attempt that nobody knows of.
    pub(super) async fn attempt(&self, mut attempt: Attempt) {
        attempt.place = self.places.take(attempt.company).await;
        // Without a recorder the server ends, and what happens now is not written.
        let _ = self.attempts.send(attempt);
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

    /// Has the attempts written soon, although no lane changed.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until everything noted so far is written, checkpoints included.
    pub(super) async fn flush(&self) {
        let (sender, flushed) = oneshot::channel();
        if self.flushes.send(sender).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

/// Writes down what the lanes did.
pub(super) struct Recorder {
    pool: PgPool,
    connection: Option<PgConnection>,
    attempts: mpsc::UnboundedReceiver<Attempt>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    notes: Notes,
    held: HeldShards,
    metrics: Arc<Metrics>,
    portion: Portion,
    /// The checkpoints that were written last, by shard and epoch.
    written: BTreeMap<(i16, i64), i64>,
    checked: Instant,
    /// Lanes whose records may not be on disk yet, and when they were written.
    fresh: HashMap<SubscriptionId, (Instant, Arc<Lane>)>,
    swept: Instant,
}

/// What is written at once.
struct Gathered {
    checkpoints: Vec<(Arc<Shard>, i64)>,
    lanes: Vec<Arc<Lane>>,
    snapshots: Vec<Snapshot>,
    attempts: Vec<Attempt>,
    /// Are there more lanes to be written?
    more: bool,
}

impl Recorder {
    /// Writes the checkpoints of the shards that are `held`.
    pub(super) fn new(pool: PgPool, held: HeldShards, metrics: Arc<Metrics>) -> (Self, Notes) {
        let (attempt, attempts) = mpsc::unbounded_channel();
        let (flush, flushes) = mpsc::channel(1);
        let notes = Notes {
            attempts: attempt,
            places: Shares::new(ATTEMPTS, COMPANY_ATTEMPTS),
            dirty: Arc::default(),
            flushes: flush,
            wake: Arc::default(),
        };
        let recorder = Self {
            pool,
            connection: None,
            attempts,
            flushes,
            notes: notes.clone(),
            held,
            metrics,
            portion: Portion::WHOLE,
            written: BTreeMap::new(),
            checked: Instant::now(),
            fresh: HashMap::new(),
            swept: Instant::now(),
        };
        (recorder, notes)
    }

    /// Writes until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let asked = tokio::select! {
                () = self.notes.wake.notified() => None,
                asked = self.flushes.recv() => asked,
                () = tokio::time::sleep(CHECKPOINT) => None,
            };
            if asked.is_none() {
                tokio::time::sleep(GATHER).await;
            }
            while self.flush(asked.is_some()).await {}
            if let Some(asked) = asked {
                let _ = asked.send(());
            }
        }
    }

    /// Writes what there is to write; answers whether there is more. Keeps trying
    /// with the same things while the database is away: lanes wait when there are no places left
    /// for attempts.
    async fn flush(&mut self, all: bool) -> bool {
        let mut gathered = self.gather(all);
        if gathered.snapshots.is_empty() && gathered.attempts.is_empty() && gathered.checkpoints.is_empty() {
            return false;
        }
        let mut again = false;
        while let Err(error) = self.write(&mut gathered, again).await {
            if postgres::lacks_partition(&error) && self.make_room(&gathered).await {
                continue;
            }
            tracing::warn!(%error, "cursors and attempts cannot be recorded yet");
            self.metrics.recorder_failures.inc();
            if postgres::is_too_large(&error)
                && !self.portion.halve()
                && let Some(attempt) = gathered.attempts.first_mut()
                && attempt.strip()
            {
                tracing::warn!(
                    company = %attempt.company, subscription = %attempt.subscription, event = %attempt.event,
                    "an attempt is recorded without the headers and the body of its answer"
                );
            }
            self.write_again();
            again = true;
            tokio::time::sleep(RETRY).await;
        }
        self.metrics.recorder_flushes.inc();
        for (shard, checkpoint) in gathered.checkpoints {
            self.written.insert((shard.id, shard.epoch), checkpoint);
        }
        let now = Instant::now();
        self.fresh.extend(gathered.lanes.into_iter().map(|lane| (lane.id, (now, lane))));
        if now - self.swept >= ON_DISK {
            self.fresh.retain(|_, (written, _)| now - *written < ON_DISK);
            self.swept = now;
        }
        gathered.more
    }

    /// The connection is gone, perhaps because PostgreSQL crashed, and has forgotten what was not
    /// on disk: has it written again, lest it is delivered again at the next start.
    fn write_again(&mut self) {
        self.written.clear();
        self.fresh.drain().for_each(|(_, (_, lane))| self.notes.dirty(&lane));
    }

    /// The clock may have jumped: makes the partitions for the attempts.
    async fn make_room(&self, gathered: &Gathered) -> bool {
        let times: Vec<_> = gathered.attempts.iter().map(|attempt| attempt.at).collect();
        let made = retention::ensure_attempts(&self.pool, &times).await;
        made.inspect_err(|error| tracing::warn!(%error, "partitions of attempts cannot be made yet")).is_ok()
    }

    fn gather(&mut self, all: bool) -> Gathered {
        // First what was offered, then the lanes: a lane that took one of those
        // events is on the list by now.
        let due = all || self.checked.elapsed() >= CHECKPOINT;
        let mut checkpoints = if due { self.checkpoints() } else { Vec::new() };
        let (lanes, more) = {
            let mut dirty = self.notes.dirty.lock().unwrap_or_else(PoisonError::into_inner);
            let some = dirty.len().min(LANES);
            (dirty.drain(..some).collect::<Vec<_>>(), !dirty.is_empty())
        };
        if more {
            // Only with the last of them may they move.
            checkpoints.clear();
        } else if due {
            self.checked = Instant::now();
        }
        lanes.iter().for_each(|lane| lane.count(&self.metrics));
        // One that changed its URL may be there twice: the later lane knows more.
        let snapshots = lanes.iter().map(|lane| (lane.id, lane.snapshot())).collect::<HashMap<_, _>>();
        // Last the attempts: those that the snapshots count are here.
        let attempts: Vec<_> = std::iter::from_fn(|| self.attempts.try_recv().ok()).collect();
        self.metrics.tallies.attempts(attempts.iter().map(Attempt::ended));
        Gathered { checkpoints, lanes, snapshots: snapshots.into_values().collect(), attempts, more }
    }

    /// The checkpoints that have moved.
    fn checkpoints(&mut self) -> Vec<(Arc<Shard>, i64)> {
        let shards = self.held.all();
        self.written.retain(|key, _| shards.iter().any(|shard| (shard.id, shard.epoch) == *key));
        let moved = shards.into_iter().filter_map(|shard| {
            let offered = shard.offered();
            (self.written.get(&(shard.id, shard.epoch)) != Some(&offered)).then_some((shard, offered))
        });
        moved.collect()
    }

    /// Writes. `again`: it may have been written already, if only the answer was lost.
    async fn write(&mut self, gathered: &mut Gathered, again: bool) -> Result<(), sqlx::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => postgres::connect_steady(&self.pool).await?,
        };
        if again {
            forget_written(&mut connection, &mut gathered.attempts).await?;
        }
        // A cursor must not pass attempts that nobody knows of, nor a checkpoint cursors: they come
        // in this order. What is written again changes nothing, but for the attempts.
        while !gathered.attempts.is_empty() {
            let some = self.portion.of(&gathered.attempts, Attempt::bytes);
            if some == gathered.attempts.len() {
                break;
            }
            write(&mut connection, &[], &[], &gathered.attempts[..some]).await?;
            gathered.attempts.drain(..some);
            self.portion.grow();
        }
        let mut snapshots = &gathered.snapshots[..];
        loop {
            let (some, rest) = snapshots.split_at(self.portion.of(snapshots, Snapshot::bytes));
            let checkpoints = if rest.is_empty() { &gathered.checkpoints[..] } else { &[] };
            write(&mut connection, checkpoints, some, &gathered.attempts).await?;
            gathered.attempts.clear();
            self.portion.grow();
            snapshots = rest;
            if rest.is_empty() {
                break;
            }
        }
        self.connection = Some(connection);
        Ok(())
    }
}

/// Drops the attempts that are in the database already.
async fn forget_written(
    connection: &mut PgConnection,
    attempts: &mut Vec<Attempt>,
) -> Result<(), sqlx::Error> {
    let all: Vec<_> = attempts.iter().collect();
    let rows = sqlx::query!(
        "SELECT known.subscription_id, known.seq, known.attempt, known.at
         FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::timestamptz[])
             AS n (subscription_id, seq, attempt, at)
         JOIN attempts known USING (subscription_id, seq, attempt, at)",
        &column(&all, |attempt| attempt.subscription.0),
        &column(&all, |attempt| attempt.seq),
        &column(&all, |attempt| i16::from(attempt.number)),
        &column(&all, |attempt| attempt.at),
    )
    .fetch_all(connection)
    .await?;
    let known: HashSet<(Uuid, i64, i16, DateTime<Utc>)> =
        rows.into_iter().map(|row| (row.subscription_id, row.seq, row.attempt, row.at)).collect();
    attempts.retain(|new| !known.contains(&(new.subscription.0, new.seq, i16::from(new.number), new.at)));
    Ok(())
}

async fn write(
    connection: &mut PgConnection,
    checkpoints: &[(Arc<Shard>, i64)],
    snapshots: &[Snapshot],
    attempts: &[Attempt],
) -> Result<(), sqlx::Error> {
    let touched = checkpoints.iter().map(|(shard, _)| shard);
    let touched = touched.chain(snapshots.iter().map(|lane| &lane.shard));
    let touched = touched.chain(attempts.iter().map(|attempt| &attempt.shard));
    // A shard that was lost and taken again may be there twice. Of the first time nothing counts.
    let mut newest = BTreeMap::new();
    for shard in touched.filter(|shard| !shard.is_lost()) {
        let epoch = newest.entry(shard.id).or_insert(shard.epoch);
        *epoch = shard.epoch.max(*epoch);
    }
    let counts = |shard: &Shard| newest.get(&shard.id) == Some(&shard.epoch);
    let checkpoints: Vec<_> = checkpoints.iter().filter(|(shard, _)| counts(shard)).collect();
    let snapshots: Vec<_> = snapshots.iter().filter(|lane| counts(&lane.shard)).collect();
    let attempts: Vec<_> = attempts.iter().filter(|attempt| counts(&attempt.shard)).collect();
    let (shards, epochs): (Vec<_>, Vec<_>) = newest.iter().unzip();
    // Without it, PostgreSQL's crash may undo the last half second: what was delivered is
    // delivered again. That something was not delivered is not forgotten.
    let durable = attempts.iter().any(|attempt| attempt.outcome != AttemptOutcome::Delivered);
    sqlx::query!(
        r#"WITH held AS (
               SELECT s.id FROM unnest($1::smallint[], $2::bigint[]) AS h (id, epoch)
               JOIN shards s ON s.id = h.id AND s.epoch = h.epoch
               ORDER BY s.id FOR SHARE OF s
           ), checked AS (
               UPDATE shards s SET checkpoint = greatest(s.checkpoint, n.checkpoint)
               FROM unnest($4::smallint[], $5::bigint[]) AS n (id, checkpoint)
               WHERE s.id = n.id AND n.id = ANY (ARRAY(SELECT id FROM held))
           ), moved AS (
               UPDATE cursors c SET seq = n.seq, lagging = n.lagging, head_attempts = n.head_attempts,
                      next_attempt_at = n.next_attempt_at, undelivered_in_row = n.undelivered_in_row,
                      last_attempt_at = n.last_attempt_at, last_success_at = n.last_success_at,
                      last_error = n.last_error, read_ahead = n.read_ahead
               FROM unnest($6::uuid[], $7::smallint[], $8::bigint[], $9::bool[], $10::smallint[],
                           $11::timestamptz[], $12::int[], $13::timestamptz[], $14::timestamptz[], $15::text[], $16::text[])
                   AS n (id, shard, seq, lagging, head_attempts, next_attempt_at, undelivered_in_row,
                         last_attempt_at, last_success_at, last_error, read_ahead)
               WHERE c.subscription_id = n.id AND c.shard = n.shard AND n.shard = ANY (ARRAY(SELECT id FROM held))
           )
           INSERT INTO attempts (company_id, subscription_id, seq, event_id, attempt, at, duration_ms, outcome, cause,
                                 status, error, error_class, remote_addr, response_headers, response_body, signature)
           SELECT n.company_id, n.subscription_id, n.seq, n.event_id, n.attempt, n.at, n.duration_ms, n.outcome, n.cause,
                  n.status, n.error, n.error_class, n.remote_addr, n.response_headers, n.response_body, n.signature
           FROM unnest($17::uuid[], $18::uuid[], $19::smallint[], $20::bigint[], $21::uuid[],
                       $22::smallint[], $23::timestamptz[], $24::int[], $25::text[], $26::text[], $27::smallint[],
                       $28::text[], $29::text[], $30::text[], $31::text[], $32::text[], $33::text[])
               AS n (company_id, subscription_id, shard, seq, event_id, attempt, at, duration_ms, outcome, cause,
                     status, error, error_class, remote_addr, response_headers, response_body, signature)
           WHERE n.shard = ANY (ARRAY(SELECT id FROM held))
             AND (SELECT set_config('synchronous_commit', CASE WHEN $3 THEN 'on' ELSE 'off' END, true)) IS NOT NULL"#,
        &shards,
        &epochs,
        durable,
        &column(&checkpoints, |(shard, _)| shard.id),
        &column(&checkpoints, |(_, checkpoint)| *checkpoint),
        &column(&snapshots, |lane| lane.id.0),
        &column(&snapshots, |lane| lane.shard.id),
        &column(&snapshots, |lane| lane.progress.cursor),
        &column(&snapshots, |lane| lane.progress.lagging),
        &column(&snapshots, |lane| i16::from(lane.progress.head_attempts)),
        &column(&snapshots, |lane| lane.progress.next_attempt_at) as &[Option<DateTime<Utc>>],
        &column(&snapshots, |lane| lane.progress.health.undelivered_in_row),
        &column(&snapshots, |lane| lane.progress.health.last_attempt_at) as &[Option<DateTime<Utc>>],
        &column(&snapshots, |lane| lane.progress.health.last_success_at) as &[Option<DateTime<Utc>>],
        &column(&snapshots, |lane| lane.progress.health.last_error.as_deref()) as &[Option<&str>],
        &column(&snapshots, |lane| Some(lane.progress.read_ahead.as_ref()?.to_json())) as &[Option<String>],
        &column(&attempts, |attempt| attempt.company.0),
        &column(&attempts, |attempt| attempt.subscription.0),
        &column(&attempts, |attempt| attempt.shard.id),
        &column(&attempts, |attempt| attempt.seq),
        &column(&attempts, |attempt| attempt.event.0),
        &column(&attempts, |attempt| i16::from(attempt.number)),
        &column(&attempts, |attempt| attempt.at),
        &column(&attempts, |attempt| i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX)),
        &column(&attempts, |attempt| attempt.outcome.word()) as &[&str],
        &column(&attempts, |attempt| attempt.cause.word()) as &[&str],
        &column(&attempts, |attempt| i16::try_from(attempt.answer.as_ref()?.status).ok()) as &[Option<i16>],
        &column(&attempts, |attempt| attempt.error.as_deref()) as &[Option<&str>],
        &column(&attempts, |attempt| attempt.error_class) as &[Option<&str>],
        &column(&attempts, |attempt| Some(attempt.answer.as_ref()?.remote_addr?.to_string())) as &[Option<String>],
        &column(&attempts, |attempt| serde_json::to_string(&attempt.answer.as_ref()?.headers).ok()) as &[Option<String>],
        &column(&attempts, |attempt| Some(&*attempt.answer.as_ref()?.snippet)) as &[Option<&str>],
        &column(&attempts, |attempt| &*attempt.signature) as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn column<'a, S, T>(rows: &[&'a S], value: impl Fn(&'a S) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}
