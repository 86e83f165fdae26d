//! The log of events.

pub mod append;
pub mod feed;
pub mod timeline;

use std::sync::Arc;

use uuid::Uuid;

pub(crate) use append::appending;
pub use append::{CHANNEL, Entries, Head};

use crate::model::events::{Event, EventType};

/// An event that has no place in the log yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub event_type: EventType,
    /// To which record.
    pub record: Uuid,
    /// The record as JSON text.
    pub data: String,
}

/// A committed batch, as handed to the tail of this process.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its events, in log order; numbers are contiguous.
    pub events: Vec<Arc<Event>>,
    /// `subscription_version` as the batch saw it: changes up to it precede the events.
    pub version: i64,
}
