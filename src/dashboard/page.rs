//! What all pages have in common.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::language::{Language, Reader, Theme};
use super::session::Session;
use super::texts::Texts;
use super::{Failure, assets};
use crate::admin::{self, users::Role};
use crate::database::postgres::is_unavailable;
use crate::model::time::wire_time;

/// The frame of a page.
pub(super) struct Page {
    pub(super) t: &'static Texts,
    pub(super) language: Language,
    pub(super) theme: Theme,
    pub(super) title: String,
    /// The menu's entry for it.
    pub(super) here: &'static str,
    pub(super) who: Option<Who>,
    pub(super) style: String,
    pub(super) scripts: Vec<String>,
    /// Is it told when something happens?
    pub(super) live: bool,
}

/// The role, in words.
pub(super) fn role_text(role: Role, t: &'static Texts) -> &'static str {
    match role {
        Role::Admin => t.role_admin,
        Role::Member => t.role_member,
        Role::ReadOnly => t.role_read_only,
    }
}

/// Who is signed in.
pub(super) struct Who {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) company: String,
    pub(super) role: Role,
}

impl Who {
    pub(super) fn role_text(&self, t: &'static Texts) -> &'static str {
        role_text(self.role, t)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl Page {
    pub(super) fn new(reader: Reader, session: Option<&Session>, here: &'static str, title: String) -> Self {
        Self {
            t: reader.texts(),
            language: reader.language,
            theme: reader.theme,
            title,
            here,
            who: session.map(|session| Who {
                name: session.name.clone(),
                email: session.email.clone(),
                company: session.company_name.clone(),
                role: session.role,
            }),
            live: session.is_some(),
            style: assets::address("look.css"),
            scripts: ["page.js", "htmx.js", "hx-sse.js"].map(assets::address).into(),
        }
    }

    /// The page with another script.
    pub(super) fn with_script(mut self, name: &str) -> Self {
        self.scripts.push(assets::address(name));
        self
    }

    /// Is it the menu's entry for this page?
    pub(super) fn is(&self, entry: &str) -> bool {
        self.here == entry
    }

    /// A moment, for `<time>`: exact; a script makes it relative and says it in the reader's zone.
    pub(super) fn time(&self, at: &DateTime<Utc>) -> String {
        wire_time(*at)
    }
}

/// A page of one sentence.
#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    page: Page,
    sentence: String,
}

pub(super) fn message(
    reader: Reader,
    session: Option<&Session>,
    status: StatusCode,
    sentence: &str,
) -> Response {
    let page = Page::new(reader, session, "", sentence.to_owned());
    shown(status, &Message { page, sentence: sentence.to_owned() })
}

/// The page that says why there is no other.
pub(super) fn failure(reader: Reader, session: Option<&Session>, failure: &Failure) -> Response {
    let t = reader.texts();
    let (status, sentence) = match failure {
        Failure::Told(told)
            if told.status.is_client_error() || told.status == StatusCode::SERVICE_UNAVAILABLE =>
        {
            (told.status, told.message().to_owned())
        }
        Failure::Admin(admin::Error::NoKey) => (StatusCode::NOT_FOUND, t.not_found.to_owned()),
        Failure::Gone(why) => (StatusCode::NOT_FOUND, (*why).to_owned()),
        Failure::Forbidden => (StatusCode::FORBIDDEN, t.may_not.to_owned()),
        Failure::Database(error) if is_unavailable(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, t.away.to_owned())
        }
        _ => {
            tracing::error!(error = %failure, "a page of the dashboard failed");
            (StatusCode::INTERNAL_SERVER_ERROR, t.failed.to_owned())
        }
    };
    message(reader, session, status, &sentence)
}

/// The rendered page.
pub(super) fn shown(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page of a list, as the API answers it.
#[derive(Deserialize)]
pub(super) struct Listed<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) total: i64,
    /// Is the total an estimate?
    pub(super) total_is_estimate: bool,
    pub(super) next_cursor: Option<String>,
}

/// One record, as the API answers it.
#[derive(Deserialize)]
pub(super) struct One<T> {
    pub(super) data: T,
}
