//! The events that a lane has taken and not done, and which of them may go next.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::delivery::outgoing::Outgoing;
use crate::subscription::{Ordering, Owed};

/// An event that is not done.
struct Item {
    outgoing: Arc<Outgoing>,
    /// Attempts made.
    attempts: u8,
    /// When the next one is due, after one that failed.
    due: Option<DateTime<Utc>>,
    in_flight: bool,
}

/// In the order of the log.
#[derive(Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// Attempts under way.
    in_flight: usize,
    /// Was anything done that does not stand at the front? Then the front alone does
    /// not tell what is done.
    gaps: bool,
}

/// What the queue has to offer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This one, by its number.
    Attempt(i64),
    /// Nothing before then, or before an attempt ends if there is no time.
    Wait(Option<DateTime<Utc>>),
    /// It is empty.
    Empty,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The number of the first event.
    pub(super) fn front(&self) -> Option<i64> {
        self.items.front().map(|item| item.outgoing.event.seq)
    }

    /// Attempts made for the first event, and when its next one is due.
    pub(super) fn head(&self) -> (u8, Option<DateTime<Utc>>) {
        self.items.front().map_or((0, None), |item| (item.attempts, item.due))
    }

    /// Takes an event that comes after all others, with the attempts it has had.
    pub(super) fn push(&mut self, outgoing: Arc<Outgoing>, attempts: u8, due: Option<DateTime<Utc>>) {
        self.items.push_back(Item { outgoing, attempts, due, in_flight: false });
    }

    /// Which event may be attempted now; first attempts not before `hold`.
    pub(super) fn choose(
        &self,
        ordering: Ordering,
        now: DateTime<Utc>,
        hold: Option<DateTime<Utc>>,
    ) -> Choice {
        if self.items.is_empty() {
            return Choice::Empty;
        }
        if self.in_flight >= usize::from(ordering.concurrency()) {
            return Choice::Wait(None);
        }
        let mut blocked: HashSet<Uuid> = HashSet::new();
        let mut earliest = None;
        for item in &self.items {
            let free = match ordering {
                Ordering::Subscription => true,
                Ordering::Record { .. } => blocked.insert(item.outgoing.event.record),
            };
            if free && !item.in_flight {
                match if item.attempts == 0 { hold } else { item.due } {
                    Some(due) if due > now => {
                        earliest = Some(earliest.map_or(due, |earliest: DateTime<Utc>| earliest.min(due)));
                    }
                    _ => return Choice::Attempt(item.outgoing.event.seq),
                }
            }
            if ordering == Ordering::Subscription {
                break;
            }
        }
        Choice::Wait(earliest)
    }

    /// Begins an attempt for this event; its number is that of the attempts made, plus one.
    pub(super) fn start(&mut self, seq: i64) -> Option<(Arc<Outgoing>, u8)> {
        let item = self.find(seq)?;
        item.in_flight = true;
        let started = (item.outgoing.clone(), item.attempts + 1);
        self.in_flight += 1;
        Some(started)
    }

    /// An attempt has ended, and another one is due then.
    pub(super) fn failed(&mut self, seq: i64, due: Option<DateTime<Utc>>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(item) = self.find(seq) {
            item.in_flight = false;
            item.attempts += 1;
            item.due = due;
        }
    }

    /// An attempt has ended, and so has its event.
    pub(super) fn done(&mut self, seq: i64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(index) = self.position(seq) {
            self.gaps |= index > 0;
            self.items.remove(index);
        }
        self.gaps &= !self.items.is_empty();
    }

    fn find(&mut self, seq: i64) -> Option<&mut Item> {
        let index = self.position(seq)?;
        self.items.get_mut(index)
    }

    /// Where the event stands; in strict order, at the front.
    fn position(&self, seq: i64) -> Option<usize> {
        if self.front() == Some(seq) {
            return Some(0);
        }
        self.items.binary_search_by_key(&seq, |item| item.outgoing.event.seq).ok()
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

    /// Drops what comes up to there. An attempt under way may end.
    pub(super) fn skip_to(&mut self, seq: i64) {
        self.items.retain(|item| item.outgoing.event.seq > seq);
        self.gaps &= !self.items.is_empty();
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.gaps = false;
    }

    /// Everything that is not done, if the front alone does not tell.
    pub(super) fn owed(&self, ordering: Ordering) -> Option<Vec<Owed>> {
        let tells = self.items.is_empty() || (ordering == Ordering::Subscription && !self.gaps);
        let owed =
            |item: &Item| Owed { seq: item.outgoing.event.seq, attempts: item.attempts, due: item.due };
        (!tells).then(|| self.items.iter().map(owed).collect())
    }
}
