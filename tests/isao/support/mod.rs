//! What the chapters share: a world of one's own, and receivers.

pub mod database;
pub mod dns;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod schema;
pub mod world;

pub use dns::Dns;
pub use process::Process;
pub use proxy::{Cut, Proxy};
pub use receiver::{Received, Receiver, Reply};
pub use world::{Answer, World};

use std::time::Duration;

use futures_util::future::join_all;

/// For whatever has to happen in the end: generous, since machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `check` answers something.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let started = tokio::time::Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Keeps the writer at `first`, a write, until all the `others` are waiting, so that they
/// become one batch; then calls `ready` and lets it go on. Answers what the others do.
pub async fn in_one_batch<T>(
    world: &World,
    first: impl Future,
    others: impl Iterator<Item = impl Future<Output = T>>,
    ready: impl FnOnce(),
) -> Vec<T> {
    let mut transaction = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM log_head FOR UPDATE").execute(&mut *transaction).await.unwrap();
    let others = async {
        waiting_statement(world).await;
        let hold = async {
            // Long enough to get into the queue.
            tokio::time::sleep(Duration::from_millis(200)).await;
            ready();
            transaction.rollback().await.unwrap();
        };
        tokio::join!(join_all(others), hold).0
    };
    tokio::join!(first, others).1
}

/// The text of a statement that waits for a lock.
pub async fn waiting_statement(world: &World) -> String {
    eventually("a statement that waits for a lock", async || {
        sqlx::query_scalar(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_optional(&world.pool)
        .await
        .unwrap()
    })
    .await
}
