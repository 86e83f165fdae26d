//! What a lane is made of, what it tells and what it is told.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::queue::Ordering;
use crate::delivery::shard::Shard;
use crate::model::events::{Event, Filters};
use crate::model::ids::SubscriptionId;
use crate::outbound::address::TargetUrl;
use crate::outbound::signature::Secrets;

/// Events that a lane keeps, at least; bounds what it takes in memory.
pub(super) const QUEUE: usize = 64;
/// Events read ahead for each delivery at a time, where order holds per record: a
/// record that fails does not hold up the others at once.
const AHEAD: usize = 4;

/// An event on its way to several lanes, serialised once.
pub(in crate::delivery) struct Outgoing {
    pub(in crate::delivery) event: Arc<Event>,
    body: OnceLock<Bytes>,
}

impl Outgoing {
    pub(in crate::delivery) fn new(event: Arc<Event>) -> Arc<Self> {
        Arc::new(Self { event, body: OnceLock::new() })
    }

    /// The bytes that every attempt signs and sends.
    pub(in crate::delivery) fn body(&self) -> Bytes {
        self.body.get_or_init(|| self.event.envelope()).clone()
    }
}

/// A subscription as it is now.
#[derive(Clone, Debug)]
pub(in crate::delivery) struct Definition {
    pub(in crate::delivery) target: TargetUrl,
    pub(in crate::delivery) filters: Filters,
    pub(in crate::delivery) secrets: Secrets,
    pub(in crate::delivery) loopback: bool,
    pub(in crate::delivery) active: bool,
    pub(in crate::delivery) ordering: Ordering,
    /// Events up to here are not delivered any more.
    pub(in crate::delivery) skip_to: i64,
    pub(in crate::delivery) version: i64,
}

impl Definition {
    /// Events kept in the queue.
    pub(super) fn capacity(&self) -> usize {
        QUEUE.max(AHEAD * self.ordering.concurrency())
    }
}

/// An event that was read and is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::delivery) struct Owed {
    pub(in crate::delivery) seq: i64,
    /// Attempts made, under [`MAX_ATTEMPTS`](crate::outbound::retry::MAX_ATTEMPTS).
    pub(in crate::delivery) attempts: u8,
    /// When the next one is due.
    pub(in crate::delivery) due: Option<DateTime<Utc>>,
}

/// Where a lane stands, as the database has it.
#[derive(Clone, Debug, Default)]
pub(in crate::delivery) struct Position {
    /// Everything up to here was taken into the queue, or is owed, or did not match.
    pub(in crate::delivery) read: i64,
    /// Attempts made for the next event, under [`MAX_ATTEMPTS`](crate::outbound::retry::MAX_ATTEMPTS).
    pub(in crate::delivery) head_attempts: u8,
    /// When the next attempt is due.
    pub(in crate::delivery) next_attempt_at: Option<DateTime<Utc>>,
    /// Read, and neither done nor in the queue.
    pub(in crate::delivery) owed: Vec<Owed>,
    pub(in crate::delivery) health: Health,
}

/// How deliveries go.
#[derive(Clone, Debug, Default)]
pub(in crate::delivery) struct Health {
    pub(in crate::delivery) undelivered_in_row: i32,
    pub(in crate::delivery) last_attempt_at: Option<DateTime<Utc>>,
    pub(in crate::delivery) last_success_at: Option<DateTime<Utc>>,
    pub(in crate::delivery) last_error: Option<String>,
}

/// What a running lane does next.
pub(in crate::delivery) enum Next {
    /// Attempt something, see [`Lane::start`](super::Lane::start).
    Attempt(Arc<Definition>),
    /// Read these from the log: they are owed.
    Recall(Vec<i64>),
    /// Read the backlog after this number, so many events.
    Backlog(i64, usize),
    /// Nothing before then, or before an attempt or a read ends.
    Wait(Option<DateTime<Utc>>),
    /// Nothing; the task ends.
    Rest,
}

/// An attempt that begins.
pub(in crate::delivery) struct Started {
    pub(in crate::delivery) outgoing: Arc<Outgoing>,
    pub(in crate::delivery) definition: Arc<Definition>,
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
    pub(in crate::delivery) cursor: i64,
    pub(in crate::delivery) lagging: bool,
    pub(in crate::delivery) head_attempts: u8,
    pub(in crate::delivery) next_attempt_at: Option<DateTime<Utc>>,
    /// How far was read and what is owed, if the cursor alone does not tell.
    pub(in crate::delivery) read_ahead: Option<(i64, Vec<Owed>)>,
    pub(in crate::delivery) health: Health,
}
