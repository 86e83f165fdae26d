//! The record of an attempt, as it waits for the recorder.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::shard::Shard;
use crate::model::attempt::{AttemptCause, AttemptOutcome};
use crate::model::ids::{CompanyId, EventId, SubscriptionId};
use crate::outbound::client::Response;
use crate::shares::Place;
use crate::tallies::{Ended, How};

/// Attempts that wait to be written, of all companies. With 8 KiB each, they take some 32 MiB.
pub(super) const ATTEMPTS: usize = 4096;
/// Attempts of one company among them.
pub(super) const COMPANY_ATTEMPTS: usize = 1024;
/// Bytes of a row beside its texts, more or less.
const ROW_BYTES: usize = 256;

/// One attempt, to be appended.
pub(super) struct Attempt {
    pub(super) company: CompanyId,
    pub(super) subscription: SubscriptionId,
    pub(super) shard: Arc<Shard>,
    pub(super) seq: i64,
    pub(super) event: EventId,
    /// When the event occurred.
    pub(super) occurred: DateTime<Utc>,
    pub(super) number: u8,
    pub(super) cause: AttemptCause,
    pub(super) at: DateTime<Utc>,
    pub(super) duration: Duration,
    pub(super) outcome: AttemptOutcome,
    pub(super) error: Option<String>,
    pub(super) error_class: Option<&'static str>,
    pub(super) signature: String,
    pub(super) answer: Option<Response>,
    /// Its place among those that wait to be written, once it waits.
    pub(super) place: Option<Place>,
}

impl Attempt {
    /// How it counts.
    pub(super) fn ended(&self) -> Ended {
        let ended = self.at + self.duration;
        let how = match self.outcome {
            AttemptOutcome::Delivered => {
                How::Delivered((self.cause == AttemptCause::Live).then_some(ended - self.occurred))
            }
            AttemptOutcome::Failed => How::Failed,
            AttemptOutcome::Undelivered => How::Undelivered,
        };
        Ended { company: self.company, subscription: self.subscription, at: ended, how }
    }

    /// Its size in a statement, more or less.
    pub(super) fn bytes(&self) -> usize {
        let answer = self.answer.as_ref().map_or(0, |answer| {
            let headers = answer.headers.iter().map(|(name, value)| name.len() + value.len());
            headers.sum::<usize>() + answer.snippet.len()
        });
        ROW_BYTES + self.error.as_ref().map_or(0, String::len) + self.signature.len() + answer
    }

    /// Leaves out what is large. Returns false if it was left out already.
    pub(super) fn strip(&mut self) -> bool {
        let Some(answer) = &mut self.answer else { return false };
        let had = !answer.headers.is_empty() || !answer.snippet.is_empty();
        answer.headers.clear();
        answer.snippet.clear();
        had
    }
}
