//! Tells pages that something happened, so that they show it without being loaded anew.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use uuid::Uuid;

use super::{Dashboard, SignedIn, inbox};
use crate::listeners::Listener;
use crate::model::ids::CompanyId;
use crate::shares::Place;
use crate::tallies;

/// Pages that are told, in this process; and those of one company.
pub(super) const PAGES: (usize, usize) = (500, 50);
/// How often it is looked whether something happened: what happens meanwhile is told at once.
const EVERY: Duration = Duration::from_secs(1);
/// How often something is sent although nothing happened, so that a page that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Somebody who looks at a page.
struct Watcher {
    dashboard: Dashboard,
    company: CompanyId,
    listener: Listener,
    /// What was seen last.
    seen: Option<Seen>,
    _place: Place,
}

/// What changes when something happens.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    event: i64,
    delivered: i64,
    received: Option<Uuid>,
}

/// Says `changed` whenever something did, once a second at most.
pub(super) async fn follow(State(dashboard): State<Dashboard>, signed_in: SignedIn) -> Response {
    let company = signed_in.session.company;
    let Ok(place) = dashboard.watchers.try_take(company) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "Too many pages are open.\n").into_response();
    };
    let listener = dashboard.listeners.watch(company);
    let watcher = Watcher { dashboard, company, listener, seen: None, _place: place };
    let events = stream::unfold(watcher, |mut watcher| async move {
        watcher.changed().await;
        Some((Ok::<_, Infallible>(Event::default().event("changed").data("")), watcher))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    ([unbuffered], Sse::new(events).keep_alive(keep_alive)).into_response()
}

impl Watcher {
    /// Waits until something happened since the page was told last.
    async fn changed(&mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(now) = self.look().await else { continue };
            // The first time it is not known what the page shows: something may have happened since.
            if self.seen.replace(now) != Some(now) {
                return;
            }
        }
    }

    /// None while the database is away.
    async fn look(&mut self) -> Option<Seen> {
        let delivered = sqlx::query_scalar!(
            r#"SELECT coalesce(sum(attempts), 0)::bigint AS "attempts!" FROM tallies
               WHERE company_id = $1 AND subscription_id = $2 AND unit = 'minute' AND at >= now() - interval '5 minutes'"#,
            self.company.0,
            tallies::WHOLE,
        );
        let delivered = delivered.fetch_one(self.dashboard.pool()).await.ok()?;
        let received = inbox::newest(self.dashboard.pool(), self.company).await.ok()?;
        Some(Seen { event: self.listener.head(), delivered, received })
    }
}
