//! Contacts: found, made, changed, deleted.

use std::collections::HashMap;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{OK, after, encoded, or_why, said};
use crate::admin::users::Role;
use crate::dashboard::inside::Told;
use crate::dashboard::page::{Listed, One, Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

/// A contact in a list, as the API shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contact {
    id: String,
    name: String,
    phone_number: String,
    email: Option<String>,
    current_company: Option<String>,
    tags: Vec<String>,
    updated_at: String,
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Wanted {
    search: Option<String>,
    cursor: Option<String>,
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "contacts.html")]
struct Contacts {
    page: Page,
    found: Vec<Contact>,
    total: i64,
    search: String,
    may: bool,
    said: Option<&'static str>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn list(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let listed = async {
        let search = wanted.search.unwrap_or_default();
        let cursor = after(wanted.cursor.as_deref());
        let path = format!("/contacts?limit=50&search={}{cursor}", encoded(&search));
        let found: Listed<Contact> = dashboard.inside.get(&signed_in.whose(), &path).await?;
        let page = signed_in.page("contacts", signed_in.language.texts().contacts);
        let (total, next, may) = (found.meta.total, found.meta.next_cursor, may(&signed_in));
        let said = said(&signed_in, wanted.done.as_deref());
        Ok(shown(OK, &Contacts { page, found: found.data, total, search, may, said, next }))
    };
    or_why(&signed_in, listed.await)
}

fn may(signed_in: &SignedIn) -> bool {
    signed_in.session.role != Role::ReadOnly
}

/// A field of the form.
struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
    required: bool,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "contact.html")]
struct Shown {
    page: Page,
    id: Option<String>,
    action: String,
    fields: Vec<Field>,
    may: bool,
    said: Option<&'static str>,
    problem: Option<String>,
}

/// The form, with what is wrong with it if somebody sent it.
fn form(
    signed_in: &SignedIn,
    (id, title): (Option<&str>, String),
    value: impl Fn(&str) -> String,
    (told, done): (Option<&Told>, Option<&str>),
) -> Response {
    let t = signed_in.language.texts();
    let fields = [
        ("name", t.name),
        ("phoneNumber", t.phone),
        ("email", t.email),
        ("currentCompany", t.company),
        ("position", t.position),
        ("city", t.city),
        ("country", t.country),
        ("tags", t.tags),
    ];
    let fields = fields.map(|(name, label)| Field {
        name,
        label,
        value: value(name),
        required: matches!(name, "name" | "phoneNumber"),
        problem: told.and_then(|told| told.field(name)).map(str::to_owned),
    });
    let wrong = |told: &Told| match fields.iter().any(|field| field.problem.is_some()) {
        true => t.correct.to_owned(),
        false => told.message().to_owned(),
    };
    let problem = told.map(wrong);
    let shown_as = Shown {
        page: signed_in.page("contacts", title),
        id: id.map(str::to_owned),
        action: id.map_or_else(|| format!("{BASE}/contacts"), |id| format!("{BASE}/contacts/{id}")),
        may: may(signed_in),
        said: said(signed_in, done),
        problem,
        fields: fields.into(),
    };
    shown(told.map_or(OK, |told| told.status), &shown_as)
}

pub(in crate::dashboard) async fn new(signed_in: SignedIn) -> Response {
    let title = signed_in.language.texts().new_contact.to_owned();
    form(&signed_in, (None, title), |_| String::new(), (None, None))
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let page = async {
        let path = format!("/contacts/{}", encoded(&id));
        let found: One<Value> = dashboard.inside.get(&signed_in.whose(), &path).await?;
        let value = |name: &str| match &found.data[name] {
            Value::String(text) => text.clone(),
            Value::Array(tags) => tags.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            _ => String::new(),
        };
        Ok(form(&signed_in, (Some(&id), value("name")), value, (None, wanted.done.as_deref())))
    };
    or_why(&signed_in, page.await)
}

pub(in crate::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<HashMap<String, String>>,
) -> Response {
    or_why(&signed_in, write(&dashboard, &signed_in, None, &sent).await)
}

pub(in crate::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Form(sent): Form<HashMap<String, String>>,
) -> Response {
    or_why(&signed_in, write(&dashboard, &signed_in, Some(&id), &sent).await)
}

async fn write(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    id: Option<&str>,
    sent: &HashMap<String, String>,
) -> Result<Response, Failure> {
    let fields: Map<_, _> = sent.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let request = match id {
        None => (Method::POST, "/contacts".to_owned()),
        Some(id) => (Method::PUT, format!("/contacts/{}", encoded(id))),
    };
    let told =
        dashboard.inside.call(&signed_in.whose(), (request.0, &request.1), Some(&fields.into())).await?;
    if told.status.is_success() {
        let id = told.json["data"]["id"].as_str().unwrap_or_default();
        return Ok(Redirect::to(&format!("{BASE}/contacts/{id}?done=saved")).into_response());
    }
    if !matches!(told.status.as_u16(), 409 | 422) {
        return Err(Failure::Told(told));
    }
    let title = sent.get("name").cloned().unwrap_or_default();
    let value = |name: &str| sent.get(name).cloned().unwrap_or_default();
    Ok(form(signed_in, (id, title), value, (Some(&told), None)))
}

pub(in crate::dashboard) async fn delete(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let done = async {
        let path = format!("/contacts/{}", encoded(&id));
        let told = dashboard.inside.call(&signed_in.whose(), (Method::DELETE, &path), None).await?;
        if !told.status.is_success() {
            return Err(Failure::Told(told));
        }
        Ok(Redirect::to(&format!("{BASE}/contacts?done=deleted")).into_response())
    };
    or_why(&signed_in, done.await)
}
