//! Requests per minute of a key, counted per process in fixed windows of one minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use chrono::{DateTime, Utc};

use crate::model::ids::KeyId;

const WINDOW: Duration = Duration::from_secs(60);
/// Keys whose windows are remembered before old ones are swept out.
const SWEEP_AT: usize = 1024;

/// Counts requests.
#[derive(Debug, Default)]
pub struct RateLimits(Mutex<HashMap<KeyId, Count>>);

#[derive(Debug)]
struct Count {
    /// By [`Clock::monotonic`](crate::clock::Clock::monotonic): the wall clock may be set back.
    window_ends: Duration,
    requests: u32,
}

/// Where a key stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    limit: u32,
    remaining: u32,
    /// Until the window ends.
    left: Duration,
    /// Was this request within the limit?
    pub allowed: bool,
}

impl RateLimits {
    /// Counts one request of a key with `limit` requests per minute; `now` is
    /// [`Clock::monotonic`](crate::clock::Clock::monotonic).
    pub fn count(&self, key: KeyId, limit: u32, now: Duration) -> Usage {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= SWEEP_AT {
            counts.retain(|_, count| count.window_ends > now);
        }
        let count = counts.entry(key).or_insert(Count { window_ends: now + WINDOW, requests: 0 });
        if count.window_ends <= now {
            *count = Count { window_ends: now + WINDOW, requests: 0 };
        }
        let allowed = count.requests < limit;
        count.requests += u32::from(allowed);
        Usage { limit, remaining: limit - count.requests.min(limit), left: count.window_ends - now, allowed }
    }
}

impl Usage {
    /// Whole seconds until the window ends, at least 1.
    pub fn seconds_left(self) -> u64 {
        u64::try_from(self.left.as_millis().max(1).div_ceil(1000)).unwrap_or(u64::MAX)
    }

    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds since 1970).
    pub fn write(self, headers: &mut HeaderMap, now: DateTime<Utc>) {
        headers.insert(HeaderName::from_static("x-ratelimit-limit"), self.limit.into());
        headers.insert(HeaderName::from_static("x-ratelimit-remaining"), self.remaining.into());
        let reset = now + self.left;
        let reset = reset.timestamp() + i64::from(reset.timestamp_subsec_nanos() > 0);
        headers.insert(HeaderName::from_static("x-ratelimit-reset"), reset.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lasts_a_minute() {
        let limits = RateLimits::default();
        let key = KeyId(uuid::Uuid::from_u128(1));
        let start = Duration::from_millis(500);
        assert_eq!(limits.count(key, 2, start).remaining, 1);
        assert!(limits.count(key, 2, start).allowed);
        let over = limits.count(key, 2, start + Duration::from_secs(10));
        assert!(!over.allowed);
        assert_eq!(over.seconds_left(), 50);
        assert!(limits.count(key, 2, start + WINDOW).allowed);
    }
}
