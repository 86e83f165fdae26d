//! The delivery log: what was delivered to whom, what was not, and why; and trying out
//! what would be.
//!
//! A *delivery* is one event to one subscription. It is *waiting* until it is attempted,
//! *retrying* while attempts fail, then *delivered* or *undelivered*; a replay can still
//! deliver what was not. What the subscriber resumed without is *skipped*.

mod list;
mod of_event;
mod show;
mod state;
mod store;
mod trial;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use state::State;
pub use trial::Tester;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list::undelivered))
        .routes(routes!(list::list))
        .routes(routes!(show::show))
        .routes(routes!(of_event::list))
        .routes(routes!(trial::test))
        .routes(routes!(trial::preview))
}
