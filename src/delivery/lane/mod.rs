//! A lane: one subscription's own queue, and the endpoint that it shares with the others to its URL.
//!
//! A lane is *live* while the tail feeds it every matching event. When its queue is
//! full it falls *behind*: the tail passes it by, and it reads its own backlog from
//! the log until the two meet. It *waits* while its subscription is not active.
//! What it has taken is attempted by its [`Endpoint`], in the order of the log among all
//! lanes of the endpoint.
//!
//! What is done is told by one number, the cursor: everything before the lane's first
//! event in the queue, or everything that was read if there is none. Where order holds
//! per record, later events may be done before the first: then the lane also says
//! how far it has read and what of that it still *owes*.

mod endpoint;
mod member;
mod parts;
mod queue;
#[cfg(test)]
mod size_tests;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::health::Degraded;
use super::outgoing::{Backlogged, Outgoing};
use super::shard::Shard;
use crate::metrics::Metrics;
use crate::model::events::{Event, EventTypes};
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::subscription::{Progress, Stored, Subscription};
pub(super) use endpoint::Endpoint;
use endpoint::{State, capacity};
use member::Member;
pub(super) use parts::{Claim, Next, Outcome, Snapshot, StartedAttempt};

/// One subscription's queue.
pub(super) struct Lane {
    pub(super) id: SubscriptionId,
    pub(super) company: CompanyId,
    pub(super) types: EventTypes,
    pub(super) shard: Arc<Shard>,
    pub(super) endpoint: Arc<Endpoint>,
    /// How far it was when it left its endpoint.
    left: OnceLock<Progress>,
}

impl Lane {
    /// A lane for a subscription to the endpoint, as the database has it.
    pub(super) fn new(stored: Stored, endpoint: &Arc<Endpoint>) -> Arc<Self> {
        let Subscription { id, company, .. } = stored.subscription;
        let types = stored.subscription.events.types();
        Arc::new_cyclic(|lane| {
            let (member, hold) = Member::new(stored, &endpoint.shard, lane.clone());
            endpoint.join(member, hold);
            let (shard, endpoint) = (endpoint.shard.clone(), endpoint.clone());
            Self { id, company, types, shard, endpoint, left: OnceLock::new() }
        })
    }

    /// Takes an event from the tail if it is live and the event matches. Answers
    /// whether anything changed.
    pub(super) fn offer(&self, outgoing: &Arc<Outgoing>) -> bool {
        let event = &outgoing.event;
        let mut state = self.endpoint.state();
        let State { members, queue, .. } = &mut *state;
        let count = members.len();
        let Some(member) = members.get_mut(&self.id) else { return false };
        if !member.live || event.seq <= member.read || !member.subscription.wants(event.seq, event.change()) {
            return false;
        }
        if !capacity(&member.subscription, count).admits(member.queued, outgoing) {
            // Behind from here on: what was taken so far is known, the rest is in the log.
            member.live = false;
            return true;
        }
        member.take(outgoing.clone(), queue);
        member.read = event.seq;
        true
    }

    /// The subscription as it is now, unless it is gone or has gone to another endpoint.
    pub(super) fn subscription(&self) -> Option<Arc<Subscription>> {
        self.endpoint.state().members.get(&self.id).map(|member| member.subscription.clone())
    }

    /// The subscription changed, but for its target. What is older than what the lane knows
    /// changes nothing: a deactivation and the tail may come here in either order.
    pub(super) fn update(&self, subscription: Subscription) {
        let mut state = self.endpoint.state();
        let State { members, queue, .. } = &mut *state;
        let Some(member) = members.get_mut(&self.id) else { return };
        let known = member.subscription.clone();
        if subscription.version < known.version {
            return;
        }
        if member.live && !subscription.is_active() {
            if member.queued.events == 0 {
                member.read = member.read.max(self.shard.offered());
            }
            member.live = false;
        }
        let resumed =
            subscription.is_active() && (!known.is_active() || subscription.resumed_at > known.resumed_at);
        let skips = subscription.skip_to > known.skip_to;
        if resumed {
            // With new patience.
            member.health.undelivered_in_row = 0;
        }
        if skips {
            member.skip_to(subscription.skip_to, queue);
        }
        member.subscription = Arc::new(subscription);
        if resumed || skips {
            state.hurry();
        }
        drop(state);
        self.endpoint.changed.notify_one();
    }

    /// Leaves its endpoint, and answers how far it was: its subscription is gone, or goes to
    /// another URL. An attempt under way may end.
    pub(super) fn leave(&self) -> Option<Progress> {
        let mut state = self.endpoint.state();
        let mut member = state.members.remove(&self.id)?;
        if member.live {
            // What it was offered and did not take did not match: it is not to be judged again.
            member.read = member.read.max(self.shard.offered());
        }
        // Whatever it had not done is in the log, and no checkpoint says more.
        let progress = Progress { lagging: true, ..member.progress(&state.queue, None) };
        // The recorder may be about to ask; it is told before the lane is seen to be gone.
        let _ = self.left.set(progress.clone());
        state.queue.skip_to(self.id, i64::MAX);
        drop(state);
        self.endpoint.changed.notify_one();
        Some(progress)
    }

    /// Takes the events that it owed, in order; those that are not there any more
    /// are done.
    pub(super) fn recalled(&self, events: Vec<Arc<Event>>) {
        let mut state = self.endpoint.state();
        let State { members, queue, .. } = &mut *state;
        let Some(member) = members.get_mut(&self.id) else { return };
        member.reading = false;
        let owed = std::mem::take(&mut member.owed);
        for event in events {
            if let Some(owed) = owed.iter().find(|owed| owed.seq == event.seq) {
                member.push(Outgoing::new(event), (owed.attempts, owed.due), queue);
            }
        }
    }

    /// Takes what was read from the log, and goes live if the tail
    /// has nothing that was not read. The tail raises the shard's `offering` before it
    /// offers, so an event is read or offered, or both, which its number reveals.
    pub(super) fn took_backlog(&self, Backlogged { events, read_to }: Backlogged) {
        let mut state = self.endpoint.state();
        let State { members, queue, .. } = &mut *state;
        let Some(member) = members.get_mut(&self.id) else { return };
        member.reading = false;
        for outgoing in events {
            // It may have been told to skip some of them meanwhile.
            let event = &outgoing.event;
            if event.seq > member.read && member.subscription.wants(event.seq, event.change()) {
                member.take(outgoing, queue);
            }
        }
        member.has_read(read_to);
        member.live = member.is_active() && member.read >= self.shard.offering();
    }

    /// The log could not be read.
    pub(super) fn not_read(&self) {
        if let Some(member) = self.endpoint.state().members.get_mut(&self.id) {
            member.reading = false;
        }
    }

    /// Notes what became of an attempt for this event. `degraded` gives how long to
    /// pause after an undelivered one. Returns how many events in a row are
    /// undelivered now, if this one is.
    pub(super) fn attempted(
        &self,
        seq: i64,
        attempt: u8,
        outcome: &Outcome,
        ended: (DateTime<Utc>, Duration),
        degraded: Degraded,
    ) -> Option<i32> {
        self.endpoint.state().attempted((seq, self.id), attempt, outcome, ended, degraded)
    }

    /// Puts the lane on the recorder's list; false if it is there already, or gone.
    pub(super) fn mark_dirty(&self) -> bool {
        let mut state = self.endpoint.state();
        state.members.get_mut(&self.id).is_some_and(|member| !std::mem::replace(&mut member.dirty, true))
    }

    /// Counts the lane in the metrics as it is now.
    pub(super) fn count(&self, metrics: &Metrics) {
        if let Some(member) = self.endpoint.state().members.get_mut(&self.id) {
            member.count(metrics);
        }
    }

    /// The state to be stored; takes the lane off the recorder's list.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut state = self.endpoint.state();
        let State { members, queue, hold, .. } = &mut *state;
        let progress = match members.get_mut(&self.id) {
            Some(member) => {
                member.dirty = false;
                member.progress(queue, *hold)
            }
            None => self.left.get().cloned().unwrap_or_default(),
        };
        Snapshot { id: self.id, shard: self.shard.clone(), progress }
    }
}
