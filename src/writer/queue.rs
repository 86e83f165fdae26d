//! The bounded queue of commands, and the task that empties it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::batch::Batches;
use super::doubt::Away;
use super::{Answer, Domain, IdempotencyKey};
use crate::metrics::Metrics;
use crate::model::ids::CompanyId;

/// Commands waiting in all. Some seconds of work; beyond it a 503 is kinder than a wait.
const QUEUE: usize = 2048;
/// Commands of one company that may wait, so that one cannot fill the queue.
const QUEUE_PER_COMPANY: usize = 512;
/// Commands in one transaction: enough to share a commit, few enough to keep it short.
const BATCH: usize = 256;
/// How long a command whose row another process holds is tried again.
const HELD_AT_MOST: Duration = Duration::from_secs(5);
/// Pause before a batch that is held as a whole is tried again.
const HELD_PAUSE: Duration = Duration::from_millis(3);

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Too many commands of this company, or of all, are waiting.
    #[error("too many writes are waiting")]
    Full,
    /// The database is away; nothing was written.
    #[error("the database does not answer")]
    Unavailable,
    /// Another process held the record's row for too long; nothing was written.
    #[error("the record is locked")]
    Held,
    /// The Idempotency-Key belongs to another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The COMMIT was lost and its outcome can no longer be found out.
    #[error("the outcome of the write is unknown")]
    OutcomeUnknown,
    /// A fault of ours; nothing was written.
    #[error("the write failed")]
    Failed,
}

impl WriteError {
    /// As it is counted.
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Held => "held",
            Self::KeyReused => "key_reused",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Failed => "failed",
        }
    }
}

/// The way in: submits commands to the process's one writer task.
pub struct Writer<D: Domain> {
    queue: mpsc::Sender<Job<D>>,
    away: Arc<Away>,
    waiting: Arc<Mutex<HashMap<CompanyId, usize>>>,
    metrics: Arc<Metrics>,
}

impl<D: Domain> Clone for Writer<D> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            away: self.away.clone(),
            waiting: self.waiting.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

/// A command on its way.
pub(super) struct Job<D: Domain> {
    pub(super) company: CompanyId,
    pub(super) command: D::Command,
    pub(super) idempotency: Option<IdempotencyKey>,
    reply: oneshot::Sender<Result<Answer, WriteError>>,
    held_until: Option<Instant>,
    _place: Place,
}

impl<D: Domain> Job<D> {
    pub(super) fn answer(self, answer: Result<Answer, WriteError>) {
        // The caller may have gone; what is committed stays committed.
        let _ = self.reply.send(answer);
    }
}

/// A place in the queue; dropping it gives it back.
struct Place {
    company: CompanyId,
    waiting: Arc<Mutex<HashMap<CompanyId, usize>>>,
}

impl Place {
    fn take(company: CompanyId, waiting: &Arc<Mutex<HashMap<CompanyId, usize>>>) -> Option<Self> {
        let mut counts = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(company).or_default();
        if *count >= QUEUE_PER_COMPANY {
            return None;
        }
        *count += 1;
        Some(Self { company, waiting: waiting.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.company) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.company);
            }
        }
    }
}

impl<D: Domain> Writer<D> {
    /// Starts the writer task on `threads`. It ends, with everything answered, when the last
    /// `Writer` is dropped.
    pub fn start(batches: Batches<D>, threads: &Handle) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (metrics, away) = (batches.metrics.clone(), batches.away.clone());
        let task = threads.spawn(run(batches, jobs));
        (Self { queue, away, waiting: Arc::default(), metrics }, task)
    }

    /// Carries out a command and answers when it is committed. If the caller goes
    /// away meanwhile, the command is still carried out, or not, never half.
    pub async fn submit(
        &self,
        company: CompanyId,
        command: D::Command,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Answer, WriteError> {
        let outcome = self.enqueue(company, command, idempotency).await;
        if let Err(error) = outcome {
            self.metrics.write_failures.of(error.name()).inc();
        }
        outcome
    }

    async fn enqueue(
        &self,
        company: CompanyId,
        command: D::Command,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Answer, WriteError> {
        if self.away.is() {
            return Err(WriteError::Unavailable);
        }
        let place = Place::take(company, &self.waiting).ok_or(WriteError::Full)?;
        let (reply, answer) = oneshot::channel();
        let job = Job { company, command, idempotency, reply, held_until: None, _place: place };
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Full,
            mpsc::error::TrySendError::Closed(_) => WriteError::Unavailable,
        })?;
        answer.await.unwrap_or(Err(WriteError::Failed))
    }
}

/// Carries out a batch. If the database is away and the batch in doubt, that takes long: then
/// those who wait behind it are told to come back.
async fn run_batch<D: Domain>(
    batches: &mut Batches<D>,
    jobs: Vec<Job<D>>,
    queue: &mut mpsc::Receiver<Job<D>>,
) -> Vec<Job<D>> {
    let away = batches.away.clone();
    let running = batches.run(jobs);
    tokio::pin!(running);
    loop {
        tokio::select! {
            biased;
            held = &mut running => return held,
            () = away.turned() => while away.is() && let Ok(job) = queue.try_recv() {
                job.answer(Err(WriteError::Unavailable));
            },
        }
    }
}

async fn run<D: Domain>(mut batches: Batches<D>, mut queue: mpsc::Receiver<Job<D>>) {
    let mut jobs = Vec::new();
    // Held ones come first, so that commands on one record keep their order.
    let mut held = VecDeque::new();
    loop {
        jobs.extend(held.drain(..));
        if jobs.is_empty() {
            if queue.recv_many(&mut jobs, BATCH).await == 0 {
                return;
            }
        } else {
            while jobs.len() < BATCH
                && let Ok(job) = queue.try_recv()
            {
                jobs.push(job);
            }
        }
        let decided = jobs.len();
        held = run_batch(&mut batches, std::mem::take(&mut jobs), &mut queue).await.into();
        let still_held = held.len();
        let now = Instant::now();
        let mut waiting = VecDeque::with_capacity(still_held);
        for mut job in held {
            if now >= *job.held_until.get_or_insert(now + HELD_AT_MOST) {
                job.answer(Err(WriteError::Held));
            } else {
                waiting.push_back(job);
            }
        }
        held = waiting;
        if still_held == decided {
            tokio::time::sleep(HELD_PAUSE).await;
        }
    }
}
