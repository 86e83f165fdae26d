//! Contacts: found, made, changed, deleted.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::Value;

use super::deal::Deal;
use super::events::{self, Event};
use super::{OK, encoded, may, or_why, refused, said};
use crate::dashboard::form::{self, Field, Sent};
use crate::dashboard::inside::Told;
use crate::dashboard::listing::{List, Wanted};
use crate::dashboard::page::{Listed, Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

const LIST: List<'_> =
    List { path: "/contacts", filters: &["search", "tags", "createdSince", "updatedSince", "sort"] };
const COLUMNS: [&str; 14] = [
    "id",
    "name",
    "firstName",
    "lastName",
    "phoneNumber",
    "email",
    "position",
    "currentCompany",
    "industrySector",
    "city",
    "country",
    "tags",
    "createdAt",
    "updatedAt",
];
/// Contacts that are suggested.
const SUGGESTED: usize = 10;

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

#[derive(Template)]
#[template(path = "contacts.html")]
struct Contacts {
    page: Page,
    found: Vec<Contact>,
    total: i64,
    estimate: bool,
    wanted: Wanted,
    may: bool,
    said: Option<&'static str>,
    problem: Option<String>,
    next: Option<String>,
}

pub(in crate::dashboard) async fn list(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let listed = async {
        let found = wanted.read(&dashboard, &signed_in, LIST).await?;
        let contacts = Contacts {
            page: signed_in.page("contacts", signed_in.reader.texts().contacts),
            may: may(&signed_in),
            said: said(&signed_in, wanted.get("done")),
            next: wanted.next(&found.meta),
            total: found.meta.total,
            estimate: found.meta.total_is_estimate,
            problem: found.problem,
            found: found.rows,
            wanted,
        };
        Ok(shown(OK, &contacts))
    };
    or_why(&signed_in, listed.await)
}

pub(in crate::dashboard) async fn csv(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let csv = wanted.csv((&dashboard, &signed_in), LIST, ("contacts", &COLUMNS));
    or_why(&signed_in, csv.await)
}

#[derive(Template)]
#[template(path = "choices.html")]
struct Choices {
    options: Vec<(String, String)>,
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Typed {
    #[serde(default)]
    contact: String,
}

/// Contacts that match what was typed so far, to choose from.
pub(in crate::dashboard) async fn choices(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(typed): Query<Typed>,
) -> Response {
    let found = async {
        let path = format!("/contacts?limit={SUGGESTED}&search={}", encoded(&typed.contact));
        let found: Listed<Contact> = dashboard.inside.get(&signed_in.whose(), &path).await?;
        let option = |contact: Contact| {
            let more = contact.email.unwrap_or(contact.phone_number);
            (contact.id, format!("{} · {more}", contact.name))
        };
        Ok(shown(OK, &Choices { options: found.data.into_iter().map(option).collect() }))
    };
    or_why(&signed_in, found.await)
}

#[derive(Template)]
#[template(path = "contact.html")]
struct Shown {
    page: Page,
    id: Option<String>,
    action: String,
    /// The state that the form is about.
    etag: String,
    fields: Vec<Field>,
    may: bool,
    said: Option<&'static str>,
    problem: Option<String>,
    deals: Vec<Deal>,
    events: Vec<Event>,
}

impl Shown {
    /// The form, empty or filled in.
    fn new(signed_in: &SignedIn, id: Option<&str>, title: String, value: impl Fn(&str) -> String) -> Self {
        let t = signed_in.reader.texts();
        let field = |name, label| Field::new(name, label, value(name));
        Self {
            page: signed_in.page("contacts", title),
            id: id.map(str::to_owned),
            action: id.map_or_else(|| format!("{BASE}/contacts"), |id| format!("{BASE}/contacts/{id}")),
            etag: value("etag"),
            fields: vec![
                field("name", t.name).required(),
                field("phoneNumber", t.phone).required(),
                field("email", t.email),
                field("currentCompany", t.company),
                field("position", t.position),
                field("industrySector", t.sector),
                field("city", t.city),
                field("country", t.country),
                field("tags", t.tags).hint(t.tags_hint),
            ],
            may: may(signed_in),
            said: None,
            problem: None,
            deals: Vec::new(),
            events: Vec::new(),
        }
    }
}

pub(in crate::dashboard) async fn new(signed_in: SignedIn) -> Response {
    let title = signed_in.reader.texts().new_contact.to_owned();
    shown(OK, &Shown::new(&signed_in, None, title, |_| String::new()))
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let page = async {
        let whose = signed_in.whose();
        let path = format!("/contacts/{}", encoded(&id));
        let found = dashboard.inside.must(&whose, (Method::GET, &path), None).await?;
        let value = |name: &str| current(&found, name);
        let mut contact = Shown::new(&signed_in, Some(&id), value("name"), value);
        let path = format!("/deals?limit=50&contactId={}", encoded(&id));
        contact.deals = dashboard.inside.get::<Listed<Deal>>(&whose, &path).await?.data;
        contact.events = events::of_record(&dashboard, &signed_in, &id).await?;
        contact.said = said(&signed_in, wanted.get("done"));
        Ok(shown(OK, &contact))
    };
    or_why(&signed_in, page.await)
}

/// A field of the contact that was answered, as the form has it.
fn current(told: &Told, name: &str) -> String {
    match &told.json["data"][name] {
        _ if name == "etag" => told.etag.clone(),
        Value::Null => String::new(),
        value => form::listed(value),
    }
}

pub(in crate::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, write(&dashboard, &signed_in, None, &sent).await)
}

pub(in crate::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, write(&dashboard, &signed_in, Some(&id), &sent).await)
}

async fn write(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    id: Option<&str>,
    sent: &Sent,
) -> Result<Response, Failure> {
    let title = form::value(sent, "name");
    let mut form = Shown::new(signed_in, id, title, |name| form::value(sent, name));
    let names: Vec<_> = form.fields.iter().map(|field| field.name).collect();
    let body = form::body(sent, &names);
    let request = match id {
        None => (Method::POST, "/contacts".to_owned()),
        Some(id) => (Method::PUT, format!("/contacts/{}", encoded(id))),
    };
    let (whose, etag) = (signed_in.whose(), form::value(sent, "etag"));
    let told = dashboard.inside.call_if(&whose, (request.0, &request.1), Some(&body), &etag).await?;
    if told.status.is_success() {
        let id = told.json["data"]["id"].as_str().unwrap_or_default();
        return Ok(Redirect::to(&format!("{BASE}/contacts/{id}?done=saved")).into_response());
    }
    if told.status == StatusCode::PRECONDITION_FAILED {
        let now = dashboard.inside.must(&whose, (Method::GET, &request.1), None).await?;
        form::compare(&mut form.fields, |name| current(&now, name));
        form.etag.clone_from(&now.etag);
        form.problem = Some(signed_in.reader.texts().changed_meanwhile.to_owned());
        return Ok(shown(told.status, &form));
    }
    refused(signed_in, told, |told, t| {
        form.problem = Some(form::judge(&mut form.fields, told, t));
        shown(told.status, &form)
    })
}

pub(in crate::dashboard) async fn delete(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let done = async {
        let path = format!("/contacts/{}", encoded(&id));
        dashboard.inside.must(&signed_in.whose(), (Method::DELETE, &path), None).await?;
        Ok(Redirect::to(&format!("{BASE}/contacts?done=deleted")).into_response())
    };
    or_why(&signed_in, done.await)
}
