//! A lane: one subscription's own queue.
//!
//! A lane is *live* while the tail feeds it every matching event. When its queue is
//! full it falls *behind*: the tail passes it by, and it reads its own backlog from
//! the log until the two meet. A lane with work has one task that *runs* it; a lane
//! without has none. It *waits* while its subscription is not active.
//!
//! What is done is told by one number, the cursor: everything before the head of
//! the queue, or everything that was read if the queue is empty.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::log::{BACKLOG_PAGE, Page};
use super::retry::MAX_ATTEMPTS;
use super::signature::Secrets;
use crate::address::TargetUrl;
use crate::events::{Event, EventType, Filters};
use crate::ids::{CompanyId, SubscriptionId};

/// An event on its way to several lanes, serialised once.
pub(super) struct Outgoing {
    pub(super) event: Arc<Event>,
    body: OnceLock<Bytes>,
}

impl Outgoing {
    pub(super) fn new(event: Arc<Event>) -> Arc<Self> {
        Arc::new(Self { event, body: OnceLock::new() })
    }

    /// The bytes that every attempt signs and sends.
    pub(super) fn body(&self) -> Bytes {
        self.body.get_or_init(|| self.event.envelope()).clone()
    }
}

/// A subscription as it is now.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) target: TargetUrl,
    pub(super) filters: Filters,
    pub(super) secrets: Secrets,
    pub(super) loopback: bool,
    pub(super) active: bool,
    pub(super) version: i64,
}

/// Where a lane stands, as the database has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    /// Everything up to here was taken into the queue, or did not match.
    pub(super) read: i64,
    /// Attempts made for the head of the queue, under [`MAX_ATTEMPTS`].
    pub(super) head_attempts: u8,
    /// When the next attempt is due.
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
    pub(super) health: Health,
}

/// How deliveries go.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    pub(super) undelivered_in_row: i32,
    pub(super) last_attempt_at: Option<DateTime<Utc>>,
    pub(super) last_success_at: Option<DateTime<Utc>>,
    pub(super) last_error: Option<String>,
}

/// One subscription's queue.
pub(super) struct Lane {
    pub(super) id: SubscriptionId,
    pub(super) company: CompanyId,
    pub(super) event_type: EventType,
    state: Mutex<State>,
    /// Wakes a running lane that waits for its next attempt.
    pub(super) changed: Notify,
}

struct State {
    definition: Arc<Definition>,
    queue: VecDeque<Arc<Outgoing>>,
    position: Position,
    live: bool,
    running: bool,
    /// Is it on the recorder's list?
    dirty: bool,
}

/// What a running lane does next.
pub(super) enum Next {
    /// Attempt the head of the queue, not before `due`.
    Attempt { outgoing: Arc<Outgoing>, definition: Arc<Definition>, attempt: u8, due: Option<DateTime<Utc>> },
    /// Read the backlog after this number.
    Backlog(i64),
    /// Nothing; the task ends.
    Rest,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Done.
    Delivered,
    /// Not delivered; another attempt is due then, if there are any left.
    Failed { error: String, next_attempt_at: Option<DateTime<Utc>> },
}

/// A lane's state to be stored.
pub(super) struct Snapshot {
    pub(super) id: SubscriptionId,
    pub(super) cursor: i64,
    pub(super) lagging: bool,
    pub(super) position: Position,
}

impl Lane {
    /// A lane that stands at `position`; `offering` as for [`Lane::took_backlog`].
    pub(super) fn new(
        (company, id, event_type): (CompanyId, SubscriptionId, EventType),
        definition: Definition,
        position: Position,
        offering: &AtomicI64,
    ) -> Self {
        let live = definition.active && position.read >= offering.load(Ordering::SeqCst);
        let state = State {
            definition: Arc::new(definition),
            queue: VecDeque::new(),
            position,
            live,
            running: false,
            dirty: false,
        };
        Self { id, company, event_type, state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event from the tail if it is live and the event matches. Answers
    /// whether anything changed.
    pub(super) fn offer(&self, outgoing: &Arc<Outgoing>) -> bool {
        let mut state = self.state();
        let event = &outgoing.event;
        if !state.live || event.seq <= state.position.read || !state.definition.filters.matches(&event.data) {
            return false;
        }
        if state.queue.len() >= BACKLOG_PAGE {
            // Behind from here on: what was taken so far is known, the rest is in the log.
            state.live = false;
            return true;
        }
        state.position.read = event.seq;
        state.queue.push_back(outgoing.clone());
        true
    }

    /// The subscription changed. `offered` is how far the tail has come. What is older
    /// than what the lane knows changes nothing: a deactivation and the tail may come
    /// here in either order.
    pub(super) fn redefine(&self, definition: Definition, offered: i64) {
        let mut state = self.state();
        if definition.version < state.definition.version {
            return;
        }
        if state.live && !definition.active {
            if state.queue.is_empty() {
                state.position.read = state.position.read.max(offered);
            }
            state.live = false;
        }
        state.definition = Arc::new(definition);
        drop(state);
        self.changed.notify_one();
    }

    /// The subscription is gone.
    pub(super) fn retire(&self) {
        let mut state = self.state();
        state.definition = Arc::new(Definition { active: false, ..(*state.definition).clone() });
        state.live = false;
        state.queue.clear();
        drop(state);
        self.changed.notify_one();
    }

    /// Claims the right to run the lane, if there is anything to do and nobody runs it.
    pub(super) fn claim(&self) -> bool {
        let mut state = self.state();
        let work = state.definition.active && (!state.queue.is_empty() || !state.live);
        let claimed = work && !state.running;
        state.running |= claimed;
        claimed
    }

    /// What to do next; after [`Next::Rest`] the lane is no longer claimed.
    pub(super) fn next(&self) -> Next {
        let mut state = self.state();
        if state.definition.active {
            if let Some(outgoing) = state.queue.front() {
                return Next::Attempt {
                    outgoing: outgoing.clone(),
                    definition: state.definition.clone(),
                    attempt: state.position.head_attempts + 1,
                    due: state.position.next_attempt_at,
                };
            }
            if !state.live {
                return Next::Backlog(state.position.read);
            }
        }
        state.running = false;
        Next::Rest
    }

    /// Gives up the claim without having come to rest.
    pub(super) fn abandon(&self) {
        self.state().running = false;
    }

    /// Takes what was read from the log up to `read_to`, and goes live if the tail
    /// has nothing that was not read. The tail raises `offering` before it offers,
    /// so an event is either read or offered (or both; then the number tells).
    pub(super) fn took_backlog(&self, Page { events, read_to }: Page, offering: &AtomicI64) {
        let mut state = self.state();
        let definition = state.definition.clone();
        let matching = events.into_iter().filter(|event| definition.filters.matches(&event.data));
        state.queue.extend(matching.map(Outgoing::new));
        state.position.read = state.position.read.max(read_to);
        state.live = definition.active && state.position.read >= offering.load(Ordering::SeqCst);
    }

    /// Notes what became of the attempt for the head of the queue. Answers whether
    /// the event was given up.
    pub(super) fn attempted(&self, outcome: &Outcome, at: DateTime<Utc>) -> bool {
        let mut state = self.state();
        let State { position, queue, .. } = &mut *state;
        position.health.last_attempt_at = Some(at);
        match outcome {
            Outcome::Delivered => {
                position.health.last_success_at = Some(at);
                position.health.last_error = None;
                position.health.undelivered_in_row = 0;
            }
            Outcome::Failed { error, next_attempt_at } => {
                position.health.last_error = Some(error.clone());
                position.head_attempts += 1;
                if position.head_attempts < MAX_ATTEMPTS {
                    position.next_attempt_at = *next_attempt_at;
                    return false;
                }
                position.health.undelivered_in_row = position.health.undelivered_in_row.saturating_add(1);
            }
        }
        queue.pop_front();
        position.head_attempts = 0;
        position.next_attempt_at = None;
        *outcome != Outcome::Delivered
    }

    /// Puts the lane on the recorder's list; false if it is there already.
    pub(super) fn mark_dirty(&self) -> bool {
        !std::mem::replace(&mut self.state().dirty, true)
    }

    /// The state to be stored; takes the lane off the recorder's list.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut state = self.state();
        state.dirty = false;
        Snapshot {
            id: self.id,
            cursor: state.queue.front().map_or(state.position.read, |outgoing| outgoing.event.seq - 1),
            lagging: !state.queue.is_empty() || !state.live,
            position: state.position.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::SOURCE_API;
    use crate::ids::EventId;
    use uuid::Uuid;

    fn event(seq: i64) -> Arc<Event> {
        Arc::new(Event {
            seq,
            company: CompanyId(Uuid::nil()),
            event_type: EventType::ContactCreated,
            id: EventId(Uuid::from_u128(seq.unsigned_abs().into())),
            record: Uuid::nil(),
            source: SOURCE_API.into(),
            at: DateTime::UNIX_EPOCH,
            data: "{}".into(),
        })
    }

    fn definition(active: bool, version: i64) -> Definition {
        Definition {
            target: "https://example.com/".parse().unwrap(),
            filters: Filters::default(),
            secrets: Secrets {
                current: crate::webhooks::signature::Secret::generate([1; 32]),
                previous: None,
            },
            loopback: false,
            active,
            version,
        }
    }

    fn lane(read: i64, offering: i64) -> (Lane, AtomicI64) {
        let offering = AtomicI64::new(offering);
        let identity = (CompanyId(Uuid::nil()), SubscriptionId(Uuid::nil()), EventType::ContactCreated);
        let position = Position { read, ..Position::default() };
        (Lane::new(identity, definition(true, 1), position, &offering), offering)
    }

    fn offer(lane: &Lane, seq: i64) -> bool {
        lane.offer(&Outgoing::new(event(seq)))
    }

    /// The number of the event to be attempted next.
    fn head(lane: &Lane) -> Option<(i64, u8)> {
        match lane.next() {
            Next::Attempt { outgoing, attempt, .. } => Some((outgoing.event.seq, attempt)),
            Next::Backlog(_) | Next::Rest => None,
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed { error: "answered 500".into(), next_attempt_at: Some(DateTime::UNIX_EPOCH) }
    }

    #[test]
    fn the_cursor_stands_before_the_head_until_the_event_is_done() {
        let (lane, _) = lane(10, 10);
        assert!(offer(&lane, 11) && offer(&lane, 13));
        assert!(!offer(&lane, 11), "offered twice, taken once");
        assert_eq!((lane.snapshot().cursor, lane.snapshot().lagging), (10, true));
        for attempt in 1..MAX_ATTEMPTS {
            assert_eq!(head(&lane), Some((11, attempt)));
            assert!(!lane.attempted(&failed(), DateTime::UNIX_EPOCH));
        }
        assert!(lane.attempted(&failed(), DateTime::UNIX_EPOCH), "given up after the last attempt");
        assert_eq!(head(&lane), Some((13, 1)));
        assert_eq!(lane.snapshot().cursor, 12);
        assert!(!lane.attempted(&Outcome::Delivered, DateTime::UNIX_EPOCH));
        assert_eq!((lane.snapshot().cursor, lane.snapshot().lagging), (13, false));
    }

    #[test]
    fn a_full_lane_falls_behind_and_goes_live_when_it_meets_the_tail() {
        let (lane, offering) = lane(0, 0);
        let full = i64::try_from(BACKLOG_PAGE).unwrap();
        assert!((1..=full).all(|seq| offer(&lane, seq)));
        assert!(offer(&lane, full + 1), "it notes that it fell behind");
        offering.store(full + 2, Ordering::SeqCst);
        assert!(!offer(&lane, full + 2), "the tail passes it by");
        assert!(lane.claim());
        while head(&lane).is_some() {
            lane.attempted(&Outcome::Delivered, DateTime::UNIX_EPOCH);
        }
        assert!(matches!(lane.next(), Next::Backlog(read) if read == full));

        lane.took_backlog(Page { events: vec![event(full + 1)], read_to: full + 1 }, &offering);
        assert!(!offer(&lane, full + 3), "not there yet: the tail has more");
        offering.store(full + 3, Ordering::SeqCst);
        lane.took_backlog(
            Page { events: vec![event(full + 2), event(full + 3)], read_to: full + 3 },
            &offering,
        );
        assert!(offer(&lane, full + 4), "live again");
        let order: Vec<_> = std::iter::from_fn(|| {
            let (seq, _) = head(&lane)?;
            lane.attempted(&Outcome::Delivered, DateTime::UNIX_EPOCH);
            Some(seq)
        })
        .collect();
        assert_eq!(order, [full + 1, full + 2, full + 3, full + 4]);
    }

    #[test]
    fn a_paused_lane_keeps_its_place() {
        let (lane, offering) = lane(10, 10);
        lane.redefine(definition(false, 2), 20);
        assert!(!offer(&lane, 21) && !lane.claim());
        assert_eq!((lane.snapshot().cursor, lane.snapshot().lagging), (20, true));
        offering.store(21, Ordering::SeqCst);
        lane.redefine(definition(true, 3), 21);
        assert!(lane.claim());
        assert!(matches!(lane.next(), Next::Backlog(20)));
        lane.redefine(definition(false, 2), 21);
        assert!(matches!(lane.next(), Next::Backlog(20)), "what is older changes nothing");
    }

    #[test]
    fn an_event_is_either_read_or_offered() {
        let (lane, offering) = lane(0, 3);
        assert!(!offer(&lane, 3), "it is behind");
        // The tail goes on while the lane reads.
        offering.store(4, Ordering::SeqCst);
        lane.took_backlog(Page { events: vec![event(2)], read_to: 3 }, &offering);
        assert!(!offer(&lane, 4), "it is behind still");
        lane.took_backlog(Page { events: vec![event(4)], read_to: 4 }, &offering);
        assert!(!offer(&lane, 4), "it was read");
        assert!(offer(&lane, 5));
        assert_eq!((lane.snapshot().cursor, lane.snapshot().lagging), (1, true));
    }
}
