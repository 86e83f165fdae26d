//! The values that go into lanes and endpoints and come out of them.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Lane;
use crate::delivery::outgoing::{Outgoing, Size};
use crate::delivery::shard::Shard;
use crate::model::ids::SubscriptionId;
use crate::subscription::{Progress, Subscription};

/// What a running endpoint does next.
pub(in crate::delivery) enum Next {
    /// Attempt something of this subscription, see [`Endpoint::start`](super::Endpoint::start).
    Attempt(Arc<Subscription>),
    /// Read these from the log: the lane owes them.
    Recall(Arc<Lane>, Vec<i64>),
    /// Read the lane's backlog after this number, as much as there is room for.
    Backlog(Arc<Lane>, i64, Size),
    /// Nothing before then, or before an attempt or a read ends.
    Wait(Option<DateTime<Utc>>),
    /// Nothing; the task ends.
    Rest,
}

/// An attempt that begins.
pub(in crate::delivery) struct StartedAttempt {
    pub(in crate::delivery) lane: Arc<Lane>,
    pub(in crate::delivery) outgoing: Arc<Outgoing>,
    pub(in crate::delivery) subscription: Arc<Subscription>,
    /// Its number, from 1.
    pub(in crate::delivery) attempt: u8,
}

/// Is anybody running the endpoint?
#[derive(Debug, PartialEq, Eq)]
pub(in crate::delivery) enum Claim {
    /// The caller, from now on.
    Claimed,
    /// Somebody is, who could do more at a time.
    Running,
    /// There is nothing for the caller to do.
    Nothing,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::delivery) enum Outcome {
    /// Done.
    Delivered,
    /// Not delivered; another attempt is due then, if there are any left.
    Failed { error: String, next_attempt_at: Option<DateTime<Utc>> },
}

/// A lane's state to be stored.
pub(in crate::delivery) struct Snapshot {
    pub(in crate::delivery) id: SubscriptionId,
    pub(in crate::delivery) shard: Arc<Shard>,
    pub(in crate::delivery) progress: Progress,
}

impl Snapshot {
    /// Its size in a statement, more or less: what is owed counts.
    pub(in crate::delivery) fn bytes(&self) -> usize {
        const ROW_BYTES: usize = 256;
        const OWED_BYTES: usize = 64;
        let owed = self.progress.read_ahead.as_ref().map_or(0, |ahead| ahead.owed.len());
        ROW_BYTES + self.progress.health.last_error.as_ref().map_or(0, String::len) + owed * OWED_BYTES
    }
}
