//! Subscribing a URL, and changing a subscription.

use askama::Template;
use axum::extract::{Path, Query, RawForm, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::subscription::Subscription;
use super::webhooks::{self, Done, may};
use super::{OK, encoded, or_why, refused};
use crate::dashboard::listing::Wanted;
use crate::dashboard::page::{Listed, One, Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

/// Filters that the form has room for.
const FILTERS: usize = 4;

/// An event type, as the API describes it.
#[derive(Deserialize)]
struct EventType {
    #[serde(rename = "type")]
    kind: String,
    description: String,
    filters: Vec<FilterField>,
    changed: Vec<String>,
}

#[derive(Deserialize)]
struct FilterField {
    field: String,
}

/// What somebody filled in.
#[derive(Default)]
struct Filled {
    target_url: String,
    events: Vec<String>,
    filters: Vec<(String, String)>,
    ordering: String,
    include: Vec<String>,
    headers: String,
}

#[derive(Template)]
#[template(path = "subscribe.html")]
struct Form {
    page: Page,
    /// The subscription that is changed; none if one is made.
    id: Option<String>,
    action: String,
    types: Vec<EventType>,
    fields: Vec<String>,
    filled: Filled,
    problem: Option<String>,
    /// What is wrong with a field, beside it.
    problems: Map<String, Value>,
    /// The names of the headers that there are; their values are not shown.
    header_names: Vec<String>,
}

impl Form {
    async fn new(
        dashboard: &Dashboard,
        signed_in: &SignedIn,
        id: Option<&str>,
        filled: Filled,
    ) -> Result<Self, Failure> {
        if !may(signed_in) {
            return Err(Failure::Forbidden);
        }
        let t = signed_in.reader.texts();
        let types: Listed<EventType> = dashboard.inside.get(&signed_in.whose(), "/events/types").await?;
        let mut fields: Vec<String> = Vec::new();
        for event_type in &types.data {
            let names = event_type.filters.iter().map(|filter| &filter.field);
            for name in names.filter(|name| *name != "changed") {
                if !fields.contains(name) {
                    fields.push(name.clone());
                }
            }
        }
        if types.data.iter().any(|event_type| !event_type.changed.is_empty()) {
            fields.push("changed".to_owned());
        }
        let mut filled = filled;
        filled.filters.resize(FILTERS.max(filled.filters.len()), Default::default());
        Ok(Self {
            page: signed_in.page("webhooks", if id.is_some() { t.edit_webhook } else { t.new_webhook }),
            action: id.map_or_else(|| format!("{BASE}/webhooks"), |id| format!("{BASE}/webhooks/{id}/edit")),
            id: id.map(str::to_owned),
            types: types.data,
            fields,
            filled,
            problem: None,
            problems: Map::new(),
            header_names: Vec::new(),
        })
    }

    fn problem_of(&self, field: &str) -> Option<&str> {
        self.problems.get(field)?.as_str()
    }
}

impl Filled {
    fn has(&self, event: &str) -> bool {
        self.events.iter().any(|chosen| chosen == event)
    }

    fn includes(&self, word: &str) -> bool {
        self.include.iter().any(|chosen| chosen == word)
    }

    /// What was sent. Fields can come several times.
    fn parse(form: &[u8]) -> Self {
        let mut filled = Self::default();
        let (mut fields, mut values) = (Vec::new(), Vec::new());
        for (name, value) in url::form_urlencoded::parse(form) {
            let value = value.trim().to_owned();
            match &*name {
                "target_url" => filled.target_url = value,
                "events" => filled.events.push(value),
                "ordering" => filled.ordering = value,
                "include" => filled.include.push(value),
                "headers" => filled.headers = value,
                "filter_field" => fields.push(value),
                "filter_value" => values.push(value),
                _ => {}
            }
        }
        filled.filters = fields.into_iter().zip(values).collect();
        filled
    }

    fn of(subscription: &Subscription) -> Self {
        Self {
            target_url: subscription.target_url.clone(),
            events: subscription.events.clone(),
            filters: subscription.filter_lines(),
            ordering: subscription.ordering.clone(),
            include: subscription.include.clone(),
            headers: String::new(),
        }
    }

    /// As the API takes it. Values with commas between are several; the API reads them as the field's own.
    fn body(&self, is_new: bool) -> Value {
        let filters = self.filters.iter().filter(|(field, value)| !field.is_empty() && !value.is_empty());
        let values = |text: &str| text.split(',').map(|value| Value::from(value.trim())).collect::<Value>();
        let filters: Map<_, _> = filters.map(|(field, text)| (field.clone(), values(text))).collect();
        let mut body = json!({
            "target_url": self.target_url, "filters": filters, "include": self.include, "ordering": self.ordering,
        });
        if is_new {
            body["events"] = self.events.clone().into();
        }
        // Without any, those that are there stay.
        if !self.headers.is_empty() {
            let lines = self.headers.lines().filter(|line| !line.trim().is_empty());
            let pairs = lines.map(|line| line.split_once(':').unwrap_or((line, "")));
            body["headers"] = pairs
                .map(|(name, value)| (name.trim().to_owned(), Value::from(value.trim())))
                .collect::<Map<_, _>>()
                .into();
        }
        body
    }
}

pub(in crate::dashboard) async fn new(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let page = async {
        let filled = Filled {
            target_url: wanted.get("target_url").to_owned(),
            events: vec!["*".to_owned()],
            ..Filled::default()
        };
        Ok(shown(OK, &Form::new(&dashboard, &signed_in, None, filled).await?))
    };
    or_why(&signed_in, page.await)
}

pub(in crate::dashboard) async fn edit(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let page = async {
        let path = format!("/webhooks/{}", encoded(&id));
        let found: One<Subscription> = dashboard.inside.get(&signed_in.whose(), &path).await?;
        let mut form = Form::new(&dashboard, &signed_in, Some(&id), Filled::of(&found.data)).await?;
        form.header_names = found.data.headers.keys().cloned().collect();
        Ok(shown(OK, &form))
    };
    or_why(&signed_in, page.await)
}

pub(in crate::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    RawForm(sent): RawForm,
) -> Response {
    or_why(&signed_in, write(&dashboard, &signed_in, None, Filled::parse(&sent)).await)
}

pub(in crate::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    RawForm(sent): RawForm,
) -> Response {
    or_why(&signed_in, write(&dashboard, &signed_in, Some(&id), Filled::parse(&sent)).await)
}

async fn write(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    id: Option<&str>,
    filled: Filled,
) -> Result<Response, Failure> {
    let body = filled.body(id.is_none());
    let request = match id {
        None => (Method::POST, "/webhooks/subscribe".to_owned()),
        Some(id) => (Method::PATCH, format!("/webhooks/{}", encoded(id))),
    };
    let told = dashboard.inside.call(&signed_in.whose(), (request.0, &request.1), Some(&body)).await?;
    if !told.status.is_success() {
        let mut form = Form::new(dashboard, signed_in, id, filled).await?;
        return refused(signed_in, told, |told, t| {
            form.problems = told.json["details"]["fields"].as_object().cloned().unwrap_or_default();
            let known = !form.problems.is_empty();
            form.problem = Some(if known { t.correct.to_owned() } else { told.message().to_owned() });
            shown(told.status, &form)
        });
    }
    if let Some(id) = id {
        return Ok(Redirect::to(&format!("{BASE}/webhooks/{id}?done=saved")).into_response());
    }
    let data = &told.json["data"];
    let t = signed_in.reader.texts();
    let said = if told.status == StatusCode::CREATED { t.subscribed } else { t.subscribed_already };
    let done = Done {
        said: Some(said.to_owned()),
        secret: data["secret"].as_str().map(str::to_owned),
        ..Done::default()
    };
    let id = data["id"].as_str().unwrap_or_default();
    webhooks::page(dashboard, signed_in, id, Wanted::default(), done).await
}

/// What is said about a URL while it is typed.
#[derive(Template)]
#[template(path = "checked_url.html")]
struct Checked {
    good: bool,
    message: String,
}

/// Judges a URL.
pub(in crate::dashboard) async fn check(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let judged = async {
        let body = json!({"target_url": wanted.get("target_url")});
        let request = (Method::POST, "/webhooks/check-url");
        let told = dashboard.inside.call(&signed_in.whose(), request, Some(&body)).await?;
        let data = &told.json["data"];
        let mut message = data["message"].as_str().unwrap_or_default().to_owned();
        if let Some(problem) = told.field("target_url") {
            problem.clone_into(&mut message);
        } else if let Some(setting) = data["setting"].as_str() {
            message = format!("{message}. {} {setting}", signed_in.reader.texts().setting_allows);
        }
        Ok(shown(OK, &Checked { good: data["allowed"] == true, message }))
    };
    or_why(&signed_in, judged.await)
}
