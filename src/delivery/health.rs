//! The health of a subscription: what happens when its events are not delivered.
//!
//! After an undelivered event a subscription is *degraded*: it pauses before the next
//! event's first attempt, twice as long each time, so that a receiver that is away for
//! a day does not cost four attempts per event. After so many undelivered events in a
//! row, or a 410, it is *deactivated*, with a reason; its events wait. The operator is
//! told by a log line, a metric and, if there is one, the alert URL.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::sync::mpsc;
use url::Url;

use crate::model::ids::{CompanyId, SubscriptionId};
use crate::model::time::wire_time;
use crate::outbound::operator;

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

/// What the operator should know of.
#[derive(Debug)]
pub(super) struct Alert {
    /// `subscription.failing` or `subscription.deactivated`.
    pub(super) kind: &'static str,
    pub(super) company: CompanyId,
    pub(super) subscription: SubscriptionId,
    /// Where its events go, without what could be a secret.
    pub(super) origin: String,
    pub(super) reason: String,
    pub(super) at: DateTime<Utc>,
}

/// Tells the operator.
#[derive(Clone)]
pub(super) struct Alerts(Option<mpsc::Sender<Alert>>);

impl Alerts {
    /// Alerts that go to `url`, if there is one. The operator chose it, so it may be anywhere.
    pub(super) fn new(url: Option<Url>) -> Self {
        let Some(url) = url else { return Self(None) };
        let (sender, alerts) = mpsc::channel(ALERTS);
        tokio::spawn(send(url, alerts));
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

async fn send(url: Url, mut alerts: mpsc::Receiver<Alert>) {
    let client = match operator::client(ALERT_TIMEOUT) {
        Ok(client) => client,
        Err(error) => {
            return tracing::error!(%error, "the client for alerts cannot be made; alerts are only in the log");
        }
    };
    while let Some(alert) = alerts.recv().await {
        let body = json!({
            "alert": alert.kind,
            "subscription_id": alert.subscription,
            "companyId": alert.company,
            "target": alert.origin,
            "reason": alert.reason,
            "timestamp": wire_time(alert.at),
        });
        for attempt in 1..=ALERT_ATTEMPTS {
            let request =
                client.post(url.clone()).header("content-type", "application/json").body(body.to_string());
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
