//! The log of events: the queue between what is written and what is delivered.
//!
//! The *appender* of the writer appends to the log, as the last step of a transaction.
//! Everybody else *reads* it after a number ([`read`]), or *seeks* the number that belongs
//! to a time ([`seek`]). What a process knows of the log without asking is its [`LogState`].

pub mod append;
pub mod history;
pub mod read;
pub mod seek;
mod state;

use std::sync::Arc;

use uuid::Uuid;

pub(crate) use append::appending;
pub use append::{Appender, Entries, Numbers};
pub use state::LogState;

use crate::model::actor::Actor;
use crate::model::events::{Event, EventType};
use crate::model::ids::CompanyId;

/// The channel on which processes tell each other that the log or the subscriptions
/// changed. A notification is a hint only: whoever waits for one also reads from time to time.
pub const CHANNEL: &str = "isao_log";

/// An event that has no number in the log yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub event_type: EventType,
    /// The contact or deal.
    pub record: Uuid,
    /// The record as JSON text.
    pub data: String,
    /// Of a change: a JSON object with the values before the change of the fields that changed.
    pub previous: Option<String>,
}

/// Whose writes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    /// The company whose data is written.
    pub company: CompanyId,
    /// Who writes.
    pub actor: Actor,
}

/// A committed batch, as handed to the tail of this process.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its events, in log order; numbers are contiguous.
    pub events: Vec<Arc<Event>>,
    /// `subscription_version` as the batch saw it: changes up to it precede the events.
    pub version: i64,
}
