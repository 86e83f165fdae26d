//! An endpoint: what a company's subscriptions to one URL have in common, because one receiver
//! stands behind it.
//!
//! The events of its lanes stand in one queue, in the order of the log, and leave it in that
//! order whatever subscription they are for. Where a lane is behind, or owes events that it has
//! not read again, nothing later than what it may still read is attempted. Order is strict if
//! it is for one of the active subscriptions; otherwise it holds per record. Retries, the pause
//! after an undelivered event, and how much is in flight are the endpoint's. An endpoint with
//! work has one task that *runs* it; one without has none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::member::Member;
use super::parts::{Claim, Next, Outcome, StartedAttempt};
use super::queue::{Choice, Place, Queue, Rules};
use crate::delivery::health::Degraded;
use crate::delivery::limits::Reputation;
use crate::delivery::outgoing::Size;
use crate::delivery::shard::Shard;
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::outbound::retry::MAX_ATTEMPTS;
use crate::subscription::{Ordering, Subscription};

/// A receiver that takes this long is slow, until it takes less.
const SLOW: Duration = Duration::from_secs(5);

/// Events that a lane keeps, at least; bounds what it takes in memory.
pub(super) const LANE_QUEUE: usize = 64;
/// What these events may take in memory, in bytes, or one of them that takes more: events of usual
/// size are far below.
pub(super) const LANE_BYTES: usize = 1024 * 1024;
/// Events read ahead for each delivery at a time, where order holds per record: a
/// record that fails does not hold up the others at once.
const AHEAD: usize = 4;
/// Events that all lanes of an endpoint keep, as long as each may keep a few.
const ENDPOINT_QUEUE: usize = 1024;
/// What the events of all lanes of an endpoint may take in memory, in bytes, as long as each may keep one.
const ENDPOINT_BYTES: usize = 16 * LANE_BYTES;
/// Events that each lane of an endpoint may keep, however many lanes there are.
const LANE_QUEUE_MIN: usize = 4;

/// A company's subscriptions to one URL.
pub(in crate::delivery) struct Endpoint {
    pub(in crate::delivery) company: CompanyId,
    pub(in crate::delivery) shard: Arc<Shard>,
    state: Mutex<State>,
    /// Wakes a running endpoint that waits for its next attempt.
    pub(in crate::delivery) changed: Notify,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) members: BTreeMap<SubscriptionId, Member>,
    pub(super) queue: Queue,
    /// No first attempt before then.
    pub(super) hold: Option<DateTime<Utc>>,
    /// Undelivered events in a row, whichever subscriptions they were for.
    pub(super) undelivered_in_row: i32,
    /// How the receiver did last time, and whether it ever did well.
    slow: bool,
    failed: bool,
    succeeded: bool,
    running: bool,
}

impl Endpoint {
    pub(in crate::delivery) fn new(company: CompanyId, shard: Arc<Shard>) -> Arc<Self> {
        Arc::new(Self { company, shard, state: Mutex::default(), changed: Notify::new() })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has every lane left it?
    pub(in crate::delivery) fn is_empty(&self) -> bool {
        self.state().members.is_empty()
    }

    /// Takes a lane in, and the time before which it was to make no first attempt.
    pub(super) fn join(&self, member: Member, hold: Option<DateTime<Utc>>) {
        let mut state = self.state();
        state.hold = state.hold.max(hold);
        state.undelivered_in_row = state.undelivered_in_row.max(member.health.undelivered_in_row);
        state.failed |= member.health.last_error.is_some();
        state.succeeded |= member.health.last_success_at.is_some();
        state.members.insert(member.id, member);
    }

    /// Claims the right to run it, if there is anything to do and nobody runs it.
    pub(in crate::delivery) fn claim(&self) -> Claim {
        let mut state = self.state();
        if !state.members.values().any(Member::has_work) {
            return Claim::Nothing;
        }
        if std::mem::replace(&mut state.running, true) {
            let more = state.queue.in_flight() < usize::from(state.ordering().concurrency());
            return if more { Claim::Running } else { Claim::Nothing };
        }
        Claim::Claimed
    }

    /// Whoever claimed it begins, perhaps once more after a panic.
    pub(in crate::delivery) fn begin(&self) {
        let mut state = self.state();
        state.queue.nothing_in_flight();
        state.members.values_mut().for_each(|member| member.reading = false);
    }

    /// What to do next; after [`Next::Rest`] it is no longer claimed.
    pub(in crate::delivery) fn next(&self, now: DateTime<Utc>) -> Next {
        let mut state = self.state();
        let members = state.members.len();
        for member in state.members.values_mut().filter(|member| member.is_active() && !member.reading) {
            let Some(lane) = member.lane.upgrade() else { continue };
            if !member.owed.is_empty() {
                member.reading = true;
                return Next::Recall(lane, member.owed.iter().map(|owed| owed.seq).collect());
            }
            // Half empty is soon enough: what was read is there before the rest has gone.
            let capacity = capacity(&member.subscription, members);
            let room = capacity.without(member.queued);
            if !member.live && room.is_half_of(capacity) {
                member.reading = true;
                return Next::Backlog(lane, member.read, room);
            }
        }
        let busy = state.queue.in_flight() > 0 || state.members.values().any(|member| member.reading);
        match state.choose(now) {
            Choice::Attempt((_, id)) => match state.members.get(&id) {
                Some(member) => Next::Attempt(member.subscription.clone()),
                None => Next::Wait(None),
            },
            Choice::Wait(until) => Next::Wait(until),
            Choice::Empty if busy => Next::Wait(None),
            Choice::Empty => {
                state.running = false;
                Next::Rest
            }
        }
    }

    /// Begins the next attempt, unless things have changed and there is none.
    pub(in crate::delivery) fn start(&self, now: DateTime<Utc>) -> Option<StartedAttempt> {
        let mut state = self.state();
        let Choice::Attempt(place) = state.choose(now) else { return None };
        let member = state.members.get(&place.1)?;
        let (lane, subscription) = (member.lane.upgrade()?, member.subscription.clone());
        let (outgoing, attempt) = state.queue.start(place)?;
        Some(StartedAttempt { lane, outgoing, subscription, attempt })
    }

    /// Gives up the claim without having come to rest.
    pub(in crate::delivery) fn abandon(&self) {
        self.state().running = false;
    }

    /// How the receiver did last time.
    pub(in crate::delivery) fn reputation(&self) -> Reputation {
        let state = self.state();
        match *state {
            State { slow: true, .. } | State { failed: true, .. } => Reputation::Suspect,
            State { succeeded: false, .. } => Reputation::New,
            _ => Reputation::Good,
        }
    }
}

impl State {
    /// Which deliveries wait for which others.
    fn ordering(&self) -> Ordering {
        let active = self.members.values().filter(|member| member.is_active());
        let orderings = active.map(|member| member.subscription.ordering);
        orderings.reduce(Ordering::stricter).unwrap_or_default()
    }

    fn choose(&self, now: DateTime<Utc>) -> Choice {
        let is_active = |id| self.members.get(&id).is_some_and(Member::is_active);
        let active = self.members.values().filter(|member| member.is_active());
        let complete_to = active.map(Member::complete_to).min().unwrap_or(i64::MAX);
        let hold = self.hold;
        self.queue.choose(&Rules { ordering: self.ordering(), now, hold, complete_to, is_active })
    }

    /// Nothing waits for its time any more: the receiver is said to be well.
    pub(super) fn hurry(&mut self) {
        self.hold = None;
        self.undelivered_in_row = 0;
        self.queue.hurry();
        self.members.values_mut().for_each(Member::hurry);
    }

    /// Notes what became of an attempt for an event. `degraded` gives how long to pause after
    /// an undelivered one. Returns how many events in a row are undelivered now for the
    /// subscription, if this one is.
    pub(super) fn attempted(
        &mut self,
        place: Place,
        attempt: u8,
        outcome: &Outcome,
        (at, duration): (DateTime<Utc>, Duration),
        degraded: Degraded,
    ) -> Option<i32> {
        self.slow = duration >= SLOW;
        self.failed = *outcome != Outcome::Delivered;
        if let Outcome::Failed { next_attempt_at, .. } = outcome
            && attempt < MAX_ATTEMPTS
        {
            self.queue.failed(place, *next_attempt_at);
        } else {
            let done = self.queue.done(place);
            if let Some((outgoing, earlier)) = done
                && let Some(member) = self.members.get_mut(&place.1)
            {
                member.queued.remove(&outgoing);
                member.gaps = member.queued.events > 0 && (member.gaps || earlier);
            }
        }
        match outcome {
            Outcome::Delivered => {
                (self.hold, self.undelivered_in_row, self.succeeded) = (None, 0, true);
            }
            Outcome::Failed { .. } if attempt < MAX_ATTEMPTS => {}
            Outcome::Failed { .. } => {
                self.undelivered_in_row = self.undelivered_in_row.saturating_add(1);
                self.hold = Some(at + duration + degraded.pause(self.undelivered_in_row));
            }
        }
        let health = &mut self.members.get_mut(&place.1)?.health;
        health.last_attempt_at = Some(at);
        match outcome {
            Outcome::Delivered => {
                health.last_success_at = Some(at);
                health.last_error = None;
                health.undelivered_in_row = 0;
                None
            }
            Outcome::Failed { error, .. } => {
                health.last_error = Some(error.clone());
                (attempt >= MAX_ATTEMPTS).then(|| {
                    health.undelivered_in_row = health.undelivered_in_row.saturating_add(1);
                    health.undelivered_in_row
                })
            }
        }
    }
}

/// Returns how much a lane keeps if its endpoint has `members` lanes.
pub(super) fn capacity(subscription: &Subscription, members: usize) -> Size {
    let alone = LANE_QUEUE.max(AHEAD * usize::from(subscription.ordering.concurrency()));
    let members = members.max(1);
    Size {
        events: alone.min((ENDPOINT_QUEUE / members).max(LANE_QUEUE_MIN)),
        bytes: LANE_BYTES.min(ENDPOINT_BYTES / members),
    }
}
