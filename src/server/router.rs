//! The router: the table of contents of the API.

use axum::Router;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tower::Layer;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::dashboard::{self, Dashboard};
use crate::diagnostics;
use crate::http::allowed::{Allowed, AnyKey};
use crate::http::auth::authenticate;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::layers::{Outermost, Refusals};
use crate::http::openapi::ReadErrors;
use crate::http::query::{KnownParameters, refuse_unknown};
use crate::http::warnings::{KnownFields, warn};
use crate::http::{answer, layers, unread};
use crate::metrics::CONTENT_TYPE;
use crate::model::permission::Permission;
use crate::model::time::wire_time;
use crate::resources::{
    Api, contacts, deals, deliveries, event_types, feed, members, replays, subscriptions, triggers,
};
use crate::server::webhooks::webhooks;
use crate::server::{Role, document};

/// Where the API lives.
pub const BASE: &str = "/api/external";

/// Headers of answers that a page may read.
const EXPOSED: [&str; 6] = [
    "etag",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
];
/// How long a browser may remember that it may call.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(OpenApi)]
#[openapi(
    info(title = "ISAO external API", description = include_str!("openapi.md")),
    servers((url = "/api/external")),
    security(("api_key" = [])),
    modifiers(&ApiKeyScheme, &Webhooks),
    components(schemas(ErrorBody)),
    tags(
        (name = "API key", description = "Checking an API key"),
        (name = "Contacts", description = "People the company deals with"),
        (name = "Deals", description = "Opportunities of the company"),
        (name = "Webhooks", description = "Subscriptions to events (REST Hooks)"),
        (name = "Deliveries", description = "What was delivered, what was not, and how to send it again"),
        (name = "Triggers", description = "Samples and recent records for polling clients"),
        (name = "Events", description = "The log of all events: reading and following it"),
    )
)]
struct Document;

struct Webhooks;

impl Modify for Webhooks {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.webhooks = Some(webhooks());
    }
}

struct ApiKeyScheme;

impl Modify for ApiKeyScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("`<prefix>_<64 hexadecimal digits>`, made with `isao keys create`".into());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("api_key", SecurityScheme::Http(scheme));
    }
}

/// The routes that need a key.
fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(test))
        .merge(contacts::router())
        .merge(deals::router())
        .merge(members::router())
        .merge(subscriptions::router())
        .merge(replays::router())
        .merge(deliveries::router())
        .merge(triggers::router())
        .merge(feed::router())
        .merge(event_types::router())
}

/// The routes that need none.
fn public_routes() -> OpenApiRouter<Api> {
    event_types::public_router()
}

/// The OpenAPI document, as served and as committed.
pub fn openapi() -> String {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let document = document::finish(&routes().merge(public_routes()).to_openapi());
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    });
    TEXT.clone()
}

/// For tools that run in a browser: any page may call, since whoever calls needs a key, and never
/// a cookie.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(PREFLIGHT_MAX_AGE)
}

/// Everything that answers HTTP.
pub fn router(api: Api, role: Role) -> NormalizePath<Router> {
    let document = routes().merge(public_routes()).to_openapi();
    let known = Arc::new(KnownParameters::new(BASE, &document));
    let known_fields = Arc::new(KnownFields::new(BASE, &document));
    let document = openapi();
    let checked = |routes: OpenApiRouter<Api>| {
        Router::from(routes)
            .route_layer(from_fn_with_state(known_fields.clone(), warn))
            .route_layer(from_fn_with_state(known.clone(), refuse_unknown))
    };
    let external = checked(routes())
        .route_layer(from_fn_with_state(api.clone(), authenticate))
        .merge(checked(public_routes()))
        .route("/openapi.json", get(async move || answer::json_text(StatusCode::OK, document.clone())))
        .layer(RequestDecompressionLayer::new())
        .layer(cors());
    let (router, pages) = match role {
        Role::All | Role::Api => {
            // Whoever asks from within has been let in already.
            let inside = Router::new().nest(BASE, checked(routes())).with_state(api.clone());
            let listeners = api.streams.listeners().clone();
            let dashboard = Dashboard::new(api.admin.clone(), (inside, BASE), listeners, openapi());
            (Router::new().nest(BASE, external), dashboard::router(dashboard))
        }
        Role::Deliver => (Router::new(), Router::new().fallback(layers::not_found)),
    };
    let outermost = Outermost {
        clock: api.clock.clone(),
        ids: api.ids.clone(),
        metrics: api.metrics.clone(),
        refusals: Refusals::default(),
    };
    let router = router
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(api)
        .merge(pages)
        .layer(from_fn_with_state(Arc::new(outermost), layers::outermost))
        .layer(from_fn(unread::drain));
    NormalizePathLayer::trim_trailing_slash().layer(router)
}

/// Ready when the database answers.
async fn ready(State(api): State<Api>) -> Result<&'static str, ApiError> {
    api.auth.answers().await?;
    Ok("ready\n")
}

/// For Prometheus. Says nothing about any company.
async fn metrics(State(api): State<Api>) -> Result<Response, ApiError> {
    let (all, idle) = api.reads.connections();
    // Both are counted while connections come and go.
    for (gauge, count) in [
        (&api.metrics.connections_in_use, all.saturating_sub(idle)),
        (&api.metrics.connections_idle, idle),
        (&api.metrics.streams_open, api.streams.open()),
    ] {
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    // Counted where nothing can be passed in.
    for (counter, count) in [
        (&api.metrics.panics, diagnostics::panics()),
        (&api.metrics.lost_log_lines, diagnostics::lost_lines()),
    ] {
        counter.inner().store(count, Ordering::Relaxed);
    }
    let text = api.metrics.render().map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], text).into_response())
}

/// The answer to `/test`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TestAnswer {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "API key is valid and working")]
    message: &'static str,
    data: TestData,
    /// The same as `data.companyId`, because Zapier's connection label reads flat fields.
    company_id: String,
    #[serde(rename = "company_name")]
    #[schema(example = "Demo Company")]
    company_name: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TestData {
    company_id: String,
    #[schema(value_type = Vec<String>, example = json!(["contacts:read"]))]
    permissions: Vec<Permission>,
    timestamp: String,
}

/// Check an API key
#[utoipa::path(get, path = "/test", operation_id = "testKey", tag = "API key",
    responses((status = 200, description = "The key is valid", body = TestAnswer), ReadErrors))]
async fn test(State(api): State<Api>, caller: Allowed<AnyKey>) -> Response {
    let company_id = caller.company().to_string();
    let body = TestAnswer {
        success: true,
        message: "API key is valid and working",
        data: TestData {
            company_id: company_id.clone(),
            permissions: caller.permissions().to_vec(),
            timestamp: wire_time(api.clock.now()),
        },
        company_id,
        company_name: caller.company_name().to_owned(),
    };
    answer::json(StatusCode::OK, &body)
}
