//! The health of a subscription: what happens when its events are not delivered.
//!
//! After an undelivered event a subscription is *degraded*: it pauses before the next
//! event's first attempt, twice as long each time, so that a receiver that is away for
//! a day does not cost four attempts per event. After a number of undelivered events in a
//! row (`Tuning::deactivate_after`), or a 410, the subscription is *deactivated*, with a reason;
//! its events wait. The operator is told by a log line, a metric and, if there is one, the alert URL.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::sync::mpsc;
use url::Url;

use crate::model::events::Event;
use crate::model::ids::{CompanyId, SubscriptionId};
use crate::model::time::wire_time;
use crate::outbound::operator;
use crate::outbound::signature::Secret;

/// Undelivered events in a row after which a subscription is deactivated.
pub const DEACTIVATE_AFTER: i32 = 20;
/// The pause after the first undelivered event.
pub const DEGRADED_PAUSE: Duration = Duration::from_secs(30);
/// The pause doubles so often: from half a minute to half an hour.
const DOUBLINGS: i32 = 6;

/// How long a degraded subscription pauses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Degraded(pub(super) Duration);

impl Degraded {
    /// The pause after a number of undelivered events in a row.
    pub(super) fn pause(self, undelivered_in_row: i32) -> Duration {
        self.0 * 2_u32.pow((undelivered_in_row - 1).clamp(0, DOUBLINGS).unsigned_abs())
    }
}

/// Alerts that may wait to be sent; more are dropped, the log has them all.
const ALERTS: usize = 256;
/// Attempts to send an alert, with a pause between them.
const ALERT_ATTEMPTS: u32 = 3;
const ALERT_PAUSE: Duration = Duration::from_secs(5);
const ALERT_TIMEOUT: Duration = Duration::from_secs(10);

/// An attempt that failed, as the operator is told of it.
#[derive(Clone)]
pub(super) struct FailedAttempt {
    pub(super) event: Arc<Event>,
    pub(super) attempt: u8,
    pub(super) error: String,
    pub(super) error_class: &'static str,
}

/// What the operator should know of.
pub(super) struct Alert {
    /// `subscription.failing` or `subscription.deactivated`.
    pub(super) kind: &'static str,
    pub(super) company: CompanyId,
    pub(super) subscription: SubscriptionId,
    /// Where its events go, without what could be a secret.
    pub(super) origin: String,
    pub(super) reason: String,
    /// The attempt that led to it.
    pub(super) last: FailedAttempt,
    /// Undelivered events in a row, if they led to it, and how many of them deactivate.
    pub(super) undelivered_in_row: Option<i32>,
    pub(super) deactivate_after: i32,
    pub(super) at: DateTime<Utc>,
}

/// Where and how the operator is told.
#[derive(Clone, Debug)]
pub struct AlertTarget {
    /// Where to POST alerts. The operator chose it, so it may be anywhere.
    pub url: Url,
    /// Signs them, as webhooks are signed.
    pub secret: Option<Secret>,
    /// What links begin with: the URL at which this server is reached.
    pub public_url: String,
}

/// Tells the operator.
#[derive(Clone)]
pub(super) struct Alerts(Option<mpsc::Sender<Alert>>);

impl Alerts {
    /// Alerts that go to `target`, if there is one.
    pub(super) fn new(target: Option<AlertTarget>) -> Self {
        let Some(target) = target else { return Self(None) };
        let (sender, alerts) = mpsc::channel(ALERTS);
        tokio::spawn(send(target, alerts));
        Self(Some(sender))
    }

    pub(super) fn tell(&self, alert: Alert) {
        let Alert { kind, company, subscription, reason, .. } = &alert;
        tracing::warn!(%subscription, %company, reason, "{kind}");
        if let Some(sender) = &self.0
            && sender.try_send(alert).is_err()
        {
            tracing::warn!("too many alerts wait to be sent; this one is only in the log");
        }
    }
}

impl Alert {
    /// As it is sent.
    fn body(&self, public_url: &str) -> String {
        let FailedAttempt { event, attempt, error, error_class } = &self.last;
        let public_url = public_url.trim_end_matches('/');
        json!({
            "alert": self.kind,
            "subscription_id": self.subscription,
            "companyId": self.company,
            "target": self.origin,
            "reason": self.reason,
            "event": {
                "type": event.event_type,
                "eventId": event.id,
                "attempt": attempt,
                "error": error,
                "error_class": error_class,
            },
            "consecutive_undelivered": self.undelivered_in_row,
            "deactivated_after": self.deactivate_after,
            "link": format!("{public_url}/api/external/webhooks/{}", self.subscription.hook()),
            "timestamp": wire_time(self.at),
        })
        .to_string()
    }
}

async fn send(target: AlertTarget, mut alerts: mpsc::Receiver<Alert>) {
    let client = match operator::client(ALERT_TIMEOUT) {
        Ok(client) => client,
        Err(error) => {
            return tracing::error!(%error, "the client for alerts cannot be made; alerts are only in the log");
        }
    };
    while let Some(alert) = alerts.recv().await {
        let body = alert.body(&target.public_url);
        // The same on each attempt, so that the operator can tell a repetition.
        let id = format!("{}.{}.{}", alert.kind, alert.subscription, alert.last.event.id);
        for attempt in 1..=ALERT_ATTEMPTS {
            let mut request = client.post(target.url.clone()).header("content-type", "application/json");
            if let Some(secret) = &target.secret {
                let timestamp = alert.at.timestamp();
                request = request
                    .header("webhook-id", &id)
                    .header("webhook-timestamp", timestamp)
                    .header("webhook-signature", secret.sign(&id, timestamp, body.as_bytes()));
            }
            let request = request.body(body.clone());
            match request.send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => break,
                Err(error) if attempt == ALERT_ATTEMPTS => {
                    tracing::warn!(error = %error.without_url(), "an alert could not be sent");
                }
                Err(_) => tokio::time::sleep(ALERT_PAUSE).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_an_hour() {
        let degraded = Degraded(DEGRADED_PAUSE);
        for (in_row, seconds) in [(1, 30), (2, 60), (3, 120), (7, 1920), (8, 1920), (i32::MAX, 1920)] {
            assert_eq!(degraded.pause(in_row), Duration::from_secs(seconds), "{in_row}");
        }
    }
}
