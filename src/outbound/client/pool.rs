//! Connections that wait to be used again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

/// How long an unused connection is kept. Under the 5 s after which Node and
/// Apache close theirs: a request sent just then would be lost and cost a retry.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a connection takes new requests. A receiver that moves to other addresses is followed
/// after that time, however busy the connection is.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How many unused connections are kept per host, so that many subscriptions of
/// one receiver share a bounded number.
const IDLE_PER_HOST: usize = 256;

/// How often those that were not used are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Connections by origin; cheap to clone, all clones share them.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Hosts>>);

#[derive(Default)]
struct Hosts {
    /// The one that was used last comes last.
    idle: HashMap<String, Vec<(Instant, Connection)>>,
    /// Is there a task that looks for those that were not used?
    swept: bool,
}

impl Pool {
    /// The connection to `origin` that was used last.
    pub(super) fn take(&self, origin: &str) -> Option<Connection> {
        let mut hosts = self.hosts();
        let idle = hosts.idle.get_mut(origin)?;
        // The one that was used last, of those that are not too old.
        let (used, connection) = loop {
            let (used, connection) = idle.pop().filter(|(used, _)| used.elapsed() < IDLE_TIMEOUT)?;
            if connection.age() < MAX_AGE {
                break (used, connection);
            }
        };
        if let Some(shared) = connection.share() {
            idle.push((used, shared));
        }
        Some(connection)
    }

    /// Keeps a connection for the next one who wants to go to `origin`.
    pub(super) fn put(&self, origin: &str, connection: Connection) {
        if connection.age() >= MAX_AGE {
            return;
        }
        let now = Instant::now();
        let mut hosts = self.hosts();
        match hosts.idle.get_mut(origin) {
            // One of those that several use at a time is enough.
            Some(idle) if connection.share().is_some() => *idle = vec![(now, connection)],
            Some(idle) if idle.len() >= IDLE_PER_HOST => {}
            Some(idle) => idle.push((now, connection)),
            None => {
                hosts.idle.insert(origin.to_owned(), vec![(now, connection)]);
            }
        }
        if !std::mem::replace(&mut hosts.swept, true) {
            tokio::spawn(sweep(self.clone()));
        }
    }

    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that nobody used, until there is none.
async fn sweep(pool: Pool) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let mut hosts = pool.hosts();
        hosts.idle.retain(|_, idle| {
            idle.retain(|(used, _)| used.elapsed() < IDLE_TIMEOUT);
            !idle.is_empty()
        });
        if hosts.idle.is_empty() {
            hosts.swept = false;
            return;
        }
    }
}
