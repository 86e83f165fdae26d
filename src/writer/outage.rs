use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether the database is away while a write is in doubt. Then the writer waits for it, and
/// nobody else should wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Outage {
    on: AtomicBool,
    began: Notify,
}

impl Outage {
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Waits until an outage begins.
    pub(super) async fn began(&self) {
        self.began.notified().await;
    }

    pub(super) fn set(&self, on: bool) {
        let was = self.on.swap(on, Ordering::Relaxed);
        if on && !was {
            self.began.notify_one();
        }
    }
}
