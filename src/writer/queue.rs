//! The bounded queue of commands, and the task that empties it.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::batch::Batches;
use super::job::{Job, WriteError};
use super::outage::Outage;
use super::{Answer, Domain, IdempotencyKey};
use crate::log::Author;
use crate::metrics::Metrics;
use crate::shares::Shares;

/// Writes waiting in all: a command is one, or several that have one answer. Some seconds of work; beyond it a 503 is kinder than a wait.
const QUEUE: usize = 2048;
/// Writes of one company among them.
const QUEUE_PER_COMPANY: usize = 512;
/// Bytes of the commands that wait, as they came; places are given away by the KiB.
const QUEUE_BYTES: usize = 64 * MIB;
/// Bytes of the commands of one company among them.
const QUEUE_BYTES_PER_COMPANY: usize = 16 * MIB;
const MIB: usize = 1024 * KIB;
const KIB: usize = 1024;
/// Writes in one transaction: enough to share a commit, few enough to keep it short. A command that
/// is more has a transaction to itself.
const BATCH: usize = 256;
/// Bytes of the commands in one transaction, as they came: large ones take long.
const BATCH_BYTES: usize = 2 * MIB;
/// How long a command whose row another process holds is tried again.
const HELD_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a batch that is held as a whole is tried again.
const HELD_PAUSE: Duration = Duration::from_millis(3);

/// The way in: submits commands to the process's one writer task.
pub struct Writer<D: Domain> {
    queue: mpsc::Sender<Job<D>>,
    outage: Arc<Outage>,
    places: Shares,
    bytes: Shares,
    metrics: Arc<Metrics>,
}

impl<D: Domain> Clone for Writer<D> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            outage: self.outage.clone(),
            places: self.places.clone(),
            bytes: self.bytes.clone(),
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
        let places = Shares::new(QUEUE, QUEUE_PER_COMPANY);
        let bytes = Shares::new(QUEUE_BYTES / KIB, QUEUE_BYTES_PER_COMPANY / KIB);
        (Self { queue, outage, places, bytes, metrics }, task)
    }

    /// Carries out a command and answers when it is committed. If the caller goes
    /// away meanwhile, the command is still carried out, or not, never half. The command came
    /// with so many `bytes`.
    pub async fn submit(
        &self,
        author: Author,
        (command, bytes): (D::Command, usize),
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Answer, WriteError> {
        let outcome = self.enqueue(author, (command, bytes), idempotency).await;
        if let Err(error) = outcome {
            self.metrics.write_failures.of(error.name()).inc();
        }
        outcome
    }

    async fn enqueue(
        &self,
        author: Author,
        (command, bytes): (D::Command, usize),
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Answer, WriteError> {
        if self.outage.is_on() {
            return Err(WriteError::Unavailable);
        }
        let full = |_| WriteError::Full;
        let weight = D::weight(&command);
        let place = self.places.try_take_many(author.company, weight).map_err(full)?;
        let room = self.bytes.try_take_many(author.company, bytes.div_ceil(KIB)).map_err(full)?;
        let (reply, answer) = oneshot::channel();
        let _places = [place, room];
        let job = Job { author, command, idempotency, reply, held_until: None, weight, bytes, _places };
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Full,
            mpsc::error::TrySendError::Closed(_) => WriteError::Unavailable,
        })?;
        answer.await.unwrap_or(Err(WriteError::OutcomeUnknown))
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
    let ended = {
        // What panics takes its jobs with it: nobody knows what became of them.
        let running = AssertUnwindSafe(batches.run(jobs)).catch_unwind();
        tokio::pin!(running);
        loop {
            tokio::select! {
                biased;
                ended = &mut running => break ended,
                () = outage.began() => while outage.is_on() && let Ok(job) = queue.try_recv() {
                    job.answer(Err(WriteError::Unavailable));
                },
            }
        }
    };
    ended.unwrap_or_else(|_| {
        batches.begin_anew();
        Vec::new()
    })
}

async fn run<D: Domain>(mut batches: Batches<D>, mut queue: mpsc::Receiver<Job<D>>) {
    // Held ones come first, so that commands on one record keep their order.
    let mut held = VecDeque::new();
    while let Some(jobs) = next_batch(&mut held, &mut queue).await {
        let decided = jobs.len();
        let still_held = run_batch(&mut batches, jobs, &mut queue).await;
        let all_held = still_held.len() == decided;
        let now = Instant::now();
        for mut job in still_held.into_iter().rev() {
            if now >= *job.held_until.get_or_insert(now + HELD_TIMEOUT) {
                job.answer(Err(WriteError::Held));
            } else {
                held.push_front(job);
            }
        }
        if all_held {
            tokio::time::sleep(HELD_PAUSE).await;
        }
    }
}

/// The held commands, then those that wait, as far as they are one batch; waits for the first.
/// Nothing when the last `Writer` is dropped and everything is answered.
async fn next_batch<D: Domain>(
    held: &mut VecDeque<Job<D>>,
    queue: &mut mpsc::Receiver<Job<D>>,
) -> Option<Vec<Job<D>>> {
    let first = match held.pop_front() {
        Some(job) => job,
        None => queue.recv().await?,
    };
    let (mut weight, mut bytes) = (first.weight, first.bytes);
    let mut jobs = vec![first];
    while weight < BATCH && bytes < BATCH_BYTES {
        let Some(job) = held.pop_front().or_else(|| queue.try_recv().ok()) else { break };
        if weight + job.weight > BATCH {
            held.push_front(job);
            break;
        }
        weight += job.weight;
        bytes += job.bytes;
        jobs.push(job);
    }
    Some(jobs)
}
