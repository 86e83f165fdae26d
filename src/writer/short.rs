//! The short way: a batch that needs nothing loaded is one statement, and that is the commit.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use super::batch::{Batches, Decided, Outcomes};
use super::doubt::{Sent, Statement};
use super::idempotency::Answers;
use super::queue::Job;
use super::{Domain, WriteError};
use crate::database::postgres;
use crate::log::append::{Entries, Head};

/// Bound on the statement, after which its outcome is looked up on another connection.
/// The database gives up on it sooner.
const STATEMENT_AT_MOST: Duration = Duration::from_secs(8);
/// Batches that take the long way after the short one failed: a failure costs about as
/// much as one of them, so one in so many is little.
const DETOUR_AT_LEAST: u32 = 16;
/// The same after many failures in a row, such as of a client that creates again and again
/// what is there. It is found out within seconds that it has stopped.
const DETOUR_AT_MOST: u32 = 1024;

/// Is the short way worth a try? Each failure makes that rarer, until one succeeds.
#[derive(Debug, Default)]
pub(crate) struct Hope {
    /// How many batches are to take the long way yet.
    detour: u32,
    /// How many were to after the last failure.
    last: u32,
}

impl Hope {
    /// Is it, for one more batch?
    fn is_left(&mut self) -> bool {
        let left = self.detour == 0;
        self.detour = self.detour.saturating_sub(1);
        left
    }

    fn disappointed(&mut self) {
        self.last = (self.last * 2).clamp(DETOUR_AT_LEAST, DETOUR_AT_MOST);
        self.detour = self.last;
    }

    fn fulfilled(&mut self) {
        *self = Self::default();
    }
}

impl<D: Domain> Batches<D> {
    /// Carries out the jobs in one statement, if they are such that it is possible. Answers
    /// what was committed; or nothing, and nothing was.
    pub(super) async fn run_short(&mut self, jobs: &[Job<D>]) -> Result<Option<Decided>, WriteError> {
        let mut sent = None;
        // After a panic, too, what was sent is in doubt.
        let head = AssertUnwindSafe(self.send(jobs, &mut sent)).catch_unwind().await;
        match (sent, head) {
            (None, _) => Ok(None),
            (Some((outcomes, statement)), Ok(Some(head))) => {
                Ok(Some(Decided { outcomes, appended: Some(statement.entries.numbered(head)) }))
            }
            (Some((outcomes, statement)), _) => self.resolve(outcomes, Sent::Statement(statement)).await,
        }
    }

    /// Sends the statement. As long as `sent` is something, it may have been carried out.
    async fn send(&mut self, jobs: &[Job<D>], sent: &mut Option<(Outcomes, Statement)>) -> Option<Head> {
        if jobs.iter().any(|job| job.idempotency.is_some()) {
            return None;
        }
        let commands: Vec<_> = jobs.iter().map(|job| (job.company, &job.command)).collect();
        let mut state = self.domain.assume(&commands).filter(|_| self.hope.is_left())?;
        // If others write, too, the head of the log has probably moved.
        let place = self.session.as_ref()?.place.clone().filter(|_| self.whole.load(Ordering::Relaxed))?;
        let now = self.clock.now();
        let (outcomes, events) = self.decide(jobs, &mut state, &mut Answers::default(), now);
        if events.is_empty() {
            return None;
        }

        let mut session = self.session.take()?;
        session.prove().await.ok()?;
        session.prepare().await.ok()?;
        let (backend, after) = (session.backend.clone(), place.seq);
        let entries = Entries::new(&self.ids, events, now, false, Some(place));
        let (_, statement) = sent.insert((outcomes, Statement { entries, backend, after }));
        let stored = self.domain.store_and_append(&mut session.connection, state, &statement.entries);
        match timeout(STATEMENT_AT_MOST, stored).await {
            Ok(Ok(head)) => {
                self.session = Some(session);
                self.hope.fulfilled();
                Some(head)
            }
            Ok(Err(error)) if postgres::is_refusal(&error) => {
                tracing::debug!(%error, jobs = jobs.len(), "the short way failed");
                session.place = None;
                self.session = Some(session);
                self.hope.disappointed();
                *sent = None;
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches until the next try.
    fn detour(hope: &mut Hope) -> u32 {
        (0..).take_while(|_| !hope.is_left()).count() as u32
    }

    #[test]
    fn hope_gets_rarer_with_every_failure_and_comes_back_with_a_success() {
        let mut hope = Hope::default();
        assert_eq!(detour(&mut hope), 0);
        let detours: Vec<_> = (0..9)
            .map(|_| {
                hope.disappointed();
                detour(&mut hope)
            })
            .collect();
        assert_eq!(detours, [16, 32, 64, 128, 256, 512, 1024, 1024, 1024]);
        hope.fulfilled();
        assert_eq!(detour(&mut hope), 0);
        hope.disappointed();
        assert_eq!(detour(&mut hope), 16);
    }
}
