//! How much may be in flight: in all, to one host, and to receivers that do not do well.
//!
//! Waiting is fair: a lane waits for one attempt at a time, and those who wait are
//! served in the order they came, so that a subscription with sixty deliveries at a
//! time gets no more turns than one with a single one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Attempts in flight in this process: bounds sockets and memory.
pub const IN_FLIGHT: usize = 1024;
/// Attempts in flight to one host and port.
pub const IN_FLIGHT_PER_HOST: usize = 256;
/// The share of all attempts that may go to receivers that failed or were slow last
/// time. Those that hang take 30 s each: without this, enough of them would take all.
const SUSPECT_SHARE: usize = 4;
/// Hosts are forgotten when there are twice as many as were in use last time, and at
/// least so many.
const FORGET_FROM: usize = 256;

/// The permits that there are.
pub(super) struct Limits {
    all: Arc<Semaphore>,
    suspect: Arc<Semaphore>,
    per_host: usize,
    hosts: Mutex<Hosts>,
}

struct Hosts {
    known: HashMap<String, Arc<Semaphore>>,
    forget_at: usize,
}

/// The right to make one attempt, for as long as this lives.
pub(super) struct Permit {
    _all: OwnedSemaphorePermit,
    _suspect: Option<OwnedSemaphorePermit>,
    _host: OwnedSemaphorePermit,
}

impl Limits {
    pub(super) fn new(in_flight: usize, per_host: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(in_flight)),
            suspect: Arc::new(Semaphore::new((in_flight / SUSPECT_SHARE).max(1))),
            per_host,
            hosts: Mutex::new(Hosts { known: HashMap::new(), forget_at: FORGET_FROM }),
        }
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.known.get(host) {
            return known.clone();
        }
        if hosts.known.len() >= hosts.forget_at {
            // Whoever has a permit, or waits for one, holds on to its semaphore.
            hosts.known.retain(|_, known| Arc::strong_count(known) > 1);
            hosts.forget_at = FORGET_FROM.max(hosts.known.len() * 2);
        }
        let new = Arc::new(Semaphore::new(self.per_host));
        hosts.known.insert(host.to_owned(), new.clone());
        new
    }

    /// A permit, if one is to be had at once.
    pub(super) fn try_acquire(&self, host: &str, suspect: bool) -> Option<Permit> {
        let host = self.host(host).try_acquire_owned().ok()?;
        let suspect = match suspect {
            true => Some(self.suspect.clone().try_acquire_owned().ok()?),
            false => None,
        };
        let all = self.all.clone().try_acquire_owned().ok()?;
        Some(Permit { _all: all, _suspect: suspect, _host: host })
    }

    /// Waits for a permit. First the host's: waiting for a busy host takes nothing
    /// away from others.
    pub(super) async fn acquire(self: Arc<Self>, host: String, suspect: bool) -> Option<Permit> {
        let host = self.host(&host).acquire_owned().await.ok()?;
        let suspect = match suspect {
            true => Some(self.suspect.clone().acquire_owned().await.ok()?),
            false => None,
        };
        let all = self.all.clone().acquire_owned().await.ok()?;
        Some(Permit { _all: all, _suspect: suspect, _host: host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_host_and_those_that_hang_leave_room_for_others() {
        let limits = Arc::new(Limits::new(8, 3));
        let one_host: Vec<_> = (0..4).map(|_| limits.try_acquire("a:80", false)).collect();
        assert_eq!(one_host.iter().flatten().count(), 3);
        let suspects: Vec<_> = (0..3).map(|n| limits.try_acquire(&format!("s{n}:80"), true)).collect();
        assert_eq!(suspects.iter().flatten().count(), 2);
        assert!(limits.try_acquire("b:80", false).is_some());
        assert_eq!(limits.all.available_permits(), 3);
        drop(one_host);
        assert!(limits.clone().acquire("a:80".into(), false).await.is_some());
    }

    #[test]
    fn hosts_that_nobody_uses_are_forgotten() {
        let limits = Limits::new(8, 3);
        let kept = limits.try_acquire("kept:80", false);
        for number in 0..10_000 {
            limits.try_acquire(&format!("h{number}:80"), false);
        }
        assert!(kept.is_some());
        let hosts = limits.hosts.lock().unwrap();
        assert!(hosts.known.len() <= FORGET_FROM && hosts.known.contains_key("kept:80"));
    }
}
