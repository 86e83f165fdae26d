//! One batch, one transaction; and what to do when it fails.
//!
//! This is the long way, which every batch can take. See `short` for the other one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::doubt::{Away, Sent};
use super::idempotency::{Answers, Known};
use super::queue::Job;
use super::session::Session;
use super::short::Hope;
use super::{Answer, Decision, Domain, WriteError};
use crate::clock::Clock;
use crate::database::postgres;
use crate::listeners::Listeners;
use crate::log::append::{self, Appended, Entries};
use crate::log::{Committed, NewEvent};
use crate::metrics::Metrics;
use crate::model::ids::{CompanyId, Ids};
use crate::retention;

/// Bound on everything before COMMIT. The database gives up on a statement sooner.
const TRANSACTION_AT_MOST: Duration = Duration::from_secs(8);
/// Bound on COMMIT, after which its outcome is looked up on another connection.
const COMMIT_AT_MOST: Duration = Duration::from_secs(8);
/// Reruns of a batch as a whole before each job is tried by itself.
const RERUNS: u32 = 3;
/// Longest pause before a rerun; the actual one is random, so that two processes
/// that met in a deadlock don't meet again.
const RERUN_PAUSE: Duration = Duration::from_millis(20);
/// How long room in the log is waited for before the callers are told to come back.
const ROOM_AT_MOST: Duration = Duration::from_secs(10);

/// Makes batches into transactions, on a connection of its own.
pub struct Batches<D: Domain> {
    pub(crate) domain: D,
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    /// The tail of this process.
    pub(crate) feed: mpsc::Sender<Committed>,
    /// Those who follow the log.
    pub(crate) listeners: Listeners,
    pub(crate) metrics: Arc<Metrics>,
    /// Does this process deliver everything? If not, whoever does must be told by NOTIFY.
    pub(crate) whole: Arc<AtomicBool>,
    /// The last number of the log that was taken here: before it passes the last partition,
    /// there has to be another one.
    pub(crate) appended: Arc<AtomicI64>,
    pub(crate) session: Option<Session>,
    pub(crate) hope: Hope,
    pub(crate) away: Arc<Away>,
}

/// How a transaction ended.
enum Failure {
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

/// One per job, in order; `None` is held.
pub(super) type Outcomes = Vec<Option<Result<Answer, WriteError>>>;

/// A batch that is decided and stored, but perhaps not committed.
pub(super) struct Decided {
    pub(super) outcomes: Outcomes,
    /// If anything was written.
    pub(super) appended: Option<Appended>,
}

impl<D: Domain> Batches<D> {
    /// Carries out the jobs and answers them; gives back those that are held.
    pub(super) async fn run(&mut self, jobs: Vec<Job<D>>) -> Vec<Job<D>> {
        match self.run_short(&jobs).await {
            Ok(Some(decided)) => return self.finish(jobs, decided),
            Ok(None) => {}
            Err(error) => return fail(jobs, error),
        }
        let mut reruns = 0;
        let mut reconnected = false;
        let patience = Instant::now();
        loop {
            // A panic takes the connection with it, and thereby the transaction.
            let failure = match AssertUnwindSafe(self.transact(&jobs)).catch_unwind().await {
                Ok(Ok(decided)) => return self.finish(jobs, decided),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Poisoned(Box::new("a panic")),
            };
            match failure {
                Failure::Rerun(error) if reruns < RERUNS => {
                    tracing::debug!(%error, jobs = jobs.len(), "a batch is rerun");
                    reruns += 1;
                    tokio::time::sleep(RERUN_PAUSE.mul_f64(self.fraction())).await;
                }
                // Partitions are made ahead; here, somebody was faster.
                Failure::NoRoom if patience.elapsed() < ROOM_AT_MOST => {
                    tracing::warn!("the log has no room, making some");
                    if let Err(error) = retention::make_room(&self.pool).await {
                        tracing::warn!(%error, "the log has no room yet");
                    }
                    tokio::time::sleep(RERUN_PAUSE).await;
                }
                Failure::NoRoom => return fail(jobs, WriteError::Unavailable),
                // An idle connection may have died long ago: one new one is worth a try.
                Failure::Lost(error) if !reconnected => {
                    tracing::debug!(%error, "the writer's connection was lost");
                    self.session = None;
                    reconnected = true;
                }
                Failure::Lost(error) | Failure::Away(error) => {
                    tracing::warn!(%error, jobs = jobs.len(), "the database does not answer");
                    self.session = None;
                    return fail(jobs, WriteError::Unavailable);
                }
                Failure::CommitLost(outcomes, appended) => {
                    match self.resolve(outcomes, Sent::Commit(*appended)).await {
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
        tracing::warn!(%error, jobs = jobs.len(), "a batch failed, trying each write by itself");
        let mut held = Vec::new();
        for job in jobs {
            held.extend(Box::pin(self.run(vec![job])).await);
        }
        held
    }

    /// Takes the session out, or begins one.
    pub(super) async fn connected(&mut self) -> Result<Session, sqlx::Error> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => Session::open(&self.pool).await,
        }
    }

    /// Load, decide, store, append, commit.
    async fn transact(&mut self, jobs: &[Job<D>]) -> Result<Decided, Failure> {
        let mut session = self.connected().await.map_err(Failure::Away)?;
        session.prepare().await.map_err(Failure::Lost)?;
        let decided = timeout(TRANSACTION_AT_MOST, self.until_commit(&mut session, jobs)).await;
        let decided = match decided {
            Ok(Ok(decided)) => decided,
            Ok(Err(error)) if postgres::is_unavailable(&error) => return Err(Failure::Lost(error)),
            Ok(Err(error)) => {
                let rolled_back =
                    timeout(COMMIT_AT_MOST, sqlx::query("ROLLBACK").execute(&mut session.connection)).await;
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
        let Decided { outcomes, appended } = decided;
        let end = if appended.is_some() { "COMMIT" } else { "ROLLBACK" };
        let ended = timeout(COMMIT_AT_MOST, sqlx::query(end).execute(&mut session.connection)).await;
        match (ended, appended) {
            (Ok(Ok(_)), appended) => {
                self.session = Some(session);
                Ok(Decided { outcomes, appended })
            }
            // Nothing was written, so nothing is in doubt.
            (_, None) => Ok(Decided { outcomes, appended: None }),
            (Ok(Err(error @ sqlx::Error::Database(_))), _) if !postgres::is_unavailable(&error) => {
                Err(Failure::Rerun(error))
            }
            (_, Some(appended)) => Err(Failure::CommitLost(outcomes, Box::new(appended))),
        }
    }

    async fn until_commit(&self, session: &mut Session, jobs: &[Job<D>]) -> Result<Decided, sqlx::Error> {
        let Session { connection, place, .. } = session;
        sqlx::query("BEGIN").execute(&mut *connection).await?;
        let now = self.clock.now();
        let keys: Vec<_> =
            jobs.iter().filter_map(|job| Some((job.company, job.idempotency.as_ref()?))).collect();
        let mut answers = Answers::load(connection, &keys, now).await?;
        let commands: Vec<_> = jobs.iter().map(|job| (job.company, &job.command)).collect();
        let mut state = self.domain.load(connection, &commands).await?;

        let (outcomes, events) = self.decide(jobs, &mut state, &mut answers, now);

        let stored = self.domain.store(connection, state).await?;
        let kept = answers.store(connection, now).await?;
        let notify = !self.whole.load(Ordering::Relaxed);
        let appended = if !events.is_empty() {
            // If others write, too, it has probably moved.
            let place = place.clone().filter(|_| !notify);
            Some(append::append(connection, Entries::new(&self.ids, events, now, notify, place)).await?)
        } else if stored || kept {
            Some(append::append_nothing(connection, notify).await?)
        } else {
            None
        };
        Ok(Decided { outcomes, appended })
    }

    /// Decides each job in order of arrival: what became of it, and the events of all.
    pub(super) fn decide(
        &self,
        jobs: &[Job<D>],
        state: &mut D::State,
        answers: &mut Answers,
        now: DateTime<Utc>,
    ) -> (Outcomes, Vec<(CompanyId, NewEvent)>) {
        let mut events = Vec::new();
        let outcomes = jobs.iter().map(|job| {
            match job.idempotency.as_ref().map_or(Known::No, |key| answers.find(job.company, key)) {
                Known::Answered(answer) => return Some(Ok(answer)),
                Known::OtherRequest => return Some(Err(WriteError::KeyReused)),
                Known::No => {}
            }
            match self.domain.decide(state, job.company, &job.command, now) {
                Decision::Held => None,
                Decision::Done(answer, new) => {
                    events.extend(new.into_iter().map(|event| (job.company, event)));
                    if let Some(key) = &job.idempotency {
                        answers.keep(job.company, key, &answer);
                    }
                    Some(Ok(answer))
                }
            }
        });
        (outcomes.collect(), events)
    }

    /// Answers the handlers and hands the events to the tail and those who listen.
    fn finish(&mut self, jobs: Vec<Job<D>>, decided: Decided) -> Vec<Job<D>> {
        self.metrics.write_batches.inc();
        if let Some(appended) = decided.appended {
            if let (Some(session), Some(place)) = (&mut self.session, appended.place) {
                session.place = Some(place);
            }
            self.metrics.events_appended.inc_by(appended.events.len() as u64);
            self.listeners.tell(&appended.events);
            if let Some(last) = appended.events.last() {
                self.appended.store(last.seq, Ordering::Relaxed);
            }
            // If the tail is behind it finds the gap and reads the log itself.
            let _ = self.feed.try_send(Committed { events: appended.events, version: appended.version });
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

    /// A number in [0, 1), from the randomness of a fresh id.
    fn fraction(&self) -> f64 {
        f64::from(self.ids.next(self.clock.now()).as_u128() as u32) / f64::from(u32::MAX)
    }
}

fn fail<D: Domain>(jobs: Vec<Job<D>>, error: WriteError) -> Vec<Job<D>> {
    for job in jobs {
        job.answer(Err(error));
    }
    Vec::new()
}
