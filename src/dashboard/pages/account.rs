//! What belongs to the one who is signed in: language, look, password, companies, sessions.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::{OK, or_why, said};
use crate::admin::passwords;
use crate::dashboard::form::{self, Sent};
use crate::dashboard::guard::is_secure;
use crate::dashboard::language::{Language, Theme};
use crate::dashboard::listing::Wanted;
use crate::dashboard::page::{Page, shown};
use crate::dashboard::session::{self, Known};
use crate::dashboard::{BASE, Dashboard, Failure, LANGUAGE_COOKIE, SignedIn, THEME_COOKIE};
use crate::model::time::wire_time;

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    page: Page,
    companies: Vec<(String, String, bool)>,
    sessions: Vec<Known>,
    has_password: bool,
    said: Option<&'static str>,
    problem: Option<String>,
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    or_why(&signed_in, page(&dashboard, &signed_in, OK, (wanted.get("done"), None)).await)
}

async fn page(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    status: StatusCode,
    (done, problem): (&str, Option<String>),
) -> Result<Response, Failure> {
    let (pool, session) = (dashboard.pool(), &signed_in.session);
    let account = Account {
        page: signed_in.page("account", signed_in.reader.texts().account),
        companies: session::companies(pool, session).await?,
        sessions: session::all(pool, session, dashboard.admin.clock.now()).await?,
        has_password: session::password(pool, session.user).await?.is_some(),
        said: said(signed_in, done),
        problem,
    };
    Ok(shown(status, &account))
}

/// Remembers the language or the look, for whoever has this browser.
pub(in crate::dashboard) async fn look(
    State(dashboard): State<Dashboard>,
    headers: HeaderMap,
    Form(sent): Form<Sent>,
) -> Response {
    let mut response = Redirect::to(&back(&headers)).into_response();
    let language = Language::parse(&form::value(&sent, "language"));
    let theme = Some(form::value(&sent, "theme")).filter(|theme| !theme.is_empty());
    let theme = theme.map(|theme| Theme::choose(Some(&theme)));
    let language_cookie = language.map(|language| (LANGUAGE_COOKIE, language.code()));
    let theme_cookie = theme.map(|theme| (THEME_COOKIE, theme.word()));
    for (name, value) in language_cookie.into_iter().chain(theme_cookie) {
        if let Some(cookie) = session::lasting_cookie(name, value, is_secure(&headers)) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    // Somebody who is signed in has the language on other machines, too.
    if let Some(language) = language {
        let kept = async {
            let now = dashboard.admin.clock.now();
            let Some(session) = session::of(dashboard.pool(), &headers, now).await? else { return Ok(()) };
            session::set_language(dashboard.pool(), session.user, language.code()).await
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "a user's language was not kept");
        }
    }
    response
}

/// The page from which a form was sent.
fn back(headers: &HeaderMap) -> String {
    let referer = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok());
    let url = referer.and_then(|referer| url::Url::parse(referer).ok());
    let path = url.map(|url| url[url::Position::BeforePath..url::Position::AfterQuery].to_owned());
    path.filter(|path| path == BASE || path.starts_with("/dashboard/") || path == "/docs")
        .unwrap_or_else(|| BASE.to_owned())
}

/// Goes to work for another company.
pub(in crate::dashboard) async fn company(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<Sent>,
) -> Response {
    let done = async {
        session::switch(dashboard.pool(), &signed_in.session, &form::value(&sent, "company")).await?;
        Ok(Redirect::to(BASE).into_response())
    };
    or_why(&signed_in, done.await)
}

/// Changes the password; whoever has one has to know it.
pub(in crate::dashboard) async fn change_password(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, set_password(&dashboard, &signed_in, &sent).await)
}

async fn set_password(dashboard: &Dashboard, signed_in: &SignedIn, sent: &Sent) -> Result<Response, Failure> {
    let (pool, session, t) = (dashboard.pool(), &signed_in.session, signed_in.reader.texts());
    let (old, new) = (form::value(sent, "old"), form::value(sent, "password"));
    let refused =
        |problem: String| page(dashboard, signed_in, StatusCode::UNPROCESSABLE_ENTITY, ("", Some(problem)));
    if let Some(refusal) = passwords::refusal(&new) {
        return refused(format!("{} {refusal}", t.password)).await;
    }
    let kept = session::password(pool, session.user).await?;
    if kept.is_some() {
        let (account, now) = (session.user.to_string(), dashboard.admin.clock.monotonic());
        if !dashboard.throttle.begin(&signed_in.address, &account, now) {
            return refused(t.too_often.to_owned()).await;
        }
        if old.len() > passwords::MAX_BYTES || !passwords::is_right(old, kept).await {
            return refused(t.wrong_password.to_owned()).await;
        }
        dashboard.throttle.succeeded(&signed_in.address, &account, now);
    }
    let hash = passwords::hash(new).await?;
    session::set_password(pool, session.user, &hash).await?;
    session::end_others(pool, session.user, &session.hash).await?;
    Ok(Redirect::to(&format!("{BASE}/account?done=saved")).into_response())
}

/// Ends one of the sessions, or all but this one.
pub(in crate::dashboard) async fn end(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(which): Path<String>,
) -> Response {
    let done = async {
        let session = &signed_in.session;
        match &*which {
            "others" => session::end_others(dashboard.pool(), session.user, &session.hash).await?,
            which => session::end_one(dashboard.pool(), session.user, which).await?,
        }
        Ok(Redirect::to(&format!("{BASE}/account?done=saved")).into_response())
    };
    or_why(&signed_in, done.await)
}

impl Known {
    /// When it was last used.
    fn seen(&self) -> String {
        wire_time(self.seen_at)
    }
}
