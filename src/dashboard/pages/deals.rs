//! Deals: found, made, changed, deleted.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::Value;

use super::deal::{ByWhat, Deal, Named, priority, status};
use super::events::{self, Event};
use super::{OK, encoded, may, or_why, refused, said};
use crate::dashboard::form::{self, Field, Kind, Sent};
use crate::dashboard::inside::Told;
use crate::dashboard::listing::{List, Wanted};
use crate::dashboard::page::{Listed, One, Page, shown};
use crate::dashboard::texts::Texts;
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

const LIST: List<'_> = List {
    path: "/deals",
    filters: &[
        "search",
        "status",
        "stage",
        "priority",
        "assignedToId",
        "contactId",
        "createdSince",
        "updatedSince",
        "sort",
    ],
};
const COLUMNS: [&str; 17] = [
    "id",
    "title",
    "description",
    "value",
    "currency",
    "stage",
    "priority",
    "probability",
    "status",
    "expectedCloseDate",
    "actualCloseDate",
    "source",
    "contact.id",
    "contact.name",
    "assignedTo.name",
    "createdAt",
    "updatedAt",
];

#[derive(Template)]
#[template(path = "deals.html")]
struct Deals {
    page: Page,
    found: Vec<Deal>,
    total: i64,
    estimate: bool,
    wanted: Wanted,
    by: ByWhat,
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
        let deals = Deals {
            page: signed_in.page("deals", signed_in.reader.texts().deals),
            by: ByWhat::read(&dashboard, &signed_in).await?,
            may: may(&signed_in),
            said: said(&signed_in, wanted.get("done")),
            next: wanted.next(&found.meta),
            total: found.meta.total,
            estimate: found.meta.total_is_estimate,
            problem: found.problem,
            found: found.rows,
            wanted,
        };
        Ok(shown(OK, &deals))
    };
    or_why(&signed_in, listed.await)
}

pub(in crate::dashboard) async fn csv(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    or_why(&signed_in, wanted.csv((&dashboard, &signed_in), LIST, ("deals", &COLUMNS)).await)
}

#[derive(Template)]
#[template(path = "deal.html")]
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
    contact: Option<Named>,
    events: Vec<Event>,
}

impl Shown {
    /// The form, empty or filled in.
    fn new(
        signed_in: &SignedIn,
        (id, title): (Option<&str>, String),
        by: ByWhat,
        value: impl Fn(&str) -> String,
    ) -> Self {
        let t = signed_in.reader.texts();
        let field = |name, label| Field::new(name, label, value(name));
        let choice = |words: [&str; 3], text: fn(&str, &'static Texts) -> &'static str| {
            words.map(|word| (word.to_owned(), text(word, t).to_owned())).into()
        };
        let nobody = (String::new(), t.nobody.to_owned());
        let members = by.members.into_iter().map(|member| (member.id, member.name));
        Self {
            page: signed_in.page("deals", title),
            id: id.map(str::to_owned),
            action: id.map_or_else(|| format!("{BASE}/deals"), |id| format!("{BASE}/deals/{id}")),
            etag: value("etag"),
            fields: vec![
                field("title", t.title).required(),
                field("value", t.value).kind(Kind::Number),
                field("currency", t.currency).hint(t.currency_hint),
                field("stage", t.stage)
                    .options(by.stages.into_iter().map(|stage| (stage, String::new())).collect()),
                field("status", t.status).kind(Kind::Choice).options(choice(["open", "won", "lost"], status)),
                field("priority", t.priority)
                    .kind(Kind::Choice)
                    .options(choice(["low", "medium", "high"], priority)),
                field("probability", t.probability).kind(Kind::Number),
                field("expectedCloseDate", t.expected_close).kind(Kind::Date),
                field("contact", t.contact)
                    .kind(Kind::Suggested("/dashboard/contacts/choices"))
                    .hint(t.contact_hint),
                field("assignedToId", t.assigned_to)
                    .kind(Kind::Choice)
                    .options(std::iter::once(nobody).chain(members).collect()),
                field("source", t.source),
                field("description", t.description).kind(Kind::Long),
            ],
            may: may(signed_in),
            said: None,
            problem: None,
            contact: None,
            events: Vec::new(),
        }
    }
}

pub(in crate::dashboard) async fn new(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let page = async {
        let by = ByWhat::read(&dashboard, &signed_in).await?;
        let value = |name: &str| match name {
            "priority" => "medium".to_owned(),
            "currency" => "EUR".to_owned(),
            "stage" => {
                Some(wanted.get("stage")).filter(|stage| !stage.is_empty()).unwrap_or("new").to_owned()
            }
            name => wanted.get(name).to_owned(),
        };
        let title = signed_in.reader.texts().new_deal.to_owned();
        Ok(shown(OK, &Shown::new(&signed_in, (None, title), by, value)))
    };
    or_why(&signed_in, page.await)
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let page = async {
        let path = format!("/deals/{}", encoded(&id));
        let found = dashboard.inside.must(&signed_in.whose(), (Method::GET, &path), None).await?;
        let current = Current::read(&found)?;
        let value = |name: &str| current.value(name);
        let by = ByWhat::read(&dashboard, &signed_in).await?;
        let mut form = Shown::new(&signed_in, (Some(&id), value("title")), by, value);
        form.contact = serde_json::from_value(found.json["data"]["contact"].clone())?;
        form.events = events::of_record(&dashboard, &signed_in, &id).await?;
        form.said = said(&signed_in, wanted.get("done"));
        Ok(shown(OK, &form))
    };
    or_why(&signed_in, page.await)
}

/// A deal that was answered, as the form has it.
struct Current<'a> {
    told: &'a Told,
    exact: Deal,
}

impl<'a> Current<'a> {
    fn read(told: &'a Told) -> Result<Self, Failure> {
        Ok(Self { told, exact: told.read::<One<Deal>>()?.data })
    }

    fn value(&self, name: &str) -> String {
        let deal = &self.told.json["data"];
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            value => form::listed(value),
        };
        match name {
            "etag" => self.told.etag.clone(),
            "value" => self.exact.value().map(|value| value.to_string()).unwrap_or_default(),
            "contact" => text(&deal["contact"]["id"]),
            "assignedToId" => text(&deal["assignedTo"]["id"]),
            // To the day, as it is asked for.
            "expectedCloseDate" => text(&deal[name]).chars().take("2026-01-01".len()).collect(),
            name => text(&deal[name]),
        }
    }
}

pub(in crate::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, write(&dashboard, &signed_in, None, sent).await)
}

pub(in crate::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, write(&dashboard, &signed_in, Some(&id), sent).await)
}

/// What the API takes; the form's `contact` can be a name.
const FIELDS: [&str; 12] = [
    "title",
    "value",
    "currency",
    "stage",
    "status",
    "priority",
    "probability",
    "expectedCloseDate",
    "contactId",
    "assignedToId",
    "source",
    "description",
];

const CLOSES: &str = "expectedCloseDate";

async fn write(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    id: Option<&str>,
    mut sent: Sent,
) -> Result<Response, Failure> {
    let by = ByWhat::read(dashboard, signed_in).await?;
    let title = form::value(&sent, "title");
    let mut form = Shown::new(signed_in, (id, title), by, |name| form::value(&sent, name));
    let t = signed_in.reader.texts();
    match contact(dashboard, signed_in, &form::value(&sent, "contact")).await? {
        Ok(id) => {
            sent.insert("contactId".to_owned(), id);
        }
        Err(problem) => {
            if let Some(field) = form.fields.iter_mut().find(|field| field.name == "contact") {
                field.problem = Some(problem.to_owned());
            }
            form.problem = Some(t.correct.to_owned());
            return Ok(shown(StatusCode::UNPROCESSABLE_ENTITY, &form));
        }
    }
    if let Some(id) = id {
        // A form asks for a day. One that nobody changed keeps its time.
        let path = format!("/deals/{}", encoded(id));
        let now = dashboard.inside.must(&signed_in.whose(), (Method::GET, &path), None).await?;
        if Current::read(&now)?.value(CLOSES) == form::value(&sent, CLOSES) {
            sent.remove(CLOSES);
        }
    }
    let body = form::body(&sent, &FIELDS);
    let request = match id {
        None => (Method::POST, "/deals".to_owned()),
        Some(id) => (Method::PUT, format!("/deals/{}", encoded(id))),
    };
    let (whose, etag) = (signed_in.whose(), form::value(&sent, "etag"));
    let told = dashboard.inside.call_if(&whose, (request.0, &request.1), Some(&body), &etag).await?;
    if told.status.is_success() {
        let id = told.json["data"]["id"].as_str().unwrap_or_default();
        return Ok(Redirect::to(&format!("{BASE}/deals/{id}?done=saved")).into_response());
    }
    if told.status == StatusCode::PRECONDITION_FAILED {
        let now = dashboard.inside.must(&whose, (Method::GET, &request.1), None).await?;
        let current = Current::read(&now)?;
        form::compare(&mut form.fields, |name| current.value(name));
        form.etag.clone_from(&now.etag);
        form.problem = Some(t.changed_meanwhile.to_owned());
        return Ok(shown(told.status, &form));
    }
    refused(signed_in, told, |told, t| {
        form.problem = Some(form::judge(&mut form.fields, told, t));
        shown(told.status, &form)
    })
}

/// The id of the contact that somebody means by an id, or by what only one contact has.
async fn contact(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    text: &str,
) -> Result<Result<String, &'static str>, Failure> {
    let text = text.trim();
    if text.is_empty() || text.starts_with("contact_") {
        return Ok(Ok(text.to_owned()));
    }
    let path = format!("/contacts?limit=2&search={}", encoded(text));
    let mut found: Listed<Named> = dashboard.inside.get(&signed_in.whose(), &path).await?;
    let t = signed_in.reader.texts();
    Ok(match (found.data.pop(), found.data.is_empty()) {
        (Some(only), true) => Ok(only.id),
        (Some(_), false) => Err(t.several_contacts),
        (None, _) => Err(t.no_such_contact),
    })
}

pub(in crate::dashboard) async fn delete(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let done = async {
        let path = format!("/deals/{}", encoded(&id));
        dashboard.inside.must(&signed_in.whose(), (Method::DELETE, &path), None).await?;
        Ok(Redirect::to(&format!("{BASE}/deals?done=deleted")).into_response())
    };
    or_why(&signed_in, done.await)
}
