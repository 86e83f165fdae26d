//! The writer: every write of this process goes through here, in batches.
//!
//! The actors: a handler *submits* a command and waits for its answer; the one
//! *writer task* takes whatever has queued up while the previous commit ran and
//! makes it one transaction: **load** the rows it touches, **decide** each command
//! in order of arrival (a pure function of the [`Domain`]), **store** what changed,
//! append the events to the log last, commit, answer every handler, hand the very
//! same events to the tail.
//!
//! A job is *queued*, then *decided* in a transaction, then *answered*; or it is
//! *held* (another process has its row locked) and goes back to the front of the
//! queue. A transaction that fails is *rerun from load* when that can help
//! (deadlock, lock time-out, a unique value taken meanwhile), then each job by
//! itself, so that one poisoned command harms nobody else. A COMMIT whose outcome
//! is unknown is looked up until it is decided, never run again on a guess.
//!
//! Batches that need nothing loaded take the *fast path*: store and append are one
//! statement, which commits by itself. If it fails, nothing was written, and the batch
//! becomes a transaction after all.

mod batch;
mod core;
mod doubt;
mod fast_path;
mod idempotency;
mod job;
mod outage;
mod queue;
mod session;
mod transaction;

use std::future::Future;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

pub use batch::Batches;
pub use idempotency::{IdempotencyKey, answered};
pub use job::WriteError;
pub use queue::Writer;

use crate::log::{Entries, NewEvent, Numbers};
use crate::model::etag::ETag;
use crate::model::ids::CompanyId;

/// What the writer writes. The domain knows records and rules; the writer knows
/// transactions and the log.
pub trait Domain: Send + Sync + 'static {
    /// What one caller wants written.
    type Command: Send + Sync + 'static;
    /// The rows a batch touches, as loaded and then as changed.
    type State: Send;

    /// How many writes a command is. One that is many has as many places in the queue.
    fn weight(command: &Self::Command) -> usize;

    /// Loads and locks (never waiting for a lock: `SKIP LOCKED`) what the commands need.
    fn load(
        &self,
        connection: &mut PgConnection,
        commands: &[(CompanyId, &Self::Command)],
    ) -> impl Future<Output = Result<Self::State, sqlx::Error>> + Send;

    /// Decides one command, seeing what earlier ones of the batch did. Pure: no
    /// I/O, no clock.
    fn decide(
        &self,
        state: &mut Self::State,
        company: CompanyId,
        command: &Self::Command,
        now: DateTime<Utc>,
    ) -> Decision;

    /// Writes what changed. Locks are taken in one order everywhere. Answers
    /// whether anything was written.
    fn store(
        &self,
        connection: &mut PgConnection,
        state: Self::State,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// What [`load`](Domain::load) would bring if the commands are such that it need not be
    /// asked: all of them make what is new, and if one cannot be carried out because of what
    /// is there, a constraint of the database is violated.
    fn assume(&self, commands: &[(CompanyId, &Self::Command)]) -> Option<Self::State>;

    /// Writes what changed since [`assume`](Domain::assume), appends the entries after it, and
    /// commits, all in one statement.
    fn store_and_append(
        &self,
        connection: &mut PgConnection,
        state: Self::State,
        entries: &Entries,
    ) -> impl Future<Output = Result<Numbers, sqlx::Error>> + Send;
}

/// What became of a command.
#[derive(Debug)]
pub enum Decision {
    /// DecidedBatch, one way or the other.
    Done(Answer, Vec<NewEvent>),
    /// A row it needs is locked by another process.
    Held,
}

/// The answer to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON text.
    pub body: String,
    /// The tag of what it shows, if that is known without the body.
    pub etag: Option<ETag>,
    /// Is it the first answer to an earlier request with the same Idempotency-Key?
    pub replayed: bool,
}
