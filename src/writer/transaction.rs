//! A batch as one transaction, which every batch can be. See `fast_path` for the other way.

use std::time::Duration;

use tokio::time::timeout;

use super::Domain;
use super::core::Core;
use super::idempotency::Answers;
use super::job::{DecidedBatch, Job, Outcomes};
use super::session::Session;
use crate::database::postgres;
use crate::log::append::{self, Appended};

/// Bound on everything before COMMIT. The database gives up on a statement sooner.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(8);
/// Bound on COMMIT, after which its outcome is looked up on another connection.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);

/// How a transaction ended.
pub(super) enum Failure {
    /// Rerunning from load can help.
    Rerun(sqlx::Error),
    /// The log has no partition for these numbers yet, nothing was committed.
    NoRoom,
    /// There is no connection to be had, nothing was committed.
    Away(sqlx::Error),
    /// The connection is gone, nothing was committed.
    Lost(sqlx::Error),
    /// COMMIT was sent, the answer never came.
    CommitLost(Outcomes, Box<Appended>),
    /// Rerunning the same batch will fail again.
    Poisoned(Box<dyn std::fmt::Display + Send + Sync>),
}

impl<D: Domain> Core<D> {
    /// Load, decide, store, append, commit.
    pub(super) async fn transact(&mut self, jobs: &[Job<D>]) -> Result<DecidedBatch, Failure> {
        let mut session = self.connected().await.map_err(Failure::Away)?;
        session.prepare().await.map_err(Failure::Lost)?;
        let decided = timeout(TRANSACTION_TIMEOUT, self.until_commit(&mut session, jobs)).await;
        let decided = match decided {
            Ok(Ok(decided)) => decided,
            Ok(Err(error)) if postgres::is_unavailable(&error) => return Err(Failure::Lost(error)),
            Ok(Err(error)) => {
                let rolled_back =
                    timeout(COMMIT_TIMEOUT, sqlx::query("ROLLBACK").execute(&mut session.connection)).await;
                if matches!(rolled_back, Ok(Ok(_))) {
                    self.session = Some(session);
                }
                if postgres::lacks_partition(&error) {
                    return Err(Failure::NoRoom);
                }
                let retryable = postgres::is_contention(&error) || postgres::is_constraint(&error);
                return Err(if retryable {
                    Failure::Rerun(error)
                } else {
                    Failure::Poisoned(Box::new(error))
                });
            }
            Err(_) => return Err(Failure::Lost(sqlx::Error::PoolTimedOut)),
        };
        let DecidedBatch { outcomes, appended } = decided;
        let end = if appended.is_some() { "COMMIT" } else { "ROLLBACK" };
        let ended = timeout(COMMIT_TIMEOUT, sqlx::query(end).execute(&mut session.connection)).await;
        match (ended, appended) {
            (Ok(Ok(_)), appended) => {
                self.session = Some(session);
                Ok(DecidedBatch { outcomes, appended })
            }
            // Nothing was written, so nothing is in doubt.
            (_, None) => Ok(DecidedBatch { outcomes, appended: None }),
            (Ok(Err(error @ sqlx::Error::Database(_))), _) if !postgres::is_unavailable(&error) => {
                Err(Failure::Rerun(error))
            }
            (_, Some(appended)) => Err(Failure::CommitLost(outcomes, Box::new(appended))),
        }
    }

    async fn until_commit(
        &self,
        session: &mut Session,
        jobs: &[Job<D>],
    ) -> Result<DecidedBatch, sqlx::Error> {
        let Session { connection, .. } = session;
        sqlx::query("BEGIN").execute(&mut *connection).await?;
        let now = self.clock.now();
        let keys: Vec<_> =
            jobs.iter().filter_map(|job| Some((job.author.company, job.idempotency.as_ref()?))).collect();
        let mut answers = Answers::load(connection, &keys, now).await?;
        let commands: Vec<_> = jobs.iter().map(|job| (job.author.company, &job.command)).collect();
        let mut state = self.domain.load(connection, &commands).await?;

        let (outcomes, events) = self.decide(jobs, &mut state, &mut answers, now);

        let stored = self.domain.store(connection, state).await?;
        let kept = answers.store(connection, now).await?;
        let appended = if !events.is_empty() {
            Some(append::append(connection, self.appender.entries(events, now)).await?)
        } else if stored || kept {
            Some(append::append_nothing(connection, self.appender.notifies()).await?)
        } else {
            None
        };
        Ok(DecidedBatch { outcomes, appended })
    }
}
