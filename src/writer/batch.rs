//! One batch, one transaction; and what to do when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::idempotency::{Answers, Known};
use super::log::{self, Appended};
use super::queue::Job;
use super::{Answer, Committed, Decision, Domain, WriteError};
use crate::clock::Clock;
use crate::db;
use crate::ids::Ids;

/// Bound on everything before COMMIT. The database gives up on a statement sooner.
const TRANSACTION_AT_MOST: Duration = Duration::from_secs(8);
/// Bound on COMMIT, after which its outcome is looked up on another connection.
const COMMIT_AT_MOST: Duration = Duration::from_secs(8);
/// Reruns of a batch as a whole before each job is tried by itself.
const RERUNS: u32 = 3;
/// Longest pause before a rerun; the actual one is random, so that two processes
/// that met in a deadlock don't meet again.
const RERUN_PAUSE: Duration = Duration::from_millis(20);
/// How often an undecided COMMIT is asked about.
const RESOLVE_EVERY: Duration = Duration::from_millis(100);
/// How long an undecided COMMIT is asked about before the callers are told that
/// nobody knows. The database keeps the answer far longer.
const RESOLVE_AT_MOST: Duration = Duration::from_secs(600);

/// Makes batches into transactions, on a connection of its own.
pub struct Batches<D: Domain> {
    pub(crate) domain: D,
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    /// The tail of this process.
    pub(crate) feed: mpsc::Sender<Committed>,
    /// Does this process deliver? If not, whoever does must be told by NOTIFY.
    pub(crate) delivering: Arc<AtomicBool>,
    pub(crate) connection: Option<PgConnection>,
}

/// How a transaction ended.
enum Failure {
    /// Rerunning from load can help.
    Rerun(sqlx::Error),
    /// The connection is gone, nothing was committed.
    Lost(sqlx::Error),
    /// COMMIT was sent, the answer never came.
    CommitLost(Box<Decided>),
    /// Rerunning the same batch will fail again.
    Poisoned(sqlx::Error),
}

/// A batch that is decided and stored, but perhaps not committed.
struct Decided {
    /// One outcome per job, in order; `None` is held.
    outcomes: Vec<Option<Result<Answer, WriteError>>>,
    appended: Option<Appended>,
}

impl<D: Domain> Batches<D> {
    /// Carries out the jobs and answers them; gives back those that are held.
    pub(super) async fn run(&mut self, jobs: Vec<Job<D>>) -> Vec<Job<D>> {
        let mut reruns = 0;
        let mut reconnected = false;
        loop {
            let failure = match self.transact(&jobs).await {
                Ok(decided) => return self.finish(jobs, decided),
                Err(failure) => failure,
            };
            match failure {
                Failure::Rerun(error) if reruns < RERUNS => {
                    tracing::debug!(%error, jobs = jobs.len(), "a batch is rerun");
                    reruns += 1;
                    tokio::time::sleep(RERUN_PAUSE.mul_f64(self.fraction())).await;
                }
                // An idle connection may have died long ago: one new one is worth a try.
                Failure::Lost(error) if !reconnected => {
                    tracing::debug!(%error, "the writer's connection was lost");
                    self.connection = None;
                    reconnected = true;
                }
                Failure::Lost(error) => {
                    tracing::warn!(%error, jobs = jobs.len(), "the database does not answer");
                    self.connection = None;
                    return fail(jobs, WriteError::Unavailable);
                }
                Failure::CommitLost(decided) => match self.resolve(&decided).await {
                    Some(true) => return self.finish(jobs, *decided),
                    Some(false) => {}
                    None => return fail(jobs, WriteError::OutcomeUnknown),
                },
                Failure::Rerun(error) | Failure::Poisoned(error) if jobs.len() == 1 => {
                    tracing::error!(%error, "a write failed");
                    let contended = db::is_contention(&error);
                    return fail(jobs, if contended { WriteError::Held } else { WriteError::Failed });
                }
                Failure::Rerun(error) | Failure::Poisoned(error) => {
                    tracing::warn!(%error, jobs = jobs.len(), "a batch failed, trying each write by itself");
                    let mut held = Vec::new();
                    for job in jobs {
                        held.extend(Box::pin(self.run(vec![job])).await);
                    }
                    return held;
                }
            }
        }
    }

    /// Load, decide, store, append, commit.
    async fn transact(&mut self, jobs: &[Job<D>]) -> Result<Decided, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => db::connect(&self.pool).await.map_err(Failure::Lost)?,
        };
        let decided = timeout(TRANSACTION_AT_MOST, self.until_commit(&mut connection, jobs)).await;
        let decided = match decided {
            Ok(Ok(decided)) => decided,
            Ok(Err(error)) if db::is_unavailable(&error) => return Err(Failure::Lost(error)),
            Ok(Err(error)) => {
                let rolled_back =
                    timeout(COMMIT_AT_MOST, sqlx::query("ROLLBACK").execute(&mut connection)).await;
                if matches!(rolled_back, Ok(Ok(_))) {
                    self.connection = Some(connection);
                }
                let retryable = db::is_contention(&error) || db::is_constraint(&error);
                return Err(if retryable { Failure::Rerun(error) } else { Failure::Poisoned(error) });
            }
            Err(_) => return Err(Failure::Lost(sqlx::Error::PoolTimedOut)),
        };
        let end = if decided.appended.is_some() { "COMMIT" } else { "ROLLBACK" };
        match timeout(COMMIT_AT_MOST, sqlx::query(end).execute(&mut connection)).await {
            Ok(Ok(_)) => {
                self.connection = Some(connection);
                Ok(decided)
            }
            // Nothing was written, so nothing is in doubt.
            _ if decided.appended.is_none() => Ok(decided),
            Ok(Err(error @ sqlx::Error::Database(_))) if !db::is_unavailable(&error) => {
                Err(Failure::Rerun(error))
            }
            _ => Err(Failure::CommitLost(Box::new(decided))),
        }
    }

    async fn until_commit(
        &self,
        connection: &mut PgConnection,
        jobs: &[Job<D>],
    ) -> Result<Decided, sqlx::Error> {
        sqlx::query("BEGIN").execute(&mut *connection).await?;
        let now = self.clock.now();
        let keys: Vec<_> =
            jobs.iter().filter_map(|job| Some((job.company, job.idempotency.as_ref()?))).collect();
        let mut answers = Answers::load(connection, &keys, now).await?;
        let commands: Vec<_> = jobs.iter().map(|job| (job.company, &job.command)).collect();
        let mut state = self.domain.load(connection, &commands).await?;

        let mut outcomes = Vec::with_capacity(jobs.len());
        let mut events = Vec::new();
        for job in jobs {
            match job.idempotency.as_ref().map_or(Known::No, |key| answers.find(job.company, key)) {
                Known::Answered(answer) => {
                    outcomes.push(Some(Ok(answer)));
                    continue;
                }
                Known::OtherRequest => {
                    outcomes.push(Some(Err(WriteError::KeyReused)));
                    continue;
                }
                Known::No => {}
            }
            outcomes.push(match self.domain.decide(&mut state, job.company, &job.command, now) {
                Decision::Held => None,
                Decision::Done(answer, new) => {
                    events.extend(new.into_iter().map(|event| (job.company, event)));
                    if let Some(key) = &job.idempotency {
                        answers.keep(job.company, key, &answer);
                    }
                    Some(Ok(answer))
                }
            });
        }

        let stored = self.domain.store(connection, state).await?;
        let kept = answers.store(connection, now).await?;
        let notify = !self.delivering.load(Ordering::Relaxed);
        let appended = if !events.is_empty() {
            Some(log::append(connection, &self.ids, events, now, notify).await?)
        } else if stored || kept {
            Some(log::append_nothing(connection, notify).await?)
        } else {
            None
        };
        Ok(Decided { outcomes, appended })
    }

    /// Answers the handlers and hands the events to the tail.
    fn finish(&self, jobs: Vec<Job<D>>, decided: Decided) -> Vec<Job<D>> {
        if let Some(appended) = decided.appended {
            // If the tail is behind it finds the gap and reads the log itself.
            let _ = self.feed.try_send(Committed { events: appended.events, version: appended.version });
        }
        let mut held = Vec::new();
        for (job, outcome) in jobs.into_iter().zip(decided.outcomes) {
            match outcome {
                Some(answer) => job.answer(answer),
                None => held.push(job),
            }
        }
        held
    }

    /// Did the transaction whose COMMIT was lost commit? Asks until it is decided.
    async fn resolve(&mut self, decided: &Decided) -> Option<bool> {
        let Some(appended) = &decided.appended else { return Some(false) };
        tracing::warn!(xid = appended.xid, "the connection was lost during COMMIT, asking what became of it");
        let give_up = Instant::now() + RESOLVE_AT_MOST;
        while Instant::now() < give_up {
            match self.ask(&appended.xid).await {
                Ok(Some(status)) if status == "committed" => return Some(true),
                Ok(Some(status)) if status == "aborted" => return Some(false),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    tracing::debug!(%error, "cannot ask yet");
                    self.connection = None;
                }
            }
            tokio::time::sleep(RESOLVE_EVERY).await;
        }
        None
    }

    async fn ask(&mut self, xid: &str) -> Result<Option<String>, sqlx::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => db::connect(&self.pool).await?,
        };
        connection.ping().await?;
        let status = sqlx::query_scalar!("SELECT pg_xact_status($1::text::xid8)", xid)
            .fetch_one(&mut connection)
            .await?;
        self.connection = Some(connection);
        Ok(status)
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
