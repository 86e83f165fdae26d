//! The bounded queue of commands, and the task that empties it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::batch::Batches;
use super::job::{Job, Slot, WriteError};
use super::outage::Outage;
use super::{Answer, Domain, IdempotencyKey};
use crate::log::Author;
use crate::metrics::Metrics;
use crate::model::ids::CompanyId;

/// Commands waiting in all. Some seconds of work; beyond it a 503 is kinder than a wait.
const QUEUE: usize = 2048;
/// Commands in one transaction: enough to share a commit, few enough to keep it short.
const BATCH: usize = 256;
/// How long a command whose row another process holds is tried again.
const HELD_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a batch that is held as a whole is tried again.
const HELD_PAUSE: Duration = Duration::from_millis(3);

/// The way in: submits commands to the process's one writer task.
pub struct Writer<D: Domain> {
    queue: mpsc::Sender<Job<D>>,
    outage: Arc<Outage>,
    waiting: Arc<Mutex<HashMap<CompanyId, usize>>>,
    metrics: Arc<Metrics>,
}

impl<D: Domain> Clone for Writer<D> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            outage: self.outage.clone(),
            waiting: self.waiting.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

impl<D: Domain> Writer<D> {
    /// Starts the writer task on `threads`. It ends, with everything answered, when the last
    /// `Writer` is dropped.
    pub fn start(batches: Batches<D>, threads: &Handle) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (metrics, outage) = (batches.metrics().clone(), batches.outage().clone());
        let task = threads.spawn(run(batches, jobs));
        (Self { queue, outage, waiting: Arc::default(), metrics }, task)
    }

    /// Carries out a command and answers when it is committed. If the caller goes
    /// away meanwhile, the command is still carried out, or not, never half.
    pub async fn submit(
        &self,
        author: Author,
        command: D::Command,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Answer, WriteError> {
        let outcome = self.enqueue(author, command, idempotency).await;
        if let Err(error) = outcome {
            self.metrics.write_failures.of(error.name()).inc();
        }
        outcome
    }

    async fn enqueue(
        &self,
        author: Author,
        command: D::Command,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Answer, WriteError> {
        if self.outage.is_on() {
            return Err(WriteError::Unavailable);
        }
        let slot = Slot::take(author.company, &self.waiting).ok_or(WriteError::Full)?;
        let (reply, answer) = oneshot::channel();
        let job = Job { author, command, idempotency, reply, held_until: None, _slot: slot };
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
    let outage = batches.outage().clone();
    let running = batches.run(jobs);
    tokio::pin!(running);
    loop {
        tokio::select! {
            biased;
            held = &mut running => return held,
            () = outage.began() => while outage.is_on() && let Ok(job) = queue.try_recv() {
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
            if now >= *job.held_until.get_or_insert(now + HELD_TIMEOUT) {
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
