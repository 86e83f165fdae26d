//! Signing in and out, and choosing a password.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::OK;
use crate::admin::passwords;
use crate::admin::users::{self, Link};
use crate::dashboard::guard::is_secure;
use crate::dashboard::language::Reader;
use crate::dashboard::page::{self, Page, shown};
use crate::dashboard::session::{self, From};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn, reader};
use crate::http::peer::{Peer, address};
use crate::model::ids::UserId;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInForm {
    page: Page,
    to: String,
    email: String,
    problem: Option<&'static str>,
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Wanted {
    to: Option<String>,
}

pub(in crate::dashboard) async fn show(headers: HeaderMap, Query(wanted): Query<Wanted>) -> Response {
    form(reader(&headers, None), OK, (wanted.to.unwrap_or_default(), String::new()), None)
}

fn form(
    reader: Reader,
    status: StatusCode,
    (to, email): (String, String),
    problem: Option<&'static str>,
) -> Response {
    let page = Page::new(reader, None, "", reader.texts().sign_in.to_owned());
    shown(status, &SignInForm { page, to, email, problem })
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Sent {
    email: String,
    password: String,
    #[serde(default)]
    to: String,
}

pub(in crate::dashboard) async fn enter(
    State(dashboard): State<Dashboard>,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    Form(sent): Form<Sent>,
) -> Response {
    let reader = reader(&headers, None);
    let t = reader.texts();
    let from = address(&headers, peer.map(|axum::Extension(peer)| peer));
    let (account, now) = (users::email_key(&sent.email), dashboard.admin.clock.monotonic());
    if !dashboard.throttle.begin(&from, &account, now) {
        return form(reader, StatusCode::TOO_MANY_REQUESTS, (sent.to, sent.email), Some(t.too_often));
    }
    match check(&dashboard, &account, sent.password).await {
        Ok(Some(user)) => {
            dashboard.throttle.succeeded(&from, &account, now);
            let_in(&dashboard, (&headers, &from), user, &sent.to).await
        }
        Ok(None) => form(reader, StatusCode::UNAUTHORIZED, (sent.to, sent.email), Some(t.wrong_sign_in)),
        Err(error) => page::failure(reader, None, &error),
    }
}

/// The user with this account and password. It takes as long if there is none.
async fn check(dashboard: &Dashboard, account: &str, password: String) -> Result<Option<UserId>, Failure> {
    if password.len() > passwords::MAX_BYTES {
        return Ok(None);
    }
    let row =
        sqlx::query!("SELECT id, password FROM users WHERE email_key = $1 AND disabled_at IS NULL", account,)
            .fetch_optional(&dashboard.admin.pool)
            .await?;
    let (id, kept) = row.map(|row| (UserId(row.id), row.password)).unzip();
    let right = passwords::is_right(password, kept.flatten()).await;
    Ok(id.filter(|_| right))
}

/// Begins a session, and goes on with the page that was wanted.
async fn let_in(
    dashboard: &Dashboard,
    (headers, address): (&HeaderMap, &str),
    user: UserId,
    to: &str,
) -> Response {
    let user_agent =
        headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let begun = session::begin(
        &dashboard.admin.pool,
        user,
        From { address, user_agent },
        (dashboard.admin.clock.now(), is_secure(headers)),
    );
    // Only to a page of ours.
    let to =
        Some(to).filter(|to| *to == BASE || to.starts_with("/dashboard/") || to.starts_with("/dashboard?"));
    match begun.await {
        Ok(cookie) => go(to.unwrap_or(BASE), cookie),
        Err(error) => page::failure(reader(headers, None), None, &error),
    }
}

fn go(to: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = Redirect::to(to).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

pub(in crate::dashboard) async fn by_link(
    State(dashboard): State<Dashboard>,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    Path(secret): Path<String>,
) -> Response {
    let from = address(&headers, peer.map(|axum::Extension(peer)| peer));
    let now = dashboard.admin.clock.now();
    match session::take_link(&dashboard.admin.pool, &secret, Link::SignIn, now).await {
        Ok(Some(user)) => let_in(&dashboard, (&headers, &from), user, BASE).await,
        Ok(None) => over(&headers),
        Err(error) => page::failure(reader(&headers, None), None, &error.into()),
    }
}

fn over(headers: &HeaderMap) -> Response {
    let reader = reader(headers, None);
    page::message(reader, None, StatusCode::NOT_FOUND, reader.texts().link_is_over)
}

#[derive(Template)]
#[template(path = "password.html")]
struct Password {
    page: Page,
    problem: Option<String>,
}

fn password_form(reader: Reader, status: StatusCode, problem: Option<String>) -> Response {
    let page = Page::new(reader, None, "", reader.texts().choose_password.to_owned());
    shown(status, &Password { page, problem })
}

pub(in crate::dashboard) async fn password(
    State(dashboard): State<Dashboard>,
    headers: HeaderMap,
    Path(secret): Path<String>,
) -> Response {
    let reader = reader(&headers, None);
    let now = dashboard.admin.clock.now();
    match session::knows_link(&dashboard.admin.pool, &secret, Link::Password, now).await {
        Ok(true) => password_form(reader, OK, None),
        Ok(false) => over(&headers),
        Err(error) => page::failure(reader, None, &error.into()),
    }
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Chosen {
    password: String,
}

pub(in crate::dashboard) async fn choose(
    State(dashboard): State<Dashboard>,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    Path(secret): Path<String>,
    Form(chosen): Form<Chosen>,
) -> Response {
    let reader = reader(&headers, None);
    if let Some(refusal) = passwords::refusal(&chosen.password) {
        let problem = format!("{} {refusal}", reader.texts().password);
        return password_form(reader, StatusCode::UNPROCESSABLE_ENTITY, Some(problem));
    }
    let from = address(&headers, peer.map(|axum::Extension(peer)| peer));
    let done = async {
        let hash = passwords::hash(chosen.password).await?;
        let now = dashboard.admin.clock.now();
        let user = session::take_link(&dashboard.admin.pool, &secret, Link::Password, now).await?;
        let Some(user) = user else { return Ok(None) };
        session::set_password(&dashboard.admin.pool, user, &hash).await?;
        // Whoever knew the old one is out.
        session::end_others(&dashboard.admin.pool, user, &[]).await?;
        Ok::<_, Failure>(Some(user))
    };
    match done.await {
        Ok(Some(user)) => let_in(&dashboard, (&headers, &from), user, BASE).await,
        Ok(None) => over(&headers),
        Err(error) => page::failure(reader, None, &error),
    }
}

pub(in crate::dashboard) async fn leave(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    request: Request,
) -> Response {
    let secure = is_secure(request.headers());
    match session::end(&dashboard.admin.pool, &signed_in.session, secure).await {
        Ok(cookie) => go("/dashboard/sign-in", cookie),
        Err(error) => signed_in.fails(&error.into()),
    }
}
