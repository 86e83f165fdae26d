//! One batch, one transaction; and what to do when it fails.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::idempotency::{Answers, Known};
use super::log::{self, Appended};
use super::queue::Job;
use super::{Answer, Committed, Decision, Domain, WriteError};
use crate::clock::Clock;
use crate::db;
use crate::ids::Ids;
use crate::listeners::Listeners;
use crate::metrics::Metrics;
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
/// How often an undecided COMMIT is asked about.
const RESOLVE_EVERY: Duration = Duration::from_millis(100);
/// How long one such question may take.
const ASK_AT_MOST: Duration = Duration::from_secs(6);
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
    /// Those who follow the log.
    pub(crate) listeners: Listeners,
    pub(crate) metrics: Arc<Metrics>,
    /// Does this process deliver everything? If not, whoever does must be told by NOTIFY.
    pub(crate) whole: Arc<AtomicBool>,
    /// The last number of the log that was taken here: before it passes the last partition,
    /// there has to be another one.
    pub(crate) appended: Arc<AtomicI64>,
    /// Where the head of the log was after the last commit here.
    pub(crate) head: Option<log::Place>,
    pub(crate) connection: Option<PgConnection>,
    /// How many transactions began on it.
    pub(crate) begun: u64,
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
    CommitLost(Box<Decided>),
    /// Rerunning the same batch will fail again.
    Poisoned(Box<dyn std::fmt::Display + Send + Sync>),
}

/// A batch that is decided and stored, but perhaps not committed.
struct Decided {
    /// One outcome per job, in order; `None` is held.
    outcomes: Vec<Option<Result<Answer, WriteError>>>,
    appended: Option<Appended>,
}

/// What became of a transaction whose COMMIT was lost.
enum Fate {
    Committed,
    Aborted,
    /// It still runs.
    Undecided,
    /// It was so long ago that the database no longer knows.
    Forgotten,
}

impl<D: Domain> Batches<D> {
    /// Carries out the jobs and answers them; gives back those that are held.
    pub(super) async fn run(&mut self, jobs: Vec<Job<D>>) -> Vec<Job<D>> {
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
                    self.connection = None;
                    reconnected = true;
                }
                Failure::Lost(error) | Failure::Away(error) => {
                    tracing::warn!(%error, jobs = jobs.len(), "the database does not answer");
                    self.connection = None;
                    return fail(jobs, WriteError::Unavailable);
                }
                Failure::CommitLost(decided) => match self.resolve(&decided).await {
                    Some(true) => return self.finish(jobs, *decided),
                    Some(false) => {}
                    None => return fail(jobs, WriteError::OutcomeUnknown),
                },
                Failure::Rerun(error) if jobs.len() == 1 => {
                    tracing::error!(%error, "a write failed");
                    let contended = db::is_contention(&error);
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

    /// Takes the connection out, or makes one.
    async fn connected(&mut self) -> Result<PgConnection, sqlx::Error> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => {
                self.begun = 0;
                db::connect_steady(&self.pool).await
            }
        }
    }

    /// Load, decide, store, append, commit.
    async fn transact(&mut self, jobs: &[Job<D>]) -> Result<Decided, Failure> {
        let mut connection = self.connected().await.map_err(Failure::Away)?;
        self.begun += 1;
        // By the indexes the plans are, but one that was made while a table was small may go by
        // the wrong one, and PostgreSQL would keep it until it analyzes the table: so no plan
        // outlives twice the transactions that were there when it was made.
        if self.begun.is_power_of_two() {
            let discarded =
                timeout(TRANSACTION_AT_MOST, sqlx::query("DISCARD PLANS").execute(&mut connection));
            discarded.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(Failure::Lost)?;
        }
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
                if db::lacks_partition(&error) {
                    return Err(Failure::NoRoom);
                }
                let retryable = db::is_contention(&error) || db::is_constraint(&error);
                return Err(if retryable {
                    Failure::Rerun(error)
                } else {
                    Failure::Poisoned(Box::new(error))
                });
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
        let notify = !self.whole.load(Ordering::Relaxed);
        let appended = if !events.is_empty() {
            // If others write, too, it has probably moved.
            let place = self.head.clone().filter(|_| !notify);
            Some(log::append(connection, &self.ids, events, now, notify, place).await?)
        } else if stored || kept {
            Some(log::append_nothing(connection, notify).await?)
        } else {
            None
        };
        Ok(Decided { outcomes, appended })
    }

    /// Answers the handlers and hands the events to the tail and those who listen.
    fn finish(&mut self, jobs: Vec<Job<D>>, decided: Decided) -> Vec<Job<D>> {
        self.metrics.write_batches.inc();
        if let Some(appended) = decided.appended {
            self.head = appended.head.or(self.head.take());
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

    /// Did the transaction whose COMMIT was lost commit? Asks until it is decided.
    async fn resolve(&mut self, decided: &Decided) -> Option<bool> {
        let Some(appended) = &decided.appended else { return Some(false) };
        tracing::warn!(xid = appended.xid, "the connection was lost during COMMIT, asking what became of it");
        let give_up = Instant::now() + RESOLVE_AT_MOST;
        while Instant::now() < give_up {
            match timeout(ASK_AT_MOST, self.ask(appended)).await {
                Ok(Ok(Fate::Committed)) => return Some(true),
                Ok(Ok(Fate::Aborted)) => return Some(false),
                Ok(Ok(Fate::Forgotten)) => return None,
                Ok(Ok(Fate::Undecided)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "cannot ask yet"),
                Err(_) => tracing::debug!("no answer yet"),
            }
            tokio::time::sleep(RESOLVE_EVERY).await;
        }
        None
    }

    async fn ask(&mut self, appended: &Appended) -> Result<Fate, sqlx::Error> {
        let mut connection = self.connected().await?;
        let status = sqlx::query_scalar!("SELECT pg_xact_status($1::text::xid8)", appended.xid)
            .fetch_one(&mut connection)
            .await;
        let fate = match status {
            Ok(Some(status)) if status == "committed" => match appended.events.first() {
                None => Fate::Committed,
                // A crash may lose an xid just given out, and then it is given out once
                // more: what was committed is ours only if our event is there.
                Some(first) => {
                    let logged = sqlx::query_scalar!(
                        r#"SELECT EXISTS (SELECT FROM events WHERE seq = $1 AND id = $2) AS "logged!""#,
                        first.seq,
                        first.id.0,
                    )
                    .fetch_one(&mut connection)
                    .await?;
                    if logged { Fate::Committed } else { Fate::Aborted }
                }
            },
            Ok(Some(status)) if status == "aborted" => Fate::Aborted,
            Ok(Some(_)) => Fate::Undecided,
            Ok(None) => Fate::Forgotten,
            // "is in the future": lost in a crash, and not given out again.
            Err(error) if db::is_invalid_parameter(&error) => Fate::Aborted,
            Err(error) => return Err(error),
        };
        self.connection = Some(connection);
        Ok(fate)
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
