//! Commands on their way through the writer, and what became of them.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::idempotency::IdempotencyKey;
use super::{Answer, Domain};
use crate::log::Author;
use crate::log::append::Appended;
use crate::shares::Place;

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
    pub(super) fn name(self) -> &'static str {
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

/// One per job, in order; `None` is held.
pub(super) type Outcomes = Vec<Option<Result<Answer, WriteError>>>;

/// A batch that is decided and stored, but perhaps not committed.
pub(super) struct DecidedBatch {
    pub(super) outcomes: Outcomes,
    /// If anything was written.
    pub(super) appended: Option<Appended>,
}

/// A command on its way.
pub(super) struct Job<D: Domain> {
    pub(super) author: Author,
    pub(super) command: D::Command,
    pub(super) idempotency: Option<IdempotencyKey>,
    pub(super) reply: oneshot::Sender<Result<Answer, WriteError>>,
    pub(super) held_until: Option<Instant>,
    /// How many writes it is.
    pub(super) weight: usize,
    /// Of the body that it came with.
    pub(super) bytes: usize,
    pub(super) _places: [Place; 2],
}

impl<D: Domain> Job<D> {
    pub(super) fn answer(self, answer: Result<Answer, WriteError>) {
        // The caller may have gone; what is committed stays committed.
        let _ = self.reply.send(answer);
    }
}
