//! Events on their way to lanes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::model::events::{Event, Include};

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
