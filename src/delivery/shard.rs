//! A shard: the part of the subscriptions that one process delivers for at a time.
//!
//! A subscription's shard follows from its endpoint, its company and URL: those that share an
//! endpoint are in one process. A process *holds* a shard by lease
//! (see [`super::lease`]); the epoch distinguishes its holding from all others before
//! and after. It is *halted* before it is given up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many there are; rows of the table `shards`. Enough that a handful of processes
/// share evenly.
pub(super) const SHARDS: i16 = 16;

/// The shards that this process holds, by number.
#[derive(Clone, Default)]
pub(super) struct HeldShards(Arc<Mutex<BTreeMap<i16, Arc<Shard>>>>);

impl HeldShards {
    pub(super) fn all(&self) -> Vec<Arc<Shard>> {
        self.map().values().cloned().collect()
    }

    pub(super) fn ids(&self) -> Vec<i16> {
        self.map().keys().copied().collect()
    }

    pub(super) fn insert(&self, shards: &[Arc<Shard>]) {
        self.map().extend(shards.iter().map(|shard| (shard.id, shard.clone())));
    }

    pub(super) fn remove(&self, ids: &[i16]) {
        self.map().retain(|id, _| !ids.contains(id));
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<i16, Arc<Shard>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shard that this process holds, or held.
pub(super) struct Shard {
    pub(super) id: i16,
    pub(super) epoch: i64,
    /// Up to here every event was offered to every lane of the shard.
    offered: AtomicI64,
    /// Raised to the last number of a batch before any of it is offered.
    offering: AtomicI64,
    /// Taken over by another process: nothing of it can be recorded any more.
    lost: AtomicBool,
    halt: watch::Sender<bool>,
    /// The lanes that run.
    tasks: Mutex<JoinSet<()>>,
}

impl Shard {
    pub(super) fn new(id: i16, epoch: i64, checkpoint: i64) -> Arc<Self> {
        Arc::new(Self {
            id,
            epoch,
            offered: AtomicI64::new(checkpoint),
            offering: AtomicI64::new(checkpoint),
            lost: AtomicBool::new(false),
            halt: watch::Sender::new(false),
            tasks: Mutex::default(),
        })
    }

    pub(super) fn offered(&self) -> i64 {
        self.offered.load(Ordering::SeqCst)
    }

    pub(super) fn offering(&self) -> i64 {
        self.offering.load(Ordering::SeqCst)
    }

    /// The tail is about to offer events up to there.
    pub(super) fn will_offer(&self, last: i64) {
        self.offering.fetch_max(last, Ordering::SeqCst);
    }

    /// It has.
    pub(super) fn has_offered(&self, last: i64) {
        self.offered.fetch_max(last, Ordering::SeqCst);
    }

    /// Turns true when no attempt may start any more.
    pub(super) fn halted(&self) -> watch::Receiver<bool> {
        self.halt.subscribe()
    }

    pub(super) fn is_halted(&self) -> bool {
        *self.halt.borrow()
    }

    /// No attempt starts any more.
    pub(super) fn halt(&self) {
        self.halt.send_replace(true);
    }

    /// Waits for something, but not when the shard is halted.
    pub(super) async fn unless_halted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut halted = self.halted();
        tokio::select! {
            biased;
            _ = halted.wait_for(|halted| *halted) => None,
            done = work => Some(done),
        }
    }

    /// Another process has it.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
        self.halt();
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a lane's task.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        // Those that ended leave nothing to be told.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Halts, and waits for the attempts in flight; cuts short those that take longer.
    /// Returns whether there were any.
    pub(super) async fn rest(&self, at_most: Duration) -> bool {
        self.halt();
        let mut tasks = std::mem::take(&mut *self.tasks());
        let rested = timeout(at_most, async { while tasks.join_next().await.is_some() {} }).await;
        tasks.shutdown().await;
        rested.is_err()
    }
}
