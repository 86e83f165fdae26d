//! What an endpoint knows of one of its lanes.

use std::sync::{Arc, Weak};

use chrono::{DateTime, Utc};
use prometheus_client::metrics::gauge::Gauge;

use super::Lane;
use super::queue::Queue;
use crate::delivery::outgoing::{Outgoing, Size};
use crate::delivery::shard::Shard;
use crate::metrics::{Counted, Metrics};
use crate::model::ids::SubscriptionId;
use crate::subscription::{Health, Ordering, Owed, Progress, ReadAhead, Stored, Subscription};

/// A lane's part of the state of its endpoint. Its events stand in the queue of the endpoint.
pub(super) struct Member {
    pub(super) lane: Weak<Lane>,
    pub(super) id: SubscriptionId,
    pub(super) subscription: Arc<Subscription>,
    /// Everything up to here was taken into the queue, or is owed, or did not match.
    pub(super) read: i64,
    /// Read, and to be read once more, because it is not done.
    pub(super) owed: Vec<Owed>,
    /// What the event after the cursor had when another process left it: its number, its attempts,
    /// and when the next is due. The retention may have dropped it since.
    pub(super) carried: Option<(i64, u8, Option<DateTime<Utc>>)>,
    pub(super) health: Health,
    pub(super) live: bool,
    /// Its events in the queue. One that other lanes have as well counts in full.
    pub(super) queued: Size,
    /// Was anything done after an event that is not? Then the first one alone does not tell
    /// what is done.
    pub(super) gaps: bool,
    /// Is a read of the log under way?
    pub(super) reading: bool,
    /// Is it on the recorder's list?
    pub(super) dirty: bool,
    /// As it counts in the metrics: behind, and degraded.
    counted: (Option<Counted>, Option<Counted>),
}

impl Member {
    /// A subscription, as the database has it, and the time before which its endpoint makes no
    /// first attempt.
    pub(super) fn new(
        Stored { subscription, progress, .. }: Stored,
        shard: &Shard,
        lane: Weak<Lane>,
    ) -> (Self, Option<DateTime<Utc>>) {
        let Progress { cursor, lagging, head_attempts, next_attempt_at, read_ahead, health, .. } = progress;
        let ReadAhead { mut read, mut owed } =
            read_ahead.unwrap_or(ReadAhead { read: cursor, owed: Vec::new() });
        if !lagging {
            read = read.max(shard.offered());
        }
        owed.retain(|owed| owed.seq > subscription.skip_to);
        // Was the next event, which had these attempts, skipped while nobody delivered?
        let skipped = subscription.skip_to > read;
        let carried = (head_attempts > 0 && owed.is_empty() && !skipped).then_some((
            cursor + 1,
            head_attempts,
            next_attempt_at,
        ));
        let read = read.max(subscription.skip_to);
        let member = Self {
            lane,
            id: subscription.id,
            live: subscription.is_active() && owed.is_empty() && read >= shard.offering(),
            subscription: Arc::new(subscription),
            read,
            owed,
            carried,
            health,
            queued: Size::default(),
            gaps: false,
            reading: false,
            dirty: false,
            counted: (None, None),
        };
        (member, next_attempt_at.filter(|_| head_attempts == 0))
    }

    pub(super) fn is_active(&self) -> bool {
        self.subscription.is_active()
    }

    /// Is there anything to attempt or to read?
    pub(super) fn has_work(&self) -> bool {
        self.is_active() && (self.queued.events > 0 || !self.owed.is_empty() || !self.live)
    }

    /// Up to here everything that it wants is in the queue, or done; all of the log if nothing
    /// else is said.
    pub(super) fn complete_to(&self) -> i64 {
        match self.owed.first() {
            Some(owed) => owed.seq - 1,
            None if !self.live => self.read,
            None => i64::MAX,
        }
    }

    /// Takes an event into the queue.
    pub(super) fn take(&mut self, outgoing: Arc<Outgoing>, queue: &mut Queue) {
        let carried = self.carried.take().filter(|(seq, ..)| *seq == outgoing.event.seq);
        let had = carried.map(|(_, attempts, due)| (attempts, due)).unwrap_or_default();
        self.push(outgoing, had, queue);
    }

    /// Puts an event into the queue with the attempts it has had.
    pub(super) fn push(
        &mut self,
        outgoing: Arc<Outgoing>,
        had: (u8, Option<DateTime<Utc>>),
        queue: &mut Queue,
    ) {
        self.queued.add(&outgoing);
        queue.push(self.id, outgoing, had);
    }

    /// Everything up to there was read. The event whose attempts were carried over may be gone.
    pub(super) fn has_read(&mut self, to: i64) {
        self.read = self.read.max(to);
        self.carried = self.carried.filter(|(seq, ..)| *seq > self.read);
    }

    /// Everything up to there is skipped.
    pub(super) fn skip_to(&mut self, seq: i64, queue: &mut Queue) {
        queue.skip_to(self.id, seq);
        self.queued = queue.size(self.id);
        self.gaps &= self.queued.events > 0;
        self.owed.retain(|owed| owed.seq > seq);
        self.carried = None;
        self.read = self.read.max(seq);
    }

    /// Nothing of it waits for its time any more.
    pub(super) fn hurry(&mut self) {
        self.carried = self.carried.map(|(seq, attempts, _)| (seq, attempts, None));
        self.owed.iter_mut().for_each(|owed| owed.due = None);
    }

    /// How far it is. `hold` is the time before which its endpoint makes no first attempt.
    pub(super) fn progress(&self, queue: &Queue, hold: Option<DateTime<Utc>>) -> Progress {
        let head = if self.queued.events > 0 { queue.head(self.id) } else { None };
        // Before anything is recalled the queue is empty: what is owed is all there is to tell.
        let owed = if !self.owed.is_empty() {
            Some(self.owed.clone())
        } else if head.is_some() && (self.gaps || self.subscription.ordering != Ordering::Subscription) {
            Some(queue.owed(self.id))
        } else {
            None
        };
        let first = self.owed.first().map(|owed| owed.seq).or(head.map(|(seq, ..)| seq));
        let (head_attempts, due) =
            self.carried.or(head).map(|(_, attempts, due)| (attempts, due)).unwrap_or_default();
        let cursor = first.map_or(self.read, |first| first - 1);
        Progress {
            done: cursor,
            cursor,
            lagging: first.is_some() || !self.live,
            head_attempts,
            next_attempt_at: if head_attempts > 0 { due } else { hold },
            read_ahead: owed.map(|owed| ReadAhead { read: self.read, owed }),
            health: self.health.clone(),
        }
    }

    /// Counts it in the metrics as it is now.
    pub(super) fn count(&mut self, metrics: &Metrics) {
        fn count(counted: &mut Option<Counted>, counts: bool, gauge: &Gauge) {
            match (counts, counted.is_some()) {
                (true, false) => *counted = Some(Counted::new(gauge)),
                (false, true) => *counted = None,
                _ => {}
            }
        }
        let active = self.is_active();
        let (behind, degraded) = (active && !self.live, active && self.health.undelivered_in_row > 0);
        count(&mut self.counted.0, behind, &metrics.lanes_behind);
        count(&mut self.counted.1, degraded, &metrics.degraded);
    }
}
