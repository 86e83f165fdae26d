use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// What this process knows of the log without asking the database. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LogState(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sole_deliverer: AtomicBool,
    last_appended: AtomicI64,
}

impl LogState {
    /// Returns whether this process holds every shard. Then no other process waits for
    /// notifications, and probably none writes.
    pub fn is_sole_deliverer(&self) -> bool {
        self.0.sole_deliverer.load(Ordering::SeqCst)
    }

    /// Says whether this process holds every shard.
    pub fn set_sole_deliverer(&self, sole: bool) {
        self.0.sole_deliverer.store(sole, Ordering::SeqCst);
    }

    /// The last number that this process appended, 0 before the first.
    pub fn last_appended(&self) -> i64 {
        self.0.last_appended.load(Ordering::Relaxed)
    }

    /// Notes the last number that this process appended.
    pub fn set_last_appended(&self, seq: i64) {
        self.0.last_appended.store(seq, Ordering::Relaxed);
    }
}
