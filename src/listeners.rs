//! Who in this process waits for events of which company.
//!
//! The writer and the tail tell of events as they pass; a [`Listener`] learns how far
//! the log goes now, and reads it itself. What is told is a hint: the end of the log is
//! looked at now and then anyway, once for all listeners.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;

use crate::model::events::Event;
use crate::model::ids::CompanyId;
use crate::shares::{NoPlace, Place, Shares};

/// Listeners of one company: a few per member of a team, and none left for a loop that
/// opens one after the other.
pub const PER_COMPANY: usize = 20;
/// Listeners in this process: each has a connection and a page of events in memory.
pub const IN_ALL: usize = 1_000;
/// How often the end of the log is looked at without a hint. Bounds how late the events
/// of another process are, if this one hears nothing of it.
const LOOK: Duration = Duration::from_secs(1);

/// Everybody who listens.
#[derive(Clone)]
pub struct Listeners {
    places: Shares,
    companies: Arc<Mutex<HashMap<CompanyId, Company>>>,
}

struct Company {
    count: usize,
    head: watch::Sender<i64>,
}

/// Somebody who waits for events of a company; gives the place back when dropped.
pub struct Listener {
    company: CompanyId,
    head: watch::Receiver<i64>,
    listeners: Listeners,
    /// Given back when this is dropped.
    place: Option<Place>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self { places: Shares::new(IN_ALL, PER_COMPANY), companies: Arc::default() }
    }
}

impl Listeners {
    /// Takes a place.
    ///
    /// # Errors
    /// When there is none left.
    pub fn listen(&self, company: CompanyId) -> Result<Listener, NoPlace> {
        let place = self.places.try_take(company)?;
        let mut listener = self.watch(company);
        listener.place = Some(place);
        Ok(listener)
    }

    /// The same for somebody who has a place elsewhere.
    pub fn watch(&self, company: CompanyId) -> Listener {
        let mut companies = self.lock();
        let entry =
            companies.entry(company).or_insert_with(|| Company { count: 0, head: watch::Sender::new(0) });
        entry.count += 1;
        let head = entry.head.subscribe();
        Listener { company, head, listeners: self.clone(), place: None }
    }

    /// Tells of events that are committed, in the order of the log.
    pub fn tell(&self, events: &[Arc<Event>]) {
        let companies = self.lock();
        if companies.is_empty() {
            return;
        }
        for event in events {
            if let Some(company) = companies.get(&event.company) {
                raise(&company.head, event.seq);
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.places.taken()
    }

    /// Looks at the end of the log now and then, for ever.
    pub async fn look(self, pool: PgPool) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.lock().is_empty() {
                continue;
            }
            match sqlx::query_scalar!("SELECT seq FROM log_head").fetch_one(&pool).await {
                Ok(head) => self.lock().values().for_each(|company| raise(&company.head, head)),
                Err(error) => tracing::debug!(%error, "the end of the log cannot be looked at yet"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CompanyId, Company>> {
        self.companies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raise(head: &watch::Sender<i64>, seq: i64) {
    head.send_if_modified(|head| {
        let further = seq > *head;
        *head = seq.max(*head);
        further
    });
}

impl Listener {
    /// How far the log goes, by all that was told since this listens; 0 if nothing was.
    pub fn head(&mut self) -> i64 {
        *self.head.borrow_and_update()
    }

    /// Waits until the log may have gone further.
    pub async fn changed(&mut self) {
        // The sender lives as long as this listens.
        let _ = self.head.changed().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut companies = self.listeners.lock();
        if let Some(company) = companies.get_mut(&self.company) {
            company.count -= 1;
            if company.count == 0 {
                companies.remove(&self.company);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::events::{EventType, SOURCE_API};
    use crate::model::ids::EventId;
    use chrono::DateTime;
    use uuid::Uuid;

    fn company(number: usize) -> CompanyId {
        CompanyId(Uuid::from_u128(number as u128))
    }

    fn event(seq: i64, company: CompanyId) -> Arc<Event> {
        Arc::new(Event {
            seq,
            company,
            event_type: EventType::ContactCreated,
            id: EventId(Uuid::nil()),
            record: Uuid::nil(),
            source: SOURCE_API.into(),
            at: DateTime::UNIX_EPOCH,
            data: "{}".into(),
            actor: None,
            previous: None,
        })
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let listeners = Listeners::default();
        let mut all: Vec<_> =
            (0..IN_ALL).map(|number| listeners.listen(company(number / PER_COMPANY)).unwrap()).collect();
        assert_eq!(listeners.listen(company(IN_ALL)).err(), Some(NoPlace::All));
        all.pop();
        assert_eq!(listeners.listen(company(0)).err(), Some(NoPlace::Company));
        all.push(listeners.listen(company(IN_ALL)).unwrap());
        drop(all);
        assert_eq!((listeners.count(), listeners.lock().len()), (0, 0));
    }

    #[test]
    fn only_those_of_the_company_are_told_and_never_backwards() {
        let listeners = Listeners::default();
        let mut ours = listeners.listen(company(1)).unwrap();
        let mut theirs = listeners.listen(company(2)).unwrap();
        listeners.tell(&[event(5, company(1)), event(6, company(1)), event(7, company(3))]);
        listeners.tell(&[event(4, company(1))]);
        assert_eq!((ours.head(), theirs.head()), (6, 0));
        assert!(!ours.head.has_changed().unwrap());
    }
}
