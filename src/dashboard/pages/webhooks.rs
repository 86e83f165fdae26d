//! Subscriptions, and what can be done about each.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::deliveries::Delivery;
use super::{OK, after, encoded, or_why, said};
use crate::admin::users::Role;
use crate::dashboard::page::{Listed, One, Page, shown};
use crate::dashboard::texts::Texts;
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

/// A subscription, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) subscription_id: String,
    pub(super) event_type: String,
    pub(super) target_url: String,
    pub(super) status: String,
    pub(super) status_reason: Option<String>,
    delivery: Option<Health>,
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
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Wanted {
    cursor: Option<String>,
    done: Option<String>,
    test: Option<String>,
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct Webhooks {
    page: Page,
    found: Vec<Subscription>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn list(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let listed = async {
        let cursor = after(wanted.cursor.as_deref());
        let path = format!("/webhooks?status=all&limit=50{cursor}");
        let found: Listed<Subscription> = dashboard.inside.get(&signed_in.whose(), &path).await?;
        let page = signed_in.page("webhooks", signed_in.language.texts().webhooks);
        Ok(shown(OK, &Webhooks { page, found: found.data, next: found.meta.next_cursor }))
    };
    or_why(&signed_in, listed.await)
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct Webhook {
    page: Page,
    subscription: Subscription,
    may: bool,
    said: Option<String>,
    found: Vec<Delivery>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let page = async {
        let whose = signed_in.whose();
        let path = format!("/webhooks/{}", encoded(&id));
        let subscription: One<Subscription> = dashboard.inside.get(&whose, &path).await?;
        let cursor = after(wanted.cursor.as_deref());
        let path = format!("{path}/deliveries?limit=50{cursor}");
        let found: Listed<Delivery> = dashboard.inside.get(&whose, &path).await?;
        let title = subscription.data.target_url.clone();
        let said = said(&signed_in, wanted.done.as_deref()).map(str::to_owned);
        let webhook = Webhook {
            page: signed_in.page("webhooks", title),
            subscription: subscription.data,
            may: signed_in.session.role == Role::Admin,
            said: wanted.test.or(said),
            found: found.data,
            next: found.meta.next_cursor,
        };
        Ok(shown(OK, &webhook))
    };
    or_why(&signed_in, page.await)
}

/// Pauses, resumes, or sends a test.
pub(in crate::dashboard) async fn act(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path((id, action)): Path<(String, String)>,
) -> Response {
    let done = async {
        let path = format!("/webhooks/{}", encoded(&id));
        let (request, body) = match &*action {
            "pause" => ((Method::PATCH, path), json!({"is_active": false})),
            "resume" => ((Method::PATCH, path), json!({"is_active": true})),
            _ => ((Method::POST, format!("{path}/test")), json!({})),
        };
        let told = dashboard.inside.call(&signed_in.whose(), (request.0, &request.1), Some(&body)).await?;
        if !told.status.is_success() {
            return Err(Failure::Told(told));
        }
        let then = match &*action {
            "pause" | "resume" => "done=saved".to_owned(),
            _ => format!("test={}", encoded(&outcome(&told.json["data"]))),
        };
        Ok(Redirect::to(&format!("{BASE}/webhooks/{id}?{then}")).into_response())
    };
    or_why(&signed_in, done.await)
}

/// What came of a test, in a sentence.
fn outcome(result: &Value) -> String {
    let took = &result["duration_ms"];
    match (result["error"].as_str(), result["status"].as_u64()) {
        (None, Some(status)) => format!("{status} · {took} ms"),
        (error, _) => format!("{} · {took} ms", error.unwrap_or_default()),
    }
}
