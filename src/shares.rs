//! Places that companies share: so many in all, and so many of one company.
//!
//! Whatever companies use together has a bound, so that it does not grow; and each company has a
//! share of it, so that one cannot take it all away from the others. This is the mechanism of every
//! such bound that is counted in places or in bytes; `docs/security.md` lists them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::ids::CompanyId;

/// The number of companies from which those are forgotten that have nothing.
const COMPANIES: usize = 1024;

/// The places that there are; cheap to clone, all clones share them.
#[derive(Clone, Debug)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: Arc<Semaphore>,
    in_all: usize,
    per_company: usize,
    companies: Mutex<Companies>,
}

#[derive(Debug)]
struct Companies {
    /// Whoever has a place, or waits for one, holds on to the semaphore of its company.
    known: HashMap<CompanyId, Weak<Semaphore>>,
    forget_at: usize,
}

/// A place, for as long as this lives.
#[derive(Debug)]
pub struct Place {
    _company: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Why there is no place now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// The company has all of its places.
    Company,
    /// All places are taken.
    All,
}

impl Shares {
    /// So many places `in_all`, and so many of them `per_company`.
    pub fn new(in_all: usize, per_company: usize) -> Self {
        let companies = Mutex::new(Companies { known: HashMap::new(), forget_at: COMPANIES });
        Self(Arc::new(Inner { all: Arc::new(Semaphore::new(in_all)), in_all, per_company, companies }))
    }

    /// Waits for a place, in the order of asking. First for the company's share, so that whoever
    /// waits for that takes no place away from other companies.
    pub async fn take(&self, company: CompanyId) -> Option<Place> {
        let company = self.company(company).acquire_owned().await.ok()?;
        let all = self.0.all.clone().acquire_owned().await.ok()?;
        Some(Place { _company: company, _all: all })
    }

    /// Takes a place, if there is one at once.
    ///
    /// # Errors
    /// Of whom all places are taken.
    pub fn try_take(&self, company: CompanyId) -> Result<Place, NoPlace> {
        self.try_take_many(company, 1)
    }

    /// Takes several places together, such as for so many bytes. No more are asked for than a
    /// company may have: one that wants more than its share takes all of it.
    ///
    /// # Errors
    /// Of whom too many places are taken.
    pub fn try_take_many(&self, company: CompanyId, places: usize) -> Result<Place, NoPlace> {
        let places = u32::try_from(places.min(self.0.per_company)).unwrap_or(u32::MAX);
        let company = self.company(company).try_acquire_many_owned(places).map_err(|_| NoPlace::Company)?;
        let all = self.0.all.clone().try_acquire_many_owned(places).map_err(|_| NoPlace::All)?;
        Ok(Place { _company: company, _all: all })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.in_all - self.0.all.available_permits()
    }

    fn company(&self, company: CompanyId) -> Arc<Semaphore> {
        let mut companies = self.0.companies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = companies.known.get(&company).and_then(Weak::upgrade) {
            return known;
        }
        if companies.known.len() >= companies.forget_at {
            companies.known.retain(|_, known| known.strong_count() > 0);
            companies.forget_at = COMPANIES.max(companies.known.len() * 2);
        }
        let new = Arc::new(Semaphore::new(self.0.per_company));
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
        let shares = Shares::new(8, 3);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(shares.take(company(1)).await.unwrap());
        }
        let mut waiting = Box::pin(shares.take(company(1)));
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(shares.try_take(company(1)).err(), Some(NoPlace::Company));
        for _ in 0..3 {
            taken.push(shares.try_take(company(2)).unwrap());
        }
        assert_eq!(shares.taken(), 6, "whoever waits for its share takes no place");
        taken.remove(0);
        assert!(waiting.now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn there_are_so_many_places_in_all() {
        let shares = Shares::new(2, 3);
        let taken = [shares.take(company(1)).await, shares.take(company(2)).await];
        assert!(shares.take(company(3)).now_or_never().is_none());
        assert_eq!(shares.try_take(company(3)).err(), Some(NoPlace::All));
        drop(taken);
        assert!(shares.try_take(company(3)).is_ok());
    }

    #[test]
    fn many_places_are_taken_together_and_never_more_than_a_share() {
        let shares = Shares::new(10, 4);
        let all = shares.try_take_many(company(1), 100).unwrap();
        assert_eq!(shares.taken(), 4);
        assert_eq!(shares.try_take_many(company(1), 1).err(), Some(NoPlace::Company));
        let _other = shares.try_take_many(company(2), 4).unwrap();
        assert_eq!(shares.try_take_many(company(3), 3).err(), Some(NoPlace::All));
        drop(all);
        assert!(shares.try_take_many(company(3), 3).is_ok());
        assert_eq!(shares.taken(), 4);
    }

    #[tokio::test]
    async fn companies_that_have_nothing_are_forgotten() {
        let shares = Shares::new(8, 3);
        let kept = shares.take(company(0)).await;
        for number in 1..10_000 {
            shares.take(company(number)).await;
        }
        assert!(kept.is_some());
        let companies = shares.0.companies.lock().unwrap();
        assert!(companies.known.len() <= COMPANIES && companies.known.contains_key(&company(0)));
    }
}
