//! A subscription and its replays, as the API shows them.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dashboard::chart::{Chart, Span};
use crate::dashboard::form;
use crate::dashboard::texts::Texts;
use crate::dashboard::{Dashboard, Failure, SignedIn};
use crate::model::events::EventSelection;
use crate::model::ids::SubscriptionId;
use crate::tallies;

/// Hours in the chart of a subscription.
const HOURS: usize = 24;
/// Replays that are shown of a subscription, the newest.
pub(super) const SHOWN: usize = 5;

/// A subscription, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) subscription_id: String,
    pub(super) event_type: String,
    pub(super) events: Vec<String>,
    pub(super) target_url: String,
    pub(super) filters: Map<String, Value>,
    pub(super) headers: Map<String, Value>,
    pub(super) include: Vec<String>,
    pub(super) ordering: String,
    pub(super) status: String,
    pub(super) status_reason: Option<String>,
    pub(super) created_at: String,
    delivery: Option<Health>,
    /// How its deliveries went in the last 24 hours.
    #[serde(skip)]
    pub(super) chart: Option<Chart>,
}

#[derive(Deserialize)]
struct Health {
    waiting: bool,
    last_success_at: Option<String>,
    last_error: Option<String>,
}

impl Subscription {
    pub(super) fn needs_attention(&self) -> bool {
        matches!(&*self.status, "degraded" | "deactivated")
    }

    pub(super) fn tone(&self) -> &'static str {
        match &*self.status {
            "active" => "good",
            "degraded" => "warn",
            "deactivated" => "bad",
            _ => "rest",
        }
    }

    pub(super) fn state(&self, t: &'static Texts) -> &'static str {
        match &*self.status {
            "active" => t.active,
            "degraded" => t.degraded,
            "deactivated" => t.deactivated,
            "deleted" => t.removed,
            _ => t.paused,
        }
    }

    /// Why it does not do well, in a sentence.
    pub(super) fn why(&self, t: &'static Texts) -> Option<String> {
        match &*self.status {
            // The API's sentence says what a program can send.
            "degraded" => {
                let error = self.last_error().map_or_else(String::new, |error| format!(" ({error})"));
                Some(format!("{}{error}", t.fails_now))
            }
            _ => self.status_reason.clone(),
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.waiting)
    }

    pub(super) fn last_success(&self) -> Option<&str> {
        self.delivery.as_ref()?.last_success_at.as_deref()
    }

    pub(super) fn last_error(&self) -> Option<&str> {
        self.delivery.as_ref()?.last_error.as_deref()
    }

    /// The types that it has, patterns spelt out.
    pub(super) fn types(&self) -> Vec<String> {
        let selection = EventSelection::parse(self.events.iter().map(String::as_str));
        selection.map(|selection| selection.types().words()).unwrap_or_default()
    }

    /// The filters, for people: fields and their values.
    pub(super) fn filter_lines(&self) -> Vec<(String, String)> {
        let lines = self.filters.iter().map(|(field, values)| (field.clone(), form::listed(values)));
        lines.collect()
    }
}

/// Adds to subscriptions how their deliveries went in the last 24 hours.
pub(super) async fn add_charts(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    subscriptions: &mut [Subscription],
) -> Result<(), Failure> {
    let span = Span::until(dashboard.admin.clock.now(), HOURS, TimeDelta::hours(1));
    let ids =
        subscriptions.iter().filter_map(|subscription| SubscriptionId::parse(&subscription.subscription_id));
    let ids: Vec<_> = ids.map(|id| id.0).collect();
    let company = signed_in.session.company;
    let counted = tallies::of_subscriptions(dashboard.pool(), company, &ids, span.from).await?;
    let (language, t) = (signed_in.reader.language, signed_in.reader.texts());
    for subscription in subscriptions {
        let id = SubscriptionId::parse(&subscription.subscription_id).map(|id| id.0).unwrap_or_default();
        let mut values = [(0, 0); HOURS];
        for (at, delivered, failed) in counted.get(&id).into_iter().flatten() {
            if let Some(index) = span.index(*at) {
                values[index] = (*delivered, *failed);
            }
        }
        subscription.chart = Some(Chart::new(language, t.deliveries.to_owned(), span, &values));
    }
    Ok(())
}

/// A replay, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Replay {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) status_reason: Option<String>,
    pub(super) progress: f64,
    pub(super) delivered: i64,
    pub(super) undelivered: i64,
    pub(super) created_at: String,
}

impl Replay {
    /// Percent.
    pub(super) fn percent(&self) -> String {
        format!("{:.0}", self.progress * 100.0)
    }

    pub(super) fn is_running(&self) -> bool {
        self.status == "running"
    }
}

/// What a replay would send.
pub(super) struct Counted {
    pub(super) events: String,
    pub(super) since: String,
    pub(super) until: String,
    pub(super) only: String,
}
