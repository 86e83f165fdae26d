//! Who delivers what: leases on shards.
//!
//! A process that delivers is a *replica*: it has a lease, a row that it renews on
//! every *beat*, and *holds* its fair share of the shards. Taking a shard raises its
//! epoch, and everything that is recorded carries the epoch: a replica that was frozen
//! and lost its lease cannot move a cursor. It also stops starting attempts when it
//! could not renew in time, by its own monotonic clock, counted from before it asked;
//! whether a lease has expired is judged by the database's clock alone.
//!
//! A replica is *gone* when its lease has expired, or sooner, when the session that
//! holds its advisory lock has ended, as it does when a process is killed: then others
//! need not wait for the lease. A replica that stops *hands over*: it halts a shard,
//! lets the attempts in flight end within a bound, records them, and lets go.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgNotification};
use sqlx::{Executor, PgPool};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::recorder::Notes;
use super::shard::{HeldShards, SHARDS, Shard};
use crate::log::CHANNEL;
use crate::log::read;
use crate::metrics::Metrics;

/// How long a replica may be silent before it is gone, by default.
pub const LEASE: Duration = Duration::from_secs(10);
/// A lease is renewed so often within its time.
const BEATS: u32 = 5;
/// Pause before a beat that failed is tried again.
const RETRY: Duration = Duration::from_millis(300);
/// How long attempts in flight are waited for when others can go on.
const HAND_OVER: Duration = Duration::from_millis(700);
/// How long they are waited for when nobody else delivers.
const GRACE: Duration = Duration::from_secs(10);
/// How long the last record may take.
const LAST_RECORD: Duration = Duration::from_secs(5);
/// The channel on which replicas tell each other that shards are free, or that there
/// is one more to share with.
const LEASES: &str = "isao_leases";

/// What the tail is told.
pub(super) enum Change {
    /// This process holds these now.
    Take(Vec<Arc<Shard>>),
    /// These are to be offered nothing any more; answers when that is so.
    Leave(Vec<i16>, oneshot::Sender<()>),
}

/// Keeps the lease and the shards.
pub(super) struct Keeper {
    pub(super) pool: PgPool,
    pub(super) replica: Uuid,
    pub(super) lease: Duration,
    /// Until when attempts may start.
    pub(super) valid: watch::Sender<Instant>,
    pub(super) tail: mpsc::Sender<Change>,
    /// Wakes the tail when other processes have written.
    pub(super) hints: Arc<Notify>,
    pub(super) notes: Notes,
    held: HeldShards,
    metrics: Arc<Metrics>,
    /// The session that holds our advisory lock, and hears the NOTIFYs.
    session: Option<PgListener>,
    /// Other replicas as of the last beat.
    others: usize,
    /// Was it said that this version is too old to deliver?
    too_old: bool,
}

/// What a beat has found.
struct Beat {
    /// Shards that we held and do not hold any more.
    lost: Vec<Arc<Shard>>,
    /// Shards taken.
    taken: Vec<Arc<Shard>>,
    /// How many shards are our share; none if this version is too old to deliver.
    share: usize,
    others: usize,
    /// When the next of the others would expire.
    next_expiry: Option<Duration>,
}

/// What ends a pause.
enum Woken {
    Beat,
    Stop,
    /// The session ended.
    Lost,
}

impl Keeper {
    pub(super) fn new(
        (pool, replica, lease): (PgPool, Uuid, Duration),
        (held, metrics): (HeldShards, Arc<Metrics>),
        valid: watch::Sender<Instant>,
        tail: mpsc::Sender<Change>,
        hints: Arc<Notify>,
        notes: Notes,
    ) -> Self {
        Self {
            pool,
            replica,
            lease,
            valid,
            tail,
            hints,
            notes,
            held,
            metrics,
            session: None,
            others: 0,
            too_old: false,
        }
    }

    /// Keeps them until `stop` is true, then hands everything over.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut failing = false;
        loop {
            let asked = Instant::now();
            let beat = match timeout(self.lease / 2, self.beat()).await {
                Ok(beat) => beat,
                Err(_) => Err(sqlx::Error::PoolTimedOut),
            };
            let pause = match beat {
                Ok(beat) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the lease is renewed again; deliveries go on");
                    }
                    self.lose(beat.lost).await;
                    let _ = self.valid.send_replace(asked + self.lease);
                    self.others = beat.others;
                    self.take(beat.taken).await;
                    let held = self.held.ids().len();
                    self.give_back(beat.share).await;
                    self.metrics.shards_held.set(i64::try_from(self.held.ids().len()).unwrap_or(0));
                    // What was given back now can be forgotten at once.
                    let soon = self.too_old && beat.share < held;
                    let pause = beat.next_expiry.unwrap_or(self.lease).min(self.lease / BEATS);
                    if soon { RETRY } else { pause }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "the lease cannot be renewed; deliveries stop when it expires");
                    }
                    self.session = None;
                    RETRY
                }
            };
            match self.pause(pause, &mut stop).await {
                Woken::Beat => {}
                Woken::Stop => break,
                Woken::Lost => {
                    // Others may believe us gone from now on.
                    self.session = None;
                    let _ = self.valid.send_replace(Instant::now());
                }
            }
        }
        self.hand_over().await;
    }

    async fn pause(&mut self, pause: Duration, stop: &mut watch::Receiver<bool>) -> Woken {
        let until = Instant::now() + pause;
        loop {
            let heard = async {
                match &mut self.session {
                    Some(session) => session.try_recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Woken::Stop,
                () = tokio::time::sleep_until(until) => return Woken::Beat,
                heard = heard => match heard.as_ref().map(|heard| heard.as_ref().map(PgNotification::channel)) {
                    Ok(Some(CHANNEL)) => self.hints.notify_one(),
                    Ok(Some(_)) => return Woken::Beat,
                    Ok(None) | Err(_) => return Woken::Lost,
                },
            }
        }
    }

    /// Renews the lease, buries replicas that are gone, and takes what is free of our share.
    async fn beat(&mut self) -> Result<Beat, sqlx::Error> {
        let fresh = self.session.is_none();
        if fresh {
            let mut session = PgListener::connect_with(&self.pool).await?;
            session.eager_reconnect(false);
            session.listen_all([CHANNEL, LEASES]).await?;
            // Whoever has it from an earlier session of ours is about to lose it.
            session
                .execute(
                    sqlx::query("SELECT pg_advisory_lock(hashtextextended($1::text, 0))").bind(self.replica),
                )
                .await?;
            self.session = Some(session);
            // What was notified meanwhile was not heard.
            self.hints.notify_one();
        }
        let lease = sqlx::postgres::types::PgInterval::try_from(self.lease).unwrap_or_default();
        let end = read::end(&self.pool).await?;
        if let Some(unknown) = end.unknown {
            return self.stand_aside(&unknown, end.seq).await;
        }
        self.too_old = false;
        let mut transaction = self.pool.begin().await?;
        let renewed = sqlx::query_scalar!(
            r#"WITH renewed AS (
                   UPDATE replicas SET expires_at = clock_timestamp() + $2 WHERE id = $1 RETURNING id
               ), born AS (
                   INSERT INTO replicas (id, expires_at)
                   SELECT $1, clock_timestamp() + $2 WHERE NOT EXISTS (SELECT FROM renewed)
               )
               SELECT EXISTS (SELECT FROM renewed) AS "renewed!""#,
            self.replica,
            lease,
        )
        .fetch_one(&mut *transaction)
        .await?;
        let buried = sqlx::query_scalar!(
            "DELETE FROM replicas WHERE id IN (
                 SELECT id FROM replicas
                 WHERE id <> $1 AND (expires_at < clock_timestamp()
                                     OR pg_try_advisory_xact_lock(hashtextextended(id::text, 0)))
                 FOR UPDATE SKIP LOCKED)
             RETURNING id",
            self.replica,
        )
        .fetch_all(&mut *transaction)
        .await?;
        for replica in buried {
            tracing::warn!(%replica, "the lease of another process expired; its shards are taken over");
        }
        let replicas = sqlx::query!(
            r#"SELECT id, extract(epoch FROM expires_at - clock_timestamp())::float8 AS "left!" FROM replicas ORDER BY id"#
        )
        .fetch_all(&mut *transaction)
        .await?;
        let share = share(replicas.iter().map(|replica| replica.id), self.replica);
        let ours = sqlx::query!("SELECT id, epoch FROM shards WHERE holder = $1", self.replica)
            .fetch_all(&mut *transaction)
            .await?;
        let is_ours =
            |shard: &Arc<Shard>| ours.iter().any(|row| (row.id, row.epoch) == (shard.id, shard.epoch));
        let (kept, lost): (Vec<_>, Vec<_>) = self.held.all().into_iter().partition(is_ours);
        let held: Vec<_> = kept.iter().map(|shard| shard.id).collect();
        let wanted = i64::try_from(share.saturating_sub(held.len())).unwrap_or(0);
        let taken = sqlx::query!(
            "UPDATE shards SET holder = $1, epoch = epoch + 1
             WHERE id IN (SELECT id FROM shards
                          WHERE (holder IS NULL OR holder = $1) AND id <> ALL($2)
                          ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
             RETURNING id, epoch, checkpoint",
            self.replica,
            &held,
            wanted,
        )
        .fetch_all(&mut *transaction)
        .await?;
        if !renewed || fresh {
            notify(&mut transaction).await?;
        }
        transaction.commit().await?;
        let expiries = replicas.iter().filter(|replica| replica.id != self.replica);
        let next_expiry = expiries
            .map(|replica| replica.left)
            .fold(None, |least: Option<f64>, left| Some(least.map_or(left, |least| least.min(left))));
        Ok(Beat {
            lost,
            taken: taken.into_iter().map(|row| Shard::new(row.id, row.epoch, row.checkpoint)).collect(),
            share,
            others: replicas.len().saturating_sub(1),
            // A moment later, so that it has expired by then.
            next_expiry: next_expiry.map(|left| Duration::from_secs_f64(left.max(0.0)) + RETRY / 10),
        })
    }

    /// The log has events of a type that this version does not know. What it would pass over would
    /// be lost, so it has no share: servers that know the type deliver.
    async fn stand_aside(&mut self, unknown: &str, last: i64) -> Result<Beat, sqlx::Error> {
        if !std::mem::replace(&mut self.too_old, true) {
            tracing::error!(
                event_type = unknown,
                understood_up_to = last,
                "a newer server writes events of a type that this version does not know; this process delivers nothing until it is upgraded"
            );
        }
        if self.held.ids().is_empty() {
            let mut transaction = self.pool.begin().await?;
            let gone = sqlx::query!("DELETE FROM replicas WHERE id = $1", self.replica)
                .execute(&mut *transaction)
                .await?;
            if gone.rows_affected() > 0 {
                notify(&mut transaction).await?;
            }
            transaction.commit().await?;
        }
        Ok(Beat { lost: Vec::new(), taken: Vec::new(), share: 0, others: self.others, next_expiry: None })
    }

    async fn take(&mut self, taken: Vec<Arc<Shard>>) {
        if taken.is_empty() {
            return;
        }
        let mut ids: Vec<_> = taken.iter().map(|shard| shard.id).collect();
        ids.sort_unstable();
        tracing::info!(shards = ?ids, others = self.others, "this process took shards and delivers for them");
        self.held.insert(&taken);
        // The tail ends when the server does.
        let _ = self.tail.send(Change::Take(taken)).await;
    }

    /// Gives up what is more than our share.
    async fn give_back(&mut self, share: usize) {
        let mut ids = self.held.ids();
        if ids.len() <= share {
            return;
        }
        let surplus = ids.split_off(share);
        tracing::info!(shards = ?surplus, "shards are handed over to another process");
        if let Err(error) = self.release(surplus, HAND_OVER).await {
            tracing::warn!(%error, "shards cannot be released yet");
        }
    }

    /// Halts shards, records what was done, and lets go of them.
    async fn release(&mut self, ids: Vec<i16>, at_most: Duration) -> Result<(), sqlx::Error> {
        let shards: Vec<_> = self.held.all().into_iter().filter(|shard| ids.contains(&shard.id)).collect();
        shards.iter().for_each(|shard| shard.halt());
        self.leave(ids.clone(), at_most).await;
        let rests = shards.iter().map(|shard| shard.rest(at_most));
        if futures_util::future::join_all(rests).await.contains(&true) {
            tracing::warn!("some attempts were still in flight; they are made again by the next process");
        }
        if timeout(LAST_RECORD, self.notes.flush()).await.is_err() {
            tracing::warn!(
                "the last deliveries could not be recorded; they are made again by the next process"
            );
        }
        self.held.remove(&ids);
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "UPDATE shards SET holder = NULL WHERE holder = $1 AND id = ANY($2)",
            self.replica,
            &ids
        )
        .execute(&mut *transaction)
        .await?;
        notify(&mut transaction).await?;
        transaction.commit().await
    }

    /// Has the tail leave the shards alone.
    async fn leave(&self, ids: Vec<i16>, at_most: Duration) {
        let (sender, left) = oneshot::channel();
        let told = async {
            if self.tail.send(Change::Leave(ids, sender)).await.is_ok() {
                let _ = left.await;
            }
        };
        // A tail that is held up has no more of them to offer than the recorder knows of.
        let _ = timeout(at_most, told).await;
    }

    /// Another process has buried us: what we held is not ours any more.
    async fn lose(&mut self, lost: Vec<Arc<Shard>>) {
        if lost.is_empty() {
            return;
        }
        let ids: Vec<_> = lost.iter().map(|shard| shard.id).collect();
        tracing::warn!(shards = ?ids, "the lease had expired; another process delivers");
        lost.iter().for_each(|shard| shard.lose());
        self.held.remove(&ids);
        self.leave(ids, self.lease).await;
        // Their attempts in flight cannot be recorded: whoever has the shard makes them again.
        futures_util::future::join_all(lost.iter().map(|shard| shard.rest(Duration::ZERO))).await;
    }

    async fn hand_over(mut self) {
        let at_most = if self.others > 0 { HAND_OVER } else { GRACE };
        let all = self.held.ids();
        let released = async {
            self.release(all, at_most).await?;
            let mut transaction = self.pool.begin().await?;
            sqlx::query!("DELETE FROM replicas WHERE id = $1", self.replica)
                .execute(&mut *transaction)
                .await?;
            notify(&mut transaction).await?;
            transaction.commit().await
        };
        let released: Result<(), sqlx::Error> =
            timeout(at_most + 2 * LAST_RECORD, released).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        if let Err(error) = released {
            tracing::warn!(%error, "the lease could not be released; it expires by itself");
        }
    }
}

/// The shards of one replica among all: they differ by one at most.
fn share(replicas: impl Iterator<Item = Uuid>, replica: Uuid) -> usize {
    let replicas: Vec<_> = replicas.collect();
    let (all, shards) = (replicas.len().max(1), usize::try_from(SHARDS).unwrap_or(0));
    let rank = replicas.iter().position(|known| *known == replica).unwrap_or(0);
    shards * (rank + 1) / all - shards * rank / all
}

/// Tells the other replicas to look.
async fn notify(transaction: &mut sqlx::PgTransaction<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify($1, '')::text AS notified", LEASES).fetch_one(&mut **transaction).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shards_are_shared_evenly() {
        for all in 1..=20_u128 {
            let replicas: Vec<_> = (0..all).map(Uuid::from_u128).collect();
            let shares: Vec<_> = replicas.iter().map(|id| share(replicas.iter().copied(), *id)).collect();
            assert_eq!(shares.iter().sum::<usize>(), 16, "{shares:?}");
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
        }
    }
}
