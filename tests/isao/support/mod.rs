//! What the chapters share: a world of one's own, and receivers.

pub mod database;
pub mod dns;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod world;

pub use dns::Dns;
pub use process::Process;
pub use proxy::{Cut, Proxy};
pub use receiver::{Received, Receiver, Reply};
pub use world::{Answer, World};

use std::time::Duration;

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
