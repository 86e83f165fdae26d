//! How much may be in flight: in all, to one host, and to receivers that do not do well
//! or are new.
//!
//! Waiting is fair: a lane waits for one attempt at a time, and those who wait are
//! served in the order they came, so that a subscription with sixty deliveries at a
//! time gets no more turns than one with a single one.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::ids::CompanyId;
use crate::shares::{Each, Place, Shares};

/// Attempts in flight in this process: bounds sockets and memory.
pub const IN_FLIGHT: usize = 1024;
/// Attempts in flight to one host and port.
pub const IN_FLIGHT_PER_HOST: usize = 256;
/// The share of all attempts that may go to receivers that failed or were slow last
/// time. Those that hang take 30 s each: without this, enough of them would take all.
const SUSPECT_SHARE: usize = 4;
/// The share of all attempts that may go to receivers that nothing is known of yet, so
/// that many new ones that hang leave room for those that have done well.
const NEW_SHARE: usize = 2;
/// The part of those two shares that one company may have, and so to one host: its receivers
/// that hang must not take what other companies' need to be tried.
const COMPANY_PART: usize = 4;
/// What a company may have of them in any case, where there is little: one that hangs is not all.
const COMPANY_LEAST: usize = 4;
/// The share of all attempts that one company may have, however well its receivers do.
const COMPANY_SHARE: usize = 2;
/// Attempts that one company may have in any case, where there are few: those that hang are not all.
const SHARED_FROM: usize = 16;

/// What is known of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reputation {
    /// It did well last time.
    Good,
    /// It has not answered yet, neither well nor badly.
    New,
    /// It failed, or was slow, last time.
    Suspect,
}

/// The permits that there are.
pub(super) struct Limits {
    all: Arc<Semaphore>,
    companies: Each<CompanyId>,
    new: Shares,
    suspect: Shares,
    hosts: Each<String>,
}

/// The right to make one attempt, for as long as this lives.
pub(super) struct Permit {
    _share: Option<Place>,
    _company: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Limits {
    pub(super) fn new(in_flight: usize, per_host: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(in_flight)),
            companies: Each::new((in_flight / COMPANY_SHARE).max(SHARED_FROM)),
            new: shares(in_flight / NEW_SHARE),
            suspect: shares(in_flight / SUSPECT_SHARE),
            hosts: Each::new(per_host),
        }
    }

    /// The share that such receivers have to do with.
    fn share(&self, reputation: Reputation) -> Option<&Shares> {
        match reputation {
            Reputation::Good => None,
            Reputation::New => Some(&self.new),
            Reputation::Suspect => Some(&self.suspect),
        }
    }

    /// A permit, if one is to be had at once.
    pub(super) fn try_acquire(
        &self,
        company: CompanyId,
        host: &str,
        reputation: Reputation,
    ) -> Option<Permit> {
        let share = match self.share(reputation) {
            Some(share) => Some(share.try_take(company).ok()?),
            None => None,
        };
        let company = self.companies.of(&company).try_acquire_owned().ok()?;
        let host = self.hosts.of(host).try_acquire_owned().ok()?;
        let all = self.all.clone().try_acquire_owned().ok()?;
        Some(Permit { _share: share, _company: company, _host: host, _all: all })
    }

    /// Waits for a permit. First for the share, then for the company's part of all, then for
    /// the host: whoever waits for a share that is used up takes no room at its host away from those that do well, and
    /// whoever waits for a busy host takes none away at others.
    pub(super) async fn acquire(
        self: Arc<Self>,
        company: CompanyId,
        host: String,
        reputation: Reputation,
    ) -> Option<Permit> {
        let share = match self.share(reputation) {
            Some(share) => Some(share.take(company).await?),
            None => None,
        };
        let company = self.companies.of(&company).acquire_owned().await.ok()?;
        let host = self.hosts.of(&*host).acquire_owned().await.ok()?;
        let all = self.all.clone().acquire_owned().await.ok()?;
        Some(Permit { _share: share, _company: company, _host: host, _all: all })
    }
}

fn shares(in_all: usize) -> Shares {
    let in_all = in_all.max(1);
    Shares::new(in_all, (in_all / COMPANY_PART).max(COMPANY_LEAST))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn company(number: u128) -> CompanyId {
        CompanyId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn a_busy_host_and_those_that_hang_leave_room_for_others() {
        let limits = Arc::new(Limits::new(8, 3));
        let one_host: Vec<_> =
            (0..4).map(|n| limits.try_acquire(company(n), "a:80", Reputation::Good)).collect();
        assert_eq!(one_host.iter().flatten().count(), 3);
        let suspects: Vec<_> = (0..3)
            .map(|n| limits.try_acquire(company(n), &format!("s{n}:80"), Reputation::Suspect))
            .collect();
        assert_eq!(suspects.iter().flatten().count(), 2);
        assert!(limits.try_acquire(company(9), "b:80", Reputation::Good).is_some());
        assert_eq!(limits.all.available_permits(), 3);
        drop(one_host);
        assert!(limits.clone().acquire(company(9), "a:80".into(), Reputation::Good).await.is_some());
    }

    #[test]
    fn new_ones_that_hang_leave_room_too() {
        let limits = Limits::new(8, 3);
        let new: Vec<_> =
            (0..9).map(|n| limits.try_acquire(company(n), &format!("n{n}:80"), Reputation::New)).collect();
        assert_eq!(new.iter().flatten().count(), 4);
        assert!(limits.try_acquire(company(9), "s:80", Reputation::Suspect).is_some());
        assert!(limits.try_acquire(company(9), "g:80", Reputation::Good).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_for_a_share_takes_no_room_at_its_host() {
        let limits = Arc::new(Limits::new(8, 3));
        let hang: Vec<_> = (0..2)
            .map(|n| limits.try_acquire(company(n), &format!("s{n}:80"), Reputation::Suspect))
            .collect();
        let waiting: Vec<_> = (0..3)
            .map(|_| tokio::spawn(limits.clone().acquire(company(9), "a:80".into(), Reputation::Suspect)))
            .collect();
        tokio::task::yield_now().await;
        assert!(limits.try_acquire(company(9), "a:80", Reputation::Good).is_some());
        drop(hang);
        for waiting in waiting {
            assert!(waiting.await.unwrap().is_some());
        }
    }

    #[test]
    fn no_company_takes_it_all() {
        let limits = Limits::new(64, 64);
        for (reputation, part) in [(Reputation::Suspect, 4), (Reputation::New, 8), (Reputation::Good, 20)] {
            let taken: Vec<_> = (0..100)
                .map_while(|n| limits.try_acquire(company(1), &format!("{n}:80"), reputation))
                .collect();
            assert_eq!(taken.len(), part, "{reputation:?}");
            assert!(limits.try_acquire(company(2), "a:80", reputation).is_some(), "{reputation:?}");
            std::mem::forget(taken);
        }
    }
}
