//! Events on their way to lanes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::model::events::{Event, Include};

/// What an event takes in memory beside its data, in bytes; roughly.
const EVENT_BYTES: usize = 512;

/// A number of events and what they take in memory; or room for so much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Size {
    /// Is there room for this event beside what is `taken`? There always is for the first one.
    pub(super) fn admits(self, taken: Self, outgoing: &Outgoing) -> bool {
        let fits = taken.bytes.saturating_add(outgoing.bytes()) <= self.bytes;
        taken.events == 0 || (taken.events < self.events && fits)
    }

    pub(super) fn add(&mut self, outgoing: &Outgoing) {
        self.events += 1;
        self.bytes = self.bytes.saturating_add(outgoing.bytes());
    }

    pub(super) fn remove(&mut self, outgoing: &Outgoing) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(outgoing.bytes());
    }

    /// The room that is left beside what is `taken`.
    pub(super) fn without(self, taken: Self) -> Self {
        Self {
            events: self.events.saturating_sub(taken.events),
            bytes: self.bytes.saturating_sub(taken.bytes),
        }
    }

    /// Is this at least half of `whole`, of events and of bytes?
    pub(super) fn is_half_of(self, whole: Self) -> bool {
        self.events.saturating_mul(2) >= whole.events && self.bytes.saturating_mul(2) >= whole.bytes
    }
}

/// An event on its way to several lanes, serialised once for all who want the same included.
pub(super) struct Outgoing {
    pub(super) event: Arc<Event>,
    /// By what is included.
    bodies: [OnceLock<Bytes>; Include::COUNT],
}

impl Outgoing {
    pub(super) fn new(event: Arc<Event>) -> Arc<Self> {
        Arc::new(Self { event, bodies: Default::default() })
    }

    /// What it takes in memory, more or less: as it was read, and once serialised.
    pub(super) fn bytes(&self) -> usize {
        let previous = self.event.previous.as_ref().map_or(0, String::len);
        EVENT_BYTES + 2 * (self.event.data.len() + previous)
    }

    /// The bytes that every attempt signs and sends.
    pub(super) fn body(&self, include: Include) -> Bytes {
        self.bodies[include.index()].get_or_init(|| self.event.envelope(include)).clone()
    }
}

/// A part of the backlog, as a lane gets it.
pub(super) struct Backlogged {
    pub(super) events: Vec<Arc<Outgoing>>,
    /// There are no others up to here.
    pub(super) read_to: i64,
}
