//! Carrying out batches: by the fast path or as a transaction; and what to do when that fails.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Domain;
use super::core::Core;
use super::doubt::Doubtful;
use super::fast_path::FastPath;
use super::job::{DecidedBatch, Job, WriteError};
use super::outage::Outage;
use super::transaction::Failure;
use crate::clock::Clock;
use crate::database::postgres;
use crate::listeners::Listeners;
use crate::log::{Appender, Committed};
use crate::metrics::Metrics;
use crate::random;
use crate::retention;

/// Reruns of a batch as a whole before each job is tried by itself.
const RERUNS: u32 = 3;
/// Longest pause before a rerun; the actual one is random, so that two processes
/// that met in a deadlock don't meet again.
const RERUN_DELAY: Duration = Duration::from_millis(20);
/// How long room in the log is waited for before the callers are told to come back.
const ROOM_TIMEOUT: Duration = Duration::from_secs(10);

/// Carries out batches and notifies those who wait for their events.
pub struct Batches<D: Domain> {
    core: Core<D>,
    fast_path: FastPath,
    /// The tail of this process.
    tail: mpsc::Sender<Committed>,
    listeners: Listeners,
    metrics: Arc<Metrics>,
}

impl<D: Domain> Batches<D> {
    /// Batches of `domain`, whose events go to `appender`'s log, and from there to the tail
    /// of this process and to `listeners`.
    pub fn new(
        domain: D,
        (pool, clock): (PgPool, Clock),
        appender: Appender,
        (tail, listeners): (mpsc::Sender<Committed>, Listeners),
        metrics: Arc<Metrics>,
    ) -> Self {
        let core = Core { domain, pool, clock, appender, session: None, outage: Arc::default() };
        Self { core, fast_path: FastPath::default(), tail, listeners, metrics }
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(super) fn outage(&self) -> &Arc<Outage> {
        &self.core.outage
    }

    /// Begins with a new connection, after a panic.
    pub(super) fn begin_anew(&mut self) {
        self.core.session = None;
        self.core.outage.set(false);
    }

    /// Carries out the jobs and answers them; gives back those that are held.
    pub(super) async fn run(&mut self, jobs: Vec<Job<D>>) -> Vec<Job<D>> {
        match self.fast_path.run(&mut self.core, &jobs).await {
            Ok(Some(decided)) => return self.finish(jobs, decided),
            Ok(None) => {}
            Err(error) => return fail(jobs, error),
        }
        let mut reruns = 0;
        let mut reconnected = false;
        let patience = Instant::now();
        loop {
            // A panic takes the connection with it, and thereby the transaction.
            let failure = match AssertUnwindSafe(self.core.transact(&jobs)).catch_unwind().await {
                Ok(Ok(decided)) => return self.finish(jobs, decided),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Poisoned(Box::new("a panic")),
            };
            match failure {
                Failure::Rerun(error) if reruns < RERUNS => {
                    tracing::debug!(%error, jobs = jobs.len(), "a batch of writes is run again");
                    reruns += 1;
                    tokio::time::sleep(RERUN_DELAY.mul_f64(random::fraction())).await;
                }
                // Partitions are made ahead; here, somebody was faster.
                Failure::NoRoom if patience.elapsed() < ROOM_TIMEOUT => {
                    tracing::warn!("the log has no partition for the next numbers; one is made");
                    if let Err(error) = retention::make_room(&self.core.pool).await {
                        tracing::warn!(%error, "no partition of the log can be made yet");
                    }
                    tokio::time::sleep(RERUN_DELAY).await;
                }
                Failure::NoRoom => return fail(jobs, WriteError::Unavailable),
                // An idle connection may have died long ago: one new one is worth a try.
                Failure::Lost(error) if !reconnected => {
                    tracing::debug!(%error, "the writer's connection was lost");
                    self.core.session = None;
                    reconnected = true;
                }
                Failure::Lost(error) | Failure::Away(error) => {
                    tracing::warn!(%error, jobs = jobs.len(), "the database does not answer");
                    self.core.session = None;
                    return fail(jobs, WriteError::Unavailable);
                }
                Failure::CommitLost(outcomes, appended) => {
                    match self.core.resolve(outcomes, Doubtful::Commit(*appended)).await {
                        Ok(Some(decided)) => return self.finish(jobs, decided),
                        Ok(None) => {}
                        Err(error) => return fail(jobs, error),
                    }
                }
                Failure::Rerun(error) if jobs.len() == 1 => {
                    tracing::error!(%error, "a write failed");
                    let contended = postgres::is_contention(&error);
                    return fail(jobs, if contended { WriteError::Held } else { WriteError::Failed });
                }
                Failure::Poisoned(error) if jobs.len() == 1 => {
                    tracing::error!(%error, "a write failed");
                    return fail(jobs, WriteError::Failed);
                }
                Failure::Rerun(error) => return self.each(jobs, &error).await,
                Failure::Poisoned(error) => return self.each(jobs, &*error).await,
            }
        }
    }

    /// Carries out each job by itself.
    async fn each(
        &mut self,
        jobs: Vec<Job<D>>,
        error: &(dyn std::fmt::Display + Send + Sync),
    ) -> Vec<Job<D>> {
        tracing::warn!(%error, jobs = jobs.len(), "a batch of writes failed; each write is run by itself");
        let mut held = Vec::new();
        for job in jobs {
            held.extend(Box::pin(self.run(vec![job])).await);
        }
        held
    }

    /// Returns the handlers and hands the events to the tail and those who listen.
    fn finish(&mut self, jobs: Vec<Job<D>>, decided: DecidedBatch) -> Vec<Job<D>> {
        self.metrics.write_batches.inc();
        if let Some(appended) = decided.appended {
            self.core.appender.committed(&appended);
            self.metrics.events_appended.inc_by(appended.events.len() as u64);
            self.listeners.tell(&appended.events);
            self.metrics.tallies.events(&appended.events);
            // If the tail is behind it finds the gap and reads the log itself.
            let _ = self.tail.try_send(Committed { events: appended.events, version: appended.version });
        }
        let mut held = Vec::new();
        for (job, outcome) in jobs.into_iter().zip(decided.outcomes) {
            match outcome {
                Some(answer) => {
                    self.metrics.write_commands.inc();
                    job.answer(answer);
                }
                None => held.push(job),
            }
        }
        held
    }
}

fn fail<D: Domain>(jobs: Vec<Job<D>>, error: WriteError) -> Vec<Job<D>> {
    for job in jobs {
        job.answer(Err(error));
    }
    Vec::new()
}
