//! The events that the lanes of an endpoint have taken and not done, and which may go next.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::delivery::outgoing::{Outgoing, Size};
use crate::model::ids::SubscriptionId;
use crate::subscription::{Ordering, Owed};

/// An event that is not done.
struct Item {
    outgoing: Arc<Outgoing>,
    /// Whose it is.
    subscription: SubscriptionId,
    /// Attempts made.
    attempts: u8,
    /// When the next one is due, after one that failed.
    due: Option<DateTime<Utc>>,
    in_flight: bool,
}

/// An item's place: the order of the log, and for one event the order of the subscriptions.
pub(super) type Place = (i64, SubscriptionId);

impl Item {
    fn place(&self) -> Place {
        (self.outgoing.event.seq, self.subscription)
    }
}

/// In the order of their places.
#[derive(Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// Attempts under way.
    in_flight: usize,
}

/// What decides which event may be attempted now.
pub(super) struct Rules<A> {
    pub(super) ordering: Ordering,
    pub(super) now: DateTime<Utc>,
    /// No first attempt before then.
    pub(super) hold: Option<DateTime<Utc>>,
    /// Events up to this number are all here; there may be others in between after it.
    pub(super) complete_to: i64,
    /// Is this subscription delivered to?
    pub(super) is_active: A,
}

/// What the queue has to offer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This one.
    Attempt(Place),
    /// Nothing before then, or before an attempt or a read ends if there is no time.
    Wait(Option<DateTime<Utc>>),
    /// There is nothing of an active subscription.
    Empty,
}

impl Queue {
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A subscription's events, in order.
    fn of(&self, subscription: SubscriptionId) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.subscription == subscription)
    }

    /// Of a subscription's first event: its number, the attempts made, when the next is due.
    pub(super) fn head(&self, subscription: SubscriptionId) -> Option<(i64, u8, Option<DateTime<Utc>>)> {
        self.of(subscription).next().map(|item| (item.outgoing.event.seq, item.attempts, item.due))
    }

    /// Takes an event with the attempts it has had.
    pub(super) fn push(
        &mut self,
        subscription: SubscriptionId,
        outgoing: Arc<Outgoing>,
        (attempts, due): (u8, Option<DateTime<Utc>>),
    ) {
        let item = Item { outgoing, subscription, attempts, due, in_flight: false };
        let place = item.place();
        // Nearly always it comes after all others.
        let index = match self.items.back() {
            Some(last) if last.place() > place => self.items.partition_point(|item| item.place() < place),
            _ => self.items.len(),
        };
        self.items.insert(index, item);
    }

    /// Which event may be attempted now.
    pub(super) fn choose(&self, rules: &Rules<impl Fn(SubscriptionId) -> bool>) -> Choice {
        let Rules { ordering, now, hold, complete_to, is_active } = rules;
        let mut blocked: HashSet<Uuid> = HashSet::new();
        let mut choice = Choice::Empty;
        for item in &self.items {
            let event = &item.outgoing.event;
            let is_free = |blocked: &mut HashSet<Uuid>| match ordering {
                Ordering::Subscription => true,
                Ordering::Record { .. } => blocked.insert(event.record),
            };
            if !is_active(item.subscription) {
                // Its attempt, if one is under way, still comes first.
                let _ = item.in_flight && is_free(&mut blocked);
                continue;
            }
            if choice == Choice::Empty {
                choice = Choice::Wait(None);
            }
            if self.in_flight >= usize::from(ordering.concurrency()) || event.seq > *complete_to {
                break;
            }
            if is_free(&mut blocked) && !item.in_flight {
                match (if item.attempts == 0 { *hold } else { item.due }, &mut choice) {
                    (Some(due), Choice::Wait(earliest)) if due > *now => {
                        *earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
                    }
                    _ => return Choice::Attempt(item.place()),
                }
            }
            if *ordering == Ordering::Subscription {
                break;
            }
        }
        choice
    }

    /// Begins an attempt for this event; its number is that of the attempts made, plus one.
    pub(super) fn start(&mut self, place: Place) -> Option<(Arc<Outgoing>, u8)> {
        let item = self.find(place)?;
        item.in_flight = true;
        let started = (item.outgoing.clone(), item.attempts + 1);
        self.in_flight += 1;
        Some(started)
    }

    /// An attempt has ended, and another one is due then.
    pub(super) fn failed(&mut self, place: Place, due: Option<DateTime<Utc>>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(item) = self.find(place) {
            item.in_flight = false;
            item.attempts += 1;
            item.due = due;
        }
    }

    /// An attempt has ended, and so has its event. Answers it, unless it was skipped meanwhile,
    /// and whether an earlier one of its subscription is still here.
    pub(super) fn done(&mut self, place: Place) -> Option<(Arc<Outgoing>, bool)> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let index = self.position(place)?;
        let outgoing = self.items.remove(index)?.outgoing;
        Some((outgoing, self.items.iter().take(index).any(|item| item.subscription == place.1)))
    }

    fn find(&mut self, place: Place) -> Option<&mut Item> {
        let index = self.position(place)?;
        self.items.get_mut(index)
    }

    /// Where the event stands; in strict order, at the front.
    fn position(&self, place: Place) -> Option<usize> {
        if self.items.front().is_some_and(|item| item.place() == place) {
            return Some(0);
        }
        self.items.binary_search_by_key(&place, Item::place).ok()
    }

    /// Whoever made the attempts is gone: none is under way.
    pub(super) fn nothing_in_flight(&mut self) {
        self.in_flight = 0;
        self.items.iter_mut().for_each(|item| item.in_flight = false);
    }

    /// Retries need not wait any longer.
    pub(super) fn hurry(&mut self) {
        self.items.iter_mut().for_each(|item| item.due = None);
    }

    /// Drops a subscription's events up to there. An attempt under way may end.
    pub(super) fn skip_to(&mut self, subscription: SubscriptionId, seq: i64) {
        self.items.retain(|item| item.subscription != subscription || item.outgoing.event.seq > seq);
    }

    /// How many events of a subscription are here, and what they take in memory.
    pub(super) fn size(&self, subscription: SubscriptionId) -> Size {
        let mut size = Size::default();
        self.of(subscription).for_each(|item| size.add(&item.outgoing));
        size
    }

    /// All events of a subscription that are here.
    pub(super) fn owed(&self, subscription: SubscriptionId) -> Vec<Owed> {
        let owed =
            |item: &Item| Owed { seq: item.outgoing.event.seq, attempts: item.attempts, due: item.due };
        self.of(subscription).map(owed).collect()
    }
}
