//! Places that companies share: so many in all, and so many of one company.
//!
//! Whatever companies use together has a bound, so that it does not grow; and each company has a
//! share of it, so that one cannot take it all away from the others. This is the mechanism of every
//! such bound that is counted in places or in bytes; `docs/security.md` lists them.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::ids::CompanyId;

/// The number of keys from which those are forgotten that have nothing.
const FORGET_FROM: usize = 1024;

/// A semaphore for each key, such as each company; all have as many places.
#[derive(Debug)]
pub struct Each<K> {
    places: usize,
    known: Mutex<Known<K>>,
}

#[derive(Debug)]
struct Known<K> {
    /// Whoever has a place, or waits for one, holds on to the semaphore.
    semaphores: HashMap<K, Arc<Semaphore>>,
    forget_at: usize,
}

impl<K: Eq + Hash> Each<K> {
    /// So many places for each.
    pub fn new(places: usize) -> Self {
        Self { places, known: Mutex::new(Known { semaphores: HashMap::new(), forget_at: FORGET_FROM }) }
    }

    /// The semaphore of one.
    pub fn of<Q>(&self, key: &Q) -> Arc<Semaphore>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = known.semaphores.get(key) {
            return semaphore.clone();
        }
        if known.semaphores.len() >= known.forget_at {
            known.semaphores.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            known.forget_at = FORGET_FROM.max(known.semaphores.len() * 2);
        }
        let new = Arc::new(Semaphore::new(self.places));
        known.semaphores.insert(key.to_owned(), new.clone());
        new
    }
}

/// The places that there are; cheap to clone, all clones share them.
#[derive(Clone, Debug)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: Arc<Semaphore>,
    in_all: usize,
    companies: Each<CompanyId>,
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
        let all = Arc::new(Semaphore::new(in_all));
        Self(Arc::new(Inner { all, in_all, companies: Each::new(per_company) }))
    }

    /// Waits for a place, in the order of asking. First for the company's share, so that whoever
    /// waits for that takes no place away from other companies.
    pub async fn take(&self, company: CompanyId) -> Option<Place> {
        let company = self.0.companies.of(&company).acquire_owned().await.ok()?;
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
        let places = u32::try_from(places.min(self.0.companies.places)).unwrap_or(u32::MAX);
        let company =
            self.0.companies.of(&company).try_acquire_many_owned(places).map_err(|_| NoPlace::Company)?;
        let all = self.0.all.clone().try_acquire_many_owned(places).map_err(|_| NoPlace::All)?;
        Ok(Place { _company: company, _all: all })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.in_all - self.0.all.available_permits()
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
        let companies = shares.0.companies.known.lock().unwrap();
        assert!(companies.semaphores.len() <= FORGET_FROM && companies.semaphores.contains_key(&company(0)));
    }
}
