//! Running the delivery: on threads of its own, and anew when a part of it panics.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};

use super::threads::{self, Threads};
use crate::database::postgres;
use crate::delivery::{self, Delivery};
use crate::log::Committed;
use crate::model::ids::Ids;

/// Pause before it begins anew, so that one that always panics does nothing else, but not often.
const PAUSE: Duration = Duration::from_secs(1);

/// The threads of the delivery. Whatever still runs on them ends with them.
pub(super) struct DeliveryThreads {
    deliver: Threads,
    /// Renews the lease, which nothing may hold up.
    lease: Threads,
}

impl DeliveryThreads {
    pub(super) fn start() -> io::Result<Self> {
        let deliver = Threads::start("isao-deliver", threads::half())?;
        Ok(Self { deliver, lease: Threads::start("isao-lease", 1)? })
    }
}

/// Delivers until `stop` is true. When a part panics, it is as if the process had crashed and a new
/// one had started: under another name, from what is recorded.
pub(super) async fn deliver(
    delivery: Delivery,
    ids: Ids,
    threads: DeliveryThreads,
    committed: mpsc::Receiver<Committed>,
    stop: watch::Receiver<bool>,
) {
    let committed = Arc::new(Mutex::new(committed));
    let begin = |threads: &DeliveryThreads| {
        let mut next = delivery.clone();
        next.pool = postgres::another(&delivery.pool);
        next.replica = ids.next(delivery.clock.now());
        next.keeping = threads.lease.handle().clone();
        delivery::run(next, committed.clone(), stop.clone())
    };
    run_until_it_ends(threads, begin).await;
}

/// Runs what `begin` begins, and when it panics once more, on new threads.
async fn run_until_it_ends<F>(mut threads: DeliveryThreads, begin: impl Fn(&DeliveryThreads) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let running = begin(&threads);
        if threads.deliver.handle().spawn(running).await.is_ok() {
            return;
        }
        tracing::error!("a part of the delivery panicked; it begins anew from what is recorded");
        drop(threads);
        threads = loop {
            tokio::time::sleep(PAUSE).await;
            match DeliveryThreads::start() {
                Ok(threads) => break threads,
                Err(error) => tracing::error!(%error, "threads for the delivery cannot be started yet"),
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts itself for as long as it lives.
    struct Alive(Arc<AtomicUsize>);

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn what_panics_begins_anew_and_leaves_nothing_behind() {
        let (alive, begun) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let lease = std::sync::Mutex::new(Vec::new());
        run_until_it_ends(DeliveryThreads::start().unwrap(), |threads| {
            let number = begun.fetch_add(1, Ordering::SeqCst);
            lease.lock().unwrap().push(threads.lease.handle().id());
            let alive = alive.clone();
            async move {
                alive.fetch_add(1, Ordering::SeqCst);
                let lane = Alive(alive.clone());
                // A lane, which the panic of another part does not reach.
                tokio::spawn(async move {
                    let _lane = lane;
                    std::future::pending::<()>().await;
                });
                assert!(number == 2, "the first two panic");
                while alive.load(Ordering::SeqCst) > 1 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        })
        .await;
        assert_eq!(begun.into_inner(), 3);
        let lease = lease.into_inner().unwrap();
        assert!(lease[0] != lease[1] && lease[1] != lease[2], "on new threads");
    }
}
