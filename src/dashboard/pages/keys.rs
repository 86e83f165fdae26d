//! API keys: made, seen once, revoked.

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{NaiveDate, NaiveTime};

use super::{OK, or_why};
use crate::admin::keys::{self, Key, NewKey};
use crate::dashboard::page::{Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};
use crate::model::api_key::ServiceType;
use crate::model::permission::Permission;

/// What keys are for, in the order of the choice, and what such a program needs.
const KINDS: &[(&str, &str)] = &[
    ("generic", "contacts:write deals:write agents:read webhooks:write"),
    ("zapier", "contacts:write deals:write agents:read webhooks:write"),
    ("make", "contacts:write deals:write agents:read webhooks:write"),
    ("webhook", "webhooks:write"),
    ("custom", ""),
];
/// Characters of a name or a description.
const TEXT: usize = 255;

#[derive(Template)]
#[template(path = "keys.html")]
struct Keys {
    page: Page,
    keys: Vec<Key>,
    kinds: &'static [(&'static str, &'static str)],
    permissions: &'static [&'static str],
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
    signed_in.must_be_admin()?;
    let page = signed_in.page("keys", signed_in.reader.texts().api_keys);
    let keys = keys::list(&dashboard.admin, Some(signed_in.session.company)).await?;
    Ok(shown(status, &Keys { page, keys, kinds: KINDS, permissions: Permission::WORDS, made, problem }))
}

/// A key to make. Permissions can come several times.
#[derive(Default)]
struct Filled {
    name: String,
    description: String,
    kind: String,
    permissions: Vec<Permission>,
    rate_limit: String,
    expires: String,
}

impl Filled {
    fn parse(form: &[u8]) -> Self {
        let mut filled = Self::default();
        for (name, value) in url::form_urlencoded::parse(form) {
            let value = value.trim().to_owned();
            match &*name {
                "name" => filled.name = value,
                "description" => filled.description = value,
                "kind" => filled.kind = value,
                "permissions" => filled.permissions.extend(Permission::parse(&value)),
                "rate_limit" => filled.rate_limit = value,
                "expires" => filled.expires = value,
                _ => {}
            }
        }
        filled
    }

    /// What it asks for; none if it is incomplete.
    fn read(&self) -> Option<(ServiceType, NewKey)> {
        let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let fits = |text: &str| text.chars().count() <= TEXT && !text.contains('\0');
        let rate_limit = match &*self.rate_limit {
            "" => None,
            number => Some(number.parse::<i32>().ok().filter(|limit| *limit > 0)?),
        };
        let expires_at = match &*self.expires {
            "" => None,
            // To the end of that day.
            day => Some(day.parse::<NaiveDate>().ok()?.succ_opt()?.and_time(NaiveTime::MIN).and_utc()),
        };
        let complete = !self.name.is_empty() && fits(&self.name) && fits(&self.description);
        let service = ServiceType::ALL.into_iter().find(|service| service.name() == self.kind)?;
        let new = NewKey {
            name: self.name.clone(),
            description: optional(&self.description),
            permissions: self.permissions.clone(),
            rate_limit,
            expires_at,
        };
        (complete && !self.permissions.is_empty()).then_some((service, new))
    }
}

pub(in crate::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    RawForm(sent): RawForm,
) -> Response {
    let made = async {
        signed_in.must_be_admin()?;
        let refused = async |problem: &str| {
            let said = (StatusCode::UNPROCESSABLE_ENTITY, None, Some(problem.to_owned()));
            page(&dashboard, &signed_in, said).await
        };
        let t = signed_in.reader.texts();
        let Some((service, new)) = Filled::parse(&sent).read() else {
            return refused(t.key_incomplete).await;
        };
        let name = new.name.clone();
        let company = signed_in.company(&dashboard.admin);
        let (key, known) = match keys::create(&dashboard.admin, &company, service, new).await {
            Err(crate::admin::Error::ExpiresInPast(_)) => return refused(t.expires_in_past).await,
            made => made?,
        };
        signed_in.note(&dashboard, ("key.created", &known.id.to_string(), &name)).await?;
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
        signed_in.must_be_admin()?;
        // Only those of the company.
        let keys = keys::list(&dashboard.admin, Some(signed_in.session.company)).await?;
        let Some(key) = keys.into_iter().find(|key| key.id.to_string() == id) else {
            return Err(crate::admin::Error::NoKey.into());
        };
        keys::revoke(&dashboard.admin, &id).await?;
        signed_in.note(&dashboard, ("key.revoked", &id, &key.name)).await?;
        Ok(Redirect::to(&format!("{BASE}/settings/api-keys")).into_response())
    };
    or_why(&signed_in, done.await)
}
