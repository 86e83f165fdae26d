//! Events on their way to lanes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::model::events::{Event, Include};

/// An event on its way to several lanes, serialised once for all who want the same included.
pub(super) struct Outgoing {
    pub(super) event: Arc<Event>,
    body: OnceLock<Bytes>,
    /// For those who want something included: the previous values, the actor, both.
    others: OnceLock<Box<[OnceLock<Bytes>; 3]>>,
}

impl Outgoing {
    pub(super) fn new(event: Arc<Event>) -> Arc<Self> {
        Arc::new(Self { event, body: OnceLock::new(), others: OnceLock::new() })
    }

    /// The bytes that every attempt signs and sends.
    pub(super) fn body(&self, include: Include) -> Bytes {
        let [previous, actor, both] = match include {
            Include { previous: false, actor: false } => {
                return self.body.get_or_init(|| self.event.envelope(include)).clone();
            }
            _ => &**self.others.get_or_init(Box::default),
        };
        let body = match include {
            Include { actor: false, .. } => previous,
            Include { previous: false, .. } => actor,
            _ => both,
        };
        body.get_or_init(|| self.event.envelope(include)).clone()
    }
}

/// A part of the backlog, as a lane gets it.
pub(super) struct Backlogged {
    pub(super) events: Vec<Arc<Outgoing>>,
    /// There are no others up to here.
    pub(super) read_to: i64,
}
