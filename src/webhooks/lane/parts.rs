//! What a lane is made of, what it tells and what it is told.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::queue::Ordering;
use crate::address::TargetUrl;
use crate::events::{Event, Filters};
use crate::ids::SubscriptionId;
use crate::webhooks::shard::Shard;
use crate::webhooks::signature::Secrets;

/// Events that a lane keeps, at least; bounds what it takes in memory.
pub(super) const QUEUE: usize = 64;
/// Events read ahead for each delivery at a time, where order holds per record: a
/// record that fails does not hold up the others at once.
const AHEAD: usize = 4;

/// An event on its way to several lanes, serialised once.
pub(in crate::webhooks) struct Outgoing {
    pub(in crate::webhooks) event: Arc<Event>,
    body: OnceLock<Bytes>,
}

impl Outgoing {
    pub(in crate::webhooks) fn new(event: Arc<Event>) -> Arc<Self> {
        Arc::new(Self { event, body: OnceLock::new() })
    }

    /// The bytes that every attempt signs and sends.
    pub(in crate::webhooks) fn body(&self) -> Bytes {
        self.body.get_or_init(|| self.event.envelope()).clone()
    }
}

/// A subscription as it is now.
#[derive(Clone, Debug)]
pub(in crate::webhooks) struct Definition {
    pub(in crate::webhooks) target: TargetUrl,
    pub(in crate::webhooks) filters: Filters,
    pub(in crate::webhooks) secrets: Secrets,
    pub(in crate::webhooks) loopback: bool,
    pub(in crate::webhooks) active: bool,
    pub(in crate::webhooks) ordering: Ordering,
    /// Events up to here are not delivered any more.
    pub(in crate::webhooks) skip_to: i64,
    pub(in crate::webhooks) version: i64,
}

impl Definition {
    /// Events kept in the queue.
    pub(super) fn capacity(&self) -> usize {
        QUEUE.max(AHEAD * self.ordering.concurrency())
    }
}

/// An event that was read and is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::webhooks) struct Owed {
    pub(in crate::webhooks) seq: i64,
    /// Attempts made, under [`MAX_ATTEMPTS`](crate::webhooks::retry::MAX_ATTEMPTS).
    pub(in crate::webhooks) attempts: u8,
    /// When the next one is due.
    pub(in crate::webhooks) due: Option<DateTime<Utc>>,
}

/// Where a lane stands, as the database has it.
#[derive(Clone, Debug, Default)]
pub(in crate::webhooks) struct Position {
    /// Everything up to here was taken into the queue, or is owed, or did not match.
    pub(in crate::webhooks) read: i64,
    /// Attempts made for the next event, under [`MAX_ATTEMPTS`](crate::webhooks::retry::MAX_ATTEMPTS).
    pub(in crate::webhooks) head_attempts: u8,
    /// When the next attempt is due.
    pub(in crate::webhooks) next_attempt_at: Option<DateTime<Utc>>,
    /// Read, and neither done nor in the queue.
    pub(in crate::webhooks) owed: Vec<Owed>,
    pub(in crate::webhooks) health: Health,
}

/// How deliveries go.
#[derive(Clone, Debug, Default)]
pub(in crate::webhooks) struct Health {
    pub(in crate::webhooks) undelivered_in_row: i32,
    pub(in crate::webhooks) last_attempt_at: Option<DateTime<Utc>>,
    pub(in crate::webhooks) last_success_at: Option<DateTime<Utc>>,
    pub(in crate::webhooks) last_error: Option<String>,
}

/// What a running lane does next.
pub(in crate::webhooks) enum Next {
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
pub(in crate::webhooks) struct Started {
    pub(in crate::webhooks) outgoing: Arc<Outgoing>,
    pub(in crate::webhooks) definition: Arc<Definition>,
    /// Its number, from 1.
    pub(in crate::webhooks) attempt: u8,
}

/// Is anybody running the lane?
#[derive(Debug, PartialEq, Eq)]
pub(in crate::webhooks) enum Claim {
    /// The caller, from now on.
    Claimed,
    /// Somebody is, who could do more at a time.
    Running,
    /// There is nothing for the caller to do.
    Nothing,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::webhooks) enum Outcome {
    /// Done.
    Delivered,
    /// Not delivered; another attempt is due then, if there are any left.
    Failed { error: String, next_attempt_at: Option<DateTime<Utc>> },
}

/// A lane's state to be stored.
pub(in crate::webhooks) struct Snapshot {
    pub(in crate::webhooks) id: SubscriptionId,
    pub(in crate::webhooks) shard: Arc<Shard>,
    pub(in crate::webhooks) cursor: i64,
    pub(in crate::webhooks) lagging: bool,
    pub(in crate::webhooks) head_attempts: u8,
    pub(in crate::webhooks) next_attempt_at: Option<DateTime<Utc>>,
    /// How far was read and what is owed, if the cursor alone does not tell.
    pub(in crate::webhooks) read_ahead: Option<(i64, Vec<Owed>)>,
    pub(in crate::webhooks) health: Health,
}
