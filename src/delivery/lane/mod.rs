//! A lane: one subscription's own queue.
//!
//! A lane is *live* while the tail feeds it every matching event. When its queue is
//! full it falls *behind*: the tail passes it by, and it reads its own backlog from
//! the log until the two meet. A lane with work has one task that *runs* it; a lane
//! without has none. It *waits* while its subscription is not active, and is
//! *degraded* after an undelivered event: it pauses before the next first attempt.
//!
//! What is done is told by one number, the cursor: everything before the head of
//! the queue, or everything that was read if the queue is empty. Where order holds
//! per record, later events may be done before the head: then the lane also says
//! how far it has read and what of that it still *owes*.

mod parts;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use super::health::Degraded;
use super::limits::Reputation;
use super::outgoing::{Backlogged, Outgoing};
use super::shard::Shard;
use crate::metrics::{Counted, Metrics};
use crate::model::events::{Event, EventType};
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::outbound::retry::MAX_ATTEMPTS;
use crate::subscription::{Health, Owed, Progress, ReadAhead, Status, Stored, Subscription};
use parts::capacity;
pub(super) use parts::{Claim, Next, Outcome, Snapshot, StartedAttempt};
use queue::{Choice, Queue};

/// A receiver that takes this long is slow, until it takes less.
const SLOW: Duration = Duration::from_secs(5);

/// One subscription's queue.
pub(super) struct Lane {
    pub(super) id: SubscriptionId,
    pub(super) company: CompanyId,
    pub(super) event_type: EventType,
    pub(super) shard: Arc<Shard>,
    state: Mutex<State>,
    /// Wakes a running lane that waits for its next attempt.
    pub(super) changed: Notify,
}

struct State {
    subscription: Arc<Subscription>,
    queue: Queue,
    /// Everything up to here was taken into the queue, or is owed, or did not match.
    read: i64,
    /// Read, and to be read once more, because it is not done.
    owed: Vec<Owed>,
    /// What the next event had when another process left it: attempts, and when the next is due.
    carried: Option<(u8, Option<DateTime<Utc>>)>,
    /// No first attempt before then.
    hold: Option<DateTime<Utc>>,
    health: Health,
    slow: bool,
    live: bool,
    running: bool,
    /// Is a read of the log under way?
    reading: bool,
    /// Is it on the recorder's list?
    dirty: bool,
    /// As it counts in the metrics: behind, and degraded.
    counted: (Option<Counted>, Option<Counted>),
}

impl Lane {
    /// A lane for a subscription, as the database has it.
    pub(super) fn new(Stored { subscription, progress }: Stored, shard: Arc<Shard>) -> Self {
        let Progress { cursor, lagging, head_attempts, next_attempt_at, read_ahead, health, .. } = progress;
        let ReadAhead { mut read, mut owed } =
            read_ahead.unwrap_or(ReadAhead { read: cursor, owed: Vec::new() });
        if !lagging {
            read = read.max(shard.offered());
        }
        owed.retain(|owed| owed.seq > subscription.skip_to);
        // Was the next event, which had these attempts, skipped while nobody delivered?
        let skipped = subscription.skip_to > read;
        let carried =
            (head_attempts > 0 && owed.is_empty() && !skipped).then_some((head_attempts, next_attempt_at));
        let read = read.max(subscription.skip_to);
        let (id, company, event_type) = (subscription.id, subscription.company, subscription.event_type);
        let state = State {
            live: subscription.is_active() && owed.is_empty() && read >= shard.offering(),
            subscription: Arc::new(subscription),
            queue: Queue::default(),
            read,
            owed,
            hold: next_attempt_at.filter(|_| head_attempts == 0),
            carried,
            health,
            slow: false,
            running: false,
            reading: false,
            dirty: false,
            counted: (None, None),
        };
        Self { id, company, event_type, shard, state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event from the tail if it is live and the event matches. Answers
    /// whether anything changed.
    pub(super) fn offer(&self, outgoing: &Arc<Outgoing>) -> bool {
        let mut state = self.state();
        let event = &outgoing.event;
        if !state.live || event.seq <= state.read || !state.subscription.filters.matches(&event.data) {
            return false;
        }
        if state.queue.len() >= capacity(&state.subscription) {
            // Behind from here on: what was taken so far is known, the rest is in the log.
            state.live = false;
            return true;
        }
        state.take(outgoing.clone());
        state.read = event.seq;
        true
    }

    /// The subscription as it is now.
    pub(super) fn subscription(&self) -> Arc<Subscription> {
        self.state().subscription.clone()
    }

    /// The subscription changed. What is older than what the lane knows changes
    /// nothing: a deactivation and the tail may come here in either order.
    pub(super) fn update(&self, subscription: Subscription) {
        let mut state = self.state();
        let known = state.subscription.clone();
        if subscription.version < known.version {
            return;
        }
        if state.live && !subscription.is_active() {
            if state.queue.is_empty() {
                state.read = state.read.max(self.shard.offered());
            }
            state.live = false;
        }
        if subscription.is_active() && !known.is_active() {
            // Resumed: with patience, and at once.
            state.health.undelivered_in_row = 0;
            state.hurry();
        }
        if subscription.target != known.target {
            // It says nothing about the new receiver how the old one did.
            state.health.undelivered_in_row = 0;
            state.hurry();
        }
        if subscription.skip_to > known.skip_to {
            state.queue.skip_to(subscription.skip_to);
            state.owed.retain(|owed| owed.seq > subscription.skip_to);
            state.carried = None;
            state.read = state.read.max(subscription.skip_to);
            state.hurry();
        }
        state.subscription = Arc::new(subscription);
        drop(state);
        self.changed.notify_one();
    }

    /// The subscription is gone.
    pub(super) fn retire(&self) {
        let mut state = self.state();
        state.subscription =
            Arc::new(Subscription { status: Status::Deleted, ..(*state.subscription).clone() });
        state.live = false;
        state.queue.clear();
        state.owed.clear();
        drop(state);
        self.changed.notify_one();
    }

    /// Claims the right to run the lane, if there is anything to do and nobody runs it.
    pub(super) fn claim(&self) -> Claim {
        let mut state = self.state();
        if !state.subscription.is_active() || (state.queue.is_empty() && state.owed.is_empty() && state.live)
        {
            return Claim::Nothing;
        }
        if std::mem::replace(&mut state.running, true) {
            let more = state.queue.in_flight() < usize::from(state.subscription.ordering.concurrency());
            return if more { Claim::Running } else { Claim::Nothing };
        }
        Claim::Claimed
    }

    /// Whoever claimed it begins, perhaps once more after a panic.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        state.queue.nothing_in_flight();
        state.reading = false;
    }

    /// What to do next; after [`Next::Rest`] the lane is no longer claimed.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Next {
        let mut state = self.state();
        let State { subscription, queue, owed, .. } = &*state;
        let busy = state.reading || queue.in_flight() > 0;
        if !subscription.is_active() {
            if busy {
                return Next::Wait(None);
            }
            state.running = false;
            return Next::Rest;
        }
        if !state.reading {
            if !owed.is_empty() {
                let owed = owed.iter().map(|owed| owed.seq).collect();
                state.reading = true;
                return Next::Recall(owed);
            }
            // Half empty is soon enough: what was read is there before the rest has gone.
            let room = capacity(subscription) - queue.len().min(capacity(subscription));
            if !state.live && room * 2 >= capacity(subscription) {
                let read = Next::Backlog(state.read, room);
                state.reading = true;
                return read;
            }
        }
        match queue.choose(subscription.ordering, now, state.hold) {
            Choice::Attempt(_) => Next::Attempt(subscription.clone()),
            Choice::Wait(until) => Next::Wait(until),
            Choice::Empty if busy => Next::Wait(None),
            Choice::Empty => {
                state.running = false;
                Next::Rest
            }
        }
    }

    /// Begins the next attempt, unless things have changed and there is none.
    pub(super) fn start(&self, now: DateTime<Utc>) -> Option<StartedAttempt> {
        let mut state = self.state();
        let subscription = state.subscription.clone();
        if !subscription.is_active() {
            return None;
        }
        let Choice::Attempt(seq) = state.queue.choose(subscription.ordering, now, state.hold) else {
            return None;
        };
        let (outgoing, attempt) = state.queue.start(seq)?;
        Some(StartedAttempt { outgoing, subscription, attempt })
    }

    /// Gives up the claim without having come to rest.
    pub(super) fn abandon(&self) {
        self.state().running = false;
    }

    /// How the receiver did last time.
    pub(super) fn reputation(&self) -> Reputation {
        let state = self.state();
        match &state.health {
            health if state.slow || health.last_error.is_some() => Reputation::Suspect,
            Health { last_success_at: None, .. } => Reputation::New,
            _ => Reputation::Good,
        }
    }

    /// Takes the events that it owed, in order; those that are not there any more
    /// are done.
    pub(super) fn recalled(&self, events: Vec<Arc<Event>>) {
        let mut state = self.state();
        state.reading = false;
        let owed = std::mem::take(&mut state.owed);
        for event in events {
            if let Some(owed) = owed.iter().find(|owed| owed.seq == event.seq) {
                state.queue.push(Outgoing::new(event), owed.attempts, owed.due);
            }
        }
    }

    /// Takes what was read from the log, and goes live if the tail
    /// has nothing that was not read. The tail raises the shard's `offering` before it
    /// offers, so an event is read or offered, or both, which its number reveals.
    pub(super) fn took_backlog(&self, Backlogged { events, read_to }: Backlogged) {
        let mut state = self.state();
        state.reading = false;
        let subscription = state.subscription.clone();
        for outgoing in events {
            // It may have been told to skip some of them meanwhile.
            let event = &outgoing.event;
            if event.seq > state.read && subscription.filters.matches(&event.data) {
                state.take(outgoing);
            }
        }
        state.read = state.read.max(read_to);
        state.live = subscription.is_active() && state.read >= self.shard.offering();
    }

    /// The log could not be read.
    pub(super) fn not_read(&self) {
        self.state().reading = false;
    }

    /// Notes what became of an attempt for this event. `degraded` gives how long to
    /// pause after an undelivered one. Returns how many events in a row are
    /// undelivered now, if this one is.
    pub(super) fn attempted(
        &self,
        seq: i64,
        attempt: u8,
        outcome: &Outcome,
        (at, duration): (DateTime<Utc>, Duration),
        degraded: Degraded,
    ) -> Option<i32> {
        let mut state = self.state();
        state.slow = duration >= SLOW;
        state.health.last_attempt_at = Some(at);
        match outcome {
            Outcome::Delivered => {
                state.health.last_success_at = Some(at);
                state.health.last_error = None;
                state.health.undelivered_in_row = 0;
                state.hold = None;
                state.queue.done(seq);
                None
            }
            Outcome::Failed { error, next_attempt_at } => {
                state.health.last_error = Some(error.clone());
                if attempt < MAX_ATTEMPTS {
                    state.queue.failed(seq, *next_attempt_at);
                    return None;
                }
                state.queue.done(seq);
                state.health.undelivered_in_row = state.health.undelivered_in_row.saturating_add(1);
                let ended = at + duration;
                state.hold = Some(ended + degraded.pause(state.health.undelivered_in_row));
                Some(state.health.undelivered_in_row)
            }
        }
    }

    /// Puts the lane on the recorder's list; false if it is there already.
    pub(super) fn mark_dirty(&self) -> bool {
        !std::mem::replace(&mut self.state().dirty, true)
    }

    /// Counts the lane in the metrics as it is now.
    pub(super) fn count(&self, metrics: &Metrics) {
        fn count(counted: &mut Option<Counted>, counts: bool, gauge: &Gauge) {
            match (counts, counted.is_some()) {
                (true, false) => *counted = Some(Counted::new(gauge)),
                (false, true) => *counted = None,
                _ => {}
            }
        }
        let mut state = self.state();
        let active = state.subscription.is_active();
        let (behind, degraded) = (active && !state.live, active && state.health.undelivered_in_row > 0);
        count(&mut state.counted.0, behind, &metrics.lanes_behind);
        count(&mut state.counted.1, degraded, &metrics.degraded);
    }

    /// The state to be stored; takes the lane off the recorder's list.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut state = self.state();
        state.dirty = false;
        let State { subscription, queue, read, owed, carried, hold, .. } = &*state;
        // Before anything is recalled the queue is empty: what is owed is all there is to tell.
        let owed = if owed.is_empty() { queue.owed(subscription.ordering) } else { Some(owed.clone()) };
        let first =
            owed.as_ref().and_then(|owed| owed.first()).map(|owed| owed.seq).or_else(|| queue.front());
        let (head_attempts, due) = match carried {
            Some(carried) => *carried,
            None => queue.head(),
        };
        let cursor = first.map_or(*read, |first| first - 1);
        let progress = Progress {
            done: cursor,
            cursor,
            lagging: first.is_some() || !state.live,
            head_attempts,
            next_attempt_at: if head_attempts > 0 { due } else { *hold },
            read_ahead: owed.map(|owed| ReadAhead { read: *read, owed }),
            health: state.health.clone(),
        };
        Snapshot { id: self.id, shard: self.shard.clone(), progress }
    }
}

impl State {
    /// Takes an event into the queue.
    fn take(&mut self, outgoing: Arc<Outgoing>) {
        let (attempts, due) = self.carried.take().unwrap_or_default();
        self.queue.push(outgoing, attempts, due);
    }

    /// Nothing waits for its time any more.
    fn hurry(&mut self) {
        self.hold = None;
        self.queue.hurry();
        self.carried = self.carried.map(|(attempts, _)| (attempts, None));
        self.owed.iter_mut().for_each(|owed| owed.due = None);
    }
}
