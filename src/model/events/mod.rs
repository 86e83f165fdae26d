//! The catalogue of event types: one row each. Subscription validation, the
//! triggers, OpenAPI and the docs follow from it.

mod envelope;
mod filter;
mod sample;

pub use envelope::{Event, SOURCE_API};
pub use filter::{Filters, FiltersError};

use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model::ids::{ContactId, DealId};

/// Which kind of record an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

macro_rules! catalogue {
    ($($variant:ident, $name:literal, $record:ident, $about:literal;)+) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
        pub enum EventType {
            $(#[doc = $about] #[schema(rename = $name)] $variant,)+
        }

        impl EventType {
            /// Every type, in the order of the page.
            pub const ALL: &'static [EventType] = &[$(Self::$variant),+];

            /// Every name, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Reads the name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }

            /// The kind of record that `data` holds.
            pub fn record(self) -> RecordKind {
                match self { $(Self::$variant => RecordKind::$record,)+ }
            }
        }
    };
}

catalogue! {
    ContactCreated, "contact.created", Contact, "A contact was created.";
    ContactUpdated, "contact.updated", Contact, "The data of a contact changed.";
    DealCreated, "deal.created", Deal, "A deal was created.";
    DealUpdated, "deal.updated", Deal, "The data of a deal changed.";
    DealStageChanged, "deal.stage_changed", Deal, "A deal moved to another stage.";
    DealWon, "deal.won", Deal, "The status of a deal became won.";
    DealLost, "deal.lost", Deal, "The status of a deal became lost.";
}

impl EventType {
    /// Is this the first event of every record of its kind?
    pub fn is_creation(self) -> bool {
        matches!(self, Self::ContactCreated | Self::DealCreated)
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
