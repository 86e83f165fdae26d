//! Requests per minute of a key, counted per process in fixed windows of one minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName};
use chrono::{DateTime, TimeDelta, Utc};

use crate::model::ids::KeyId;

const WINDOW: TimeDelta = TimeDelta::minutes(1);
/// Keys whose windows are remembered before old ones are swept out.
const SWEEP_AT: usize = 1024;

/// Counts requests.
#[derive(Debug, Default)]
pub struct RateLimits(Mutex<HashMap<KeyId, Count>>);

#[derive(Debug)]
struct Count {
    window_ends: DateTime<Utc>,
    requests: u32,
}

/// Where a key stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    limit: u32,
    remaining: u32,
    reset: DateTime<Utc>,
    /// Was this request within the limit?
    pub allowed: bool,
}

impl RateLimits {
    /// Counts one request of a key with `limit` requests per minute.
    pub fn count(&self, key: KeyId, limit: u32, now: DateTime<Utc>) -> Usage {
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
        Usage { limit, remaining: limit - count.requests.min(limit), reset: count.window_ends, allowed }
    }
}

impl Usage {
    /// Whole seconds until the window ends, at least 1.
    pub fn seconds_left(self, now: DateTime<Utc>) -> u64 {
        let millis = (self.reset - now).num_milliseconds().max(1);
        millis.unsigned_abs().div_ceil(1000)
    }

    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds since 1970).
    pub fn write(self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("x-ratelimit-limit"), self.limit.into());
        headers.insert(HeaderName::from_static("x-ratelimit-remaining"), self.remaining.into());
        let reset = self.reset.timestamp() + i64::from(self.reset.timestamp_subsec_nanos() > 0);
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
        let start = DateTime::from_timestamp_millis(1_731_061_800_500).unwrap();
        assert_eq!(limits.count(key, 2, start).remaining, 1);
        assert!(limits.count(key, 2, start).allowed);
        let over = limits.count(key, 2, start + TimeDelta::seconds(10));
        assert!(!over.allowed);
        assert_eq!(over.seconds_left(start + TimeDelta::seconds(10)), 50);
        assert!(limits.count(key, 2, start + WINDOW).allowed);
    }
}
