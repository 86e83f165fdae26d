//! How many attempts may wait to be written: in all, and of one company.
//!
//! An attempt keeps its place until it is written, so that memory is bounded however long that
//! takes. A company that has filled its share waits, and takes no place away from the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::ids::CompanyId;

/// Attempts that wait to be written, of all companies. With 8 KiB each, they take some 32 MiB.
const ATTEMPTS: usize = 4096;
/// Attempts of one company among them.
const COMPANY_ATTEMPTS: usize = 1024;
/// The number of companies from which those are forgotten that have nothing waiting.
const COMPANIES: usize = 1024;

/// The places that there are.
pub(super) struct Places {
    all: Arc<Semaphore>,
    per_company: usize,
    companies: Mutex<Companies>,
}

struct Companies {
    /// Whoever has a place, or waits for one, holds on to the semaphore of its company.
    known: HashMap<CompanyId, Weak<Semaphore>>,
    forget_at: usize,
}

/// A place, for as long as this lives.
pub(super) struct Place {
    _company: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self::new(ATTEMPTS, COMPANY_ATTEMPTS)
    }
}

impl Places {
    fn new(all: usize, per_company: usize) -> Self {
        let companies = Mutex::new(Companies { known: HashMap::new(), forget_at: COMPANIES });
        Self { all: Arc::new(Semaphore::new(all)), per_company, companies }
    }

    /// Waits for a place. First for the company's share, so that whoever waits for that takes no
    /// place away from other companies.
    pub(super) async fn take(&self, company: CompanyId) -> Option<Place> {
        let company = self.company(company).acquire_owned().await.ok()?;
        let all = self.all.clone().acquire_owned().await.ok()?;
        Some(Place { _company: company, _all: all })
    }

    fn company(&self, company: CompanyId) -> Arc<Semaphore> {
        let mut companies = self.companies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = companies.known.get(&company).and_then(Weak::upgrade) {
            return known;
        }
        if companies.known.len() >= companies.forget_at {
            companies.known.retain(|_, known| known.strong_count() > 0);
            companies.forget_at = COMPANIES.max(companies.known.len() * 2);
        }
        let new = Arc::new(Semaphore::new(self.per_company));
        companies.known.insert(company, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn company(number: u128) -> CompanyId {
        CompanyId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn a_company_that_has_filled_its_share_waits_while_others_go_on() {
        let places = Places::new(8, 3);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(places.take(company(1)).await.unwrap());
        }
        let mut waiting = Box::pin(places.take(company(1)));
        assert!((&mut waiting).now_or_never().is_none());
        for _ in 0..3 {
            taken.push(places.take(company(2)).now_or_never().flatten().unwrap());
        }
        assert_eq!(places.all.available_permits(), 2, "whoever waits for its share takes no place");
        taken.remove(0);
        assert!(waiting.now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn there_are_so_many_places_in_all() {
        let places = Places::new(2, 3);
        let taken = [places.take(company(1)).await, places.take(company(2)).await];
        assert!(places.take(company(3)).now_or_never().is_none());
        drop(taken);
        assert!(places.take(company(3)).now_or_never().is_some());
    }

    #[tokio::test]
    async fn companies_that_have_nothing_waiting_are_forgotten() {
        let places = Places::new(8, 3);
        let kept = places.take(company(0)).await;
        for number in 1..10_000 {
            places.take(company(number)).await;
        }
        assert!(kept.is_some());
        let companies = places.companies.lock().unwrap();
        assert!(companies.known.len() <= COMPANIES && companies.known.contains_key(&company(0)));
    }
}
