//! Deactivating a subscription whose receiver is gone or gets nothing.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;

use super::health::{Alert, Alerts, FailedAttempt};
use super::lane::Lane;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::subscription::{self, Status, Subscription};

/// Pause before a deactivation that could not be stored is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Deactivates subscriptions, and alerts the operator.
pub(super) struct Deactivation {
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) alerts: Alerts,
    /// Undelivered events in a row after which a subscription is deactivated.
    pub(super) after: i32,
}

impl Deactivation {
    /// The receiver answered that it wants nothing more.
    pub(super) async fn gone(&self, lane: &Arc<Lane>, subscription: &Subscription, last: &FailedAttempt) {
        let reason = "the receiver answered 410 Gone".to_owned();
        self.deactivate(lane, subscription, ("gone", reason), (last, None)).await;
    }

    /// An event was not delivered; it was number `in_row` in a row.
    pub(super) async fn undelivered(
        &self,
        lane: &Arc<Lane>,
        subscription: &Subscription,
        in_row: i32,
        last: &FailedAttempt,
    ) {
        let (limit, error) = (self.after, &last.error);
        if in_row >= limit {
            let reason = format!("{in_row} events in a row were not delivered; the last error: {error}");
            self.deactivate(lane, subscription, ("undelivered", reason), (last, Some(in_row))).await;
        } else if in_row == (limit + 1) / 2 {
            let reason = format!(
                "{in_row} events in a row were not delivered; after {limit} the subscription is deactivated; the last error: {error}"
            );
            self.alert("subscription.failing", subscription, reason, (last, Some(in_row)));
        }
    }

    /// Deactivates a subscription, unless it was changed meanwhile; its events wait.
    /// `cause` is the reason in one word; `last` the attempt that was one too many, and how many
    /// events in a row were undelivered.
    async fn deactivate(
        &self,
        lane: &Arc<Lane>,
        subscription: &Subscription,
        (cause, reason): (&'static str, String),
        last: (&FailedAttempt, Option<i32>),
    ) {
        let Subscription { company, id, version, .. } = *subscription;
        loop {
            match subscription::deactivate(&self.pool, id, version, &reason, self.clock.now()).await {
                Ok(Some(version)) => {
                    self.metrics.deactivated.of(cause).inc();
                    self.alert("subscription.deactivated", subscription, reason, last);
                    return lane.update(Subscription {
                        status: Status::Deactivated,
                        version,
                        ..subscription.clone()
                    });
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, %company, subscription = %id, "a deactivation cannot be stored yet");
                }
            }
            if lane.shard.unless_halted(tokio::time::sleep(RETRY_DELAY)).await.is_none() {
                return;
            }
        }
    }

    fn alert(
        &self,
        kind: &'static str,
        subscription: &Subscription,
        reason: String,
        (last, undelivered_in_row): (&FailedAttempt, Option<i32>),
    ) {
        self.alerts.tell(Alert {
            kind,
            last: last.clone(),
            undelivered_in_row,
            deactivate_after: self.after,
            company: subscription.company,
            subscription: subscription.id,
            origin: subscription.target.url().origin().ascii_serialization(),
            reason,
            at: self.clock.now(),
        });
    }
}
