//! The fast path: a batch that needs nothing loaded is one statement, which commits by itself.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use super::Domain;
use super::core::Core;
use super::doubt::{Doubtful, Statement};
use super::idempotency::Answers;
use super::job::{DecidedBatch, Job, Outcomes, WriteError};
use crate::database::postgres;
use crate::log::Numbers;

/// Bound on the statement, after which its outcome is looked up on another connection.
/// The database gives up on it sooner.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);
/// Batches that are transactions after the statement failed: a failure costs about as much
/// as one of them, so one in 16 is little.
const MIN_BACKOFF: u32 = 16;
/// The same after many failures in a row, such as of a client that creates again and again
/// what is there. It is found out within seconds that the client has stopped.
const MAX_BACKOFF: u32 = 1024;

/// Whether the fast path is tried. Each failure makes that rarer, until a try succeeds.
#[derive(Debug, Default)]
pub(super) struct FastPath {
    /// Batches that are transactions before the next try.
    remaining: u32,
    /// What it was after the last failure.
    backoff: u32,
}

impl FastPath {
    /// Returns whether it is tried for one more batch.
    fn is_due(&mut self) -> bool {
        let due = self.remaining == 0;
        self.remaining = self.remaining.saturating_sub(1);
        due
    }

    fn failed(&mut self) {
        self.backoff = (self.backoff * 2).clamp(MIN_BACKOFF, MAX_BACKOFF);
        self.remaining = self.backoff;
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Carries out the jobs in one statement, if that is possible for them. Returns what was
    /// committed; or nothing, and nothing was.
    pub(super) async fn run<D: Domain>(
        &mut self,
        core: &mut Core<D>,
        jobs: &[Job<D>],
    ) -> Result<Option<DecidedBatch>, WriteError> {
        let mut sent = None;
        // After a panic, too, what was sent is in doubt.
        let numbers = AssertUnwindSafe(self.send(core, jobs, &mut sent)).catch_unwind().await;
        match (sent, numbers) {
            (None, _) => Ok(None),
            (Some((outcomes, statement)), Ok(Some(numbers))) => {
                Ok(Some(DecidedBatch { outcomes, appended: Some(statement.entries.numbered(numbers)) }))
            }
            (Some((outcomes, statement)), _) => core.resolve(outcomes, Doubtful::Statement(statement)).await,
        }
    }

    /// Sends the statement. As long as `sent` is something, it may have been carried out.
    async fn send<D: Domain>(
        &mut self,
        core: &mut Core<D>,
        jobs: &[Job<D>],
        sent: &mut Option<(Outcomes, Statement)>,
    ) -> Option<Numbers> {
        if jobs.iter().any(|job| job.idempotency.is_some()) {
            return None;
        }
        let commands: Vec<_> = jobs.iter().map(|job| (job.author.company, &job.command)).collect();
        let mut state = core.domain.assume(&commands).filter(|_| self.is_due())?;
        let after = core.appender.head()?.seq;
        let now = core.clock.now();
        let (outcomes, events) = core.decide(jobs, &mut state, &mut Answers::default(), now);
        if events.is_empty() {
            return None;
        }

        let mut session = core.session.take()?;
        session.prove().await.ok()?;
        session.prepare().await.ok()?;
        let backend = session.backend.clone();
        let entries = core.appender.entries(events, now);
        let (_, statement) = sent.insert((outcomes, Statement { entries, backend, after }));
        let stored = core.domain.store_and_append(&mut session.connection, state, &statement.entries);
        match timeout(STATEMENT_TIMEOUT, stored).await {
            Ok(Ok(numbers)) => {
                core.session = Some(session);
                self.succeeded();
                Some(numbers)
            }
            Ok(Err(error)) if postgres::is_refusal(&error) => {
                tracing::debug!(%error, jobs = jobs.len(), "the fast path failed");
                core.appender.forget_head();
                core.session = Some(session);
                self.failed();
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
    fn until_due(fast_path: &mut FastPath) -> u32 {
        (0..).take_while(|_| !fast_path.is_due()).count() as u32
    }

    #[test]
    fn it_is_tried_less_often_with_every_failure_and_always_after_a_success() {
        let mut fast_path = FastPath::default();
        assert_eq!(until_due(&mut fast_path), 0);
        let backoffs: Vec<_> = (0..9)
            .map(|_| {
                fast_path.failed();
                until_due(&mut fast_path)
            })
            .collect();
        assert_eq!(backoffs, [16, 32, 64, 128, 256, 512, 1024, 1024, 1024]);
        fast_path.succeeded();
        assert_eq!(until_due(&mut fast_path), 0);
        fast_path.failed();
        assert_eq!(until_due(&mut fast_path), 16);
    }
}
