//! Events on their way to lanes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::model::events::Event;

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

/// A part of the backlog, as a lane gets it.
pub(super) struct Backlogged {
    pub(super) events: Vec<Arc<Outgoing>>,
    /// There are no others up to here.
    pub(super) read_to: i64,
}
