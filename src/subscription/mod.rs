//! Subscriptions: who wants which events, where to, in which order; and how far each is.
//!
//! A [`Subscription`] is *active*; its owner may *pause* and resume it; the server may
//! *deactivate* it, with a reason, until its owner resumes it. Meanwhile its events wait.
//! Unsubscribing *deletes* it. Its [`Progress`] is stored beside it, in its cursor.

mod progress;
mod store;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use progress::{Health, Owed, Progress, ReadAhead};
pub use store::{
    Stored, changed_after, deactivate, lock, next_version, of_company, of_shards, one, page_of_company, some,
};

use crate::model::events::{Change, EventSelection, Filters, Include};
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::model::words::words;
use crate::outbound::address::TargetUrl;
use crate::outbound::custom_headers::CustomHeaders;
use crate::outbound::signature::Secrets;

/// A subscription to events.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Whose it is.
    pub company: CompanyId,
    /// `sub_…`, also shown as `hook_…`.
    pub id: SubscriptionId,
    /// The events it wants.
    pub events: EventSelection,
    /// Where to POST them.
    pub target: TargetUrl,
    /// Conditions on the record.
    pub filters: Filters,
    /// The conditions of before, for events that may still wait: up to a number of the log each, the
    /// oldest first.
    pub earlier_filters: Vec<(i64, Filters)>,
    /// Whose own writes are left out: an API key, or a user.
    pub ignored_actor: Option<Uuid>,
    /// What its deliveries carry beyond the envelope of the page.
    pub include: Include,
    /// Headers of the subscriber's own.
    pub headers: CustomHeaders,
    /// The signing secrets.
    pub secrets: Secrets,
    /// Whether it is delivered to.
    pub status: Status,
    /// Why it was deactivated.
    pub status_reason: Option<String>,
    /// Whether it may deliver to loopback addresses, because it was made from one.
    pub loopback: bool,
    /// Which deliveries wait for which others.
    pub ordering: Ordering,
    /// Events up to this number of the log are not delivered any more.
    pub skip_to: i64,
    /// When its owner last said that the receiver is well: what waits for its time is tried at once.
    pub resumed_at: Option<DateTime<Utc>>,
    /// Numbers every change of every subscription.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its definition or status last changed.
    pub updated_at: DateTime<Utc>,
}

impl Subscription {
    /// Returns whether it wants an event of one of its types: one that meets the filters that were in
    /// force when it occurred, and that does not come from the API key whose writes it leaves out.
    /// `seq` is the number of the event.
    pub fn wants(&self, seq: i64, change: Change<'_>) -> bool {
        let earlier = self.earlier_filters.iter().find(|(to, _)| seq <= *to);
        self.judges(earlier.map_or(&self.filters, |(_, filters)| filters), change)
    }

    /// Returns whether it would want the event if it occurred now.
    pub fn wants_now(&self, change: Change<'_>) -> bool {
        self.judges(&self.filters, change)
    }

    fn judges(&self, filters: &Filters, change: Change<'_>) -> bool {
        (self.ignored_actor.is_none() || change.actor != self.ignored_actor) && filters.matches(change)
    }

    /// Returns whether it wants every event of its types.
    pub fn wants_all(&self) -> bool {
        self.ignored_actor.is_none() && self.filters.is_empty() && self.earlier_filters.is_empty()
    }

    /// Returns whether its events are delivered, instead of waiting.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }
}

words! {
    /// Whether a subscription is delivered to.
    #[schema(as = SubscriptionStatus)]
    pub enum Status {
        /// Its events are delivered.
        Active = "active",
        /// Its events wait, because its owner said so.
        Paused = "paused",
        /// Its events wait, because the server said so.
        Deactivated = "deactivated",
        /// It is gone; the row stays for a while so that every process hears of it.
        Deleted = "deleted",
    }
}

/// Which deliveries wait for which others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// Each waits for the one before it.
    #[default]
    Subscription,
    /// Each waits for the one before it of the same record.
    Record {
        /// The most deliveries at a time, 1–64.
        concurrency: u8,
    },
}

words! {
    /// Which deliveries wait for which others.
    #[schema(as = Ordering)]
    pub enum OrderingWord {
        /// Each waits for the one before it.
        Subscription = "subscription",
        /// Each waits for the one before it of the same record.
        Record = "record",
    }
}

impl Ordering {
    /// From its word and the number that is stored beside it.
    pub fn new(word: OrderingWord, concurrency: u8) -> Self {
        match word {
            OrderingWord::Subscription => Self::Subscription,
            OrderingWord::Record => Self::Record { concurrency },
        }
    }

    /// What holds where both are asked for: strict order if one is strict, and no more deliveries
    /// at a time than either allows.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Record { concurrency: one }, Self::Record { concurrency: other }) => {
                Self::Record { concurrency: one.min(other) }
            }
            _ => Self::Subscription,
        }
    }

    /// Its word.
    pub fn word(self) -> OrderingWord {
        match self {
            Self::Subscription => OrderingWord::Subscription,
            Self::Record { .. } => OrderingWord::Record,
        }
    }

    /// The most deliveries at a time.
    pub fn concurrency(self) -> u8 {
        match self {
            Self::Subscription => 1,
            Self::Record { concurrency } => concurrency,
        }
    }
}
