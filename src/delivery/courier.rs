//! What lanes and replays share: permission for an attempt, the attempt, and its record.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use super::attempt::Sender;
use super::deactivation::Deactivation;
use super::health::FailedAttempt;
use super::lane::{Lane, Outcome};
use super::limits::{Limits, Permit};
use super::outgoing::Outgoing;
use super::recorder::Notes;
use crate::clock::Clock;
use crate::model::attempt::AttemptCause;
use crate::subscription::Subscription;

/// Makes attempts, within the limits and the lease, and has them recorded.
pub(super) struct Courier {
    pub(super) clock: Clock,
    pub(super) sender: Sender,
    pub(super) limits: Arc<Limits>,
    pub(super) notes: Notes,
    /// Until when attempts may start: the lease.
    pub(super) valid: watch::Receiver<Instant>,
    pub(super) deactivation: Deactivation,
}

/// An attempt that was made and recorded.
pub(super) struct RecordedAttempt {
    pub(super) outcome: Outcome,
    pub(super) failed: Option<FailedAttempt>,
    pub(super) at: DateTime<Utc>,
    pub(super) duration: Duration,
}

impl Courier {
    /// Makes attempt `number`, has it recorded, and deactivates the subscription if the
    /// receiver wants nothing more.
    pub(super) async fn attempt(
        &self,
        lane: &Arc<Lane>,
        (outgoing, subscription): (&Arc<Outgoing>, &Subscription),
        (number, cause): (u8, AttemptCause),
        permit: Permit,
    ) -> RecordedAttempt {
        let sent = self.sender.send(outgoing, subscription, number).await;
        drop(permit);
        let event = &outgoing.event;
        let failed = sent.failed(event, number);
        let gone = failed.clone().filter(|_| sent.is_gone());
        let made = RecordedAttempt { outcome: sent.outcome(), failed, at: sent.at, duration: sent.duration };
        match &made.outcome {
            Outcome::Failed { error, .. } => {
                tracing::info!(
                    company = %lane.company, subscription = %lane.id, event = %event.id, attempt = number, error,
                    "an attempt failed"
                );
            }
            Outcome::Delivered => {
                tracing::debug!(
                    company = %lane.company, subscription = %lane.id, event = %event.id, attempt = number,
                    "an event was delivered"
                );
            }
        }
        self.notes.attempt(sent.into_record(lane, event, number, cause)).await;
        if let Some(last) = gone {
            self.deactivation.gone(lane, subscription, &last).await;
        }
        made
    }

    /// Waits until the lease allows attempts.
    pub(super) async fn until_valid(&self) {
        let mut valid = self.valid.clone();
        while *valid.borrow_and_update() <= Instant::now() {
            if valid.changed().await.is_err() {
                return;
            }
        }
    }
}
