//! The values that go into a lane and come out of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::delivery::outgoing::Outgoing;
use crate::delivery::shard::Shard;
use crate::model::ids::SubscriptionId;
use crate::subscription::{Progress, Subscription};

/// Events that a lane keeps, at least; bounds what it takes in memory.
pub(super) const QUEUE: usize = 64;
/// Events read ahead for each delivery at a time, where order holds per record: a
/// record that fails does not hold up the others at once.
const AHEAD: usize = 4;

/// Events that the queue of a lane keeps.
pub(super) fn capacity(subscription: &Subscription) -> usize {
    QUEUE.max(AHEAD * usize::from(subscription.ordering.concurrency()))
}

/// What a running lane does next.
pub(in crate::delivery) enum Next {
    /// Attempt something, see [`Lane::start`](super::Lane::start).
    Attempt(Arc<Subscription>),
    /// Read these from the log: they are owed.
    Recall(Vec<i64>),
    /// Read the backlog after this number, at most this many events.
    Backlog(i64, usize),
    /// Nothing before then, or before an attempt or a read ends.
    Wait(Option<DateTime<Utc>>),
    /// Nothing; the task ends.
    Rest,
}

/// An attempt that begins.
pub(in crate::delivery) struct StartedAttempt {
    pub(in crate::delivery) outgoing: Arc<Outgoing>,
    pub(in crate::delivery) subscription: Arc<Subscription>,
    /// Its number, from 1.
    pub(in crate::delivery) attempt: u8,
}

/// Is anybody running the lane?
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
