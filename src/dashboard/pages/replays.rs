//! Sending events again: counted first, then begun, followed, cancelled.

use axum::Form;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Map, Value};

use super::subscription::Counted;
use super::webhooks::{self, Done};
use super::{encoded, or_why};
use crate::dashboard::form::{self, Sent};
use crate::dashboard::listing::Wanted;
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

/// Counts what would be sent, or sends it.
pub(in crate::dashboard) async fn start(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, replay(&dashboard, &signed_in, &id, &sent).await)
}

async fn replay(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    id: &str,
    sent: &Sent,
) -> Result<Response, Failure> {
    let mut body: Map<String, Value> = Map::new();
    for name in ["since", "until", "only"] {
        let value = form::value(sent, name);
        if !value.is_empty() {
            body.insert(name.to_owned(), value.into());
        }
    }
    let counts = !sent.contains_key("begin");
    body.insert("dryRun".to_owned(), counts.into());
    let path = format!("/webhooks/{}/replay", encoded(id));
    let told = dashboard.inside.call(&signed_in.whose(), (Method::POST, &path), Some(&body.into())).await?;
    if !told.status.is_success() {
        if told.status != 422 {
            return Err(Failure::Told(Box::new(told)));
        }
        let fields = told.json["details"]["fields"].as_object().into_iter().flatten();
        let problems =
            fields.map(|(name, problem)| format!("{name} {}", problem.as_str().unwrap_or_default()));
        let problem = Some(problems.collect::<Vec<_>>().join("; "));
        let done = Done { problem, ..Done::default() };
        return webhooks::page(dashboard, signed_in, id, Wanted::default(), done).await;
    }
    if !counts {
        return Ok(Redirect::to(&format!("{BASE}/webhooks/{id}?done=replaying#replays")).into_response());
    }
    let data = &told.json["data"];
    let more = if data["more"] == true { "+" } else { "" };
    let counted = Counted {
        events: format!("{}{more}", data["events"]),
        since: form::value(sent, "since"),
        until: form::value(sent, "until"),
        only: form::value(sent, "only"),
    };
    let done = Done { counted: Some(counted), ..Done::default() };
    webhooks::page(dashboard, signed_in, id, Wanted::default(), done).await
}

/// Cancels a replay.
pub(in crate::dashboard) async fn cancel(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path((id, replay)): Path<(String, String)>,
) -> Response {
    let done = async {
        let path = format!("/webhooks/replays/{}", encoded(&replay));
        dashboard.inside.must(&signed_in.whose(), (Method::DELETE, &path), None).await?;
        Ok(Redirect::to(&format!("{BASE}/webhooks/{id}?done=saved#replays")).into_response())
    };
    or_why(&signed_in, done.await)
}
