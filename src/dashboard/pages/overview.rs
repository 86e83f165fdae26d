//! How things are.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::de::IgnoredAny;

use super::webhooks::Subscription;
use super::{OK, or_why};
use crate::dashboard::page::{Listed, Page, shown};
use crate::dashboard::{Dashboard, Failure, SignedIn};

/// Undelivered events that are counted; more are said to be more.
const COUNTED: usize = 50;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    page: Page,
    webhooks: i64,
    contacts: i64,
    undelivered: String,
    attention: Vec<Subscription>,
}

pub(in crate::dashboard) async fn show(State(dashboard): State<Dashboard>, signed_in: SignedIn) -> Response {
    or_why(&signed_in, overview(&dashboard, &signed_in).await)
}

async fn overview(dashboard: &Dashboard, signed_in: &SignedIn) -> Result<Response, Failure> {
    let whose = signed_in.whose();
    let subscriptions: Listed<Subscription> = dashboard.inside.get(&whose, "/webhooks?status=all").await?;
    let contacts: Listed<IgnoredAny> = dashboard.inside.get(&whose, "/contacts?limit=1").await?;
    let path = format!("/webhooks/undelivered?limit={COUNTED}");
    let undelivered: Listed<IgnoredAny> = dashboard.inside.get(&whose, &path).await?;
    let more = if undelivered.meta.next_cursor.is_some() { "+" } else { "" };
    let webhooks = i64::try_from(subscriptions.data.len()).unwrap_or(i64::MAX);
    let overview = Overview {
        page: signed_in.page("overview", signed_in.language.texts().overview),
        webhooks,
        contacts: contacts.meta.total,
        undelivered: format!("{}{more}", undelivered.data.len()),
        attention: subscriptions.data.into_iter().filter(Subscription::needs_attention).collect(),
    };
    Ok(shown(OK, &overview))
}
