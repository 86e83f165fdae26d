//! The dashboard: pages for people, made from what the API's routes answer.
//!
//! A page is a request of somebody who is signed in. It calls the API's routes in that person's name
//! (`inside.rs`), and shows their answers; so it has their rules, and no query of its own but for what
//! the API does not know: users, sessions and API keys.

mod assets;
mod chart;
mod docs;
mod form;
mod guard;
mod inbox;
mod inside;
mod json;
mod language;
mod listing;
mod live;
mod page;
mod pages;
mod session;
mod texts;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use sqlx::PgPool;

use crate::admin::{self, Admin};
use crate::http::auth::is_proxied;
use crate::http::layers;
use crate::http::peer::address;
use crate::listeners::Listeners;
use crate::shares::Shares;
use docs::Reference;
use guard::Throttle;
use inside::{For, Inside, Told};
use language::{Language, Reader, Theme};
use page::Page;
use session::Session;

/// Where the pages live.
pub const BASE: &str = "/dashboard";
/// What a browser remembers of its user's choices.
const LANGUAGE_COOKIE: &str = "isao_language";
const THEME_COOKIE: &str = "isao_theme";

/// What pages have at hand; cheap to clone.
#[derive(Clone)]
pub struct Dashboard(Arc<Tools>);

/// What there is to have at hand.
pub struct Tools {
    admin: Admin,
    inside: Inside,
    throttle: Throttle,
    listeners: Listeners,
    /// Places of pages that are told when something happens.
    watchers: Shares,
    /// Places of messages to inboxes.
    receiving: Shares,
    reference: Reference,
}

impl Deref for Dashboard {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.0
    }
}

impl Dashboard {
    /// Pages about what `routes` answer, which are below `base` and ask for no key. Users and sessions
    /// are in the database of `admin`; `listeners` hear of events; `document` is the
    /// text of the routes' OpenAPI document.
    pub fn new(
        admin: Admin,
        (routes, base): (Router, &'static str),
        listeners: Listeners,
        document: String,
    ) -> Self {
        Self(Arc::new(Tools {
            admin,
            inside: Inside { routes, base },
            throttle: Throttle::default(),
            listeners,
            reference: Reference::new(document),
            watchers: Shares::new(live::PAGES.0, live::PAGES.1),
            receiving: Shares::new(inbox::AT_ONCE.0, inbox::AT_ONCE.1),
        }))
    }

    fn pool(&self) -> &PgPool {
        &self.admin.pool
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What a route answered instead.
    #[error("a route answered {}", .0.status)]
    Told(Box<Told>),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Admin(#[from] admin::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Http(#[from] axum::http::Error),
    #[error(transparent)]
    Body(#[from] axum::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Template(#[from] askama::Error),
    #[error(transparent)]
    Csv(#[from] csv::Error),
    #[error(transparent)]
    Header(#[from] axum::http::header::InvalidHeaderValue),
    /// What was there is not any more; why.
    #[error("it is gone")]
    Gone(&'static str),
    /// Somebody without the role for it.
    #[error("the role does not allow it")]
    Forbidden,
}

/// A request of somebody who is signed in.
struct SignedIn {
    session: Session,
    reader: Reader,
    proxied: bool,
    address: String,
}

impl SignedIn {
    fn whose(&self) -> For<'_> {
        For { session: &self.session, proxied: self.proxied }
    }

    /// A page for this person, with the menu's entry `here`.
    fn page(&self, here: &'static str, title: impl Into<String>) -> Page {
        Page::new(self.reader, Some(&self.session), here, title.into())
    }

    fn fails(&self, failure: &Failure) -> Response {
        page::failure(self.reader, Some(&self.session), failure)
    }
}

impl FromRequestParts<Dashboard> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Response> {
        let now = dashboard.admin.clock.now();
        let found = session::of(dashboard.pool(), &parts.headers, now).await;
        let reader = |user: Option<&str>| reader(&parts.headers, user);
        match found {
            Ok(Some(session)) => Ok(Self {
                reader: reader(session.language.as_deref()),
                proxied: is_proxied(&parts.headers),
                address: address(&parts.headers, parts.extensions.get().copied()),
                session,
            }),
            // After signing in it goes on with the page that was wanted.
            Ok(None) => {
                let wanted = parts.uri.path_and_query().map_or("", |wanted| wanted.as_str());
                let wanted = format!("{BASE}{}", wanted.trim_end_matches('/'));
                let wanted: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
                Err(Redirect::to(&format!("{BASE}/sign-in?to={wanted}")).into_response())
            }
            Err(error) => Err(page::failure(reader(None), None, &error.into())),
        }
    }
}

/// How the pages of a request are read.
fn reader(headers: &HeaderMap, user: Option<&str>) -> Reader {
    let accepts = headers.get(header::ACCEPT_LANGUAGE).and_then(|accepts| accepts.to_str().ok());
    Reader {
        language: Language::choose(session::cookie(headers, LANGUAGE_COOKIE), user, accepts),
        theme: Theme::choose(session::cookie(headers, THEME_COOKIE)),
    }
}

/// The pages.
pub fn router(dashboard: Dashboard) -> Router {
    let pages = Router::new()
        .route("/", get(pages::overview::show))
        .route("/sign-in", get(pages::sign_in::show).post(pages::sign_in::enter))
        .route("/sign-in/{secret}", get(pages::sign_in::by_link))
        .route("/password/{secret}", get(pages::sign_in::password).post(pages::sign_in::choose))
        .route("/sign-out", post(pages::sign_in::leave))
        .route("/look", post(pages::account::look))
        .route("/account", get(pages::account::show))
        .route("/account/company", post(pages::account::company))
        .route("/account/password", post(pages::account::change_password))
        .route("/account/sessions/{which}/end", post(pages::account::end))
        .route("/live", get(live::follow))
        .route("/events", get(pages::events::list))
        .route("/events.csv", get(pages::events::csv))
        .route("/events/{id}", get(pages::events::show))
        .route("/webhooks", get(pages::webhooks::list).post(pages::subscribing::create))
        .route("/webhooks.csv", get(pages::webhooks::csv))
        .route("/webhooks/new", get(pages::subscribing::new))
        .route("/webhooks/check", get(pages::subscribing::check))
        .route("/webhooks/sample", get(pages::webhooks::show_sample))
        .route("/webhooks/{id}", get(pages::webhooks::show))
        .route("/webhooks/{id}/deliveries.csv", get(pages::webhooks::deliveries_csv))
        .route("/webhooks/{id}/edit", get(pages::subscribing::edit).post(pages::subscribing::change))
        .route("/webhooks/{id}/replay", post(pages::replays::start))
        .route("/webhooks/{id}/replays/{replay}/cancel", post(pages::replays::cancel))
        .route("/webhooks/{id}/{action}", post(pages::webhooks::act))
        .route("/undelivered", get(pages::deliveries::undelivered))
        .route("/undelivered.csv", get(pages::deliveries::csv))
        .route("/undelivered/redeliver", post(pages::deliveries::redeliver_all))
        .route("/deliveries/{id}", get(pages::deliveries::show))
        .route("/deliveries/{id}/redeliver", post(pages::deliveries::redeliver))
        .route("/contacts", get(pages::contacts::list).post(pages::contacts::create))
        .route("/contacts.csv", get(pages::contacts::csv))
        .route("/contacts/new", get(pages::contacts::new))
        .route("/contacts/choices", get(pages::contacts::choices))
        .route("/contacts/{id}", get(pages::contacts::show).post(pages::contacts::change))
        .route("/contacts/{id}/delete", post(pages::contacts::delete))
        .route("/deals", get(pages::deals::list).post(pages::deals::create))
        .route("/deals.csv", get(pages::deals::csv))
        .route("/deals/new", get(pages::deals::new))
        .route("/deals/board", get(pages::board::show))
        .route("/deals/{id}", get(pages::deals::show).post(pages::deals::change))
        .route("/deals/{id}/move", post(pages::board::go))
        .route("/deals/{id}/delete", post(pages::deals::delete))
        .route("/try", get(pages::trying::show))
        .route("/try/{action}", post(pages::trying::act))
        .route("/settings/company", get(pages::settings::company).post(pages::settings::rename))
        .route("/settings/company/members", post(pages::settings::add_member))
        .route("/settings/users", get(pages::people::list).post(pages::people::invite))
        .route("/settings/users/{id}/{action}", post(pages::people::act))
        .route("/settings/audit-log", get(pages::settings::audit))
        .route("/settings/api-keys", get(pages::keys::list).post(pages::keys::create))
        .route("/settings/api-keys/{id}/revoke", post(pages::keys::revoke))
        .route("/assets/{name}", get(assets::serve))
        .fallback(not_found)
        .layer(from_fn(guard::protect))
        .with_state(dashboard.clone());
    let around = Router::new()
        .route("/", get(async || Redirect::to(BASE)))
        .route(docs::PATH, get(docs::show))
        .layer(from_fn(guard::protect))
        // Other servers and programs POST here.
        .route("/in/{token}", post(inbox::receive))
        .fallback(unknown)
        .with_state(dashboard);
    around.nest(BASE, pages)
}

async fn not_found(State(dashboard): State<Dashboard>, headers: HeaderMap, _: Uri) -> Response {
    let session = session::of(dashboard.pool(), &headers, dashboard.admin.clock.now()).await.ok().flatten();
    let reader = reader(&headers, session.as_ref().and_then(|session| session.language.as_deref()));
    page::message(reader, session.as_ref(), StatusCode::NOT_FOUND, reader.texts().not_found)
}

/// Where there is nothing: a page for a browser, unless it asks for the API.
async fn unknown(State(dashboard): State<Dashboard>, request: Request) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    let of_api = path == "/api" || path.starts_with("/api/");
    if !is_read || of_api || !guard::prefers_html(request.headers()) {
        return layers::no_such_route().into_response();
    }
    let (parts, _) = request.into_parts();
    guard::protected(not_found(State(dashboard), parts.headers, parts.uri).await)
}
