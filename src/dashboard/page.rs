//! What all pages have in common.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::session::Session;
use super::texts::{Language, Texts};
use super::{Failure, assets};
use crate::admin::{self, users::Role};
use crate::database::postgres::is_unavailable;
use crate::model::time::wire_time;

/// The frame of a page.
pub(super) struct Page {
    pub(super) t: &'static Texts,
    pub(super) language: Language,
    pub(super) title: String,
    /// The menu's entry for it.
    pub(super) here: &'static str,
    pub(super) who: Option<Who>,
    pub(super) style: String,
    pub(super) script: String,
}

/// Who is signed in.
pub(super) struct Who {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) company: String,
    pub(super) role: Role,
}

impl Who {
    pub(super) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl Page {
    pub(super) fn new(
        language: Language,
        session: Option<&Session>,
        here: &'static str,
        title: String,
    ) -> Self {
        Self {
            t: language.texts(),
            language,
            title,
            here,
            who: session.map(|session| Who {
                name: session.name.clone(),
                email: session.email.clone(),
                company: session.company_name.clone(),
                role: session.role,
            }),
            style: assets::address("look.css"),
            script: assets::address("times.js"),
        }
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
    language: Language,
    session: Option<&Session>,
    status: StatusCode,
    sentence: &str,
) -> Response {
    let page = Page::new(language, session, "", sentence.to_owned());
    shown(status, &Message { page, sentence: sentence.to_owned() })
}

/// The page that says why there is no other.
pub(super) fn failure(language: Language, session: Option<&Session>, failure: &Failure) -> Response {
    let t = language.texts();
    let (status, sentence) = match failure {
        Failure::Told(told)
            if told.status.is_client_error() || told.status == StatusCode::SERVICE_UNAVAILABLE =>
        {
            (told.status, told.message().to_owned())
        }
        Failure::Admin(admin::Error::NoKey) => (StatusCode::NOT_FOUND, t.not_found.to_owned()),
        Failure::Forbidden => (StatusCode::FORBIDDEN, t.may_not.to_owned()),
        Failure::Database(error) if is_unavailable(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, t.away.to_owned())
        }
        _ => {
            tracing::error!(error = %failure, "a page of the dashboard failed");
            (StatusCode::INTERNAL_SERVER_ERROR, t.failed.to_owned())
        }
    };
    message(language, session, status, &sentence)
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
    pub(super) next_cursor: Option<String>,
}

/// One record, as the API answers it.
#[derive(Deserialize)]
pub(super) struct One<T> {
    pub(super) data: T,
}
