//! The catalogue of event types: one row each. Subscription validation, the
//! triggers, OpenAPI and the docs follow from it.

mod envelope;
mod filter;
mod sample;
mod selection;

pub use crate::model::actor::SOURCE_API;
pub use envelope::{Event, Include, IncludeError, IncludeWord};
pub use filter::{Change, FilterField, Filters, FiltersError, ValueKind};
pub use selection::{EventSelection, EventSelectionError, EventTypes};

use uuid::Uuid;

use crate::model::ids::{ContactId, DealId};
use crate::model::words::words;

/// Which kind of record an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// A contact.
    Contact,
    /// A deal.
    Deal,
}

impl RecordKind {
    /// The id of such a record as it is on the wire.
    pub fn wire_id(self, id: Uuid) -> String {
        match self {
            Self::Contact => ContactId(id).to_string(),
            Self::Deal => DealId(id).to_string(),
        }
    }
}

words! {
    /// What can happen to a record.
    pub enum EventType {
        /// A contact was created.
        ContactCreated = "contact.created",
        /// The data of a contact changed.
        ContactUpdated = "contact.updated",
        /// A contact was deleted.
        ContactDeleted = "contact.deleted",
        /// A deal was created.
        DealCreated = "deal.created",
        /// The data of a deal changed.
        DealUpdated = "deal.updated",
        /// A deal moved to another stage.
        DealStageChanged = "deal.stage_changed",
        /// The status of a deal became won.
        DealWon = "deal.won",
        /// The status of a deal became lost.
        DealLost = "deal.lost",
        /// A deal was deleted.
        DealDeleted = "deal.deleted",
    }
}

impl EventType {
    /// The name as code has it: `deal.stage_changed` is `DealStageChanged`.
    pub fn camel_case(self) -> String {
        let words = self.word().split(['.', '_']);
        let capitalised = words.map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        });
        capitalised.collect()
    }

    /// Returns whether such an event is a change of a record that was there before and still is: then
    /// it tells which fields changed.
    pub fn is_change(self) -> bool {
        matches!(self, Self::ContactUpdated | Self::DealUpdated | Self::DealStageChanged)
    }

    /// The kind of record that the event carries.
    pub fn record(self) -> RecordKind {
        match self {
            Self::ContactCreated | Self::ContactUpdated | Self::ContactDeleted => RecordKind::Contact,
            Self::DealCreated
            | Self::DealUpdated
            | Self::DealStageChanged
            | Self::DealWon
            | Self::DealLost
            | Self::DealDeleted => RecordKind::Deal,
        }
    }

    /// Returns whether this is the first event of every record of its kind.
    pub fn is_creation(self) -> bool {
        matches!(self, Self::ContactCreated | Self::DealCreated)
    }

    /// Returns whether this is the last event of every record of its kind.
    pub fn is_deletion(self) -> bool {
        matches!(self, Self::ContactDeleted | Self::DealDeleted)
    }
}
