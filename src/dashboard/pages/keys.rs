//! API keys: made, seen once, revoked.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{OK, or_why};
use crate::admin::keys::{self, Key, NewKey};
use crate::admin::users::Role;
use crate::admin::{audit, companies};
use crate::dashboard::page::{Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};
use crate::model::api_key::ServiceType;
use crate::model::permission::Permission;
use crate::model::words::Words as _;

/// What keys are for, in the order of the choice.
const KINDS: &[&str] = &["generic", "zapier", "make", "webhook", "custom"];

#[derive(Template)]
#[template(path = "keys.html")]
struct Keys {
    page: Page,
    keys: Vec<Key>,
    kinds: &'static [&'static str],
    made: Option<String>,
    problem: Option<String>,
}

pub(in crate::dashboard) async fn list(State(dashboard): State<Dashboard>, signed_in: SignedIn) -> Response {
    or_why(&signed_in, page(&dashboard, &signed_in, (OK, None, None)).await)
}

async fn page(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    (status, made, problem): (StatusCode, Option<String>, Option<String>),
) -> Result<Response, Failure> {
    if signed_in.session.role != Role::Admin {
        return Err(Failure::Forbidden);
    }
    let page = signed_in.page("keys", signed_in.language.texts().api_keys);
    let keys = keys::list(&dashboard.admin, Some(signed_in.session.company)).await?;
    Ok(shown(status, &Keys { page, keys, kinds: KINDS, made, problem }))
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Sent {
    name: String,
    kind: String,
}

pub(in crate::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<Sent>,
) -> Response {
    let made = async {
        if signed_in.session.role != Role::Admin {
            return Err(Failure::Forbidden);
        }
        let name = sent.name.trim();
        if name.is_empty() || name.chars().count() > 255 {
            let problem = signed_in.language.texts().correct.to_owned();
            return page(&dashboard, &signed_in, (StatusCode::UNPROCESSABLE_ENTITY, None, Some(problem)))
                .await;
        }
        let service = ServiceType::ALL.into_iter().find(|service| service.name() == sent.kind);
        let service = service.unwrap_or(ServiceType::Generic);
        let company = companies::find(&dashboard.admin.pool, &signed_in.session.company.to_string()).await?;
        let new = NewKey {
            name: name.to_owned(),
            description: None,
            permissions: Permission::ALL.into(),
            rate_limit: None,
            expires_at: None,
        };
        let (key, known) = keys::create(&dashboard.admin, &company, service, new).await?;
        note(&dashboard, &signed_in, "key.created", &known.id.to_string(), name).await?;
        page(&dashboard, &signed_in, (OK, Some(key.reveal().to_owned()), None)).await
    };
    or_why(&signed_in, made.await)
}

pub(in crate::dashboard) async fn revoke(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let done = async {
        if signed_in.session.role != Role::Admin {
            return Err(Failure::Forbidden);
        }
        // Only those of the company.
        let keys = keys::list(&dashboard.admin, Some(signed_in.session.company)).await?;
        let Some(key) = keys.into_iter().find(|key| key.id.to_string() == id) else {
            return Err(crate::admin::Error::NoKey.into());
        };
        keys::revoke(&dashboard.admin, &id).await?;
        note(&dashboard, &signed_in, "key.revoked", &id, &key.name).await?;
        Ok(Redirect::to(&format!("{BASE}/settings/api-keys")).into_response())
    };
    or_why(&signed_in, done.await)
}

async fn note(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    action: &str,
    subject: &str,
    details: &str,
) -> Result<(), Failure> {
    let session = &signed_in.session;
    let by = audit::By {
        id: session.user.to_string(),
        name: session.email.clone(),
        address: signed_in.address.clone(),
    };
    audit::note(&dashboard.admin, session.company, &by, (action, subject, details)).await?;
    Ok(())
}
